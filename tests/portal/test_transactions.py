"""One transaction a request: all or nothing, tried once more, and never a word of what did not happen."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.contrib import messages
from django.db import IntegrityError, connection
from django.test.utils import CaptureQueriesContext

from quitledger.accounts.scope import scoped
from quitledger.policy import parse_moment
from quitledger.portal import query, visits
from quitledger.visits.models import Visit

from .. import world
from ..sql import one, set_clock
from .conftest import Browser, journal_since, journaled, record, visit_fields, visit_page

SUCCESS = "已登錄 示範甲"


class OnFirst:
    """Wraps a function of a view: something happens when it is called the first time, once it has done its work."""

    def __init__(self, wrapped: Callable[..., Any], happens: Callable[[], None]) -> None:
        self.wrapped, self.happens, self.calls = wrapped, happens, 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        result = self.wrapped(*args, **kwargs)
        self.calls += 1
        if self.calls == 1:
            self.happens()
        return result


@pytest.fixture
def recorder(committed: Any) -> Browser:
    return Browser("recorder", raise_request_exception=False)


def before_commit(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], None]) -> OnFirst:
    """Let something happen in the request that records a visit, after it was written and before it is committed."""
    hook = OnFirst(messages.success, happens)
    monkeypatch.setattr(visits.messages, "success", hook)
    return hook


def fail(error: Exception) -> Callable[[], None]:
    def happens() -> None:
        raise error

    return happens


def count(owner: psycopg.Connection, table: str = "visits_visit") -> int:
    return one(owner, f"SELECT count(*) FROM {table}")


def test_a_view_that_fails_leaves_nothing_and_says_nothing_of_success(
    recorder: Browser, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = count(owner, "audit_journal")
    before_commit(monkeypatch, fail(RuntimeError("the page broke")))
    answer = recorder.send(visit_page(), visit_fields(uuid4()))
    assert answer.status_code == 500
    assert "這次送出的內容沒有存入" in answer.text
    assert "the page broke" not in answer.text
    for table in ("visits_visit", "visits_service", "visits_medicationline", "visits_visit_history"):
        assert count(owner, table) == 0
    assert count(owner, "audit_journal") == before
    assert SUCCESS not in recorder.get("/").text


def test_the_next_request_after_a_failure_is_as_if_nothing_had_been(
    recorder: Browser, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    before_commit(monkeypatch, fail(RuntimeError))
    fields = visit_fields(uuid4())
    assert recorder.send(visit_page(), fields).status_code == 500
    assert recorder.send(visit_page(), fields)["Location"] == f"/visits/{fields['uid']}"
    assert recorder.get("/").text.count(SUCCESS) == 1
    assert count(owner) == 1


def test_a_window_that_closes_before_the_commit_is_told_by_the_second_try_with_what_was_typed(
    recorder: Browser, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_clock(owner, parse_moment("114/4/20 23:59:30"))
    hook = before_commit(monkeypatch, lambda: set_clock(owner, parse_moment("114/4/21 00:00")))
    answer = recorder.send(visit_page(), visit_fields(uuid4(), visit_on="114/3/31", note="最後一刻"))
    assert hook.calls == 1  # the first try wrote and was refused at commit, the second was refused by the rules
    assert answer.status_code == 422
    assert "114 年 3 月的登錄期限 114/04/20 24:00 已過" in answer.text
    assert "登錄期限已過，還可以怎麼做" in answer.text
    assert 'value="最後一刻"' in answer.text
    assert 'value="114/3/31"' in answer.text
    assert count(owner) == 0
    assert SUCCESS not in recorder.get("/").text
    assert [entry.action for entry in journal_since(0) if entry.action.startswith("visit.")] == []


LOST_RACE = IntegrityError("duplicate key value violates unique constraint")


def test_somebody_who_records_the_same_day_first_is_told_of_by_the_second_try(
    recorder: Browser, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visits, "record_visits", OnFirst(visits.record_visits, fail(LOST_RACE)))
    answer = recorder.send(visit_page(), visit_fields(uuid4()))
    assert answer.status_code == 302
    assert recorder.get("/").text.count(SUCCESS) == 1
    assert count(owner) == 1


def test_what_the_database_refuses_twice_is_a_conflict_in_words(
    recorder: Browser, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*args: Any, **kwargs: Any) -> None:
        raise LOST_RACE

    monkeypatch.setattr(visits, "record_visits", refused)
    answer = recorder.send(visit_page(), visit_fields(uuid4()))
    assert answer.status_code == 409
    assert "還沒登錄：同一筆資料剛被更動" in answer.text
    assert count(owner) == 0


def test_a_uid_that_another_institution_has_is_a_conflict_that_tells_nothing(
    recorder: Browser, owner: psycopg.Connection
) -> None:
    uid = record(recorder)
    stranger = Browser("stranger", raise_request_exception=False)
    fields = visit_fields(uid, staff=("示範卯", "示範卯"))
    answer = stranger.send(visit_page("示範戊", world.PHARMACY), fields)
    assert answer.status_code == 409
    assert "示範甲" not in answer.text
    assert count(owner) == 1


# --- the connection ------------------------------------------------------------------------------------------------------


def cut(committed: Any) -> None:
    """Take Django's connection away, as a restart of the server does."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        pid = cursor.fetchone()[0]
    with committed.app() as other:
        assert one(other, "SELECT pg_terminate_backend(%s, 5000)", [pid])


def test_a_connection_lost_between_requests_is_replaced(recorder: Browser, committed: Any) -> None:
    fields = visit_fields(uuid4())
    cut(committed)
    assert "示範子" in recorder.get("/").text
    cut(committed)
    assert recorder.send(visit_page(), fields).status_code == 302
    cut(committed)
    assert recorder.get("/visits.json").json()["visits"][0]["name"] == "示範甲"


def test_a_connection_lost_in_the_midst_of_recording_is_replaced_and_the_visit_recorded_once(
    recorder: Browser, committed: Any, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = before_commit(monkeypatch, lambda: cut(committed))
    uid = record(recorder)
    assert hook.calls == 2
    assert one(owner, "SELECT uid FROM visits_visit") == uid
    assert [entry.action for entry in journal_since(0)].count("visit.record") == 1
    assert recorder.get("/").text.count(SUCCESS) == 1


def test_a_connection_lost_in_the_midst_of_a_list_is_replaced(
    recorder: Browser, committed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(recorder)
    monkeypatch.setattr(query, "totals", OnFirst(query.totals, lambda: cut(committed)))
    with journaled() as entries:
        answer = recorder.get("/visits")
    assert answer.status_code == 200
    assert "查得 1 筆" in answer.text
    assert [entry.action for entry in entries] == ["visit.read"]


# --- forms from elsewhere ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url", [visit_page(), "/cases/find", "/cases/new", "/visits", "/institution", "/accounts/login"]
)
def test_a_form_without_its_token_is_refused_in_words(url: str, browse: Any) -> None:
    browser = browse("recorder", enforce_csrf_checks=True)
    answer = browser.send(url, visit_fields(uuid4()) | {"q": "示範甲", "who": "示範甲"})
    assert answer.status_code == 403
    assert "這一頁放太久，已經失效" in answer.text
    assert "測試資料" in answer.text
    assert "T-0001" not in answer.text
    with scoped(world.SYSTEM):
        assert not Visit.objects.exists()


def test_a_form_with_its_token_is_taken(browse: Any) -> None:
    browser = browse("recorder", enforce_csrf_checks=True)
    browser.get(visit_page())
    token = browser.cookies["csrftoken"].value
    fields = visit_fields(uuid4(), csrfmiddlewaretoken=token)
    assert browser.send(visit_page(), fields).status_code == 302


# --- how many statements ---------------------------------------------------------------------------------------------------


def statements(captured: CaptureQueriesContext) -> list[str]:
    """What was sent in the one transaction of a request, without its BEGIN and COMMIT."""
    first, *sent, last = [query["sql"] for query in captured.captured_queries]
    assert (first, last) == ("BEGIN", "COMMIT")
    assert not [text for text in sent if text.startswith(("SAVEPOINT", "BEGIN"))]
    return sent


def test_recording_a_visit_takes_at_most_15_statements_however_many_medicines(recorder: Browser) -> None:
    counted = []
    for medicines in ([world.PATCH], [world.PATCH, world.GUM]):
        fields = visit_fields(uuid4(), **{"lines-TOTAL_FORMS": str(len(medicines))})
        for number, code in enumerate(medicines):
            fields |= {f"lines-{number}-medicine": code, f"lines-{number}-supply_weeks": "2"}
        with CaptureQueriesContext(connection) as captured:
            assert recorder.send(visit_page(["示範甲", "示範乙"][len(counted)]), fields).status_code == 302
        counted.append(len(statements(captured)))
    assert counted[0] == counted[1] <= 15


@pytest.mark.parametrize(
    ("url", "most"), [("/visits", 8), ("/visits.json", 7), ("/", 14), ("/selfcheck/114-04", 20), ("/cases/find", 3)]
)
def test_a_page_takes_as_many_statements_for_many_visits_as_for_one(url: str, most: int, recorder: Browser) -> None:
    counted = []
    for name in ("示範甲", "示範乙"):
        record(recorder, name)
        recorder.get(url)  # what was told once is told, and the cookie gone
        with CaptureQueriesContext(connection) as captured:
            assert recorder.get(url).status_code == 200
        counted.append(len(statements(captured)))
    assert counted[0] == counted[1] <= most
