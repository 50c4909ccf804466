"""No way around the desk: SQL as the application role, on every PostgreSQL found, against closed months."""

from collections.abc import Callable
from contextlib import suppress
from datetime import date
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import errors

from quitledger.corrections.rules import TRANSITIONS, State
from quitledger.corrections.services import sign_application

from .. import world
from ..conftest import TEMPLATE, Database, Prepare
from ..sql import acting, one
from .scene import FEBRUARY_15, changing, claimed, decided, late, recorded, sent, step, submitted

pytestmark = pytest.mark.engine
FEBRUARY_3 = date(2025, 2, 3)


def closed_visit(database: Database) -> UUID:
    return recorded(database, FEBRUARY_3)


def sent_application(database: Database) -> Any:
    return sent(lambda: [late()])


def decided_application(database: Database) -> Any:
    return decided(claimed(lambda: [late()]))


BEFORE: dict[str, Callable[[Database], Any]] = {
    "closed": closed_visit, "waiting": sent_application, "approved": decided_application,
}  # fmt: skip


@pytest.fixture
def origin(request: pytest.FixtureRequest, prepare: Prepare) -> str:
    return next((prepare(BEFORE[name])[0].name for name in request.fixturenames if name in BEFORE), TEMPLATE)


@pytest.fixture
def closed(committed: Any, prepare: Prepare) -> UUID:
    """A visit of a month that is closed."""
    return prepare(closed_visit)[1]


@pytest.fixture
def waiting(committed: Any) -> None:
    """There is an application that the clinic has sent."""


@pytest.fixture
def approved(committed: Any) -> None:
    """There is an application that the desk has decided."""


def accounts(owner: psycopg.Connection) -> dict[str, int]:
    return dict(owner.execute("SELECT username, id FROM accounts_user").fetchall())


def clinic() -> int:
    with step("desk_officer"):
        return world.institution_id()


CHANGED = "UPDATE visits_visit SET note = 'x', version = version + 1{set} WHERE uid = %(visit)s"


@pytest.mark.parametrize(
    "statement",
    [
        CHANGED.format(set=""),
        CHANGED.format(set=", authority = %(some)s"),
        CHANGED.format(set=", late_entry = %(some)s"),
        CHANGED.format(set=", permit = %(some)s"),
        CHANGED.format(set=", in_force = false"),
        "UPDATE visits_service SET version = version + 1 WHERE visit_id = (SELECT id FROM visits_visit WHERE uid = %(visit)s)",
        "DELETE FROM visits_service WHERE visit_id = (SELECT id FROM visits_visit WHERE uid = %(visit)s)",
        "INSERT INTO visits_visit (uid, case_id, person_id, institution_id, visit_on, pregnant, note, in_force, version,"
        " change_reason) SELECT gen_random_uuid(), case_id, person_id, institution_id, '2025-02-20', false, '', true, 1, ''"
        " FROM visits_visit WHERE uid = %(visit)s",
    ],
)
@pytest.mark.parametrize("username", ["recorder", "supervisor", "desk_officer"])
def test_nobody_changes_a_closed_visit_without_an_unused_permit(
    statement: str, username: str, committed: Any, owner: Any, closed: UUID
) -> None:
    who = accounts(owner)[username]
    with pytest.raises((errors.CheckViolation, errors.InsufficientPrivilege)), acting(committed, clinic(), who) as sql:
        sql.execute(statement, {"visit": closed, "some": uuid4()})
    assert one(owner, "SELECT version FROM visits_visit WHERE uid = %s", [closed]) == 1
    assert one(owner, "SELECT count(*) FROM visits_visit") == 1


def permit(
    owner: Any, application: UUID, visit: UUID, changes: dict[str, Any] | None = None
) -> tuple[str, dict[str, Any]]:
    """The statement that gives a permit for what an application asks, and what it says."""
    row = owner.execute(
        "SELECT a.uid, a.person_id, a.institution_id, a.written_by_id, a.signed_by_id FROM corrections_application a"
        " WHERE a.uid = %s", [application],
    ).fetchone()  # fmt: skip
    names = ("application", "person_id", "institution_id", "applied_by_id", "signed_by_id")
    said = dict(zip(names, row, strict=True)) | {
        "uid": uuid4(), "visit": visit, "kind": "change", "expected_version": 1, "from_on": FEBRUARY_3,
        "visit_on": FEBRUARY_3, "is_late": False, "decided_by_id": accounts(owner)["desk_officer"],
    } | (changes or {})  # fmt: skip
    return f"INSERT INTO visits_permit ({', '.join(said)}) VALUES ({', '.join(f'%({name})s' for name in said)})", said


@pytest.mark.parametrize(
    ("username", "scope", "changes"),
    [
        ("recorder", "desk", {}),  # an account that is none of the desk's
        ("analyst", "desk", {}),
        ("desk_supervisor", "desk", {}),  # somebody else claimed it
        ("desk_officer", "clinic", {}),  # not as the desk
        ("desk_officer", "desk", {"kind": "void"}),  # nobody asked for that
        ("desk_officer", "desk", {"visit_on": date(2025, 2, 4)}),
        ("desk_officer", "desk", {"expected_version": 2}),
        ("desk_officer", "desk", {"visit": uuid4()}),
        ("desk_officer", "desk", {"signed_by_id": None}),
        ("desk_officer", "desk", {"application": uuid4()}),
    ],
)
def test_a_permit_comes_of_an_application_that_is_being_decided_by_the_one_who_gives_it(
    username: str, scope: str, changes: dict[str, Any], committed: Any, owner: Any, closed: UUID
) -> None:
    application = claimed(lambda: [changing(closed, note="更正")])
    statement, said = permit(owner, application.uid, closed, changes)
    at = 0 if scope == "desk" else clinic()
    with pytest.raises(psycopg.Error), acting(committed, at, accounts(owner)[username]) as sql:
        sql.execute(statement, said)
    assert one(owner, "SELECT count(*) FROM visits_permit") == 0


def test_an_application_that_nobody_claimed_gives_no_permit(committed: Any, owner: Any, closed: UUID) -> None:
    application = sent(lambda: [changing(closed, note="更正")])
    statement, said = permit(owner, application.uid, closed)
    with pytest.raises(errors.CheckViolation), acting(committed, 0, accounts(owner)["desk_officer"]) as sql:
        sql.execute(statement, said)


def test_a_permit_is_used_once_by_the_version_that_it_names(committed: Any, owner: Any, closed: UUID) -> None:
    application = claimed(lambda: [changing(closed, note="更正")])
    decided(application)
    uid = one(owner, "SELECT uid FROM visits_permit")
    who = accounts(owner)["desk_officer"]
    again = CHANGED.format(set=", permit = %(uid)s")
    with pytest.raises(errors.CheckViolation), acting(committed, clinic(), who) as sql:
        sql.execute("UPDATE visits_visit SET note = 'y', version = version + 1 WHERE uid = %s", [closed])
    with pytest.raises(errors.CheckViolation), acting(committed, clinic(), who) as sql:
        sql.execute(again, {"visit": closed, "uid": uid})
    for statement in ("UPDATE visits_permit SET used_at = NULL, used_xid = NULL", "DELETE FROM visits_permit"):
        with pytest.raises(errors.InsufficientPrivilege), acting(committed, 0, who) as sql:
            sql.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE corrections_application SET state = 'approved', version = version + 1",
        "UPDATE corrections_application SET state = 'in_review', version = version + 1, claimed_by_id = %(me)s",
        "UPDATE corrections_application SET reason = 'x', version = version + 1",
        "UPDATE corrections_application SET state = 'draft', version = version + 1",
        "UPDATE corrections_application SET state = 'withdrawn'",  # no next version
        "UPDATE corrections_item SET visit_on = '2025-02-01'",
        "UPDATE corrections_item SET contents = '{}'",
        "UPDATE corrections_item SET decision = 'approved'",
        "UPDATE corrections_item SET taken_out = true",
        "DELETE FROM corrections_item",
        "UPDATE corrections_steptaken SET text = 'x'",
        "DELETE FROM corrections_steptaken",
        "DELETE FROM corrections_application",
        "UPDATE corrections_serial SET last = 0",
    ],
)
def test_what_was_sent_stays_as_it_was_sent(statement: str, waiting: None, committed: Any, owner: Any) -> None:
    before = owner.execute("SELECT state, reason, version FROM corrections_application").fetchall()
    me = accounts(owner)["recorder"]
    with pytest.raises(psycopg.Error), acting(committed, clinic(), me) as sql:
        sql.execute(statement, {"me": me})
    assert owner.execute("SELECT state, reason, version FROM corrections_application").fetchall() == before


def test_nobody_signs_or_decides_in_anothers_name(committed: Any, owner: Any) -> None:
    application = submitted(lambda: [late()])
    who = accounts(owner)
    with pytest.raises(errors.CheckViolation), acting(committed, clinic(), who["recorder"]) as sql:
        sql.execute(
            "UPDATE corrections_application SET state = 'new', version = version + 1, signed_by_id = %s, single_person = true",
            [who["supervisor"]],
        )
    assert one(owner, "SELECT state FROM corrections_application WHERE uid = %s", [application.uid]) == "to_sign"


@pytest.mark.parametrize(
    "table",
    ["corrections_application", "corrections_item", "corrections_steptaken", "visits_permit",
     "corrections_application_history", "corrections_item_history"],
)  # fmt: skip
def test_another_institution_sees_nothing_of_it(table: str, approved: None, committed: Any, owner: Any) -> None:
    with step("desk_officer"):
        pharmacy = world.institution_id(world.PHARMACY)
    for scope, seen in ((pharmacy, False), (clinic(), True), (0, True)):
        with acting(committed, scope, accounts(owner)["stranger"]) as sql:
            assert (one(sql, f"SELECT count(*) FROM {table}") > 0) is seen
    with pytest.raises(psycopg.Error), acting(committed, None) as sql:
        sql.execute(f"SELECT * FROM {table}")


def test_the_database_knows_the_same_ways_as_the_rules(committed: Any, owner: Any) -> None:
    ways = {
        (before, after)
        for way in TRANSITIONS.values()
        for before in way.from_states
        for after in way.to_states
        if before
    }
    for before in State:
        for after in State:
            leads = one(owner, "SELECT corrections_leads(%s, %s)", [before, after])
            assert leads is ((before, after) in ways), (before, after)


def test_a_case_number_is_used_up_by_what_commits_alone(committed: Any, owner: Any) -> None:
    first = sent(lambda: [late()])
    second = submitted(lambda: [late(date(2025, 2, 1))])
    with suppress(RuntimeError), step("supervisor") as by:
        sign_application(application=second, version=second.version, by=by)
        raise RuntimeError
    third = sent(lambda: [late(FEBRUARY_15)], "示範乙")
    assert (first.case_no, third.case_no) == ("114-04-0001", "114-04-0002")
