"""A month looked through in a real Chromium: from what is missing to the very field, the sign-off, and what opens it again."""

from collections.abc import Callable
from datetime import date

from playwright.sync_api import Page, expect

from quitledger.visits.rules import Line, Medication
from tests import world

from . import given
from .served import Site
from .signing_in import sign_in

MARCH_24, MARCH_25 = date(2025, 3, 24), date(2025, 3, 25)


def given_a_visit_whose_days_are_wrong(site: Site) -> str:
    """Two weeks and fifteen days; the name of whose it is."""
    person = given.a_person(site, "示範清查", 760)
    with given.the_owner(site):
        physician = world.staff("示範丑").uid
    given.a_visit(site, person, MARCH_24, medication=Medication(physician, (Line(world.PATCH, 2, 15),)))
    return person.name


def when_the_finding_is_opened_and_put_right(page: Page, name: str) -> None:
    """One click from the finding, and the field has the focus."""
    page.goto("/selfcheck")
    row = page.locator("#incomplete tbody tr", has_text=name)
    expect(row).to_contain_text("用藥 2 週但填 15 天，應為 14 天。")
    row.get_by_role("link", name="登錄資料修改").click()
    expect(page.locator("#id_lines-0-supply_days")).to_be_focused()
    page.locator("#id_lines-0-supply_days").fill("14")
    page.get_by_label("修改原因").fill("天數打錯")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("status")).to_be_visible()


def then_it_is_no_longer_missing(page: Page, name: str) -> None:
    page.goto("/selfcheck/114-03?check=check_supply_days")
    expect(page.locator("#incomplete")).not_to_contain_text(name)


def when_the_supervisor_signs(page: Page) -> None:
    """She says why the rest stays incomplete, if anything does, and signs in once more."""
    page.goto("/selfcheck/2025-03")
    reason = page.get_by_label("保留未完整的原因")
    if reason.count():
        reason.fill("待個案回診。")
    page.get_by_role("button", name="簽核 114 年 3 月").click()
    page.get_by_label("密碼", exact=True).fill(world.PASSWORD)
    page.get_by_role("button", name="確認").click()
    expect(page.get_by_role("status")).to_contain_text("已簽核 114 年 3 月")


def then_the_month_is_signed_and_what_was_signed_can_be_read(page: Page) -> None:
    sign = page.locator("#sign")
    expect(sign).to_contain_text("已簽核")
    sign.get_by_role("link", name="第 1 次簽核").click()
    expect(page.locator("h1")).to_have_text("114 年 3 月第 1 次簽核")
    page.go_back()


def when_another_visit_of_the_month_is_recorded(site: Site) -> None:
    given.a_visit(site, given.a_person(site, "示範清查二", 761), MARCH_25)


def test_a_month_is_completed_signed_and_opened_again_by_a_change(
    site: Site, signed_in_as: Callable[..., Page], visitor: Callable[..., Page]
) -> None:
    recorder, supervisor = signed_in_as("recorder"), visitor()
    sign_in(supervisor, "supervisor")
    name = given_a_visit_whose_days_are_wrong(site)
    when_the_finding_is_opened_and_put_right(recorder, name)
    then_it_is_no_longer_missing(recorder, name)
    when_the_supervisor_signs(supervisor)
    then_the_month_is_signed_and_what_was_signed_can_be_read(supervisor)
    when_another_visit_of_the_month_is_recorded(site)
    recorder.goto("/selfcheck/114-03")
    expect(recorder.locator("main")).to_contain_text("簽核後有變動，這個月已重新開啟。")
