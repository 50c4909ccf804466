"""The recording window as the database holds it: at commit, by the programme's clock, whoever writes."""

import time
from collections.abc import Callable
from datetime import date, datetime, timedelta
from threading import Thread
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.db import IntegrityError, connections, transaction
from psycopg import errors

from quitledger.accounts.scope import scoped, try_twice
from quitledger.policy import TAIPEI, parameter
from quitledger.policy.problem import Refused
from quitledger.portal.transactions import enter
from quitledger.visits import rules
from quitledger.visits.models import Visit, WindowExtension
from quitledger.visits.services import extend_window, record_visit

from .. import world
from ..sql import Keys, acting, insert_line, insert_service, insert_visit, keys, one, open_month, record, set_clock

pytestmark = pytest.mark.engine

FEBRUARY, MARCH = date(2025, 2, 1), date(2025, 3, 1)
DAY = date(2025, 2, 15)
CLOSES_AT = datetime(2025, 3, 21, tzinfo=TAIPEI)
WINDOW = "visits_window"


def commit_refused(database: Any, at: Keys, write: Callable[[psycopg.Connection], object]) -> str | None:
    """The constraint that refuses at commit what `write` did, with the institution's rights; None: it stands."""
    try:
        with acting(database, at.institution, at.account) as connection:
            write(connection)
            before_commit = True
    except errors.CheckViolation as refused:
        assert before_commit, "the window speaks at commit"
        return refused.diag.constraint_name
    return None


def let_midnight_pass(owner: psycopg.Connection) -> None:
    """A twentieth of a second before the window closes, then a tenth of a second of waiting."""
    set_clock(owner, CLOSES_AT - timedelta(milliseconds=50))
    time.sleep(0.1)


# --- What is refused after closing, and stands before it -------------------------------------------------------------

WRITES = {
    "a visit is added": lambda c, at, _: record(c, at, DAY - timedelta(days=5)),
    "a visit is changed": "UPDATE visits_visit SET note = 'x', version = 2 WHERE visit_on = '2025-02-15'",
    "a visit is voided": "UPDATE visits_visit SET in_force = false, version = 2 WHERE visit_on = '2025-02-15'",
    "a voided visit is restored": "UPDATE visits_visit SET in_force = true, version = 2 WHERE visit_on = '2025-02-05'",
    "a visit moves within its month": "UPDATE visits_visit SET visit_on = '2025-02-16', version = 2"
    " WHERE visit_on = '2025-02-15'",
    "a visit leaves the month": "UPDATE visits_visit SET visit_on = '2025-03-18', version = 2"
    " WHERE visit_on = '2025-02-15'",
    "a visit enters the month": "UPDATE visits_visit SET visit_on = '2025-02-25', version = 2"
    " WHERE visit_on = '2025-03-08'",
    "a service is added": lambda c, at, visit: insert_service(c, at, visit, DAY, "counselling"),
    "a service is changed": "UPDATE visits_service SET spacing_days = 4 WHERE visit_on = '2025-02-15'",
    "a medicine is added": lambda c, at, visit: insert_line(
        c, at, visit, one(c, "SELECT id FROM visits_service WHERE visit_id = %s", [visit]), medicine_code=world.GUM
    ),
    "a medicine is changed": "UPDATE visits_medicationline SET supply_weeks = 4, supply_days = 28",
}


@pytest.mark.parametrize("name", WRITES)
def test_after_closing_nothing_of_the_month_is_written(committed, owner, name):
    at = keys(owner)
    set_clock(owner, CLOSES_AT - timedelta(hours=1))
    with acting(committed, at.institution, at.account) as connection:
        visit = record(connection, at, DAY, "medication")
        record(connection, at, date(2025, 3, 8))
        voided = insert_visit(connection, at, date(2025, 2, 5), in_force=False)
        insert_service(connection, at, voided, date(2025, 2, 5), in_force=False)

    def write(connection: psycopg.Connection) -> None:
        what = WRITES[name]
        done = what(connection, at, visit) if callable(what) else connection.execute(what).rowcount
        assert done, "there was something to write"

    with acting(committed, at.institution, at.account) as connection:
        write(connection)
        connection.execute("SET CONSTRAINTS ALL IMMEDIATE")  # while the window is open it stands
        connection.rollback()
    set_clock(owner, CLOSES_AT)
    before = _contents(owner)
    assert commit_refused(committed, at, write) == WINDOW
    assert _contents(owner) == before


def _contents(owner: psycopg.Connection) -> list[Any]:
    tables = ("visits_visit", "visits_service", "visits_medicationline", "visits_visit_history")
    return [owner.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall() for table in tables]


def test_the_owner_records_in_a_closed_month(committed, owner):
    at = keys(owner)
    owner.execute("SELECT set_config('quitledger.scope', '0', false)")
    record(owner, at, DAY)
    assert one(owner, "SELECT visit_on FROM visits_visit") == DAY


# --- To the moment ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "closes_at"),
    [
        (date(2025, 2, 1), CLOSES_AT),
        (date(2025, 2, 28), CLOSES_AT),
        (date(2025, 3, 1), datetime(2025, 4, 21, tzinfo=TAIPEI)),
        (date(2024, 12, 1), datetime(2025, 1, 21, tzinfo=TAIPEI)),  # December rolls over
        (date(2024, 12, 31), datetime(2025, 1, 21, tzinfo=TAIPEI)),
        (date(2024, 2, 29), datetime(2024, 3, 21, tzinfo=TAIPEI)),
    ],
)
def test_the_20th_belongs_to_the_window_and_the_moment_after_it_does_not(committed, owner, day, closes_at):
    at = keys(owner)
    set_clock(owner, closes_at)
    assert commit_refused(committed, at, lambda connection: record(connection, at, day)) == WINDOW
    set_clock(owner, closes_at - timedelta(seconds=10))
    assert commit_refused(committed, at, lambda connection: record(connection, at, day)) is None


def test_what_began_before_midnight_and_commits_after_it_is_refused(committed, owner):
    at = keys(owner)
    with acting(committed, at.institution) as connection:
        open_month(connection, at.institution, DAY)

    def write(connection: psycopg.Connection) -> None:
        set_clock(owner, CLOSES_AT - timedelta(minutes=1))
        record(connection, at, DAY)
        assert one(connection, "SELECT programme_now() < %s", [CLOSES_AT])
        let_midnight_pass(owner)

    assert commit_refused(committed, at, write) == WINDOW
    assert one(owner, "SELECT count(*) FROM visits_visit") == 0


def _entry(day: date = DAY) -> rules.Entry:
    return rules.Entry(uuid4(), day, counselling=rules.Counselling(world.staff("示範子").uid))


def _record_across_midnight(owner: psycopg.Connection, account: int, tries: list[datetime]) -> Callable[[], Visit]:
    """A request as the portal runs it; the first try writes before closing and ends after it."""

    def request() -> Visit:
        if not tries:
            set_clock(owner, CLOSES_AT - timedelta(minutes=1))
        with transaction.atomic():
            desk = enter(account)
            tries.append(desk.moment)
            visit = record_visit(case=world.case(), entry=_entry(), by=desk.actor)
            let_midnight_pass(owner)
            return visit

    return request


def test_the_service_is_refused_at_commit_too(committed, owner):
    with pytest.raises(IntegrityError, match="the recording window of 2025-02 is closed"):
        _record_across_midnight(owner, keys(owner).account, [])()
    assert one(owner, "SELECT count(*) FROM visits_visit") == 0
    assert one(owner, "SELECT count(*) FROM audit_journal WHERE action = 'visit.record'") == 0


def test_the_second_try_says_in_words_that_the_window_has_closed(committed, owner):
    tries: list[datetime] = []
    with pytest.raises(Refused) as refused:
        try_twice(_record_across_midnight(owner, keys(owner).account, tries))
    assert [problem.code for problem in refused.value.problems] == ["window-closed"]
    assert tries[0] < CLOSES_AT <= tries[1]
    assert len(tries) == 2
    assert one(owner, "SELECT count(*) FROM visits_visit") == 0


WRITTEN_LATER = {
    name: WRITES[name]
    for name in ("a visit is changed", "a service is added", "a service is changed", "a medicine is added")
}


@pytest.mark.parametrize("name", WRITTEN_LATER)
def test_checking_early_does_not_keep_a_window_open_for_what_is_written_later(committed, owner, name):
    at = keys(owner)

    def write(connection: psycopg.Connection) -> None:
        set_clock(owner, CLOSES_AT - timedelta(hours=1))
        visit = record(connection, at, DAY, "medication")
        connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        connection.execute("SET CONSTRAINTS ALL DEFERRED")
        set_clock(owner, CLOSES_AT)
        what = WRITTEN_LATER[name]
        assert what(connection, at, visit) if callable(what) else connection.execute(what).rowcount

    assert commit_refused(committed, at, write) == WINDOW


@pytest.mark.parametrize("name", ["a service is added", "a medicine is added"])
def test_what_is_added_to_a_visit_of_a_savepoint_is_checked_at_commit(committed, owner, name):
    at = keys(owner)

    def write(connection: psycopg.Connection) -> None:
        set_clock(owner, CLOSES_AT - timedelta(minutes=1))
        with connection.transaction():
            visit = record(connection, at, DAY, "medication")
        what = WRITES[name]
        assert callable(what)
        assert what(connection, at, visit)
        let_midnight_pass(owner)

    assert commit_refused(committed, at, write) == WINDOW


def test_what_is_added_stands_and_falls_with_the_visit_of_its_transaction(committed, owner):
    """Its own check is not needed then: the visit's is there, and it alone."""
    at = keys(owner)
    with acting(committed, at.institution, at.account) as connection:
        open_month(connection, at.institution, DAY)
    owner.execute("ALTER TABLE visits_visit DISABLE TRIGGER within_window")

    def write(connection: psycopg.Connection) -> None:
        set_clock(owner, CLOSES_AT - timedelta(minutes=1))
        record(connection, at, DAY, "medication")
        let_midnight_pass(owner)

    assert commit_refused(committed, at, write) is None
    owner.execute("ALTER TABLE visits_visit ENABLE TRIGGER within_window")
    visit = one(owner, "SELECT id FROM visits_visit")
    add = WRITES["a service is added"]
    assert callable(add)
    assert commit_refused(committed, at, lambda connection: add(connection, at, visit)) == WINDOW


@pytest.mark.parametrize("zone", ["UTC", "America/Los_Angeles", "Pacific/Kiritimati", "Asia/Kathmandu"])
@pytest.mark.parametrize("set_by", ["the session", "the server"])
def test_the_servers_time_zone_changes_nothing(committed, owner, zone, set_by):
    at = keys(owner)
    if set_by == "the server":
        owner.execute(f"ALTER DATABASE {committed.name} SET timezone = '{zone}'")
    first, last = FEBRUARY, date(2025, 2, 28)

    def write(connection: psycopg.Connection) -> None:
        if set_by == "the session":
            connection.execute(f"SET TIME ZONE '{zone}'")
        assert one(connection, "SHOW timezone") == zone
        record(connection, at, first)
        record(connection, at, last)
        assert one(connection, "SELECT count(DISTINCT month) FROM visits_servicemonth") == 1

    set_clock(owner, CLOSES_AT)
    assert commit_refused(committed, at, write) == WINDOW
    set_clock(owner, CLOSES_AT - timedelta(seconds=10))
    assert commit_refused(committed, at, write) is None
    # The 28th of February begins in Taipei: the day before it is the future.
    set_clock(owner, datetime(2025, 3, 1, tzinfo=TAIPEI) - timedelta(seconds=10))
    tomorrow = date(2025, 3, 5)
    assert commit_refused(committed, at, lambda c: record(c, at, tomorrow)) == "visits_not_in_the_future"


# --- What has no window ----------------------------------------------------------------------------------------------


def test_a_day_that_has_not_come_is_refused(committed, owner):
    at, tomorrow = keys(owner), world.TODAY + timedelta(days=1)
    future = "visits_not_in_the_future"
    assert commit_refused(committed, at, lambda connection: record(connection, at, tomorrow)) == future
    assert commit_refused(committed, at, lambda connection: record(connection, at, world.TODAY)) is None
    move = "UPDATE visits_visit SET visit_on = %s, version = 2"
    assert commit_refused(committed, at, lambda connection: connection.execute(move, [tomorrow])) == future


def test_a_month_that_policy_does_not_know_is_not_open(committed, owner):
    at = keys(owner)
    unknown = parameter("recording_window_last_day").values[0].starts_on - timedelta(days=1)
    with acting(committed, at.institution) as connection:
        assert open_month(connection, at.institution, unknown) is None
    assert commit_refused(committed, at, lambda connection: record(connection, at, unknown)) == WINDOW
    with pytest.raises(errors.CheckViolation) as refused:
        owner.execute("INSERT INTO visits_servicemonth (institution_id, month) VALUES (%s, %s)",
                      [at.institution, unknown.replace(day=1)])  # fmt: skip
    assert refused.value.diag.constraint_name == "visits_month_known"


def test_a_month_that_nobody_opened_is_not_open(committed, owner):
    """The query joins visits with their service month: a visit without one would be recorded and never found."""
    at = keys(owner)

    def write(connection: psycopg.Connection) -> None:
        insert_service(connection, at, insert_visit(connection, at, world.TODAY), world.TODAY)

    assert commit_refused(committed, at, write) == WINDOW


def test_a_visit_has_a_service(committed, owner):
    at = keys(owner)

    def write(connection: psycopg.Connection) -> None:
        open_month(connection, at.institution, world.TODAY)
        insert_visit(connection, at, world.TODAY)

    assert commit_refused(committed, at, write) == "visits_visit_services"


# --- Extensions ------------------------------------------------------------------------------------------------------

LATER = datetime(2025, 4, 26, tzinfo=TAIPEI)


def _extend(
    reach: str, closes_at: datetime = LATER, *, institution_code: str = "", county: str = ""
) -> WindowExtension:
    supervisor = world.actor("desk_supervisor")
    with scoped(supervisor):
        return extend_window(
            month=FEBRUARY, reach=reach, county=county,
            institution_id=world.institution_id(institution_code) if institution_code else None,
            closes_at=closes_at, reason="系統中斷", moment=world.NOW, by=supervisor,
        )  # fmt: skip


def _places(owner: psycopg.Connection) -> dict[str, Keys]:
    return {
        world.CLINIC: keys(owner),
        world.PHARMACY: keys(owner, "示範戊", world.PHARMACY),
        world.HOSPITAL: keys(owner, "示範己", world.HOSPITAL),
    }


@pytest.mark.parametrize("opened", ["before", "after"])
@pytest.mark.parametrize(
    ("extension", "reached"),
    [
        ({"reach": "all"}, {world.CLINIC, world.PHARMACY, world.HOSPITAL}),
        ({"reach": "county", "county": "臺北市"}, {world.CLINIC, world.HOSPITAL}),
        ({"reach": "institution", "institution_code": world.PHARMACY}, {world.PHARMACY}),
    ],
)
def test_an_extension_opens_exactly_the_months_it_reaches(committed, owner, extension, reached, opened):
    places = _places(owner)
    if opened == "before":
        for at in places.values():
            with acting(committed, at.institution) as connection:
                assert open_month(connection, at.institution, DAY) == CLOSES_AT
    _extend(**extension)
    for code, at in places.items():
        expected = None if code in reached else WINDOW
        assert commit_refused(committed, at, lambda connection, at=at: record(connection, at, DAY)) == expected
        with acting(committed, at.institution) as connection:
            assert open_month(connection, at.institution, DAY) == (LATER if code in reached else CLOSES_AT)
            assert open_month(connection, at.institution, MARCH) == datetime(2025, 4, 21, tzinfo=TAIPEI)
    versions = "SELECT history_change, count(*)::int FROM visits_servicemonth_history WHERE month = %s GROUP BY 1"
    changed = {"update": len(reached)} if opened == "before" else {}
    assert dict(owner.execute(versions, [FEBRUARY]).fetchall()) == {"insert": 3} | changed
    set_clock(owner, LATER)
    for at in places.values():
        assert commit_refused(committed, at, lambda c, at=at: record(c, at, DAY - timedelta(days=9))) == WINDOW


def test_the_service_opens_an_extended_month_too(committed, owner):
    _extend("institution", institution_code=world.CLINIC)
    recorder = world.actor("recorder")
    with scoped(recorder):
        assert record_visit(case=world.case(), entry=_entry(), by=recorder).visit_on == DAY


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"reach": "all"}, {"reach": "all"}),
        ({"reach": "all"}, {"reach": "county", "county": "臺北市"}),
        ({"reach": "county", "county": "臺北市"}, {"reach": "county", "county": "臺北市"}),
        ({"reach": "county", "county": "臺北市"}, {"reach": "institution", "institution_code": world.CLINIC}),
        ({"reach": "institution", "institution_code": world.CLINIC},
         {"reach": "institution", "institution_code": world.CLINIC}),
    ],
)  # fmt: skip
def test_an_extension_that_would_shorten_or_change_nothing_is_refused_in_words(committed, owner, first, second):
    _extend(**first)
    for closes_at in (LATER, LATER - timedelta(days=1)):
        with pytest.raises(Refused) as refused:
            _extend(**second, closes_at=closes_at)
        assert [problem.code for problem in refused.value.problems] == ["extension-shortens"]
    assert _extend(**second, closes_at=LATER + timedelta(days=1)).pk


def test_a_wider_extension_does_not_shorten_a_longer_one_of_a_single_institution(committed, owner):
    at = keys(owner)
    with acting(committed, at.institution) as connection:
        open_month(connection, at.institution, DAY)
    _extend("institution", LATER + timedelta(days=5), institution_code=world.CLINIC)
    _extend("all")
    with acting(committed, at.institution) as connection:
        assert open_month(connection, at.institution, DAY) == LATER + timedelta(days=5)


EXTENSION = (
    "INSERT INTO visits_windowextension (month, reach, county, institution_id, closes_at, reason, decided_by_id)"
    " VALUES (%(month)s, %(reach)s, %(county)s, %(institution)s, %(closes_at)s, %(reason)s, %(by)s) RETURNING id"
)


def _extension(owner: psycopg.Connection, **changes: Any) -> dict[str, Any]:
    supervisor = one(owner, "SELECT id FROM accounts_user WHERE username = 'desk_supervisor'")
    return {"month": FEBRUARY, "reach": "all", "county": "", "institution": None, "closes_at": LATER,
            "reason": "颱風", "by": supervisor, **changes}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"closes_at": CLOSES_AT}, "visits_window_extension_later"),
        ({"closes_at": CLOSES_AT - timedelta(days=1)}, "visits_window_extension_later"),
        ({"month": date(2024, 2, 1), "closes_at": CLOSES_AT, "reach": "county", "county": "臺北市"}, None),
        ({"month": date(1990, 2, 1)}, "visits_month_known"),
        ({"month": date(2025, 2, 2)}, "visits_month_known"),
        ({"reason": ""}, "visits_window_extension_reason"),
        ({"reach": "county"}, "visits_window_extension_reach"),
        ({"reach": "institution"}, "visits_window_extension_reach"),
        ({"reach": "all", "county": "臺北市"}, "visits_window_extension_reach"),
        ({"reach": "everywhere"}, "visits_window_extension_reach"),
    ],
)
def test_by_sql_too_an_extension_extends_and_says_whom_and_why(committed, owner, changes, constraint):
    row = _extension(owner, **changes)
    with acting(committed, 0, row["by"]) as connection:
        if constraint is None:
            assert one(connection, EXTENSION, row)
            return
        with pytest.raises(errors.CheckViolation) as refused:
            connection.execute(EXTENSION, row)
        assert refused.value.diag.constraint_name == constraint


def test_only_the_agency_extends_in_its_own_name(committed, owner):
    row, at = _extension(owner), keys(owner)
    for scope, account in ((at.institution, row["by"]), (-1, row["by"]), (0, at.account), (0, None)):
        with acting(committed, scope, account) as connection, pytest.raises(errors.InsufficientPrivilege):
            connection.execute(EXTENSION, row)
    backdated = EXTENSION.replace("decided_by_id)", "decided_by_id, decided_at)").replace(
        "%(by)s)", "%(by)s, '2020-01-01')"
    )
    with acting(committed, 0, row["by"]) as connection:
        connection.execute(backdated, row)
    assert one(owner, "SELECT decided_at >= %s FROM visits_windowextension", [world.NOW])


@pytest.mark.parametrize(
    "statement",
    ["UPDATE visits_windowextension SET closes_at = 'infinity'", "DELETE FROM visits_windowextension",
     "TRUNCATE visits_windowextension"],
)  # fmt: skip
def test_an_extension_once_given_stays_as_it_is_for_the_owner_too(committed, owner, statement):
    owner.execute(EXTENSION, _extension(owner))
    with pytest.raises(errors.InsufficientPrivilege, match="append-only"):
        owner.execute(statement)


def test_a_service_months_closing_moment_is_not_set_by_hand(committed, owner):
    at = keys(owner)
    with acting(committed, at.institution) as connection:
        open_month(connection, at.institution, DAY)
    for moment in ("-infinity", "infinity"):
        owner.execute("UPDATE visits_servicemonth SET closes_at = %s, prompt_hours = 1", [moment])
    assert owner.execute("SELECT closes_at, prompt_hours FROM visits_servicemonth").fetchone() == (CLOSES_AT, 24)


@pytest.mark.parametrize("first", ["month", "extension"])
def test_a_month_opened_while_it_is_being_extended_is_extended(committed, owner, first):
    """Neither transaction sees what the other has not committed: one of them has to wait."""
    row, at = _extension(owner), keys(owner)
    steps: dict[str, Callable[[psycopg.Connection], object]] = {
        "month": lambda connection: open_month(connection, at.institution, DAY),
        "extension": lambda connection: connection.execute(EXTENSION, row),
    }
    scopes = {"month": (at.institution, at.account), "extension": (0, row["by"])}
    second = "extension" if first == "month" else "month"

    def do(name: str) -> None:
        with acting(committed, *scopes[name]) as connection:
            steps[name](connection)

    other = Thread(target=do, args=[second])
    with acting(committed, *scopes[first]) as connection:
        steps[first](connection)
        other.start()
        _wait_until_one_waits(owner)
    other.join()
    assert one(owner, "SELECT closes_at FROM visits_servicemonth") == LATER


def _wait_until_one_waits(owner: psycopg.Connection) -> None:
    until = time.monotonic() + 5
    while not one(owner, "SELECT count(*) FROM pg_locks WHERE NOT granted AND database IS NOT NULL"
                         " OR NOT granted AND transactionid IS NOT NULL"):  # fmt: skip
        assert time.monotonic() < until, "nobody waited"
        time.sleep(0.005)


@pytest.fixture(autouse=True)
def _own_connections():
    yield
    connections.close_all()
