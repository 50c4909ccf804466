"""The only writers of runs, and of what they empty. Each is one transaction with its audit entry, and takes `by=`.

As the owner, in the scope of the person who plans or confirms: the application role has no right to any of it.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db import connection, transaction

from quitledger.accounts.actors import Actor
from quitledger.accounts.permissions import Permission
from quitledger.audit import journal
from quitledger.audit.database import ProgrammeNow
from quitledger.audit.keeping import KeptTable, kept_tables
from quitledger.policy.problem import Problem, Refused

from . import rules
from .models import PlannedPerson, Run

_CODE_SIGNS, _GROUP = 16, 4


@dataclass(frozen=True)
class Ended:
    """People of one identity number (one, unless a birth date was mistyped somewhere) whose keeping time has ended."""

    persons: tuple[int, ...]
    kept_until: date
    institutions: int


@dataclass
class Plan:
    """A plan that was made, with what to say of it."""

    run: Run
    until: Counter[date] = field(default_factory=Counter)  # the day until which records are kept → people
    institutions: Counter[int] = field(default_factory=Counter)  # how many institutions knew them → people


def plan_run(*, today: date, by: Actor) -> Plan | None:
    """Find everybody whose keeping time has ended, and keep the list as a plan. None where there is nobody.

    Raises PermissionDenied.
    """
    by.require(Permission.RETENTION_PLAN)
    if by.account_id is None:
        raise PermissionDenied("an account")  # two people answer for a run
    with transaction.atomic():
        ended = list(_ended(today))
        if not ended:
            return None
        until = {person: group.kept_until for group in ended for person in group.persons}
        run = Run.objects.create(
            code=_code(until, planned_by=by.account_id, as_of=today), as_of=today, people=len(until),
            planned_by_id=by.account_id,
        )  # fmt: skip
        PlannedPerson.objects.bulk_create(
            [PlannedPerson(run=run, person_id=person, kept_until=day) for person, day in until.items()],
            batch_size=5_000,
        )
        journal.record(Permission.RETENTION_PLAN, record_type="retention_run", uids=[run.uid], fields=["kept_until"])
    plan = Plan(run)
    for group in ended:
        plan.until[group.kept_until] += len(group.persons)
        plan.institutions[group.institutions] += len(group.persons)
    return plan


def confirm_run(*, code: str, by: Actor) -> Run:
    """Confirm a plan by its code, as the second person; or go on with a run that was confirmed and cut off.

    Raises PermissionDenied, and Refused where there is no such plan, where it is the actor's own, or where another version
    of the programme would empty other columns than the plan said.
    """
    by.require(Permission.RETENTION_RUN)
    with transaction.atomic():
        typed = "".join(sign for sign in code.lower() if sign.isalnum())
        run = Run.objects.select_for_update().filter(code=typed).first()
        if run is None:
            raise Refused([Problem("plan-unknown", "沒有這個代碼的清除計畫。")])
        if run.planned_by_id == by.account_id:
            raise Refused([Problem("plan-own", "計畫須由擬定者以外的另一個人確認。")])
        until = dict(run.persons.values_list("person_id", "kept_until"))
        if run.code != _code(until, planned_by=run.planned_by_id, as_of=run.as_of):
            raise Refused([Problem("plan-differs", "計畫與代碼不符，或程式要清除的欄位已經改變。請重新擬定計畫。")])
        if run.confirmed_at is None:
            run.confirmed_by_id, run.confirmed_at = by.account_id, ProgrammeNow()
            run.save(update_fields=["confirmed_by", "confirmed_at"])
        journal.record(Permission.RETENTION_RUN, record_type="retention_run", uids=[run.uid])
    return Run.objects.get(pk=run.pk)


def empty_some(run: Run, *, today: date, limit: int, by: Actor) -> int:
    """Empty the next people of a run, at most `limit`: rows and all their versions. Returns how many were looked at.

    Inside audit.rewriting.rewriting() of the run. Who has a younger record since the plan is kept. 0: the run is over,
    and finished. Raises PermissionDenied, and Refused where nobody confirmed the run.
    """
    by.require(Permission.RETENTION_RUN)
    if run.confirmed_at is None:
        raise Refused([Problem("plan-not-confirmed", "這個清除計畫還沒有人確認。")])
    with transaction.atomic():
        waiting = PlannedPerson.objects.filter(run=run, outcome="").order_by("person_id")
        persons = list(waiting.values_list("person_id", flat=True)[:limit])
        if not persons:
            Run.objects.filter(pk=run.pk, finished_at=None).update(finished_at=ProgrammeNow())
            return 0
        uids = _locked(persons)
        # Asked under the lock: whoever was recording for one of them has committed by now.
        ended = {person for group in _ended(today, persons) for person in group.persons} & set(persons)
        for table in kept_tables():
            _empty(table, run, sorted(ended))
        for outcome, done in (("emptied", ended), ("kept", set(persons) - ended)):
            PlannedPerson.objects.filter(run=run, person_id__in=done).update(outcome=outcome)
        if ended:
            journal.record(
                Permission.RETENTION_RUN, record_type="person", uids=[uids[person] for person in sorted(ended)],
                fields=sorted({column for table in kept_tables() for column in table.keeping.emptied}),
            )  # fmt: skip
    return len(persons)


def outcomes(run: Run) -> dict[str, int]:
    """What became of the people of a run: outcome ("" where it was not their turn yet) → how many."""
    return dict(Counter(run.persons.values_list("outcome", flat=True)))


def clear_up() -> None:
    """Give the room of the old rows back, and forget what the planner kept of them. Outside a transaction."""
    with connection.cursor() as cursor:
        for table in kept_tables():
            cursor.execute(f"VACUUM (ANALYZE) {', '.join(_written(table))}")


def said(code: str) -> str:
    """A code in groups of four, to be read aloud."""
    return "-".join(code[first : first + _GROUP] for first in range(0, len(code), _GROUP))


# --- Whose time has ended --------------------------------------------------------------------------------------------


def _ended(today: date, persons: Sequence[int] | None = None) -> Iterator[Ended]:
    """Everybody (or of `persons`) whose keeping time has ended by `today`.

    People with one identity number count as one: who is known under two birth dates is kept as long as either. So do those
    who were merged: the number of one merged is found as long as who was kept in his place.
    """
    latest = rules.last_day_that_may_have_ended(today)
    if latest is None:
        return
    days = " UNION ALL ".join(
        f"SELECT {table.keeping.person} AS person_id, {day} AS day, {table.institution} AS institution_id FROM {table.name}"  # noqa: S608 - our own words
        for table in kept_tables()
        for day in table.days
    )
    asked = "" if persons is None else _OF_THESE
    with connection.cursor() as cursor:
        cursor.execute(
            f"{_MERGED} SELECT array_agg(DISTINCT p.id), max(p.birth_on), array_agg(DISTINCT d.day),"  # noqa: S608 - our own words
            f" count(DISTINCT d.institution_id) FROM cases_person p JOIN ({days}) d ON d.person_id = p.id"
            f" LEFT JOIN one ON one.identity_hash = p.identity_hash WHERE p.emptied_run IS NULL {asked}"
            f" GROUP BY coalesce(one.root, p.identity_hash) HAVING max(d.day) <= %(latest)s",
            {"latest": latest, "persons": list(persons or ())},
        )
        for found, birth_on, recorded, institutions in cursor.fetchall():
            until = rules.kept_until(recorded, birth_on)
            if until is not None and rules.has_ended(until, today):
                yield Ended(tuple(found), until, institutions)


# The numbers of persons who were merged, each with one number that stands for all of the same human being.
_MERGED = """
WITH RECURSIVE pair AS (
  SELECT m.identity_hash AS one, k.identity_hash AS other FROM cases_person m JOIN cases_person k ON k.id = m.merged_into_id
    WHERE m.merged_into_id IS NOT NULL AND m.identity_hash IS NOT NULL AND k.identity_hash IS NOT NULL),
reached AS (
  SELECT one AS identity_hash, one AS number FROM pair UNION SELECT other, other FROM pair
  UNION SELECT r.identity_hash, CASE r.number WHEN p.one THEN p.other ELSE p.one END
    FROM reached r JOIN pair p ON r.number IN (p.one, p.other)),
one AS (SELECT identity_hash, (array_agg(number ORDER BY number))[1] AS root FROM reached GROUP BY 1)
"""
_OF_THESE = """AND p.identity_hash IN (
  SELECT identity_hash FROM cases_person WHERE id = ANY (%(persons)s)
  UNION SELECT same.identity_hash FROM cases_person q JOIN one mine ON mine.identity_hash = q.identity_hash
    JOIN one same ON same.root = mine.root WHERE q.id = ANY (%(persons)s))
"""


def _code(until: dict[int, date], *, planned_by: int, as_of: date) -> str:
    """What a plan comes to, in so few signs that a person compares them."""
    whole = hashlib.sha256(f"{planned_by}:{as_of}\n".encode())
    for table in kept_tables():
        whole.update(f"{table.name}:{table.keeping.removed}:{sorted(table.keeping.emptied.items())}\n".encode())
    for person in sorted(until):
        whole.update(f"{person}:{until[person]}\n".encode())
    return whole.hexdigest()[:_CODE_SIGNS]


# --- Emptying --------------------------------------------------------------------------------------------------------


def _locked(persons: list[int]) -> dict[int, UUID]:
    """Locks people, so that whoever records for them waits; their uids."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, uid FROM cases_person WHERE id = ANY (%s) ORDER BY id FOR UPDATE", [persons])
        return dict(cursor.fetchall())


def _empty(table: KeptTable, run: Run, persons: list[int]) -> None:
    """Empty the columns of a table for these people: the rows, whose triggers leave an emptied version, then every
    version before. Where nothing is said any more, nothing is written."""
    keeping = table.keeping
    values: dict[str, Any] = {"run": run.pk, "persons": persons}
    theirs = f"{keeping.person} = ANY (%(persons)s)"
    with connection.cursor() as cursor:
        if keeping.removed:
            cursor.execute(f"DELETE FROM {table.name} WHERE {theirs}", values)  # noqa: S608 - our own words
        elif keeping.emptied:
            emptied: dict[str, Any] = {**keeping.emptied, **({keeping.run: "%(run)s"} if keeping.run else {})}
            cursor.execute(
                f"UPDATE {table.name} SET {_assigned(emptied | dict(table.stamped))}"  # noqa: S608 - our own words
                f" WHERE {theirs} AND ({table.differs()})",
                values,
            )
            cursor.execute(
                f"UPDATE {table.name}_history SET {_assigned(emptied)}"  # noqa: S608 - our own words
                f" WHERE id IN (SELECT id FROM {table.name} WHERE {theirs}) AND ({table.differs()})",
                values,
            )


def _assigned(values: dict[str, Any]) -> str:
    return ", ".join(f"{column} = {value}" for column, value in values.items())


def _written(table: KeptTable) -> list[str]:
    """The tables that emptying writes to."""
    if table.keeping.removed:
        return [table.name]
    return [table.name, f"{table.name}_history"] if table.keeping.emptied else []
