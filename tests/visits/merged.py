"""Two persons who are one: at two institutions, or twice at one; what the tests of merges stand on."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any
from uuid import UUID, uuid4

from django.db import connection

from quitledger.accounts.actors import SYSTEM, Actor
from quitledger.accounts.scope import scoped
from quitledger.cases.models import Case, Merge, Person
from quitledger.cases.services import Registration, register_case
from quitledger.policy import TAIPEI
from quitledger.policy.identity import make_up
from quitledger.policy.problem import Refused
from quitledger.visits.merge_services import merge_persons, undo_merge
from quitledger.visits.models import Visit
from quitledger.visits.rules import Counselling, Entry
from quitledger.visits.services import record_visits

from .. import world

BIRTH_ON, MISTYPED = date(1985, 6, 7), date(1985, 7, 6)
AT = {world.CLINIC: ("recorder", "示範子"), world.PHARMACY: ("stranger", "示範卯")}


def at(institution_code: str) -> Actor:
    """The recorder of an institution."""
    return world.actor(AT[institution_code][0])


def registered(serial: int, institution_code: str, name: str, birth_on: date = BIRTH_ON, **changes: Any) -> Case:
    """Somebody registered by the recorder of an institution."""
    by = at(institution_code)
    entry = Registration(uuid4(), "national_id", make_up(serial), "", birth_on, "male", name, **changes)
    with scoped(by):
        case = register_case(entry, today=world.TODAY, made_up_allowed=True, by=by)
        return Case.objects.select_related("person").get(pk=case.pk)


def counselled(case: Case, day: date, institution_code: str, *, recorded_at: datetime | None = None) -> Visit:
    """A counselling visit, recorded by the recorder of the case's institution; as the owner where `recorded_at` is given."""
    by = at(institution_code)
    with scoped(SYSTEM):
        staff = world.staff(AT[institution_code][1]).uid
    actor = by if recorded_at is None else Actor(by.account_id, by.scope, None, system=True)
    with scoped(actor):
        case = Case.objects.select_related("person").get(pk=case.pk)
        entry = Entry(uuid4(), day, time(9, 0), counselling=Counselling(staff))
        (outcome,) = record_visits([(case, entry)], by=actor, recorded_at=recorded_at and [recorded_at])
        assert outcome.visit, outcome.problems
        return outcome.visit


@dataclass
class Twins:
    """Somebody known as `kept` and as `merged`, each with one case or more."""

    kept: Case
    merged: Case


def officer() -> Actor:
    return world.actor("desk_officer")


def merge(twins: Twins, *, uid: UUID | None = None, reason: str = "生日填錯，同一人", by: Actor | None = None) -> Merge:
    """The desk merges them, as it finds them now."""
    by = by or officer()
    with scoped(SYSTEM):
        kept, merged = (Person.objects.get(pk=case.person_id) for case in (twins.kept, twins.merged))
    with scoped(by):
        return merge_persons(uid=uid or uuid4(), kept=kept, merged=merged, reason=reason, by=by)


def undo(
    made: Merge, *, reason: str = "其實是兩個人", staying: tuple[UUID, ...] = (), by: Actor | None = None
) -> Merge:
    """The desk takes a merge back."""
    by = by or officer()
    with scoped(by):
        return undo_merge(merge=Merge.objects.get(pk=made.pk), reason=reason, staying=staying, by=by)


def refusals(work: Callable[[], Any]) -> list[str]:
    """The codes of the reasons for which something is refused; none where it was done."""
    with suppress(Refused):
        work()
        return []
    try:
        work()
    except Refused as refused:
        return [problem.code for problem in refused.problems]
    return ["done the second time"]


def rows(sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """What a statement finds in a scope that sees all."""
    with scoped(SYSTEM), connection.cursor() as cursor:
        cursor.execute(sql, list(values))
        return cursor.fetchall()


def standing() -> dict[str, list[tuple[Any, ...]]]:
    """Where every record stands, and the courses: what a merge changes and its undoing brings back."""
    return {
        "cases": rows("SELECT id, person_id, institution_id FROM cases_case ORDER BY 1"),
        "visits": rows("SELECT id, case_id, person_id, visit_on, in_force, recorded_at FROM visits_visit ORDER BY 1"),
        "services": rows("SELECT id, visit_id, person_id, visit_on, in_force FROM visits_service ORDER BY 1"),
        "baselines": rows("SELECT id, case_id, person_id, taken_on FROM cases_baseline ORDER BY 1"),
        "courses": rows("SELECT person_id, institution_id, kind, course_year, course_no, first_on FROM visits_course"
                        " ORDER BY 1, 3, 4, 5"),
        "persons": rows("SELECT id, birth_on, merged_into_id FROM cases_person ORDER BY 1"),
    }  # fmt: skip


def later(hours: int) -> datetime:
    return datetime(2025, 4, 1, 9 + hours, tzinfo=TAIPEI)
