"""Pages that change a case, correct a person, merge two and take it back."""

import re
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import pytest

from quitledger.policy.identity import make_up

from .. import world
from ..visits.merged import MISTYPED, Twins, counselled, merge, registered, rows
from .conftest import Browser, journaled, visit_fields

CLINIC, PHARMACY = world.CLINIC, world.PHARMACY
MARCH = date(2025, 3, 3)


def main_of(answer: Any) -> str:
    return answer.text.partition("<main")[2]


def person_fields(**changes: Any) -> dict[str, Any]:
    fields = {
        "version": 1, "identity_kind": "national_id", "identity_number": make_up(901), "identity_country": "",
        "birth_on": "74/6/7", "sex": "male", "reason": "證號打錯",
    }  # fmt: skip
    return fields | changes


@pytest.fixture
def apart(db: Any) -> Twins:
    return Twins(registered(900, CLINIC, "示範辛"), registered(900, PHARMACY, "示範辛辛", MISTYPED))


@pytest.fixture
def twice(db: Any) -> Twins:
    return Twins(
        registered(901, CLINIC, "示範壬", chart_no="T-901"), registered(902, CLINIC, "示範任", chart_no="T-902")
    )


def test_a_case_changed_by_two_shows_the_slower_what_was_there_what_is_and_what_he_typed(db: Any, browse: Any) -> None:
    case = registered(900, CLINIC, "示範辛", phone="0911")
    url = f"/cases/{case.uid}/change"
    fields = {"version": 1, "name": "示範辛", "chart_no": "", "phone": "0922", "reason": ""}
    assert browse("recorder").send(url, fields)["Location"] == f"/cases/{case.uid}"
    answer = browse("colleague").send(url, fields | {"phone": "0933"})
    assert answer.status_code == 409
    found = re.search(r'rowheader">電話.*?</tr>', main_of(answer))
    assert found is not None
    assert re.findall(r"09\d\d", found[0]) == ["0911", "0922", "0933"]
    assert 'name="version" value="2"' in answer.text
    assert browse("colleague").send(url, fields | {"phone": "0933", "version": 2}).status_code == 302


def test_what_is_wrong_stands_beside_its_field_and_what_was_typed_is_kept(db: Any, browse: Any) -> None:
    case = registered(900, CLINIC, "示範辛")
    answer = browse("recorder").send(
        f"/cases/{case.uid}/person", person_fields(birth_on="114/2/30", reason="我填的原因")
    )
    assert answer.status_code == 422
    assert 'id="id_birth_on_error"' in answer.text
    assert "我填的原因" in answer.text
    answer = browse("recorder").send(f"/cases/{case.uid}/person", person_fields(reason=""))
    assert answer.status_code == 422
    assert 'id="id_reason_error"' in answer.text


def test_a_corrected_number_stands_masked_on_the_page_and_in_no_address_and_no_journal(db: Any, browse: Any) -> None:
    case = registered(900, CLINIC, "示範辛")
    with journaled() as entries:
        answer = browse("recorder").send(f"/cases/{case.uid}/person", person_fields())
    assert answer["Location"] == f"/cases/{case.uid}"
    assert not [entry for entry in entries if make_up(901) in entry.text or make_up(900) in entry.text]
    page = browse("recorder").get(answer["Location"])
    number = make_up(901)
    assert number not in page.text
    assert f"{number[:3]}****{number[-3:]}" in page.text


def test_an_institution_is_sent_to_the_desk_and_told_nothing_of_others(apart: Twins, twice: Twins, browse: Any) -> None:
    registered(901, PHARMACY, "示範壬")
    said = []
    for case, fields in (
        (twice.kept, person_fields(identity_number=make_up(905))),
        (apart.kept, person_fields(birth_on="74/7/6", identity_number="")),
    ):
        with journaled() as entries:
            answer = browse("recorder").send(f"/cases/{case.uid}/person", fields)
        assert [entry.uids for entry in entries if entry.action == "person.correct_refused"] == [[case.uid]]
        assert answer.status_code == 422
        said.append(re.findall(r"<li>(.*?)</li>", re.search(r'class="errors".*?</ul>', answer.text, re.S)[0]))  # type: ignore[index]
        assert "示範藥局" not in main_of(answer)
    assert said[0] == said[1]
    assert "請向管理窗口申請" in said[0][0]


def test_the_desk_is_led_from_a_number_that_is_taken_to_the_comparison(apart: Twins, browse: Any) -> None:
    answer = browse("desk_officer").send(
        f"/cases/{apart.kept.uid}/person/change", person_fields(birth_on="74/7/6", identity_number="")
    )
    assert answer.status_code == 422
    assert f"/cases/{apart.kept.uid}/merge/decide?other={apart.merged.uid}" in answer.text


def test_the_desk_finds_compares_merges_and_undoes(apart: Twins, browse: Any) -> None:
    counselled(apart.kept, MARCH, CLINIC)
    counselled(apart.merged, MARCH + timedelta(days=1), PHARMACY)
    desk: Browser = browse("desk_officer")
    start = f"/cases/{apart.kept.uid}/merge"
    assert start in desk.get(f"/cases/{apart.kept.uid}").text
    found = desk.send(start, {"number": make_up(900)})
    decide = f"{start}/decide?other={apart.merged.uid}"
    assert decide in found.text
    with journaled() as entries:
        page = desk.get(decide)
    assert {apart.kept.uid, apart.merged.uid} <= set(entries[-1].uids)
    shown = main_of(page)
    assert all(
        text in shown
        for text in ("示範辛辛", "74/07/06", "74/06/07", "示範戒菸診所", "示範藥局", "114/03/03", "114/03/04")
    )
    assert "114 年第 2 療程" in shown, "what the courses would be"
    uid = re.search(r'name="uid" value="([^"]+)"', shown)[1]  # type: ignore[index]
    fields = {"uid": uid, "other": apart.merged.uid, "keep": "one", "reason": "同一人"}
    answer = desk.send(f"{start}/decide", fields)
    assert answer["Location"] == f"/merges/{uid}"
    assert desk.send(f"{start}/decide", fields)["Location"] == f"/merges/{uid}", "sent twice"
    assert "由併入者帶來" in desk.get(f"/merges/{uid}").text
    assert f"/merges/{uid}" in desk.get("/merges").text
    assert f"/merges/{uid}" in desk.get("/course-findings").text
    assert "有另一筆戒菸者合併至此" in desk.get(f"/cases/{apart.kept.uid}").text
    assert desk.send(f"/merges/{uid}/undo", {"reason": ""}).status_code == 422
    assert desk.send(f"/merges/{uid}/undo", {"reason": "兩個人"})["Location"] == f"/merges/{uid}"
    assert "已撤銷" in desk.get(f"/merges/{uid}").text
    assert rows("SELECT count(*) FROM cases_person WHERE merged_into_id IS NOT NULL") == [(0,)]


def test_collisions_are_all_named_before_and_when_it_is_tried(twice: Twins, browse: Any) -> None:
    counselled(twice.kept, MARCH, CLINIC)
    counselled(twice.merged, MARCH, CLINIC)
    counselled(twice.merged, MARCH + timedelta(days=10), CLINIC)
    counselled(twice.kept, MARCH + timedelta(days=12), CLINIC)
    desk: Browser = browse("desk_supervisor")
    url = f"/cases/{twice.kept.uid}/merge/decide"
    page = desk.get(f"{url}?other={twice.merged.uid}")
    assert "有 2 處就醫資料衝突" in page.text
    assert page.text.count("同一天兩筆") == page.text.count("間隔不足") == 2
    answer = desk.send(url, {"uid": uuid4(), "other": twice.merged.uid, "keep": "other", "reason": "我填的原因"})
    assert answer.status_code == 422
    assert "我填的原因" in answer.text
    assert answer.text.count("一人一天只能有一筆") == 2, "above and in the list"


def test_the_address_of_a_merged_case_leads_to_the_one_kept_and_a_form_sent_there_is_recorded_there(
    twice: Twins, browse: Any
) -> None:
    merge(twice)
    recorder: Browser = browse("recorder")
    for page in ("", "/visits/new", "/baselines/new", "/change", "/person"):
        answer = recorder.get(f"/cases/{twice.merged.uid}{page}")
        assert (answer.status_code, answer["Location"]) == (302, f"/cases/{twice.kept.uid}{page}")
    shown = recorder.get(f"/cases/{twice.kept.uid}").text
    assert "原個案「示範任」（病歷號 T-902）已合併至此" in shown
    answer = recorder.send(
        f"/cases/{twice.merged.uid}/visits/new",
        visit_fields(uuid4(), services="counselling", **{"lines-0-medicine": "", "lines-0-supply_weeks": ""}),
    )
    assert answer.status_code == 302, answer.text
    assert rows("SELECT case_id, person_id FROM visits_visit") == [(twice.kept.pk, twice.kept.person_id)]
    assert "就醫資料" in recorder.get(f"/visits?case={twice.merged.uid}").text
    assert recorder.get(f"/visits.json?case={twice.merged.uid}").json()["visits"] != []
    assert "原個案「示範任」" in recorder.send("/cases/find", {"q": "T-902"}).text
    assert str(twice.kept.uid) in recorder.send("/cases/find", {"q": make_up(902)}).text


def test_what_was_recorded_since_is_asked_about_one_by_one(twice: Twins, browse: Any) -> None:
    counselled(twice.merged, MARCH, CLINIC)
    made = merge(twice)
    since = counselled(twice.kept, MARCH + timedelta(days=20), CLINIC)
    desk: Browser = browse("desk_officer")
    answer = desk.send(f"/merges/{made.uid}/undo", {"reason": "兩個人"})
    assert answer.status_code == 422
    assert str(since.uid) in answer.text
    assert "分不出屬於哪一位" in answer.text
    assert desk.send(f"/merges/{made.uid}/undo", {"reason": "兩個人", "staying": str(since.uid)}).status_code == 302
