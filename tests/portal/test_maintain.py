"""登錄資料修改 by the pages: what is shown, what is kept, what is refused in words."""

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from quitledger.accounts.scope import scoped
from quitledger.visits.models import Visit
from quitledger.visits.rules import Counselling, Entry
from quitledger.visits.services import as_entry, change_visit, record_visit

from .. import world
from .conftest import Browser


@pytest.fixture
def recorder(browse: Any) -> Browser:
    return browse("recorder")


@pytest.fixture
def uid(recorder: Browser) -> UUID:
    """A counselling visit of today."""
    by = world.actor("recorder")
    with scoped(by):
        entry = Entry(uuid4(), world.TODAY, counselling=Counselling(world.staff("示範子").uid), co_ppm=8)
        return record_visit(case=world.case("示範乙"), entry=entry, by=by).uid


def stored(uid: UUID) -> Visit:
    with scoped(world.SYSTEM):
        return Visit.objects.get(uid=uid)


def fields(page: str) -> dict[str, Any]:
    """What the form of a page would send, as it stands."""
    main = page[page.index("<main") :]
    found: dict[str, Any] = {}
    for tag in re.findall(r"<input[^>]*>", main):
        name, value = re.search(r'name="([^"]*)"', tag), re.search(r'value="([^"]*)"', tag)
        if name and ("checked" in tag or not re.search(r'type="(checkbox|radio)"', tag)):
            found.setdefault(name[1], []).append(value[1] if value else "")
    for name, options in re.findall(r'<select name="([^"]*)".*?>(.*?)</select>', main, re.DOTALL):
        chosen = re.search(r'<option value="([^"]*)"\s+selected', options)
        found[name] = [chosen[1] if chosen else ""]
    return found


def test_the_form_opens_with_what_is_recorded_and_what_is_typed_becomes_the_next_version(
    recorder: Browser, uid: UUID
) -> None:
    typed = fields(recorder.get(f"/visits/{uid}/change").text)
    assert (typed["visit_on"], typed["services"], typed["co_ppm"]) == (["114/04/01"], ["counselling"], ["8"])
    answer = recorder.send(f"/visits/{uid}/change", typed | {"co_ppm": "7", "reason": "看錯"})
    assert answer.status_code == 302
    page = recorder.get(f"/visits/{uid}").text
    assert "已修改" in page
    assert "<del>8 ppm</del> → <ins>7 ppm</ins>" in page
    assert "看錯" in page


def test_whoever_is_second_sees_both_and_keeps_what_was_typed(recorder: Browser, uid: UUID) -> None:
    typed = fields(recorder.get(f"/visits/{uid}/change").text) | {"note": "我的備註", "reason": "補備註"}
    by = world.actor("colleague")
    with scoped(by):
        visit = Visit.objects.get(uid=uid)
        change_visit(visit=visit, version=1, entry=replace(as_entry(visit), co_ppm=3), reason="重測", by=by)
    answer = recorder.send(f"/visits/{uid}/change", typed)
    assert answer.status_code == 409
    for words in ("示範丑", "第 2 版", "8 ppm", "3 ppm", "我的備註"):
        assert words in answer.text
    again = fields(answer.text)
    assert (again["version"], again["note"], again["reason"]) == (["2"], ["我的備註"], ["補備註"])
    assert recorder.send(f"/visits/{uid}/change", again).status_code == 302
    assert (stored(uid).version, stored(uid).note, stored(uid).co_ppm) == (3, "我的備註", 8)


def test_a_refused_change_says_all_and_keeps_what_was_typed(recorder: Browser, uid: UUID) -> None:
    typed = fields(recorder.get(f"/visits/{uid}/change").text) | {"co_ppm": "999", "note": "留著", "reason": ""}
    answer = recorder.send(f"/visits/{uid}/change", typed)
    assert answer.status_code == 422
    assert "請填原因" in answer.text
    assert fields(answer.text)["note"] == ["留著"]
    assert stored(uid).version == 1


def test_a_row_of_medicine_is_added_without_losing_anything(recorder: Browser, uid: UUID) -> None:
    typed = fields(recorder.get(f"/visits/{uid}/change").text) | {"note": "留著", "add_line": "1"}
    answer = recorder.send(f"/visits/{uid}/change", typed)
    assert 'name="lines-1-medicine"' in answer.text
    assert fields(answer.text)["note"] == ["留著"]


def test_a_visit_is_voided_with_a_reason_seen_as_voided_and_brought_back(recorder: Browser, uid: UUID) -> None:
    assert "請填原因" in recorder.send(f"/visits/{uid}/void", {"version": 1, "reason": ""}).text
    assert recorder.send(f"/visits/{uid}/void", {"version": 1, "reason": "登錄到別人"}).status_code == 302
    page = recorder.get(f"/visits/{uid}").text
    assert "已作廢" in page
    assert "登錄到別人" in page
    assert f"/visits/{uid}/change" not in page
    assert recorder.get(f"/visits/{uid}/change").status_code == 302
    assert recorder.send(f"/visits/{uid}/restore", {"version": 2, "reason": "作廢錯了"}).status_code == 302
    assert (stored(uid).version, stored(uid).in_force) == (3, True)


def test_a_change_of_what_was_voided_meanwhile_is_refused_and_what_was_typed_stays(
    recorder: Browser, uid: UUID
) -> None:
    typed = fields(recorder.get(f"/visits/{uid}/change").text) | {"note": "留著", "reason": "補填"}
    assert recorder.send(f"/visits/{uid}/void", {"version": 1, "reason": "登錄到別人"}).status_code == 302
    answer = recorder.send(f"/visits/{uid}/change", typed)
    assert answer.status_code == 422
    assert "這筆就醫資料已作廢，要修改請先恢復。" in answer.text
    assert fields(answer.text)["note"] == ["留著"]
    assert not stored(uid).in_force


def test_a_void_of_what_was_changed_meanwhile_shows_the_newer_version_first(recorder: Browser, uid: UUID) -> None:
    by = world.actor("colleague")
    with scoped(by):
        visit = Visit.objects.get(uid=uid)
        change_visit(visit=visit, version=1, entry=replace(as_entry(visit), co_ppm=3), reason="重測", by=by)
    answer = recorder.send(f"/visits/{uid}/void", {"version": 1, "reason": "重複"})
    assert answer.status_code == 409
    assert "3 ppm" in answer.text
    assert recorder.send(f"/visits/{uid}/void", fields(answer.text)).status_code == 302
    assert not stored(uid).in_force


def test_the_record_page_says_where_the_person_stands(recorder: Browser, uid: UUID) -> None:
    page = recorder.get(f"/cases/{world.uid(f'case 示範乙 {world.CLINIC}')}/visits/new").text
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", page))
    assert "第 1 療程" in text
    assert "第 1/8 次・第 1/90 日・尚可 7 次" in text
    assert "114/04/01 再登錄用藥：開始 114 年第 1 療程。" in text


def test_the_desk_sees_whose_course_got_another_number(recorder: Browser, browse: Any) -> None:
    for code, username, staff, days in (
        (world.CLINIC, "recorder", "示範子", 0), (world.PHARMACY, "stranger", "示範卯", 10),
    ):  # fmt: skip
        by = world.actor(username)
        with scoped(by):
            entry = Entry(uuid4(), world.TODAY - timedelta(days=days), counselling=Counselling(world.staff(staff).uid))
            record_visit(case=world.case("示範甲", code), entry=entry, by=by)
    page = browse("desk_officer").get("/course-findings").text
    assert "114 年第 1 療程" in page
    assert "114 年第 2 療程" in page
    assert "沒有療程次變動" in browse("desk_officer").get("/course-findings?beyond=1").text
