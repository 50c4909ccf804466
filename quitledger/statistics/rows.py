"""The rows that a cell counts: the statement beside the indicator's (`<name>.rows.sql`); a test counts them for every cell."""

from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from django.db import connection

from quitledger.accounts.actors import Actor
from quitledger.accounts.permissions import Permission
from quitledger.accounts.scope import counting
from quitledger.institutions.models import Profession
from quitledger.policy.sentences import Words
from quitledger.visits.rules import LABELS

from .indicators import Grouping, Indicator, Part, indicators
from .measures import GROUPS, Basis, Period, parameters

_PAGE = "LIMIT %(limit)s OFFSET %(offset)s"


@dataclass(frozen=True)
class Behind:
    """A cell: of which indicator, period, group; and which of its two counts is opened. Of people and means: the services."""

    name: str
    period: Period
    grouping: Grouping = Grouping.TOTAL
    group: Any = None
    part: Part = Part.NUMERATOR
    basis: Basis = Basis.ANY_DAY

    @property
    def indicator(self) -> Indicator:
        """What is counted."""
        return indicators()[self.name]

    @property
    def values(self) -> dict[str, Any]:
        """The values of the statement."""
        return {**parameters(self.period, self.basis), "of": self.group}

    @property
    def statement(self) -> str:
        """The rows of both counts of the cell. Raises ValueError for a grouping that the indicator does not have."""
        if self.grouping not in self.indicator.groupings:
            raise ValueError(f"{self.name} is not grouped by {self.grouping}")
        of = f"{GROUPS[self.grouping]} IS NOT DISTINCT FROM %(of)s" if self.grouping is not Grouping.TOTAL else "true"
        return self.indicator.rows.format(of=of)


@dataclass(frozen=True)
class InstitutionOrStaff:
    """A row of tables 1 and 2: an institution under contract, or a member of staff with where he has one; and whether it served."""

    code: str | None
    name: str | None
    last_on: date
    executing: bool
    staff_uid: UUID | None = None
    profession: str = ""
    staff: str = ""


@dataclass(frozen=True)
class ServiceCounted:
    """A row of table 3: a service of a visit. Nothing of the person."""

    visit_uid: UUID
    visit_on: date
    service: str
    code: str | None
    name: str | None


def count_contracts(behind: Behind, *, by: Actor) -> tuple[int, int]:
    """How many institutions or staff executed, and had a contract. Raises PermissionDenied."""
    by.require(Permission.STATISTICS_READ)
    with counting(by):
        executing, contracted = _one(
            f"SELECT count(*) FILTER (WHERE executing), count(*) FROM ({behind.statement}) r",  # noqa: S608 - our own statement
            behind,
        )
    return executing, contracted


def contracts(behind: Behind, *, by: Actor, limit: int, offset: int = 0) -> list[InstitutionOrStaff]:
    """The institutions or staff that the cell counts, by code. Raises PermissionDenied.

    Who of the staff it is, is told only to whom the lists of the desk are open; journal that read.
    """
    by.require(Permission.STATISTICS_READ)
    only = "WHERE executing" if behind.part is Part.NUMERATOR else ""
    is_staff = "t.uid" in behind.indicator.rows
    order = "code NULLS LAST, uid" if is_staff else "code NULLS LAST"
    with counting(by):
        rows = _all(f"SELECT * FROM ({behind.statement}) r {only} ORDER BY {order} {_PAGE}", behind, limit, offset)  # noqa: S608 - ours
    named = by.may(Permission.REGISTER_READ)
    return [
        InstitutionOrStaff(
            code, name, day, executing,
            *((staff[0] if named else None, Words(Profession(staff[1]).label), staff[2] if named else "") if staff else ()),
        )
        for code, name, day, executing, *staff in rows
    ]  # fmt: skip


def count_services(behind: Behind, *, by: Actor) -> tuple[int, int]:
    """How many services the cell counts, and of how many people, exactly: for whom visits are open. Raises PermissionDenied."""
    by.require(Permission.STATISTICS_READ)
    by.require(Permission.VISIT_READ)
    services, persons = _one(f"SELECT count(*), count(DISTINCT person_id) FROM ({behind.statement}) r", behind)  # noqa: S608 - ours
    return services, persons


def services(behind: Behind, *, by: Actor, limit: int, offset: int = 0) -> list[ServiceCounted]:
    """The services that the cell counts, the latest first, within the actor's scope. Raises PermissionDenied. Journal the read."""
    by.require(Permission.STATISTICS_READ)
    by.require(Permission.VISIT_READ)
    rows = _all(
        "SELECT v.uid, r.visit_on, r.kind, r.code, r.name FROM (SELECT * FROM"  # noqa: S608 - ours
        f" ({behind.statement}) r ORDER BY r.visit_on DESC, r.id {_PAGE}) r"
        " JOIN visits_visit v ON v.id = r.visit_id ORDER BY r.visit_on DESC, r.id",
        behind, limit, offset,
    )  # fmt: skip
    return [ServiceCounted(uid, day, LABELS[kind], code, name) for uid, day, kind, code, name in rows]


def _one(statement: str, behind: Behind) -> tuple[int, int]:
    with connection.cursor() as cursor:
        cursor.execute(statement, behind.values)
        first, second = cursor.fetchone()
    return first, second


def _all(statement: str, behind: Behind, limit: int, offset: int) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, behind.values | {"limit": limit, "offset": offset})
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows
