"""SQL as somebody types it who has a role's password: no service, no rule, only what the database holds by itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import uuid4

import psycopg

from . import world


@contextmanager
def acting(database: Any, scope: int | None, account: int | None = None) -> Iterator[psycopg.Connection]:
    """One transaction as the application role in a scope (None: nobody sets one); commits at the end."""
    with database.app() as connection:
        set_scope(connection, scope, account)
        yield connection


def set_scope(connection: psycopg.Connection, scope: int | None, account: int | None = None) -> None:
    """Set the scope of the transaction, as institutions_enter does."""
    if scope is not None:
        connection.execute("SELECT set_config('quitledger.scope', %s, true)", [str(scope)])
        connection.execute("SELECT set_config('quitledger.account', %s, true)", [str(account or "")])


def one(connection: psycopg.Connection, query: str, values: Any = None) -> Any:
    """The first column of the first row."""
    row = connection.execute(query, values).fetchone()
    return row and row[0]


def set_clock(owner: psycopg.Connection, moment: datetime) -> None:
    """Shift the programme clock so that it is `moment` now."""
    owner.execute("UPDATE audit_database SET clock_offset = %s - clock_timestamp()", [moment])


@dataclass(frozen=True)
class Keys:
    """The primary keys that rows of a case repeat, and of an account and a staff member of its institution."""

    case: int
    person: int
    institution: int
    account: int
    staff: int


_AT = {
    world.CLINIC: ("recorder", "示範丑"),
    world.PHARMACY: ("stranger", "示範卯"),
    world.HOSPITAL: ("nowhere", "示範辰"),
}


def keys(owner: psycopg.Connection, name: str = "示範甲", institution_code: str = world.CLINIC) -> Keys:
    """The keys of a person of the world as an institution knows him."""
    uid = world.uid(f"case {name} {institution_code}")
    username, staff_name = _AT[institution_code]
    row = owner.execute("SELECT id, person_id, institution_id FROM cases_case WHERE uid = %s", [uid]).fetchone()
    assert row is not None
    return Keys(
        *row,
        account=one(owner, "SELECT id FROM accounts_user WHERE username = %s", [username]),
        staff=one(owner, "SELECT id FROM institutions_staffmember WHERE name = %s", [staff_name]),
    )


def open_month(connection: psycopg.Connection, institution: int, day: date) -> Any:
    """Open the service month of a day, as record_visits does; its closing moment, or None."""
    return one(connection, "SELECT closes_at FROM visits_open_months(%s, %s)", [[institution], [day.replace(day=1)]])


def insert_visit(connection: psycopg.Connection, at: Keys, day: date, **values: Any) -> int:
    """A visit without a service: the application role cannot commit it alone. Returns its id."""
    row = {"uid": uuid4(), "case_id": at.case, "person_id": at.person, "institution_id": at.institution,
           "visit_on": day, "pregnant": False, "note": "", "in_force": True, "version": 1,
           "change_reason": "", **values}  # fmt: skip
    return insert(connection, "visits_visit", row)


def insert_service(
    connection: psycopg.Connection, at: Keys, visit: int, day: date, kind: str = "counselling", **values: Any
) -> int:
    """A service of a visit, 5 days from the next. Returns its id."""
    mode = "in_person" if kind == "counselling" else ""
    row = {"visit_id": visit, "person_id": at.person, "institution_id": at.institution, "visit_on": day,
           "in_force": True, "kind": kind, "staff_id": at.staff, "counselling_mode": mode, "spacing_days": 5,
           "entry_uid": uuid4(), "version": 1, **values}  # fmt: skip
    return insert(connection, "visits_service", row)


def insert_line(connection: psycopg.Connection, at: Keys, visit: int, service: int, **values: Any) -> int:
    """A medicine of a service. Returns its id."""
    row = {"service_id": service, "visit_id": visit, "institution_id": at.institution, "medicine_code": world.PATCH,
           "supply_weeks": 2, "supply_days": 14, "version": 1, **values}  # fmt: skip
    return insert(connection, "visits_medicationline", row)


def record(connection: psycopg.Connection, at: Keys, day: date, *kinds: str) -> int:
    """A whole visit with the services of `kinds` (counselling where none is named), its month opened before."""
    open_month(connection, at.institution, day)
    visit = insert_visit(connection, at, day)
    for kind in kinds or ("counselling",):
        service = insert_service(connection, at, visit, day, kind)
        if kind == "medication":
            insert_line(connection, at, visit, service)
    return visit


def insert(connection: psycopg.Connection, table: str, row: dict[str, Any]) -> int:
    """One row. Returns its id."""
    names, places = ", ".join(row), ", ".join(f"%({name})s" for name in row)
    return one(connection, f"INSERT INTO {table} ({names}) VALUES ({places}) RETURNING id", row)
