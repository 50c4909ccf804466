"""登錄資料修改 in a real Chromium: change a visit, two at once, void it and bring it back; a draft outlives its browser."""

from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect

from tests import world

from . import given

YESTERDAY = world.TODAY - timedelta(days=1)


def given_the_change_page(page: Page, uid: object) -> None:
    page.goto(f"/visits/{uid}")
    page.get_by_role("link", name="登錄資料修改").click()
    page.wait_for_load_state()


def when_changed(page: Page, reason: str, **typed: str) -> None:
    for label, text in typed.items():
        page.get_by_label(label).fill(text)
    page.get_by_label("修改原因").fill(reason)
    page.locator("main").get_by_role("button", name="修改就醫資料 Ctrl").click()
    page.wait_for_load_state()


def then_the_newest_version_says(page: Page, *words: str) -> None:
    newest = page.get_by_role("region", name="版本紀錄").get_by_role("listitem").first
    for word in words:
        expect(newest).to_contain_text(word)


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
def test_a_visit_is_changed_and_its_versions_say_who_when_what_and_why(site, signed_in_as, script):
    case = given.a_person(site, f"示範修一{script:d}", 201 + script)
    visit = given.a_visit(site, case, YESTERDAY)
    page = signed_in_as("recorder", java_script_enabled=script)

    given_the_change_page(page, visit.uid)
    when_changed(page, "看錯儀器", 一氧化碳="7")

    expect(page.get_by_role("status").first).to_contain_text("第 2 版")
    then_the_newest_version_says(page, "修改", "示範子", "12 ppm", "7 ppm", "看錯儀器")


def test_the_second_of_two_sees_both_side_by_side_keeps_what_was_typed_and_goes_on(site, signed_in_as):
    case = given.a_person(site, "示範修二", 203)
    visit = given.a_visit(site, case, YESTERDAY)
    first, second = signed_in_as("recorder"), signed_in_as("colleague")
    for page in (first, second):
        given_the_change_page(page, visit.uid)

    when_changed(first, "補填", 備註="第一人的備註")
    when_changed(second, "重測", 一氧化碳="5")

    table = second.get_by_role("table", name="不同之處")
    expect(table.get_by_role("row", name="備註")).to_contain_text("第一人的備註")
    expect(table.get_by_role("row", name="一氧化碳")).to_contain_text("5 ppm")
    expect(second.get_by_label("一氧化碳")).to_have_value("5")

    when_changed(second, "重測", 備註="第一人的備註")
    then_the_newest_version_says(second, "第 3 版", "12 ppm", "5 ppm")


def test_a_visit_is_voided_and_brought_back(site, signed_in_as):
    case = given.a_person(site, "示範修三", 204)
    visit = given.a_visit(site, case, YESTERDAY)
    page = signed_in_as("supervisor")
    page.goto(f"/visits/{visit.uid}")
    page.get_by_role("link", name="作廢").click()
    page.locator("main").get_by_role("button", name="作廢就醫資料").click()
    expect(page.get_by_role("heading", name="還沒作廢")).to_be_visible()
    page.get_by_label("原因").fill("登錄到別人")
    page.locator("main").get_by_role("button", name="作廢就醫資料").click()
    page.wait_for_load_state()
    expect(page.locator("main")).to_contain_text("已作廢")

    page.goto(f"/cases/{case.uid}")
    expect(page.locator("main")).to_contain_text("已作廢")
    page.goto(f"/visits/{visit.uid}")
    page.get_by_role("link", name="恢復").click()
    page.get_by_label("原因").fill("作廢錯了")
    page.locator("main").get_by_role("button", name="恢復就醫資料").click()
    page.wait_for_load_state()
    then_the_newest_version_says(page, "恢復", "作廢錯了")


def test_a_draft_outlives_the_browser_and_is_recorded_elsewhere(site, signed_in_as):
    case = given.a_person(site, "示範修四", 205)
    page = signed_in_as("recorder")
    page.goto(f"/cases/{case.uid}/visits/new")
    with page.expect_response(lambda answer: answer.status == 204):
        page.get_by_label("備註").fill("打到一半")
    page.context.close()

    other = signed_in_as("recorder", viewport={"width": 360, "height": 740})
    other.goto("/")
    other.get_by_role("link", name="示範修四").click()
    expect(other.get_by_role("heading", name="還沒登錄")).to_be_visible()
    expect(other.get_by_label("備註")).to_have_value("打到一半")
    other.get_by_role("group", name="本次服務").get_by_label("衛教").check()
    other.get_by_label("平均每日支數").fill("6")
    other.get_by_label("衛教人員").select_option(label="衛教師 示範子")
    other.locator("main").get_by_role("button", name="登錄就醫資料 Ctrl").click()
    other.wait_for_load_state()
    expect(other.get_by_role("status").first).to_contain_text("已登錄 示範修四")
    other.goto("/")
    expect(other.get_by_role("link", name="示範修四")).to_have_count(0)
