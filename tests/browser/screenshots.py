"""Makes the pictures of the README from a demo site of its own: `python -m tests.browser.screenshots`."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from quitledger.ops.orphans import as_parent
from quitledger.ops.postgres import Cluster

from .find_browser import browser_path

PICTURES = Path(__file__).parents[2] / "docs" / "screenshots"
TODAY, PERSONS, CHART_NO = "114/4/1", "300", "DEMO-0001"


def record(page: Page) -> None:
    """The record page, filled in for a visit of today."""
    page.goto("/")
    page.get_by_role("textbox", name="登錄就醫資料").fill(CHART_NO)
    page.get_by_role("button", name="找人並登錄").click()
    page.wait_for_url("**/visits/new")
    page.get_by_role("button", name="帶入上次內容").click()
    page.wait_for_load_state()
    page.get_by_label("就醫時間").fill("09:20")
    for service in ("用藥", "衛教"):
        page.get_by_label(service, exact=True).check()
    page.get_by_label("藥品").first.select_option(label="尼古丁貼片（示範品項甲）")
    page.get_by_label("週數").first.fill("2")
    page.get_by_label("用藥人員").select_option(label="醫師 示範丑")
    page.get_by_label("衛教人員").select_option(label="衛教師 示範子")
    page.get_by_label("平均每日支數").fill("6")
    page.get_by_label("一氧化碳").fill("8")
    page.get_by_label("備註").fill("睡眠改善，下次帶家屬一起來")
    page.get_by_role("heading", level=1).click()  # nothing has the focus


def query(page: Page) -> None:
    """The first rows of the query of visits."""
    page.goto("/visits")


def main() -> None:
    """Load a demo, serve it, take the pictures, leave nothing behind."""
    with tempfile.TemporaryDirectory(prefix="quitledger-pictures-") as folder:
        Path(folder).chmod(0o711)  # as root, PostgreSQL's user must be able to pass
        ours = ("QUITLEDGER_", "DATABASE_", "DJANGO_")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        environment |= {"QUITLEDGER_DATA": folder} | as_parent()
        command = [str(Path(sys.executable).with_name("quitledger"))]
        load = [*command, "demo", "load", "--today", TODAY, "--persons", PERSONS]
        told = subprocess.run(load, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
        password = next(line.split()[-1] for line in told.splitlines() if line.startswith("密碼"))
        site = subprocess.Popen([*command, "run", "--workers", "1"], env=environment, stdout=subprocess.PIPE, text=True)
        assert site.stdout is not None
        try:
            address = next(line.split()[-1] for line in site.stdout if line.startswith("網站"))
            take(address, password)
        finally:
            site.terminate()
            site.wait()
            Cluster(Path(folder)).remove()


def take(address: str, password: str) -> None:
    """Sign in at `address` and take each picture, 1280 px wide."""
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path(), args=["--disable-gpu", *sandbox])
        page = browser.new_page(base_url=address, viewport={"width": 1280, "height": 1000}, locale="zh-TW")
        page.goto("/accounts/login")
        page.get_by_label("帳號", exact=True).fill("demo-recorder")
        page.get_by_label("密碼", exact=True).fill(password)
        page.get_by_role("button", name="登入", exact=True).click()
        page.wait_for_url(address)
        PICTURES.mkdir(exist_ok=True)
        for name, open_, whole in (("record", record, True), ("query", query, False)):
            open_(page)
            page.screenshot(path=PICTURES / f"{name}.png", full_page=whole)
        browser.close()


if __name__ == "__main__":
    main()
