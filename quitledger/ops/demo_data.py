"""Writes the demo data (demo_story.py) through the services: institutions, staff, accounts, people, a year of visits.

The same day, number of persons and seed give the same world. Left out, because they exist only through an approved
application: visits recorded after the window.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import uuid4

from django.contrib.auth.hashers import make_password
from django.db import connection
from django.db.models import prefetch_related_objects

from quitledger.accounts.actors import SYSTEM, Actor
from quitledger.accounts.models import User
from quitledger.accounts.permissions import Role
from quitledger.accounts.scope import scoped
from quitledger.accounts.services import add_account
from quitledger.audit import journal
from quitledger.cases.services import record_baselines, register_cases
from quitledger.institutions.lists import InstitutionRow
from quitledger.institutions.membership_services import add_membership
from quitledger.institutions.models import Institution
from quitledger.institutions.services import record_institution, record_staff
from quitledger.policy import TAIPEI
from quitledger.policy.problem import Problem
from quitledger.selfcheck.services import record_address
from quitledger.visits.services import record_medicine, record_visits

from . import demo_story
from .demo_story import Colleague, Someone, Teller

PASSWORD = "demo-leaf-77-river"  # noqa: S105 - of made-up people, in a database that says so on every page
_AT_ONCE = 300  # visits given to record_visits in one call


@dataclass
class Loaded:
    """How much was written."""

    institutions: int = 0
    staff: int = 0
    persons: int = 0
    baselines: int = 0
    visits: int = 0


def loaded_on() -> date | None:
    """The day, by the programme clock, for which the demo data were loaded; None where they were not."""
    moment = one("SELECT max(at) FROM audit_journal WHERE action = 'demo.load'")
    return moment and moment.astimezone(TAIPEI).date()


def holds_other_data() -> bool:
    """Whether institutions were recorded here, by whatever means."""
    return Institution.objects.exists()


def load(*, persons: int, seed: int, tell: Callable[[str], None] = lambda line: None) -> Loaded:
    """Fill a database: all of it or, when something goes wrong, nothing. Runs as the owner role.

    `tell` is given a line for each institution. Raises RuntimeError where a rule refuses what was made up.
    """
    token = journal.request_uid.set(uuid4())
    try:
        with scoped(SYSTEM):
            loaded = _load(persons, seed, tell)
            journal.record("demo.load", record_type="database")
    finally:
        journal.request_uid.reset(token)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return loaded


def _load(persons: int, seed: int, tell: Callable[[str], None]) -> Loaded:
    now = one("SELECT programme_now()").astimezone(TAIPEI)
    today = now.date()
    chance = random.Random(f"{seed} {today} {persons}")  # noqa: S311 - made-up data, no secret
    for medicine in demo_story.medicines(today):
        record_medicine(medicine, by=SYSTEM)
    rows = demo_story.institutions(today)
    institutions = {row.code: record_institution(row, by=SYSTEM).record.institution for row in rows}
    colleagues = {
        code: [Colleague(record_staff(row, by=SYSTEM).record.staff.uid, row) for row in staff]
        for code, staff in demo_story.staff(rows, today, chance).items()
    }
    recorders = add_memberships(add_accounts(), institutions, today)
    residents = demo_story.residents(rows, demo_story.people(persons, today, chance), chance)
    everyone = {colleague.uid for staff in colleagues.values() for colleague in staff}
    loaded = Loaded(institutions=len(rows), staff=len(everyone), persons=persons)
    for number, row in enumerate(rows, start=1):
        by = recorders.get(row.code) or Actor(None, institutions[row.code].pk, None, system=True)
        with scoped(by):
            _fill(row, residents[row.code], Teller(row, colleagues[row.code], now, chance), by, loaded)
        tell(f"{number}/{len(rows)} {row.name}")
    with scoped(SYSTEM):  # the scope outlives its savepoint
        return loaded


def add_accounts() -> dict[str, User]:
    """Make the accounts of the demo, by name: with the agency's roles, and at no institution yet."""
    hashed = make_password(PASSWORD)  # a million rounds, once: the password of all is one, and printed
    return {
        username: add_account(
            username=username,
            display_name=display_name,
            password=PASSWORD,
            hashed=hashed,
            agency_role=agency_role,
            by=SYSTEM,
        )
        for username, (display_name, agency_role, _) in demo_story.ACCOUNTS.items()
    }


def add_memberships(users: dict[str, User], institutions: dict[str, Institution], today: date) -> dict[str, Actor]:
    """Give the accounts their roles at institutions; answers who records at one, by its code."""
    recorders = {}
    for username, (display_name, _, places) in demo_story.ACCOUNTS.items():
        for code, role in places.items():
            user, first = users[username], demo_story.first_day(today)
            add_membership(user=user, institution=institutions[code], role=role, starts_on=first, by=SYSTEM)
            here = Actor(user.pk, institutions[code].pk, role, display_name)
            record_address(address=f"{username}@example.invalid", by=here)  # reminders of the demo are printed
            if role is Role.RECORDER:
                recorders[code] = here
    return recorders


def _fill(row: InstitutionRow, residents: list[Someone], teller: Teller, by: Actor, loaded: Loaded) -> None:
    """Register the people of one institution and record what happened to them, day by day."""
    stories = [teller.tell(someone) for someone in residents]
    opened_on = [
        min([*(baseline.taken_on for baseline in story.baselines), *(entry.visit_on for entry, _ in story.visits)],
            default=teller.today)
        for story in stories
    ]  # fmt: skip
    registered = register_cases(
        [someone.registration(row.code, number) for number, someone in enumerate(residents, start=1)],
        today=teller.today, made_up_allowed=True, opened_on=opened_on, by=by,
    )  # fmt: skip
    _require_none(row, [one.problems for one in registered])
    told = [(one.case, story) for one, story in zip(registered, stories, strict=True) if one.case]
    prefetch_related_objects([case for case, _ in told], "person")
    baselines = [(case, baseline) for case, story in told for baseline in story.baselines]
    taken = record_baselines(baselines, today=teller.today, by=by)
    _require_none(row, [one.problems for one in taken])
    loaded.baselines += len(taken)
    visits = [(entry.visit_on, case, entry, recorded_at) for case, story in told for entry, recorded_at in story.visits]
    visits.sort(key=lambda visit: visit[0])
    for first in range(0, len(visits), _AT_ONCE):
        part = visits[first : first + _AT_ONCE]
        outcomes = record_visits(
            [(case, entry) for _, case, entry, _ in part], by=by, recorded_at=[recorded_at for *_, recorded_at in part]
        )
        _require_none(row, [one.problems for one in outcomes])
        loaded.visits += len(part)


def _require_none(row: InstitutionRow, problems: list[list[Problem]]) -> None:
    """Raises RuntimeError where anything that was made up was refused."""
    refused = [some for some in problems if some]
    if refused:
        raise RuntimeError(f"{row.code}: {refused[0]}")


def one(query: str) -> Any:
    """The one value that a query of ours answers, in the agency's scope."""
    with scoped(SYSTEM), connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchone()[0]
