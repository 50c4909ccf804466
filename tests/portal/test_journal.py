"""What the journal says of a request: one entry where personal data were shown or written, none where they were not."""

from typing import Any
from uuid import uuid4

import pytest

from quitledger.policy.identity import make_up

from .. import world
from .conftest import Browser, Entry, journaled, record, visit_fields, visit_page

CASE = world.uid(f"case 示範甲 {world.CLINIC}")
BASELINE = world.uid("baseline 1")
NEW_PERSON = {"identity_kind": "national_id", "identity_number": make_up(77), "identity_country": "",
              "birth_on": "70/1/2", "sex": "male", "name": "示範𠮷", "chart_no": "", "phone": "0912345678"}  # fmt: skip
INTAKE = {"taken_on": "114/4/1", "cigarettes_per_day": "0", "co_ppm": "0", "weight_kg": "68.5", "insured": "yes"}


@pytest.fixture
def recorder(browse: Any) -> Browser:
    return browse("recorder")


def only(entries: list[Entry]) -> Entry:
    """The one entry; nothing in it is a value of the person."""
    (entry,) = entries
    for value in ("示範", "T-0001", make_up(1), make_up(77), "0912345678", "68.5"):
        assert value not in entry.text
    assert entry.request_uid is not None
    return entry


def test_a_search_is_journaled_with_all_that_were_shown(recorder: Browser) -> None:
    with journaled() as entries:
        assert "找到 4 位" in recorder.send("/cases/find", {"q": "示範"}).text
    entry = only(entries)
    assert (entry.action, entry.record_type, entry.username) == ("case.read", "case", "recorder")
    assert set(entry.uids) == {
        world.uid(f"case {name} {world.CLINIC}") for name in ("示範甲", "示範乙", "示範丙", "示範丁")
    }


def test_a_search_that_leads_on_to_one_person_is_journaled_too(recorder: Browser) -> None:
    with journaled() as entries:
        assert recorder.send("/cases/find", {"q": "T-0001", "then": "record"}).status_code == 302
    assert only(entries).uids == [CASE]


def test_what_shows_nobody_writes_nothing(recorder: Browser) -> None:
    with journaled() as entries:
        for page in ("/", "/cases/find", "/cases/new", "/windows", "/policies", "/institution", "/healthz", "/x"):
            recorder.get(page)
        recorder.send("/cases/find", {"q": "沒有這個人"})
        recorder.send("/cases/find", {"q": "\x00"})
        recorder.send("/cases/new", {"uid": uuid4(), "name": "示範"})
        recorder.send("/visits", {"kind": "medication"})
        recorder.send("/visits", {"who": "沒有這個人"})
        recorder.send("/visits", {"first": "114/2/30"}, "GET")
        recorder.get(f"/cases/{uuid4()}")
        recorder.get(f"/visits/{uuid4()}")
        recorder.send(f"/cases/{uuid4()}/identity", {})
        recorder.get(f"/cases/{CASE}/identity")
    assert entries == []


def test_who_is_refused_writes_nothing(browse: Any) -> None:
    uid = record(browse("recorder"))
    for username in ("stranger", "nowhere", "analyst", "administrator", "anonymous"):
        browser = browse(username)
        with journaled() as entries:
            browser.get(f"/cases/{CASE}")
            browser.get(f"/visits/{uid}")
            browser.send(f"/cases/{CASE}/identity", {})
            browser.send(visit_page(), visit_fields(uuid4(), visit_on="114/3/20"))
        assert entries == []


def test_a_person_page_is_journaled_with_the_case_its_visits_and_its_intakes(recorder: Browser) -> None:
    visit = record(recorder)
    with journaled() as entries:
        recorder.get(f"/cases/{CASE}")
    entry = only(entries)
    assert (entry.action, set(entry.uids)) == ("case.read", {CASE, visit, BASELINE})


def test_showing_the_identity_number_is_journaled_by_that_word(recorder: Browser) -> None:
    with journaled() as entries:
        assert make_up(1) in recorder.send(f"/cases/{CASE}/identity", {}).text
    entry = only(entries)
    assert (entry.action, entry.record_type, set(entry.uids)) == ("identity.show", "case", {CASE, BASELINE})


@pytest.mark.parametrize("extra", [{}, {"repeat": "1"}, {"add_line": "1"}])
def test_the_form_of_a_visit_is_a_read_of_the_case_and_of_the_visits_beside_it(
    extra: dict[str, str], recorder: Browser
) -> None:
    visit = record(recorder)
    with journaled() as entries:
        page = recorder.send(visit_page(), extra, "POST") if extra else recorder.get(visit_page())
        assert page.status_code == 200
    entry = only(entries)
    assert (entry.action, set(entry.uids)) == ("case.read", {CASE, visit})


def test_a_recorded_visit_is_one_entry_with_the_names_of_its_fields(recorder: Browser) -> None:
    with journaled() as entries:
        uid = record(recorder, note="示範的備註", co_ppm="0")
    entry = only(entries)
    assert (entry.action, entry.record_type, entry.uids, entry.version) == ("visit.record", "visit", [uid], 1)
    assert entry.fields == ["cigarettes_per_day", "co_ppm", "counselling", "medication", "note", "visit_on"]


@pytest.mark.parametrize("changes", [{"visit_on": "114/4/2"}, {"visit_on": "x"}, {"lines-TOTAL_FORMS": "x"}])
def test_a_refused_visit_is_journaled_as_a_read_of_the_case_not_as_a_record(
    changes: dict[str, str], recorder: Browser
) -> None:
    with journaled() as entries:
        assert recorder.send(visit_page(), visit_fields(uuid4(), **changes)).status_code == 422
    entry = only(entries)
    assert (entry.action, entry.uids) == ("case.read", [CASE])


def test_a_visit_sent_twice_is_recorded_once_in_the_journal(recorder: Browser) -> None:
    uid = record(recorder)
    with journaled() as entries:
        assert recorder.send(visit_page(), visit_fields(uid)).status_code == 302
    assert entries == []


def test_registering_and_the_intake_are_one_entry_each(recorder: Browser) -> None:
    uid, intake = uuid4(), uuid4()
    with journaled() as entries:
        assert recorder.send("/cases/new", NEW_PERSON | {"uid": uid}).status_code == 302
    entry = only(entries)
    assert entry.action == "case.register"
    assert uid in entry.uids
    assert entry.fields == ["identity_number", "birth_on", "sex", "name", "phone"]
    with journaled() as entries:
        assert recorder.send(f"/cases/{uid}/baselines/new", INTAKE | {"uid": intake}).status_code == 302
    entry = only(entries)
    assert (entry.action, set(entry.uids)) == ("baseline.record", {intake, uid})
    assert entry.fields == ["taken_on", "cigarettes_per_day", "co_ppm", "weight_kg", "insured"]


def test_the_intake_form_and_a_refused_intake_are_reads_of_the_case(recorder: Browser) -> None:
    for fields in (None, INTAKE | {"uid": uuid4(), "taken_on": "114/4/2"}, {"uid": "x"}):
        with journaled() as entries:
            page = f"/cases/{CASE}/baselines/new"
            recorder.send(page, fields) if fields else recorder.get(page)
        entry = only(entries)
        assert (entry.action, entry.uids) == ("case.read", [CASE])


def test_a_list_is_journaled_with_the_visits_of_its_page_and_the_person_it_names(recorder: Browser) -> None:
    visit = record(recorder)
    for filters, uids in (({}, [visit]), ({"case": CASE, "kind": "counselling"}, [visit, CASE]),
                          ({"case": CASE, "last": "114/3/31"}, [CASE])):  # fmt: skip
        with journaled() as entries:
            recorder.send("/visits", filters, "GET")
        entry = only(entries)
        assert (entry.action, set(entry.uids)) == ("visit.read", set(uids))


def test_choosing_between_several_persons_is_a_read_of_them(recorder: Browser) -> None:
    with journaled() as entries:
        assert "請選一位" in recorder.send("/visits", {"who": "示範"}).text
    entry = only(entries)
    assert (entry.action, len(entry.uids)) == ("case.read", 4)


@pytest.mark.parametrize("file_format", ["csv", "ods", "json"])
def test_a_download_is_journaled_with_every_visit_in_it(file_format: str, recorder: Browser) -> None:
    uids = {record(recorder), record(recorder, "示範乙")}
    with journaled() as entries:
        recorder.get(f"/visits.{file_format}")
    entry = only(entries)
    assert (entry.action, set(entry.uids)) == ("visit.download", uids)


def test_a_visit_page_is_a_read_of_the_visit(recorder: Browser, browse: Any) -> None:
    visit = record(recorder)
    with journaled() as entries:
        browse("desk_officer").get(f"/visits/{visit}")
    entry = only(entries)
    assert (entry.action, entry.uids, entry.institution_id) == ("visit.read", [visit], None)


def test_extending_a_window_is_one_entry_and_a_refused_one_none(browse: Any) -> None:
    browser = browse("desk_supervisor")
    fields = {"month": "114/3", "reach": "all", "last_day": "114/4/25", "reason": "系統中斷"}
    with journaled() as entries:
        assert browser.send("/windows/new", fields).status_code == 302
        assert browser.send("/windows/new", fields).status_code == 422
    entry = only(entries)
    assert (entry.action, entry.record_type) == ("window.extend", "window_extension")
