"""每月自行清查 as pages show it: what is missing and where to fix it, signing, what was signed, reminders, the desk."""

import csv
import io
import re
from dataclasses import replace
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.urls import reverse

from quitledger.accounts.scope import scoped
from quitledger.cases.services import BaselineEntry, record_baseline
from quitledger.institutions.lists import ContractRow
from quitledger.institutions.services import record_contract
from quitledger.portal.selfcheck import way_of
from quitledger.selfcheck.models import ReminderAddress, SignOff
from quitledger.selfcheck.queries import nation
from quitledger.selfcheck.rules import Check, Finding, Level, Where
from quitledger.visits.models import Visit
from quitledger.visits.rules import Line, Medication
from quitledger.visits.services import as_entry, change_visit

from .. import world
from ..selfcheck.scene import MARCH, MARCH_15, MARCH_20, looked_at, recorded, signed, step
from ..sql import set_clock
from .conftest import Browser, journaled, record
from .passkey_device import just_signed_in

MONTH = "/selfcheck/114-03"


def sheet(page: Any, name: str) -> str:
    """The text of a section of the page, by its id."""
    found = re.search(rf'<section class="sheet" id="{name}".*?</section>', page.text, re.S)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", found[0])) if found else ""


def sign(browser: Browser, reason: str = "", month: date = MARCH) -> Any:
    """The supervisor signs what the page shows, and proves once more who she is."""
    number, seen = looked_at(browser.username, month)
    fields = {"number": number, "seen": seen, "reason": reason}
    url = reverse("selfcheck_sign", kwargs={"month": month})
    answer = browser.send(url, fields)
    if answer.status_code == 302 and "confirm" in answer["Location"]:
        just_signed_in(browser)
        answer = browser.send(url, fields)
    return answer


# --- the month -------------------------------------------------------------------------------------------------------------


def test_what_is_missing_is_told_with_the_way_to_the_very_field(committed: Any) -> None:
    uid = recorded(committed, MARCH_15, days=15)
    recorded(committed, MARCH_20, "示範乙")
    page = Browser("recorder").get(MONTH)
    assert "未完整 1 筆" in sheet(page, "incomplete")
    assert "用藥 2 週但填 15 天，應為 14 天。" in sheet(page, "incomplete")
    assert f'href="/visits/{uid}/change#id_lines-0-supply_days"' in page.text
    assert "逐日登錄 2 筆" in sheet(page, "recorded")
    assert "缺 1" in sheet(page, "recorded")
    assert "剩 19 天 14 小時" in page.text
    form = Browser("recorder").get(f"/visits/{uid}/change")
    assert 'id="id_lines-0-supply_days"' in form.text


def test_what_is_put_right_disappears(committed: Any) -> None:
    uid = recorded(committed, MARCH_15, days=15)
    with step("recorder") as by:
        visit = Visit.objects.select_related("case__person").get(uid=uid)
        entry = as_entry(visit)
        assert entry.medication is not None
        right = Medication(entry.medication.staff_uid, (Line(world.PATCH, 2, 14),))
        change_visit(visit=visit, version=1, entry=replace(entry, medication=right), reason="更正", by=by)
    page = Browser("recorder").get(MONTH)
    assert "3 月沒有未完整的資料。" in page.text
    assert "可以簽核了。" in page.text


def test_whole_and_empty_months_say_so_kindly(committed: Any, owner: Any) -> None:
    browser = Browser("recorder")
    assert "這個月沒有登錄就醫資料。" in browser.get(MONTH).text
    assert "沒有服務就不必處理，業務主管可以直接簽核" in browser.get(MONTH).text
    assert "這個月還沒有登錄就醫資料。" in browser.get("/selfcheck/114-04").text
    assert "可由戒菸者的頁面申請補登" in browser.get("/selfcheck/114-02").text
    record(browser, cigarettes_per_day="9")
    assert "4 月沒有未完整的資料。" in browser.get("/selfcheck/114-04").text
    assert "月底後就可以簽核。" in browser.get("/selfcheck/114-04").text


@pytest.mark.parametrize(
    "address", ["/selfcheck/114-05", "/selfcheck/90-01", "/selfcheck/114-13", "/selfcheck/99-99", "/selfcheck/2026-01"]
)
def test_a_month_that_is_none_or_not_yet_is_not_there(browse: Any, address: str) -> None:
    assert browse("recorder").get(address).status_code == 404
    if address != "/selfcheck/90-01":
        assert browse("desk_officer").get(f"{address}/review").status_code == 404


def test_months_are_asked_for_in_either_calendar_and_the_month_before_comes_first(browse: Any) -> None:
    browser = browse("recorder")
    titles = {
        re.search("<h1>(.*?)</h1>", browser.get(f"/selfcheck/{month}").text)[1]
        for month in ("114-03", "114-3", "2025-03")
    }  # type: ignore[index]
    assert titles == {"每月自行清查：114 年 3 月"}
    assert browser.get("/selfcheck")["Location"] == MONTH
    assert browse("desk_officer").get("/selfcheck")["Location"] == f"{MONTH}/review"


def test_after_the_window_the_way_is_an_application(committed: Any, owner: Any) -> None:
    uid = recorded(committed, MARCH_15, days=15)
    set_clock(owner, world.NOW + timedelta(days=25))
    page = Browser("recorder").get(MONTH)
    assert f'href="/visits/{uid}/correct"' in page.text
    assert "已截止" in page.text
    assert "有就醫而漏登錄：申請補登" in sheet(page, "late")


def test_own_drafts_are_listed_and_colleagues_are_counted(committed: Any) -> None:
    browser = Browser("recorder")
    case = world.uid(f"case 示範乙 {world.CLINIC}")
    for day in ("114/3/20", "114/2/15"):
        url = (
            f"/cases/{case}/visits/new"
            if day == "114/3/20"
            else f"/cases/{world.uid(f'case 示範丁 {world.CLINIC}')}/visits/new"
        )
        assert browser.send(url, {"keep_draft": "auto", "visit_on": day, "note": "未完"}).status_code == 204
    page = browser.get(MONTH)
    assert "示範乙" in sheet(page, "drafts")
    assert f'href="/cases/{case}/visits/new#id_visit_on"' in page.text
    late = sheet(page, "late")
    assert "示範丁" in late  # of February, which is closed
    assert "申請補登" in late
    assert f"/cases/{world.uid(f'case 示範丁 {world.CLINIC}')}/late-entry#id_visit_on" in page.text
    others = Browser("supervisor").get(MONTH)
    assert "同仁另有 2 筆草稿" in sheet(others, "drafts")
    assert "示範乙" not in others.text


def test_one_check_alone_and_the_list_are_shown_when_asked_for(committed: Any) -> None:
    recorded(committed, MARCH_15, days=15)
    recorded(committed, MARCH_20, "示範乙", cigarettes_per_day=None)
    browser = Browser("recorder")
    both = browser.get(MONTH)
    assert "沒有填平均每日支數。" in both.text
    assert "應為 14 天" in both.text
    one = browser.get(f"{MONTH}?check=check_cigarettes")
    assert "沒有填平均每日支數。" in one.text
    assert "應為 14 天" not in one.text
    listed = sheet(browser.get(f"{MONTH}?view=list"), "recorded")
    assert "示範甲" in listed
    assert "示範乙" in listed


def test_who_is_shown_is_journaled_and_nobody_elsewhere_is_shown(committed: Any) -> None:
    uid = recorded(committed, MARCH_15, days=15)
    recorded(committed, MARCH_20, "示範戊", world.PHARMACY)
    browser = Browser("recorder")
    with journaled() as entries:
        page = browser.get(MONTH)
    assert "示範戊" not in page.text
    (entry,) = [one for one in entries if one.action == "selfcheck.read"]
    assert set(entry.uids) == {uid, world.uid(f"case 示範甲 {world.CLINIC}")}


EVERY_WAY = [
    (Check.FIRST_INTAKE, None, Where.INTAKE, "taken_on", True, "/baselines/new#id_taken_on"),
    (Check.FIRST_INTAKE, "visit", Where.INTAKE, "taken_on", False, "/baselines/new#id_taken_on"),
    (Check.SUPPLY_DAYS, "visit", Where.VISIT, "lines-0-supply_days", True, "/change#id_lines-0-supply_days"),
    (Check.SUPPLY_DAYS, "visit", Where.VISIT, "lines-0-supply_days", False, "/correct"),
    (Check.DRAFT, "visit", Where.VISIT, "visit_on", True, "/change#id_visit_on"),
    (Check.DRAFT, None, Where.RECORD, "visit_on", True, "/visits/new#id_visit_on"),
    (Check.DRAFT, None, Where.RECORD, "visit_on", False, "/late-entry#id_visit_on"),
    (Check.CASE_WITHOUT_VISIT, None, Where.RECORD, "visit_on", False, "/late-entry#id_visit_on"),
    (Check.NEXT_VISIT, "visit", Where.RECORD, "visit_on", True, "/visits/new#id_visit_on"),
    (Check.NEXT_VISIT, "visit", Where.RECORD, "visit_on", False, "/visits/new#id_visit_on"),
]  # fmt: skip


@pytest.mark.parametrize(("check", "visit", "where", "field", "is_open", "ends"), EVERY_WAY)
def test_every_finding_has_a_way_to_put_it_right(
    db: Any, check: Check, visit: str | None, where: Where, field: str, is_open: bool, ends: str
) -> None:
    with step("recorder"):
        case = world.case()
        finding = Finding(check, Level.INCOMPLETE, MARCH, case.pk, uuid4() if visit else None, str, where, field)
        address, words = way_of(finding, case, is_open)
    assert address.endswith(ends)
    assert words


# --- signing ---------------------------------------------------------------------------------------------------------------


def test_the_supervisor_signs_and_what_was_signed_can_be_read_later(committed: Any) -> None:
    recorded(committed, MARCH_15, days=15)
    browser = Browser("supervisor")
    assert "簽核 114 年 3 月" in sheet(browser.get(MONTH), "sign")
    assert sign(browser).status_code == 422  # without a reason
    assert "還有 1 筆未完整" in sign(browser).text
    assert sign(browser, "待回診")["Location"] == MONTH
    page = browser.get(MONTH)
    assert "已簽核" in sheet(page, "sign")
    assert "待回診" in sheet(page, "sign")
    assert "<form" not in re.search(r'id="sign".*?</section>', page.text, re.S)[0]  # type: ignore[index]
    with step("supervisor"):
        uid = SignOff.objects.get().uid
    kept = f"/selfcheck/signed/{uid}"
    for username in ("supervisor", "recorder", "desk_officer"):
        seen = Browser(username).get(kept)
        assert seen.status_code == 200
        assert "用藥 2 週但填 15 天，應為 14 天。" in seen.text
        assert "示範甲" in seen.text
    assert Browser("stranger_supervisor").get(kept).status_code == 404


def test_signing_asks_once_more_who_it_is(committed: Any) -> None:
    recorded(committed)
    browser = Browser("supervisor")
    number, seen = looked_at()
    answer = browser.send(f"{MONTH}/sign", {"number": number, "seen": seen, "reason": ""})
    assert answer.status_code == 302
    assert "/accounts/confirm" in answer["Location"]
    with step("supervisor"):
        assert not SignOff.objects.exists()


def test_a_recorder_sees_the_month_without_a_button_and_is_refused(committed: Any) -> None:
    recorded(committed)
    browser = Browser("recorder")
    assert "請業務主管登入簽核" in sheet(browser.get(MONTH), "sign")
    assert f'action="{MONTH}/sign"' not in browser.get(MONTH).text
    assert browser.send(f"{MONTH}/sign", {"number": 1, "seen": looked_at()[1]}).status_code == 403


def test_a_change_after_the_sign_off_is_told_on_the_page(committed: Any) -> None:
    recorded(committed)
    signed()
    record(Browser("recorder"), "示範乙", visit_on="114/3/21")
    page = Browser("supervisor").get(MONTH)
    assert "簽核後有變動，這個月已重新開啟。" in page.text
    assert "示範主管 於 114/04/01" in page.text
    assert "簽核 114 年 3 月" in sheet(page, "sign")
    assert "簽核後有變動" in Browser("recorder").get("/selfcheck/114-04").text  # beside the month before


def test_an_intake_after_the_sign_off_is_told_on_the_page(committed: Any) -> None:
    recorded(committed)
    signed()
    with step("recorder") as by:
        entry = BaselineEntry(uuid4(), MARCH_15, {}, 20, None, None, pregnant=False, insured=True)
        record_baseline(case=world.case(), entry=entry, today=world.TODAY, by=by)
    page = Browser("supervisor").get(MONTH)
    assert "有收案評估新登錄或修改。" in page.text
    assert "就醫資料有變動" not in page.text
    assert re.search(r"與簽核當時相比，要補的新增\s1\s項", page.text)  # it has no score, and counts for the course now
    assert "簽核後有變動" in Browser("desk_officer").get(f"{MONTH}/review?state=all").text


def test_what_changed_since_it_was_looked_at_is_not_signed(committed: Any) -> None:
    recorded(committed)
    browser = just_signed_in(Browser("supervisor"))
    number, seen = looked_at()
    record(Browser("recorder"), "示範乙", visit_on="114/3/21")
    fields = {"number": number, "seen": seen, "reason": ""}
    browser.send(f"{MONTH}/sign", fields)
    just_signed_in(browser)
    answer = browser.send(f"{MONTH}/sign", fields, follow=True)
    assert answer.status_code == 302
    assert "您看過之後，這個月的內容有變動" in browser.get(MONTH).text


def test_a_double_click_and_a_colleagues_sign_off_are_told(committed: Any, owner: Any) -> None:
    recorded(committed)
    number, seen = looked_at()
    signed(seen=(number, seen))
    fields = {"number": number, "seen": seen, "reason": ""}
    mine = Browser("supervisor")
    assert mine.send(f"{MONTH}/sign", fields).status_code == 302
    assert "已簽核 114 年 3 月" in mine.get(MONTH).text
    owner.execute(
        "UPDATE institutions_membership SET role = 'supervisor' WHERE user_id = (SELECT id FROM accounts_user WHERE username = 'colleague')"
    )
    colleague = Browser("colleague")
    assert colleague.send(f"{MONTH}/sign", fields).status_code == 302
    assert "已由 示範主管 於" in colleague.get(MONTH).text


# --- reminders and the first page ------------------------------------------------------------------------------------------


def test_an_address_is_set_and_taken_away_by_its_owner(browse: Any) -> None:
    browser = browse("recorder")
    assert browser.send("/reminders", {"address": "a@example.org"}).status_code == 302
    assert 'value="a@example.org"' in browser.get("/reminders").text
    refused = browser.send("/reminders", {"address": "nobody"})
    assert refused.status_code == 422
    assert "看不懂這個電子郵件" in refused.text
    browser.send("/reminders", {"address": ""})
    with step("recorder") as by:
        assert ReminderAddress.objects.get(account_id=by.account_id).address == ""
    assert browse("supervisor").get("/reminders").status_code == 200
    assert browse("desk_officer").get("/reminders").status_code == 403


@pytest.mark.parametrize(
    "typed",
    [
        "a@example.org\nBcc: b@example.org",
        "a@example.org, b@example.org",
        "a@example.org\r",
        "A <a@example.org>",
        "@",
        "a" * 250 + "@example.org",
        "\x00",
    ],
)
def test_an_address_that_is_none_or_more_than_one_is_refused(browse: Any, typed: str) -> None:
    browser = browse("recorder")
    answer = browser.send("/reminders", {"address": typed})
    with step("recorder") as by:
        kept = list(ReminderAddress.objects.filter(account_id=by.account_id).values_list("address", flat=True))
    # White space around an address is none of it.
    assert (answer.status_code, kept) in ((422, []), (302, ["a@example.org"]))
    assert (answer.status_code == 302) == (typed.strip() == "a@example.org")


def test_the_first_page_tells_what_is_missing_on_the_days_of_policy_and_leads_there(committed: Any, owner: Any) -> None:
    uid = recorded(committed, MARCH_15, days=15)
    home = Browser("recorder").get("/")
    assert "3 月的就醫資料還有待處理" in home.text
    assert f"/visits/{uid}/change#id_lines-0-supply_days" in home.text
    assert "114 年 3 月自行清查" in home.text
    assert "待您簽核。" not in home.text
    assert "待您簽核。" in Browser("supervisor").get("/").text
    set_clock(owner, world.NOW + timedelta(days=1))
    assert "還有待處理" not in Browser("recorder").get("/").text
    set_clock(owner, world.NOW)
    signed(reason="待回診")
    home = Browser("recorder").get("/")
    assert "還有待處理" not in home.text
    assert "應為 14 天" not in home.text  # it was said why
    assert "已簽核" in home.text


def test_a_draft_on_the_first_page_says_how_long_its_24_hours_last(browse: Any) -> None:
    browser = browse("recorder")
    url = f"/cases/{world.uid(f'case 示範乙 {world.CLINIC}')}/visits/new"
    for typed, expected in (
        ({"visit_on": "114/3/31", "visit_time": "23:50"}, "剩 1[0-4] 小時 [0-9]+ 分"),
        ({"visit_on": "114/3/31"}, "剩 1[0-4] 小時 [0-9]+ 分"),
        ({"visit_on": "114/3/3", "visit_time": "x"}, "登錄期限 114/04/20 24:00"),
        ({"visit_on": "114/2/3"}, "已截止"),
        ({"visit_on": "114/4/9"}, "存下"),
        ({"visit_on": "?"}, "存下"),
    ):
        assert browser.send(url, {"keep_draft": "auto", **typed}).status_code == 204
        assert re.search(expected, browser.get("/").text), typed


# --- the desk --------------------------------------------------------------------------------------------------------------


def rows_of(answer: Any) -> list[dict[str, str]]:
    """The lines of a CSV file, by their titles."""
    _made_up, *lines = csv.reader(io.StringIO(answer.content.decode("utf-8-sig")))
    return [dict(zip(lines[0], line, strict=True)) for line in lines[1:]]


def test_the_desk_sees_who_signed_who_did_not_and_who_recorded_nothing(committed: Any) -> None:
    recorded(committed)
    recorded(committed, MARCH_15, "示範戊", world.PHARMACY)
    signed()
    browser = Browser("desk_officer")
    page = browser.get(f"{MONTH}/review")
    assert "示範藥局" in sheet(page, "list")  # named: not signed
    assert "示範戒菸診所" not in sheet(page, "list")
    everybody = {row["機構名稱"]: row for row in rows_of(browser.get(f"{MONTH}/review.csv?state=all"))}
    assert {name: row["清查情形"] for name, row in everybody.items()} == {
        "示範戒菸診所": "已簽核",
        "示範藥局": "未簽核",
    }
    clinic = everybody["示範戒菸診所"]
    assert (clinic["就醫資料筆數"], clinic["24 小時內"], clinic["24 小時內（%）"]) == ("1", "1", "100.0")
    assert clinic["簽核人"] == "示範主管"
    assert [row["機構名稱"] for row in rows_of(browser.get(f"{MONTH}/review.csv?state=signed"))] == ["示範戒菸診所"]
    for word in ("24 小時內", "期限內", "補登", "定義", "四捨五入"):
        assert word in page.text
    assert browser.get(f"{MONTH}/review.ods").status_code == 200
    assert browser.get(f"{MONTH}/review.json").status_code == 404
    assert browser.get(f"{MONTH}/review.csv?state=nonsense").status_code == 404


def test_a_change_since_the_sign_off_is_seen_at_the_desk(committed: Any) -> None:
    recorded(committed)
    signed()
    record(Browser("recorder"), "示範乙", visit_on="114/3/21")
    (row,) = rows_of(Browser("desk_officer").get(f"{MONTH}/review.csv"))
    assert (row["機構名稱"], row["清查情形"], row["就醫資料筆數"]) == ("示範戒菸診所", "簽核後有變動", "2")


def test_institutions_and_staff_with_a_contract_and_no_service_are_named_with_their_last_service(
    committed: Any,
) -> None:
    recorded(committed, date(2025, 2, 25), medication=None)
    recorded(committed, MARCH_15, "示範戊", world.PHARMACY)
    browser = Browser("desk_supervisor")
    idle = rows_of(browser.get(f"{MONTH}/review.csv?show=idle"))
    assert [(row["機構名稱"], row["最近一次服務"]) for row in idle] == [("示範戒菸診所", "114/02/25")]
    staff = {row["姓名"]: row["最近一次服務"] for row in rows_of(browser.get(f"{MONTH}/review.csv?show=staff"))}
    assert staff == {"示範丑": "", "示範子": "114/02/25", "示範寅": "", "示範辰": ""}
    assert "示範子" in sheet(browser.get(f"{MONTH}/review?show=staff"), "list")
    assert sheet(browser.get(f"{MONTH}/review?show=staff&county=高雄市"), "list").count("示範") == 0
    assert "示範戒菸診所" in sheet(browser.get(f"{MONTH}/review?show=idle&tier=clinic&county=臺北市"), "list")
    assert "沒有符合的。" in sheet(browser.get(f"{MONTH}/review?show=idle&tier=pharmacy"), "list")


def test_a_contract_of_one_day_of_the_month_is_enough_to_be_listed(committed: Any) -> None:
    def listed() -> set[str]:
        with step("desk_officer") as by:
            return {row.name for row in nation(MARCH, by=by)}

    assert listed() == {"示範戒菸診所", "示範藥局"}  # the hospital's ended with February
    with committed.as_owner(), scoped(world.SYSTEM):
        record_contract(ContractRow(world.HOSPITAL, date(2025, 3, 31), date(2025, 3, 31), ""), by=world.SYSTEM)
    assert listed() == {"示範戒菸診所", "示範藥局", "示範醫院"}
