"""A month by file in a real Chromium: sent, looked at, put right, recorded; then compared with the institution's own list."""

import json
from pathlib import Path

import pytest
from django.db import connection, connections
from playwright.sync_api import Page, expect

from quitledger.ops.jobs import check_batch, record_batch
from tests.batches.files import a_visit, counselling, csv_of
from tests.conftest import connect_django

from . import given
from .served import Site

JOBS = {"quitledger:check_batch": check_batch, "quitledger:record_batch": record_batch}


@pytest.fixture
def people(site: Site) -> list[str]:
    """Two people with an intake, by their chart numbers."""
    return [given.a_person(site, f"示範檔{serial}", serial).chart_no for serial in (801, 802)]


def when_the_worker_works(site: Site) -> None:
    """What waits in the queue is done, as the application role."""
    connect_django(site.database.app_url)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT id, task_name, args FROM procrastinate_jobs WHERE status = 'todo' ORDER BY id")
            waiting = [row for row in cursor.fetchall() if row[1] in JOBS]
        for job, task, args in waiting:
            JOBS[task](**(args if isinstance(args, dict) else json.loads(args)))
            with connection.cursor() as cursor:
                cursor.execute("DELETE FROM procrastinate_jobs WHERE id = %s", [job])
    finally:
        connections.close_all()


def when_a_file_is_sent(page: Page, content: bytes, folder: Path) -> None:
    (folder / "三月.csv").write_bytes(content)
    page.goto("/batches/new")
    page.get_by_label("檔案", exact=True).set_input_files(folder / "三月.csv")
    page.get_by_role("button", name="上傳並檢查").click()
    expect(page.get_by_role("progressbar")).to_be_visible()


def test_a_month_is_recorded_by_file(site, people, signed_in_as, tmp_path):
    page = signed_in_as("recorder")
    first, second = people
    rows = (
        counselling(first, "114/3/13"),
        a_visit(second, "114/3/14"),
        counselling(second, "114/3/31", 衛教人員="沒有這個人"),
    )
    when_a_file_is_sent(page, csv_of(*rows, encoding="cp950"), tmp_path)
    when_the_worker_works(site)
    # the page finds out by itself
    expect(page.get_by_role("heading", name="檢查結果").first).to_be_visible()
    expect(page.get_by_text("找不到這位衛教人員，請從名單中選擇。")).to_be_visible()
    page.get_by_role("link", name="修改 第 4 列").click()
    page.get_by_label("衛教人員").fill("示範子")
    page.get_by_role("button", name="修改並檢查").click()
    expect(page.get_by_text("第 4 列已修改：可登錄。")).to_be_visible()
    page.get_by_role("button", name="登錄這 3 列").click()
    expect(page.get_by_role("heading", name="正在登錄")).to_be_visible()
    when_the_worker_works(site)
    expect(page.get_by_text("已登錄 3 列。檔案內容已清除。")).to_be_visible()

    when_a_file_is_sent(page, csv_of(*rows[:2]), tmp_path)
    when_the_worker_works(site)
    expect(page.get_by_text("檔案的內容都已經登錄過，沒有要登錄的。")).to_be_visible()


def test_what_the_list_has_and_the_registry_has_not_is_recorded_from_there(site, signed_in_as, tmp_path):
    page = signed_in_as("recorder")
    chart_no = given.a_person(site, "示範檔803", 803).chart_no
    (tmp_path / "list.csv").write_bytes(csv_of((chart_no, "114/3/18"), titles=("病歷號", "看診日期")))
    page.goto("/comparisons/new")
    page.get_by_label("就醫月份").fill("114/3")
    page.get_by_label("檔案", exact=True).set_input_files(tmp_path / "list.csv")
    page.get_by_role("button", name="開始對照").click()
    page.get_by_role("link", name="登錄這筆").click()
    expect(page.get_by_label("就醫日期")).to_have_value("114/03/18")
    page.get_by_label("衛教", exact=True).check()
    page.get_by_label("衛教人員").select_option(label="衛教師 示範子")
    page.locator("main").get_by_role("button", name="登錄就醫資料 Ctrl").click()
    expect(page.get_by_text("已登錄 示範檔803 114/03/18 的就醫資料。")).to_be_visible()
