"""名冊 by its pages: lists, downloads, one record, a file with a look before, what is kept and what is refused."""

import re
from typing import Any
from urllib.parse import urlencode

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from quitledger.accounts.scope import scoped
from quitledger.institutions.models import Contract, InstitutionDetails
from quitledger.portal.register_lists import REGISTERS
from quitledger.portal.registers import MOST_ROWS

from .. import world
from ..institutions.make_faulty import CONTRACTS, QUOTAS, STAFF
from .conftest import Browser, journaled, record, visit_page

CONTRACT = {"institution_code": world.HOSPITAL, "starts_on": "114/3/1", "ends_on": "", "end_reason": ""}


@pytest.fixture
def officer(browse: Any) -> Browser:
    return browse("desk_officer")


def file_of(*lines: tuple[str, ...], name: str = "list.csv") -> SimpleUploadedFile:
    """An uploaded CSV file."""
    return SimpleUploadedFile(name, "".join(",".join(line) + "\r\n" for line in lines).encode())


def looked_at(browser: Browser, register: str, file: SimpleUploadedFile) -> Any:
    """The page that shows what a file would do."""
    return browser.post(f"/registers/{register}/import", {"file": file})


def kept_in(page: Any) -> str:
    """The file as the page keeps it."""
    return re.search(r'name="kept" value="([^"]+)"', page.text)[1]  # type: ignore[index]


def pk_of(model: Any, **asked: Any) -> int:
    with scoped(world.SYSTEM):
        return int(model.objects.get(**asked).pk)


# --- Lists and downloads ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", REGISTERS)
def test_every_list_can_be_read_searched_and_downloaded(officer: Browser, name: str) -> None:
    page = officer.get(f"/registers/{name}")
    assert page.status_code == 200
    assert REGISTERS[name].title in page.text
    for shown in REGISTERS[name].filters:
        assert officer.get(f"/registers/{name}?{urlencode({'show': shown, 'q': '示範'})}").status_code == 200
    assert "找不到符合的資料" in officer.get(f"/registers/{name}?q=沒有這個").text
    for file_format in ("csv", "ods"):
        assert officer.get(f"/registers/{name}.{file_format}")["Cache-Control"] == "no-store"
    assert officer.get(f"/registers/{name}.json").status_code == 404
    titles = officer.get(f"/registers/{name}/empty.csv").content.decode("utf-8-sig")
    assert all(column.title in titles for column in REGISTERS[name].columns)


@pytest.mark.parametrize("file_format", ["csv", "ods"])
def test_a_download_can_be_imported_again_and_changes_nothing(browse: Any, file_format: str) -> None:
    desk = browse("desk_supervisor")
    for name in ("institutions", "contracts", "quotas", "extensions"):
        content = desk.get(f"/registers/{name}.{file_format}").content
        page = looked_at(desk, name, SimpleUploadedFile("again", content))
        assert page.status_code == 200, name
        assert "有錯</dt><dd>0<" in page.text, name
        assert "新增</dt><dd>0<" in page.text, name
        assert "修改</dt><dd>0<" in page.text, name


def test_identity_numbers_are_in_no_list_and_no_download(officer: Browser) -> None:
    for url in ("/registers/staff", "/registers/staff.csv", "/registers/certificates", "/registers/staff/1"):
        answer = officer.get(url)
        assert answer.status_code == 200
        assert not re.search(r"[A-Z][12S]?\d{8,9}", answer.text.replace("H1", ""))


def test_a_read_of_a_list_is_journaled(officer: Browser) -> None:
    with journaled() as entries:
        officer.get("/registers/staff")
    assert [(entry.action, entry.record_type) for entry in entries] == [("register.read", "staff")]


# --- One record -------------------------------------------------------------------------------------------------------


def test_a_record_is_made_once_by_a_form_sent_twice(officer: Browser) -> None:
    with journaled() as entries:
        answers = [officer.send("/registers/contracts/new", CONTRACT) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [302, 302]
    assert answers[0]["Location"] == answers[1]["Location"]
    assert [entry.action for entry in entries] == ["register.record"]
    assert "與已登錄的相同" in officer.get(answers[1]["Location"]).text


def test_what_is_refused_stays_typed_with_its_reason_beside_the_field(officer: Browser) -> None:
    page = officer.send("/registers/contracts/new", CONTRACT | {"institution_code": world.CLINIC, "end_reason": "沒有"})
    assert page.status_code == 422
    assert "與 113/01/01 起的合約重疊" in page.text
    assert 'value="沒有"' in page.text
    page = officer.send("/registers/contracts/new", CONTRACT | {"starts_on": "114/13/1", "institution_code": "12"})
    assert page.status_code == 422
    assert "醫事機構代碼應為 10 位數字。" in page.text
    assert 'value="114/13/1"' in page.text


def test_a_correction_is_in_the_history_with_who_and_what(officer: Browser) -> None:
    pk = pk_of(Contract, institution__details__code=world.CLINIC)
    page = officer.get(f"/registers/contracts/{pk}/change")
    assert 'value="113/01/01"' in page.text
    answer = officer.send(
        f"/registers/contracts/{pk}/change", CONTRACT | {"starts_on": "113/1/1", "ends_on": "114/2/28"}
    )
    page = officer.get(answer["Location"])
    assert "示範窗口" in page.text
    assert "合約迄日</dt><dd>— → 114/02/28" in page.text


def test_a_new_code_is_recorded_from_the_page_of_the_institution(officer: Browser) -> None:
    pk = pk_of(InstitutionDetails, code=world.CLINIC)
    page = officer.get(f"/registers/institutions/new?from={pk}")
    assert f'value="{world.CLINIC}"' in page.text
    fields = {"code": world.CLINIC, "name": "示範戒菸診所", "tier": "西醫診所", "county": "臺北市", "address": "",
              "starts_on": "114/5/1", "new_code": "9900000046", "change": "換發代碼", "parent_code": "",
              "contract_starts_on": "", "contract_ends_on": ""}  # fmt: skip
    answer = officer.send(f"/registers/institutions/new?from={pk}", fields)
    page = officer.get(answer["Location"])
    assert "9900000046" in page.text
    assert "各期間的內容" in page.text
    assert officer.get(f"/registers/contracts?q={world.CLINIC}").text.count("示範戒菸診所") >= 1


def test_an_extension_is_the_desk_supervisors_to_give_and_nobodys_to_change(browse: Any) -> None:
    fields = {"month": "114/3", "reach": "全國", "county": "", "institution_code": "", "last_day": "114/4/25",
              "last_time": "", "reason": "颱風停班"}  # fmt: skip
    officer, supervisor = browse("desk_officer"), browse("desk_supervisor")
    assert officer.get("/registers/extensions/new").status_code == 403
    assert officer.send("/registers/extensions/new", fields).status_code == 403
    answer = supervisor.send("/registers/extensions/new", fields)
    assert answer.status_code == 302
    assert supervisor.get(f"{answer['Location']}/change").status_code == 404
    assert "114/04/25" in supervisor.get("/registers/extensions").text


# --- Files ------------------------------------------------------------------------------------------------------------

GOOD, BAD = (world.HOSPITAL, "114/3/1", "", ""), (world.CLINIC, "114/3/1", "", "")


def test_a_file_is_looked_at_before_anything_is_recorded(officer: Browser) -> None:
    with journaled() as entries:
        page = looked_at(officer, "contracts", file_of(CONTRACTS, GOOD, BAD))
    assert page.status_code == 200
    assert entries == []
    assert "只登錄沒有錯的 1 列" in page.text
    assert "與 113/01/01 起的合約重疊" in page.text
    answer = officer.send("/registers/contracts/import", {"kept": kept_in(page), "good": "1"})
    assert answer["Location"] == "/registers/contracts"
    said = officer.get("/registers/contracts").text
    assert "新增 1 列，修改 0 列，相同 0 列。有錯的 1 列沒有登錄。" in said


def test_without_the_choice_of_good_rows_a_bad_one_stops_all(officer: Browser) -> None:
    page = looked_at(officer, "contracts", file_of(CONTRACTS, GOOD, BAD))
    answer = officer.send("/registers/contracts/import", {"kept": kept_in(page)})
    assert answer.status_code == 422
    assert "還沒有寫入任何資料" in answer.text
    with scoped(world.SYSTEM):
        assert Contract.objects.filter(institution=world.institution(world.HOSPITAL)).count() == 1


def test_a_double_click_on_recording_records_once(officer: Browser) -> None:
    kept = kept_in(looked_at(officer, "contracts", file_of(CONTRACTS, GOOD)))
    with journaled() as entries:
        for _ in range(2):
            assert officer.send("/registers/contracts/import", {"kept": kept}).status_code == 302
    assert [entry.action for entry in entries if entry.action == "register.record"] == ["register.record"]


def test_a_kept_file_is_good_for_its_account_and_list_alone(officer: Browser, browse: Any) -> None:
    kept = kept_in(looked_at(officer, "contracts", file_of(CONTRACTS, GOOD)))
    half = kept[: len(kept) // 2]
    for browser, register, sent in (
        (browse("desk_supervisor"), "contracts", kept), (officer, "quotas", kept), (officer, "contracts", half),
        (officer, "contracts", "x"), (officer, "contracts", ""), (officer, "contracts", "\x00:𠮷"),
    ):  # fmt: skip
        page = browser.send(f"/registers/{register}/import", {"kept": sent})
        assert page.status_code == 422
        assert "請重新選擇檔案" in page.text


def test_numbers_of_staff_are_masked_where_a_file_is_looked_at(officer: Browser) -> None:
    row = (world.CLINIC, "A123456789", "示範申", "衛教師", "114/4/1", "", "否", "是")
    page = looked_at(officer, "staff", file_of(STAFF, row))
    assert "示範申" in page.text
    assert "A123456789" not in page.text


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (SimpleUploadedFile("x.csv", b""), "這個檔案是空的，請重新選擇。"),
        (file_of(("甲", "乙")), "檔案缺少欄位：醫事機構代碼、年度、服務。"),
        (SimpleUploadedFile("x.xlsx", b"PK\x03\x04" + b"x" * 99), "這個檔案讀不出來"),
        (
            file_of(QUOTAS, *((world.CLINIC, "114", "用藥", "1"),) * (MOST_ROWS + 1)),
            f"檔案超過 {MOST_ROWS} 列，請分成幾份。",
        ),
    ],
)
def test_a_file_that_is_no_list_is_refused_in_words(officer: Browser, file: SimpleUploadedFile, words: str) -> None:
    file.seek(0)
    page = looked_at(officer, "quotas", file)
    assert page.status_code == 422
    assert words in page.text


def test_a_file_without_rows_or_with_nothing_new_says_so(officer: Browser) -> None:
    assert "檔案沒有資料列" in looked_at(officer, "quotas", file_of(QUOTAS)).text
    page = looked_at(officer, "contracts", file_of(CONTRACTS, (world.CLINIC, "113/1/1", "", "")))
    assert "檔案的內容都已登錄" in page.text


# --- What follows from the lists ---------------------------------------------------------------------------------------


def test_a_used_up_quota_warns_and_refuses_nothing(officer: Browser, browse: Any) -> None:
    officer.send(
        "/registers/quotas/new", {"institution_code": world.CLINIC, "year": "114", "kind": "衛教", "visits": "1"}
    )
    recorder = browse("recorder")
    assert "達到貴機構的上限" not in recorder.get(visit_page()).text
    record(recorder, services=["counselling"])
    assert "衛教已登錄 1 人次，達到貴機構的上限 1 人次" in recorder.get(visit_page("示範乙")).text
    record(recorder, "示範乙", services=["counselling"])
    listed = officer.get("/registers/quotas").text
    assert "已達上限" in listed


def test_services_after_a_contract_was_ended_are_listed_and_stay(officer: Browser, browse: Any) -> None:
    uid = record(browse("recorder"))
    pk = pk_of(Contract, institution__details__code=world.CLINIC)
    assert "沒有無合約的服務" in officer.get("/registers/findings").text
    officer.send(
        f"/registers/contracts/{pk}/change", {"starts_on": "113/1/1", "ends_on": "114/3/31", "end_reason": "停業"}
    )
    page = officer.get("/registers/findings").text
    assert page.count(f"/visits/{uid}") == 2
    assert "就醫日機構沒有合約" in page
    assert str(uid) in officer.get("/registers/findings.csv").content.decode("utf-8-sig")
    assert "已作廢" not in browse("recorder").get(f"/visits/{uid}").text


def test_expiring_certificates_are_counted_where_the_desk_begins(officer: Browser) -> None:
    row = (world.CLINIC, "A123456789", "示範申", "衛教師", "114/4/1", "", "否", "是", "訓練證明", "114/6/30")
    titles = (*STAFF, "資格證明", "證明到期日")
    kept = kept_in(looked_at(officer, "staff", file_of(titles, row)))
    officer.send("/registers/staff/import", {"kept": kept})
    assert "1 張資格證明即將到期或已到期" in officer.get("/registers").text
    assert "剩 90 天" in officer.get("/registers/certificates?show=expiring").text
    renewed = {
        "identity_number": "A123456789",
        "kind": "訓練證明",
        "number": "",
        "starts_on": "",
        "ends_on": "119/6/30",
    }
    officer.send("/registers/certificates/new", renewed)
    assert "0 張資格證明即將到期或已到期" in officer.get("/registers").text
