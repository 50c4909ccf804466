"""A month of the clinic as the tests of the self-check find it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime, time
from typing import Any
from uuid import UUID, uuid4

from django.db import connection

from quitledger.accounts.actors import Actor
from quitledger.accounts.scope import scoped
from quitledger.audit.database import programme_now
from quitledger.policy import TAIPEI
from quitledger.selfcheck.models import SignOff
from quitledger.selfcheck.queries import MonthCheck, digest, month_check, snapshot
from quitledger.selfcheck.services import Signature, sign_month_off
from quitledger.visits.models import Visit
from quitledger.visits.rules import Counselling, Entry, Line, Medication
from quitledger.visits.services import as_entry, change_visit, record_visits

from .. import world

FEBRUARY, MARCH, APRIL = date(2025, 2, 1), date(2025, 3, 1), date(2025, 4, 1)
MARCH_15, MARCH_20 = date(2025, 3, 15), date(2025, 3, 20)


def both(day: date, uid: UUID | None = None, days: int = 14, **said: Any) -> Entry:
    """A visit with both services and two weeks' medicine: with fourteen days it misses nothing."""
    entry = Entry(
        uid or uuid4(), day, None, Medication(world.staff("示範丑").uid, (Line(world.PATCH, 2, days),)),
        Counselling(world.staff("示範子").uid), cigarettes_per_day=9,
    )  # fmt: skip
    return replace(entry, **said)


def recorded(database: Any, day: date = MARCH_20, name: str = "示範甲", code: str = world.CLINIC, **said: Any) -> UUID:
    """A visit that was recorded that evening (written as the owner, who may say when)."""
    by = world.actor("recorder" if code == world.CLINIC else "stranger")
    with database.as_owner(), scoped(by):
        entry = both(day, **said)
        if code != world.CLINIC:
            entry = replace(entry, medication=None, counselling=Counselling(world.staff("示範卯").uid))
        evening = min(datetime.combine(day, time(18, 0), TAIPEI), world.NOW)
        (outcome,) = record_visits([(world.case(name, code), entry)], by=by, recorded_at=[evening])
        assert outcome.visit is not None, outcome.problems
        return outcome.visit.uid


@contextmanager
def step(username: str) -> Iterator[Actor]:
    """A request of somebody."""
    by = world.actor(username)
    with scoped(by):
        yield by


def seen_by(by: Actor, month: date = MARCH) -> MonthCheck:
    """The month as its page shows it now; within a request."""
    now = programme_now()
    check = month_check(month, moment=now, today=now.astimezone(TAIPEI).date(), by=by)
    assert check is not None
    return check


def looked_at(username: str = "supervisor", month: date = MARCH) -> tuple[int, str]:
    """The number of the next sign-off and what the page says, as its form carries them."""
    with step(username) as by:
        check = seen_by(by, month)
        return (check.signed.number if check.signed else 0) + 1, digest(check)


def signed(
    username: str = "supervisor", month: date = MARCH, reason: str = "", seen: tuple[int, str] | None = None
) -> Signature:
    """Signed off by somebody who has just looked at it."""
    number, what = seen or looked_at(username, month)
    with step(username) as by:
        return sign_month_off(month=month, number=number, seen=what, reason=reason, by=by)


def sign_offs() -> int:
    """How many there are."""
    with scoped(world.SYSTEM):
        return SignOff.objects.count()


def changed(uid: UUID, **said: Any) -> None:
    """The recorder changes a visit."""
    with step("recorder") as by:
        visit = Visit.objects.select_related("case__person").get(uid=uid)
        change_visit(visit=visit, version=visit.version, entry=replace(as_entry(visit), **said), reason="更正", by=by)


def a_sign_off(uid: UUID, username: str) -> None:
    """February of somebody's institution, which has nothing in it, signed off under a uid that is known beforehand."""
    with step(username) as by, connection.cursor() as cursor:
        cursor.execute("SELECT visits_open_months(%s, %s)", [[by.at_institution()], [FEBRUARY]])
        SignOff.objects.create(
            uid=uid, institution_id=by.at_institution(), month=FEBRUARY, number=1, signed_by_id=by.account_id or 0,
            incomplete=0, visits=0, versions=0, seen=snapshot(seen_by(by, FEBRUARY)),
        )  # fmt: skip
