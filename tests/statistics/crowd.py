"""Enough people for a number to be shown: registered and served at an institution of the world, through the services."""

from collections.abc import Sequence
from datetime import date, datetime, time
from decimal import Decimal
from uuid import uuid4

from quitledger.accounts.actors import Actor
from quitledger.cases.models import Case
from quitledger.cases.services import BaselineEntry, Registration, record_baseline, register_case
from quitledger.policy import TAIPEI
from quitledger.policy.identity import make_up
from quitledger.visits.rules import Counselling, Entry, Line, Medication
from quitledger.visits.services import record_visits

from .. import world

FIRST_SERIAL = {world.CLINIC: 2000, world.PHARMACY: 3000, world.HOSPITAL: 4000}


def serve(
    code: str, people: int, days: Sequence[date], staff: str, *, medicated: int = 0, at_once: bool = False
) -> None:
    """Counselling of so many people at an institution on each of the days; the first `medicated` get medication on the first.

    `at_once`: recorded on the day itself, which only the owner may say; else now, within the window.
    """
    by = Actor(None, world.institution_id(code), None, system=True)
    member, entries, moments = world.staff(staff).uid, [], []
    for number in range(people):
        serial = FIRST_SERIAL[code] + number
        registration = Registration(
            uuid4(), "national_id", make_up(serial), "", date(1980, 1, 1), "male", f"示範{serial}", f"C-{serial}"
        )
        case = register_case(registration, today=days[0], made_up_allowed=True, by=by)
        case = Case.objects.select_related("person").get(pk=case.pk)
        if number < medicated:
            intake = BaselineEntry(uuid4(), days[0], world.FTND, 20, 24, Decimal("68.5"), pregnant=False, insured=True)
            record_baseline(case=case, entry=intake, today=days[0], by=by)
        for day in days:
            medication = Medication(member, (Line(world.PATCH, 2),)) if number < medicated and day == days[0] else None
            entries.append((case, Entry(uuid4(), day, None, medication, Counselling(member))))
            moments.append(datetime.combine(day, time(18), TAIPEI))
    for outcome in record_visits(entries, by=by, **({"recorded_at": moments} if at_once else {})):
        assert outcome.visit, outcome.problems
