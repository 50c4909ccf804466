"""Publishing on a real PostgreSQL: one snapshot, written once, never changed, many at once, who may."""

import json
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from django.core.exceptions import PermissionDenied
from django.db import InternalError
from psycopg import errors

from quitledger.accounts.scope import scoped, try_twice
from quitledger.audit import journal
from quitledger.policy.problem import Refused
from quitledger.statistics import services
from quitledger.statistics.measures import Basis, Period
from quitledger.statistics.models import Publication
from quitledger.statistics.reports import Report, compare
from quitledger.statistics.services import Stale, prepare_publication, publications, publish, report_of

from .. import world
from ..ops.commands import quitledger
from ..selfcheck.scene import recorded
from ..sql import acting, keys, one, record, set_clock
from ..visits.test_concurrency import at_once
from .scene import YEAR, looked_at, published, snapshot, versions


def test_what_is_published_is_kept_with_moment_definitions_and_fingerprint(
    committed: Any, owner: psycopg.Connection
) -> None:
    recorded(committed)
    uid = uuid4()
    done = published(uid=uid, note=" 第一次 ").publication
    assert (done.uid, done.called, done.previous, done.note) == (uid, "114-1", None, "第一次")
    assert done.published_by_id == world.actor("analyst").account_id
    assert world.NOW <= done.data_at <= done.published_at <= world.NOW + timedelta(hours=1)
    report = Report.read(done.content)
    assert (report.first, report.last, report.database) == (date(2025, 1, 1), world.TODAY, "test")
    assert (report.data_at, report.number, done.last_on) == (done.data_at, 1, world.TODAY)
    assert {one.name for one in report.definitions} == {
        "institution_execution", "staff_execution", "medication_visits", "counselling_visits", "persons_served",
    }  # fmt: skip
    assert all("SELECT" in one.statement for one in report.definitions)
    assert report.tables[3].rows[-1].figures[0].count == 1
    assert done.is_intact
    entry = owner.execute(
        "SELECT record_uids, record_version, fields, account_id FROM audit_journal WHERE action = 'statistics.publish'"
    ).fetchall()
    assert entry == [([uid], 1, ["content", "note"], done.published_by_id)]
    assert one(owner, "SELECT count(*) FROM statistics_publication_history") == 1


def test_later_corrections_never_change_it_and_a_new_version_states_the_differences(committed: Any) -> None:
    recorded(committed)
    first = published().publication
    recorded(committed, date(2025, 3, 21), "示範乙")
    assert versions()[0].content == first.content
    prepared = looked_at()
    assert prepared.comparison is not None
    told = {
        (str(one.table), str(one.row), str(one.column), one.before, one.after) for one in prepared.comparison.figures
    }
    assert ("服務人數", "合計", "服務人數", "1", "2") in told
    assert ("表 3", "西醫診所", "用藥人次", "1", "2") in told
    second = published(note="補登一筆").publication
    assert (second.called, second.previous_id, second.report.previous) == ("114-2", first.pk, (1, first.fingerprint))
    assert compare(first.report, second.report) == prepared.comparison
    assert versions()[0].content == first.content


def test_the_same_figures_again_need_a_reason(committed: Any) -> None:
    published()
    assert looked_at().comparison.is_same  # type: ignore[union-attr]
    with pytest.raises(Refused) as refused:
        published()
    (problem,) = refused.value.problems
    assert (problem.code, "相同" in problem.message) == ("note-missing", True)
    assert published(note="更正公布說明").publication.number == 2


def test_a_part_of_a_year_and_another_basis_are_versions_of_their_own(committed: Any) -> None:
    recorded(committed)
    early = published(until=date(2025, 2, 28)).publication
    assert (early.last_on, early.report.is_whole, early.report.tables[3].rows[-1].figures[0].count) == (
        date(2025, 2, 28), False, 0,
    )  # fmt: skip
    assert looked_at().comparison.is_other_period  # type: ignore[union-attr]
    assert published(basis=Basis.LAST_DAY).publication.called == "114-1"
    assert published(year=113).publication.report.is_whole


@pytest.mark.parametrize(("what", "code"), [
    ({"until": date(2025, 4, 2)}, "until-in-future"), ({"until": date(2024, 12, 31)}, "until-not-in-year"),
    ({"year": 115}, "year-not-begun"),
])  # fmt: skip
def test_days_that_are_not_of_the_year_are_refused(what: dict[str, Any], code: str, committed: Any) -> None:
    with pytest.raises(Refused) as refused:
        looked_at(**what)
    assert [problem.code for problem in refused.value.problems] == [code]


# --- one snapshot ----------------------------------------------------------------------------------------------------


def test_what_is_recorded_while_it_is_drawn_up_is_not_counted_by_any_of_the_measures(
    committed: Any, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the first measure and the last somebody commits a visit of a person who had none."""
    at, asked = keys(owner), []
    drawn_up = services.annual_tables

    def slowly(*args: Any, **kwargs: Any) -> Any:
        with acting(committed, at.institution, at.account) as clerk:
            record(clerk, at, world.TODAY, "medication")
        asked.append(one(owner, "SELECT count(*) FROM visits_visit"))
        return drawn_up(*args, **kwargs)

    monkeypatch.setattr(services, "annual_tables", slowly)
    prepared = looked_at()
    assert asked == [1]
    counts = [figure.count for table in prepared.report.tables for row in table.rows for figure in row.figures]
    executing = [row.figures[1].count for row in prepared.report.tables[0].rows]
    assert sum(count or 0 for count in executing) == 0
    assert counts[-1] == 0
    monkeypatch.undo()
    assert looked_at().report.tables[3].rows[-1].figures[0].count == 1


def test_outside_of_one_snapshot_nothing_is_drawn_up(committed: Any) -> None:
    by = world.actor("analyst")
    with scoped(by), pytest.raises(InternalError, match="one snapshot"):
        prepare_publication(year=YEAR, basis=Basis.ANY_DAY, by=by)
    with scoped(by), pytest.raises(InternalError, match="one snapshot"):
        report_of(Period.year(2025), basis=Basis.ANY_DAY, by=by)


# --- once, and by whom -----------------------------------------------------------------------------------------------


def test_a_form_sent_again_is_answered_with_what_it_made(committed: Any) -> None:
    uid, seen = uuid4(), looked_at().report.looked_at
    first = published(uid=uid, seen=seen)
    again = published(uid=uid, seen=seen)
    assert (first.repeated, again.repeated) == (False, True)
    assert first.publication == again.publication
    assert len(versions()) == 1


def test_what_was_not_looked_at_is_not_published(committed: Any) -> None:
    seen = looked_at().report.looked_at
    recorded(committed)
    with pytest.raises(Stale):
        published(seen=seen)
    assert versions() == []
    seen = looked_at().report.looked_at
    published()
    with pytest.raises(Stale):  # somebody has published since
        published("desk_supervisor", seen=seen, note="我的說明")


def freezing(username: str, uid: UUID, seen: str) -> Callable[[], Any]:
    """A request that publishes; what came of it in a word."""

    def work() -> Any:
        try:
            done = published(username, uid=uid, seen=seen)
        except Stale:
            return "stale"
        return done.publication.number, done.repeated

    return work


def test_a_double_click_at_the_same_moment_makes_one(committed: Any) -> None:
    uid, seen = uuid4(), looked_at().report.looked_at
    found = at_once([freezing("analyst", uid, seen)] * 4)
    assert sorted(found) == [(1, False), (1, True), (1, True), (1, True)]
    assert len(versions()) == 1


def test_of_several_people_at_once_one_publishes_and_the_others_are_told_to_look_again(committed: Any) -> None:
    seen = looked_at().report.looked_at
    found = at_once([freezing(name, uuid4(), seen) for name in ("analyst", "desk_supervisor") * 2])
    assert sorted(map(str, found)) == ["(1, False)", "stale", "stale", "stale"]
    assert len(versions()) == 1


@pytest.mark.parametrize("username", ["recorder", "supervisor", "desk_officer", "administrator", "nowhere"])
def test_only_analysts_and_desk_supervisors_publish(username: str, committed: Any) -> None:
    with pytest.raises(PermissionDenied):
        looked_at(username)
    with snapshot(username) as by, pytest.raises(PermissionDenied):
        publish(uid=uuid4(), year=YEAR, basis=Basis.ANY_DAY, seen="", note="", by=by)


@pytest.mark.parametrize(("username", "may"), [("desk_officer", True), ("analyst", True), ("recorder", False)])
def test_whoever_may_read_statistics_reads_publications(username: str, may: bool, committed: Any) -> None:
    published()
    with snapshot(username) as by:
        if may:
            assert [one.called for one in publications(by=by)] == ["114-1"]
        else:
            with pytest.raises(PermissionDenied):
                publications(by=by)


def test_without_its_entry_in_the_journal_nothing_is_published(committed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("no journal")

    seen = looked_at().report.looked_at
    monkeypatch.setattr(journal, "record", broken)
    with pytest.raises(RuntimeError):
        published(seen=seen)
    assert versions() == []


# --- no way around ---------------------------------------------------------------------------------------------------


def row(**changes: Any) -> tuple[str, list[Any]]:
    """The statement that writes the next version as it is right, with changes; its values."""
    with snapshot() as by:
        prepared = prepare_publication(year=YEAR, basis=Basis.ANY_DAY, by=by)
        report = prepared.report
        values = {
            "uid": uuid4(), "year": YEAR, "basis": "any_day", "number": report.number, "last_on": report.last,
            "data_at": report.data_at, "content": report.text, "fingerprint": report.fingerprint, "note": "說明",
            "previous_id": prepared.previous and prepared.previous.pk, "published_by_id": by.account_id,
        } | changes  # fmt: skip
    names = ", ".join(values)
    places = ", ".join(["%s"] * len(values))
    return f"INSERT INTO statistics_publication ({names}) VALUES ({places})", list(values.values())


def written(committed: Any, username: str = "analyst", *, level: str = "REPEATABLE READ", **changes: Any) -> None:
    """Write a version by SQL as the application does, its content made to agree with its moment."""
    statement, values = row(**changes)
    names = statement[statement.index("(") + 1 : statement.index(")")].split(", ")
    with committed.app() as connection:
        connection.execute(f"SET TRANSACTION ISOLATION LEVEL {level}")
        connection.execute("SELECT set_config('quitledger.scope', '-1', true), set_config('quitledger.account', %s, true)",
                           [str(world.actor(username).account_id)])  # fmt: skip
        if "data_at" not in changes and level != "READ COMMITTED":
            moment = one(connection, "SELECT statistics_snapshot_moment()")
            said = json.loads(values[names.index("content")]) | {"data_at": moment.isoformat()}
            content = json.dumps(said)
            values[names.index("data_at")], values[names.index("content")] = moment, content
            if "fingerprint" not in changes:
                values[names.index("fingerprint")] = one(
                    connection, "SELECT encode(sha256(convert_to(%s, 'UTF8')), 'hex')", [content]
                )
        connection.execute(statement, values)


def test_the_row_as_it_is_right_is_taken(committed: Any) -> None:
    written(committed)
    assert [one.number for one in versions()] == [1]


@pytest.mark.parametrize(("changes", "constraint"), [
    ({"fingerprint": "0" * 64}, "statistics_publication_fingerprint"), ({"number": 2}, "statistics_publication_once"),
    ({"year": 113}, "statistics_publication_content"), ({"basis": "last_day"}, "statistics_publication_content"),
    ({"last_on": date(2025, 3, 31)}, "statistics_publication_content"),
    ({"data_at": world.NOW - timedelta(days=1)}, "statistics_publication_data_at"),
])  # fmt: skip
def test_a_row_that_does_not_say_what_its_content_says_is_refused(
    changes: dict[str, Any], constraint: str, committed: Any
) -> None:
    with pytest.raises(errors.IntegrityError) as refused:
        written(committed, **changes)
    assert refused.value.diag.constraint_name == constraint
    assert versions() == []


def test_a_version_that_does_not_name_the_one_before_is_refused(committed: Any) -> None:
    published()
    with pytest.raises(errors.IntegrityError) as refused:
        written(committed, previous_id=None)
    assert refused.value.diag.constraint_name == "statistics_publication_once"


@pytest.mark.parametrize("username", ["recorder", "desk_officer", "administrator"])
def test_nobody_else_writes_one_by_sql(username: str, committed: Any) -> None:
    with pytest.raises(errors.CheckViolation) as refused:
        written(committed, username)
    assert refused.value.diag.constraint_name == "statistics_publication_by_analyst"


def test_whoever_writes_one_by_sql_writes_in_his_own_name_and_in_one_snapshot(committed: Any) -> None:
    written(committed, "analyst", published_by_id=world.actor("desk_supervisor").account_id)
    assert versions()[0].published_by_id == world.actor("analyst").account_id
    with pytest.raises(errors.CheckViolation, match="one snapshot"):
        written(committed, level="READ COMMITTED")


@pytest.mark.parametrize("statement", [
    "UPDATE statistics_publication SET note = 'x'", "UPDATE statistics_publication SET content = '{}'",
    "DELETE FROM statistics_publication", "TRUNCATE statistics_publication CASCADE",
])  # fmt: skip
def test_what_was_published_is_never_changed_or_removed(
    statement: str, committed: Any, owner: psycopg.Connection
) -> None:
    published()
    with pytest.raises(errors.InsufficientPrivilege), acting(committed, 0) as application:
        application.execute(statement)
    with pytest.raises(errors.InsufficientPrivilege):
        owner.execute(statement)
    assert len(versions()) == 1


def tampered(owner: psycopg.Connection) -> None:
    """Somebody with the owner's password takes the guards away and changes what was published."""
    owner.execute("ALTER TABLE statistics_publication DISABLE TRIGGER USER")
    owner.execute("ALTER TABLE statistics_publication DROP CONSTRAINT statistics_publication_fingerprint")
    owner.execute(
        "UPDATE statistics_publication SET content = replace(content, %s, %s)", ['"said":"0.00"', '"said":"9.99"']
    )


def test_what_was_changed_behind_the_databases_back_is_told(committed: Any, owner: psycopg.Connection) -> None:
    recorded(committed)
    published()
    assert versions()[0].is_intact
    tampered(owner)
    assert not versions()[0].is_intact


def test_the_command_lists_publications_and_asks_their_fingerprints(committed: Any, owner: psycopg.Connection) -> None:
    urls = {"DATABASE_URL": committed.app_url}
    assert "還沒有公布過" in quitledger("statistics", "publications", **urls).stdout
    recorded(committed)
    done = published().publication
    published(year=113)
    (found,) = json.loads(quitledger("statistics", "publications", "114", "--json", **urls).stdout)
    assert (found["version"], found["fingerprint"], found["is_intact"]) == ("114-1", done.fingerprint, True)
    said = quitledger("statistics", "publications", **urls)
    assert [line.split("　")[0] for line in said.stdout.splitlines()[:2]] == ["114-1", "113-1"]
    tampered(owner)
    broken, as_json = (quitledger("statistics", "publications", "114", *how, **urls) for how in ((), ("--json",)))
    assert (broken.returncode, as_json.returncode) == (1, 1)
    assert "指紋不符" in broken.stdout
    assert not json.loads(as_json.stdout)[0]["is_intact"]


def test_the_clock_of_the_programme_says_the_moment(committed: Any, owner: psycopg.Connection) -> None:
    set_clock(owner, world.NOW + timedelta(days=30))
    later = looked_at().report.data_at
    assert later >= world.NOW + timedelta(days=30)


def test_publishing_is_tried_once_more_where_somebody_was_faster(committed: Any) -> None:
    """The second of two that wait for the same number finds the first one's in its next snapshot."""
    seen = looked_at().report.looked_at
    published()
    with pytest.raises(Stale):
        try_twice(lambda: published("desk_supervisor", seen=seen))
    assert isinstance(versions()[0], Publication)
