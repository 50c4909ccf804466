"""Putting the record right in a real Chromium: the agency's own two examples, from the closed visit to the decision."""

import re
from collections.abc import Callable
from datetime import date

import pytest
from playwright.sync_api import Page, expect

from quitledger.cases.models import Case
from tests import world

from . import given
from .served import Site
from .signing_in import sign_in

FEBRUARY_15, MARCH_31, APRIL_1 = date(2025, 2, 15), date(2025, 3, 31), date(2025, 4, 1)
MOST_CLICKS_TO_APPLY = 6  # from the closed visit's page to the application signed and sent
MOST_CLICKS_TO_DECIDE = 3  # from the opened application to the record put right
SERIALS = iter(range(700, 800))


class Clicks:
    """Somebody who clicks, and counts."""

    def __init__(self, page: Page) -> None:
        self.page, self.number = page, 0

    def button(self, name: str) -> None:
        self.page.locator("main").get_by_role("button", name=name).first.click()
        self._done()

    def link(self, name: str) -> None:
        self.page.locator("main").get_by_role("link", name=name).first.click()
        self._done()

    def choice(self, name: str) -> None:
        self.page.get_by_label(name, exact=True).first.check()
        self.number += 1

    def _done(self) -> None:
        self.number += 1
        self.page.wait_for_load_state()


@pytest.fixture
def person(site: Site) -> Case:
    serial = next(SERIALS)
    return given.a_person(site, f"示範更{serial}", serial)


def when_it_is_handed_over(page: Page, clicks: Clicks) -> None:
    clicks.button("送業務主管簽核")
    expect(page.get_by_text("已送簽核")).to_be_visible()


def when_it_is_signed(page: Page, uid: str, clicks: Clicks) -> None:
    """The supervisor opens it, signs, and signs in once more."""
    page.goto(uid)
    hers = Clicks(page)
    hers.button("簽核並送出")
    page.get_by_label("密碼", exact=True).fill(world.PASSWORD)
    hers.button("確認")
    expect(page.get_by_text("已簽核並送出")).to_be_visible()
    clicks.number += hers.number


def when_it_is_approved(page: Page, uid: str) -> Clicks:
    """The desk officer takes it and approves everything."""
    page.goto(uid)
    clicks = Clicks(page)
    clicks.button("由我審核")
    clicks.choice("核可")
    clicks.button("送出審核結果")
    expect(page.get_by_role("status").get_by_text(re.compile("已核可"))).to_be_visible()
    return clicks


def then_the_visits_are(page: Page, case: Case, *days: str) -> None:
    page.goto(f"/cases/{case.uid}")
    assert page.locator("main .line time").all_inner_texts() == list(days)


Three = tuple[Page, Page, Page]


@pytest.fixture
def three(signed_in_as: Callable[..., Page], visitor: Callable[..., Page]) -> Three:
    """Recorder, supervisor and desk officer. Who signs goes on under another session: she signs in for each test."""
    supervisor = visitor()
    sign_in(supervisor, "supervisor")
    return signed_in_as("recorder"), supervisor, signed_in_as("desk_officer")


def test_a_visit_never_recorded_is_applied_for_signed_decided_and_there(site: Site, person: Case, three: Three) -> None:
    recorder, supervisor, desk = three
    clicks = Clicks(recorder)
    recorder.goto(f"/cases/{person.uid}")
    clicks.link("申請補登")
    recorder.get_by_role("textbox", name="就醫日期").fill("114/2/15")
    clicks.choice("衛教")
    recorder.get_by_label("衛教人員").select_option(label="衛教師 示範子")
    recorder.get_by_label("原因").fill("2/15 看診後系統無法連線，漏未登錄。")
    clicks.button("看更正前後")
    expect(recorder.get_by_text("以 114/02/15 檢查規則，全部通過。")).to_be_visible()
    when_it_is_handed_over(recorder, clicks)
    application = recorder.url
    when_it_is_signed(supervisor, application, clicks)
    assert clicks.number <= MOST_CLICKS_TO_APPLY
    decided = when_it_is_approved(desk, application)
    assert decided.number <= MOST_CLICKS_TO_DECIDE
    then_the_visits_are(recorder, person, "114/02/15")
    expect(recorder.locator("main .line").get_by_text("補登", exact=True)).to_be_visible()
    recorder.goto("/")
    expect(recorder.get_by_role("link", name="1 件有審核結果")).to_be_visible()


def test_a_record_parked_under_the_day_of_discovery_gets_its_true_date(site: Site, person: Case, three: Three) -> None:
    uid = given.a_visit(site, person, APRIL_1, medication=None).uid
    recorder, supervisor, desk = three
    clicks = Clicks(recorder)
    recorder.goto(f"/visits/{uid}")
    clicks.link("這是別天的就醫")
    recorder.get_by_role("textbox", name="就醫日期").fill("114/2/15")
    recorder.get_by_label("原因").fill("舊作法，暫登在 4/1。")
    clicks.button("看更正前後")
    when_it_is_handed_over(recorder, clicks)
    when_it_is_signed(supervisor, recorder.url, clicks)
    assert clicks.number <= MOST_CLICKS_TO_APPLY
    when_it_is_approved(desk, recorder.url)
    then_the_visits_are(recorder, person, "114/02/15")
    recorder.goto(f"/visits/{uid}")
    expect(recorder.get_by_role("heading", name="114/02/15")).to_be_visible()
    expect(recorder.get_by_role("link", name=re.compile("依更正申請 114-04-"))).to_be_visible()


def test_a_record_written_over_goes_back_and_what_it_said_is_entered_late(
    site: Site, person: Case, three: Three
) -> None:
    uid = given.a_visit(site, person, MARCH_31, medication=None).uid
    recorder, supervisor, desk = three
    recorder.goto(f"/visits/{uid}/change")
    recorder.get_by_label("平均每日支數").fill("18")
    recorder.get_by_label("修改原因").fill("舊作法，覆蓋為 2/15 的內容")
    Clicks(recorder).button("修改就醫資料")
    clicks = Clicks(recorder)
    recorder.goto(f"/visits/{uid}/correct")
    clicks.link("還原被覆蓋的紀錄")
    recorder.get_by_label("真正的就醫日期").fill("114/2/15")
    recorder.get_by_label("原因").fill("因小於 5 日，覆蓋了 3/31。")
    clicks.button("看更正前後")
    when_it_is_handed_over(recorder, clicks)
    when_it_is_signed(supervisor, recorder.url, clicks)
    assert clicks.number <= MOST_CLICKS_TO_APPLY
    decided = when_it_is_approved(desk, recorder.url)
    assert decided.number <= MOST_CLICKS_TO_DECIDE
    then_the_visits_are(recorder, person, "114/03/31", "114/02/15")
    recorder.goto(f"/visits/{uid}")
    expect(recorder.locator("main .cols").get_by_text("24 小時內")).to_be_visible()
    expect(recorder.locator("main .cols").get_by_text("9 支")).to_be_visible()


def test_an_identity_number_that_only_the_desk_may_correct_is_applied_for_from_the_form_that_was_refused(
    site: Site, person: Case, three: Three
) -> None:
    given.a_visit(site, person, FEBRUARY_15, medication=None)  # the window of the first visit has closed
    recorder, supervisor, desk = three
    recorder.goto(f"/cases/{person.uid}/person")
    recorder.get_by_label("新的證號").fill("A123456789")
    recorder.get_by_label("更正原因").fill("證號打錯一碼")
    Clicks(recorder).button("更正")
    clicks = Clicks(recorder)
    clicks.button("帶著填好的內容，申請更正")
    expect(recorder.get_by_label("新的證號")).to_have_value("A123456789")
    expect(recorder.get_by_label("原因")).to_have_value("證號打錯一碼")
    clicks.button("看更正前後")
    expect(recorder.locator("main .compare")).to_contain_text("A12****789")
    expect(recorder.locator("main")).not_to_contain_text("A123456789")
    when_it_is_handed_over(recorder, clicks)
    when_it_is_signed(supervisor, recorder.url, clicks)
    assert clicks.number <= MOST_CLICKS_TO_APPLY
    assert when_it_is_approved(desk, recorder.url).number <= MOST_CLICKS_TO_DECIDE
    recorder.goto(f"/cases/{person.uid}")
    expect(recorder.locator("main")).to_contain_text("A12****789")
