"""Drafts: kept as typed, for whoever typed; no record, and gone when they are one."""

import re
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection

from quitledger.accounts.scope import scoped
from quitledger.visits.models import Draft, Visit
from quitledger.visits.rules import Counselling, Entry
from quitledger.visits.services import discard_draft, drafts_of, keep_draft, record_visit

from .. import world
from .conftest import Browser, visit_fields, visit_page

NOTE = "打到一半 𠮷"
DRAFT = "的草稿，還沒登錄"


@pytest.fixture
def recorder(browse: Any) -> Browser:
    return browse("recorder")


def typing(**changes: Any) -> dict[str, Any]:
    """A form not yet finished, and partly wrong."""
    return visit_fields(uuid4()) | {"visit_on": "114/13/1", "co_ppm": "x", "note": NOTE} | changes


def recorded() -> int:
    with scoped(world.SYSTEM):
        return Visit.objects.count()


def test_what_is_being_typed_is_kept_as_it_is_and_shown_wherever_the_person_goes_on(
    recorder: Browser, browse: Any
) -> None:
    assert recorder.send(visit_page(), typing(keep_draft="auto")).status_code == 204
    assert recorded() == 0
    elsewhere = browse("recorder")
    page = elsewhere.get(visit_page()).text
    assert DRAFT in page
    for text in ("114/13/1", 'value="x"', NOTE):
        assert text in page
    home = elsewhere.get("/").text
    assert "還沒登錄的草稿" in home
    assert visit_page() in home


def test_a_draft_is_kept_by_the_button_and_said_to_be_no_record(recorder: Browser) -> None:
    answer = recorder.send(visit_page(), typing(keep_draft="1"))
    assert answer.status_code == 302
    assert "草稿還不是登錄資料" in recorder.get(answer["Location"]).text


def test_typing_on_replaces_the_draft(recorder: Browser) -> None:
    for note in ("一", "二"):
        recorder.send(visit_page(), typing(keep_draft="auto", note=note))
    with scoped(world.actor("recorder")):
        (draft,) = Draft.objects.all()
        assert draft.contents["note"] == ["二"]
        assert not {"csrfmiddlewaretoken", "keep_draft", "kept_for"} & set(draft.contents)


def test_recording_a_draft_removes_it_and_a_refusal_does_not(recorder: Browser) -> None:
    recorder.send(visit_page(), typing(keep_draft="auto"))
    assert recorder.send(visit_page(), typing(draft="1")).status_code == 422
    assert DRAFT in recorder.get(visit_page()).text
    assert recorder.send(visit_page(), visit_fields(uuid4()) | {"draft": "1"}).status_code == 302
    assert DRAFT not in recorder.get(visit_page()).text
    assert recorded() == 1


def test_a_draft_that_is_not_wanted_is_discarded(recorder: Browser) -> None:
    recorder.send(visit_page(), typing(keep_draft="auto"))
    assert recorder.send(visit_page(), {"discard_draft": "1"}).status_code == 302
    page = recorder.get(visit_page()).text
    assert "已捨棄草稿" in page
    assert DRAFT not in page


def test_nobody_else_sees_a_draft(recorder: Browser, browse: Any) -> None:
    recorder.send(visit_page(), typing(keep_draft="auto"))
    for username in ("colleague", "supervisor"):
        other = browse(username)
        assert NOTE not in other.get(visit_page()).text
        assert "還沒登錄的草稿" not in other.get("/").text
    for username in ("stranger", "desk_officer"):
        assert "還沒登錄的草稿" not in browse(username).get("/").text


def test_a_change_has_a_draft_of_its_own(recorder: Browser) -> None:
    by = world.actor("recorder")
    with scoped(by):
        entry = Entry(uuid4(), world.TODAY, counselling=Counselling(world.staff("示範子").uid))
        visit = record_visit(case=world.case("示範乙"), entry=entry, by=by)
    path = f"/visits/{visit.uid}/change"
    typed = {"version": 1, "visit_on": "114/3/31", "note": NOTE, "lines-TOTAL_FORMS": 1, "lines-INITIAL_FORMS": 0}
    assert recorder.send(path, typed | {"keep_draft": "auto"}).status_code == 204
    page = recorder.get(path).text
    assert DRAFT in page
    assert re.search(r'name="version" value="1"', page)
    assert "114/3/31" in page
    assert "修改 114/04/01 的就醫資料" in recorder.get("/").text


def test_a_draft_longer_than_any_form_is_refused_and_its_beginning_and_end_are_journaled(db: Any) -> None:
    by = world.actor("recorder")
    with scoped(by):
        case = world.case()
        for _ in range(2):
            keep_draft(case=case, visit=None, contents={"note": ["\x00短"]}, by=by)
        assert drafts_of(by).get().contents == {"note": ["短"]}
        with pytest.raises(Exception, match="draft-too-long"):
            keep_draft(case=case, visit=None, contents={"note": ["長" * 20_001]}, by=by)
        for _ in range(2):
            discard_draft(case=case, visit=None, by=by)
        with connection.cursor() as cursor:
            cursor.execute("SELECT action FROM audit_journal WHERE action LIKE 'draft.%' ORDER BY id")
            assert [action for (action,) in cursor.fetchall()] == ["draft.keep", "draft.discard"]
