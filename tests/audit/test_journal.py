"""The journal: an entry stands or falls with what it tells of, and nobody chooses who, when and where."""

from datetime import date, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.db import ProgrammingError, connection, transaction
from psycopg import errors

from quitledger.accounts.scope import scoped
from quitledger.audit import journal
from quitledger.cases.services import Registration, register_case
from quitledger.ops.database import PARTITIONS_AHEAD
from quitledger.policy import TAIPEI
from quitledger.policy.identity import make_up
from quitledger.visits import rules
from quitledger.visits.services import record_visit

from .. import world
from ..sql import acting, one, set_clock

pytestmark = pytest.mark.engine


def entries(owner: psycopg.Connection, action: str) -> list[tuple[Any, ...]]:
    """The entries of an action, as who, where, what and which."""
    return owner.execute(
        "SELECT account_id, institution_id, record_type, record_uids, record_version, fields, request_uid"
        " FROM audit_journal WHERE action = %s ORDER BY id",
        [action],
    ).fetchall()


def typed(**values: Any) -> rules.Entry:
    """A visit with counselling today."""
    return rules.Entry(uuid4(), world.TODAY, counselling=rules.Counselling(world.staff("示範子").uid), **values)


def test_an_entry_outside_a_transaction_is_an_error(committed):
    with pytest.raises(journal.OutsideTransaction, match="visit.record"):
        journal.record("visit.record")


def test_an_entry_without_a_scope_is_an_error(db):
    with pytest.raises(ProgrammingError, match="no scope was set"), transaction.atomic():
        journal.record("visit.record")


def test_who_where_and_when_come_from_the_transaction(committed, owner):
    recorder = world.actor("recorder")
    request_uid, uid = uuid4(), uuid4()
    token = journal.request_uid.set(request_uid)
    with scoped(recorder):
        journal.record("case.read", record_type="case", uids=[uid], version=3, fields=["name"])
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_current_xact_id()::text")
            xid = cursor.fetchone()[0]
    journal.request_uid.reset(token)
    assert entries(owner, "case.read") == [
        (recorder.account_id, recorder.scope, "case", [uid], 3, ["name"], request_uid)
    ]
    assert one(owner, "SELECT at >= %s FROM audit_journal WHERE xid::text = %s", [world.NOW, xid])


@pytest.mark.parametrize("username", ["desk_officer", "nowhere"])
def test_the_agencys_and_nobodys_entries_belong_to_no_institution(committed, owner, username):
    actor = world.actor(username)
    with scoped(actor):
        journal.record("signed.in")
    assert entries(owner, "signed.in") == [(actor.account_id, None, "", [], None, [], None)]


def test_an_institution_reads_its_own_entries_and_the_agency_all(committed):
    for username in ("recorder", "stranger", "desk_officer"):
        with scoped(world.actor(username)):
            journal.record("test.read")
    seen = {}
    for username in ("recorder", "stranger", "desk_officer", "nowhere"):
        with scoped(world.actor(username)), connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM audit_journal WHERE action = 'test.read'")
            seen[username] = cursor.fetchone()[0]
    assert seen == {"recorder": 1, "stranger": 1, "desk_officer": 3, "nowhere": 0}


def test_a_write_rolled_back_leaves_no_entry(committed, owner):
    recorder = world.actor("recorder")
    with scoped(recorder):
        record_visit(case=world.case(), entry=typed(), by=recorder)
        transaction.set_rollback(True)
    assert entries(owner, "visit.record") == []
    assert one(owner, "SELECT count(*) FROM visits_visit") == 0


def test_a_journal_that_cannot_be_written_takes_the_write_with_it(committed, owner):
    written = ("visits_visit", "visits_service", "cases_case", "cases_person", "audit_journal")
    kept = tuple(f"{table}_history" for table in written if table != "audit_journal")
    before = {table: one(owner, f"SELECT count(*) FROM {table}") for table in written + kept}
    owner.execute("REVOKE INSERT ON audit_journal FROM quitledger_app")
    recorder = world.actor("recorder")
    with pytest.raises(ProgrammingError, match="permission denied"), scoped(recorder):
        record_visit(case=world.case(), entry=typed(), by=recorder)
    new = Registration(uuid4(), "national_id", make_up(77), "", date(1990, 1, 1), "male", "示範庚")
    with pytest.raises(ProgrammingError, match="permission denied"), scoped(recorder):
        register_case(new, today=world.TODAY, made_up_allowed=True, by=recorder)
    assert before == {table: one(owner, f"SELECT count(*) FROM {table}") for table in before}


def test_an_entry_names_fields_and_holds_no_value_of_them(committed, owner):
    recorder = world.actor("recorder")
    number = make_up(77)
    with scoped(recorder):
        new = Registration(uuid4(), "national_id", number, "", date(1990, 1, 1), "male", "示範庚", "T-77", "0900000077")
        case = register_case(new, today=world.TODAY, made_up_allowed=True, by=recorder)
        record_visit(case=case, entry=typed(note="秘密備註", co_ppm=17, cigarettes_per_day=23), by=recorder)
    ((*_, registered, _),) = entries(owner, "case.register")[-1:]
    assert set(registered) == {"identity_number", "birth_on", "sex", "name", "chart_no", "phone"}
    ((*_, recorded, _),) = entries(owner, "visit.record")
    assert set(recorded) == {"visit_on", "counselling", "note", "co_ppm", "cigarettes_per_day"}
    whole = one(owner, "SELECT string_agg(to_jsonb(j) - 'at' #>> '{}', ' ') FROM audit_journal j")
    for value in (number, "示範", "1990-01-01", "79/01/01", "T-77", "0900000077", "秘密備註"):
        assert value not in whole


# --- Append-only -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    ["UPDATE audit_journal SET account_id = 1", "DELETE FROM audit_journal", "TRUNCATE audit_journal",
     "UPDATE {part} SET account_id = 1", "DELETE FROM {part}", "TRUNCATE {part}", "TRUNCATE audit_journal_default"],
)  # fmt: skip
def test_no_entry_is_changed_or_removed_by_the_owner_either(db, statement):
    with db.owner() as owner:
        part = one(owner, "SELECT tableoid::regclass::text FROM audit_journal LIMIT 1")
        assert part != "audit_journal_default"
        with pytest.raises(errors.InsufficientPrivilege, match="append-only"):
            owner.execute(statement.format(part=part))


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("UPDATE audit_database SET purpose = 'production'", errors.CheckViolation),
        ("DELETE FROM audit_database", errors.CheckViolation),
        ("TRUNCATE audit_database", errors.CheckViolation),
        ("INSERT INTO audit_database (purpose) VALUES ('demo')", errors.UniqueViolation),
        ("INSERT INTO audit_database (id, purpose) VALUES (2, 'demo')", errors.CheckViolation),
    ],
)
def test_what_a_database_is_for_is_said_once(db, statement, error):
    with db.owner() as owner, pytest.raises(error):
        owner.execute(statement)


def test_a_production_database_has_the_clock_of_the_world(committed, owner):
    owner.execute("ALTER TABLE audit_database DISABLE TRIGGER keep_purpose")  # as if it had been made so
    owner.execute("UPDATE audit_database SET clock_offset = '0', purpose = 'production'")
    with pytest.raises(errors.CheckViolation, match="audit_database_clock"):
        owner.execute("UPDATE audit_database SET clock_offset = '1 second'")


# --- Partitions ------------------------------------------------------------------------------------------------------


def months(owner: psycopg.Connection) -> set[str]:
    """The months that have a partition of their own."""
    names = owner.execute("SELECT relname FROM pg_class WHERE relname ~ '^audit_journal_[0-9]{6}$'").fetchall()
    return {name.removeprefix("audit_journal_") for (name,) in names}


def test_partitions_are_made_a_year_ahead(db):
    ahead = {f"{2025 + (3 + n) // 12}{(3 + n) % 12 + 1:02}" for n in range(PARTITIONS_AHEAD)}
    assert PARTITIONS_AHEAD > 12
    with db.owner() as owner:
        assert ahead <= months(owner)


@pytest.mark.parametrize(
    ("moment", "part"),
    [
        (datetime(2025, 4, 30, 23, 59, 50, tzinfo=TAIPEI), "audit_journal_202504"),
        (datetime(2025, 5, 1, tzinfo=TAIPEI), "audit_journal_202505"),  # the month of Taipei, not of the server
        (datetime(2035, 5, 1, tzinfo=TAIPEI), "audit_journal_default"),  # nobody made partitions: nothing is lost
    ],
)
def test_an_entry_lies_in_the_partition_of_its_month(committed, owner, moment, part):
    set_clock(owner, moment)
    with acting(committed, 0) as connection_:
        connection_.execute("INSERT INTO audit_journal (action) VALUES ('test.part')")
    assert one(owner, "SELECT tableoid::regclass::text FROM audit_journal WHERE action = 'test.part'") == part


def test_partitions_made_late_leave_alone_what_lies_in_the_default_one(committed, owner):
    late = datetime(2035, 5, 15, tzinfo=TAIPEI)
    set_clock(owner, late)
    with acting(committed, 0) as connection_:
        connection_.execute("INSERT INTO audit_journal (action) VALUES ('test.part')")
    make = "SELECT audit_make_partitions(%s, 3)"
    assert one(owner, make, [late.date()]) == 2
    assert one(owner, make, [late.date()]) == 0, "made once"
    assert {"203506", "203507"} <= months(owner)
    assert "203505" not in months(owner)
    set_clock(owner, late + timedelta(days=31))
    with acting(committed, 0) as connection_:
        connection_.execute("INSERT INTO audit_journal (action) VALUES ('test.part')")
    parts = owner.execute("SELECT tableoid::regclass::text FROM audit_journal WHERE action = 'test.part' ORDER BY at")
    assert parts.fetchall() == [("audit_journal_default",), ("audit_journal_203506",)]
    with pytest.raises(errors.InsufficientPrivilege, match="append-only"):
        owner.execute("TRUNCATE audit_journal_203506")


@pytest.mark.parametrize("zone", ["UTC", "America/Los_Angeles", "Pacific/Kiritimati"])
def test_partitions_begin_at_midnight_in_taipei_whatever_the_session(db, zone):
    with psycopg.connect(db.owner_url) as owner:
        _check_bounds(owner, zone)
        owner.rollback()


def _check_bounds(owner: psycopg.Connection, zone: str) -> None:
    owner.execute(f"SET TIME ZONE '{zone}'")
    owner.execute("SELECT audit_make_partitions('2036-03-31', 2)")
    bounds = owner.execute(
        "SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname IN ('audit_journal_203603',"
        " 'audit_journal_203604') ORDER BY relname"
    ).fetchall()
    owner.execute("SET TIME ZONE 'Asia/Taipei'")
    shown = one(owner, "SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = 'audit_journal_203603'")
    assert len(bounds) == 2
    assert shown == "FOR VALUES FROM ('2036-03-01 00:00:00+08') TO ('2036-04-01 00:00:00+08')"
