"""Many at once: applications written, signed, claimed and decided by many people, none of them half applied.

Of fifty users each has two here, and twenty, a thousand in all, by `make torture` (APPLICATIONS=).
"""

import os
from collections import Counter
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

from quitledger.accounts.scope import scoped, try_twice
from quitledger.cases.models import Case
from quitledger.cases.services import Registration, register_case
from quitledger.corrections.models import Application
from quitledger.corrections.rules import ItemKind, State
from quitledger.corrections.services import (
    ItemEntry,
    Stale,
    claim_application,
    sign_application,
    submit_application,
    write_application,
)
from quitledger.policy.identity import make_up
from quitledger.visits.models import Permit, Visit

from .. import world
from ..visits.test_concurrency import at_once, recording
from .scene import FEBRUARY_15, claimed, counselled, decided, late, sent, step

USERS, EACH = 50, int(os.environ.get("APPLICATIONS") or 2)


def people(number: int) -> list[Case]:
    """Persons of the clinic, without an intake."""
    recorder = world.actor("recorder")
    with scoped(recorder):
        return [
            register_case(
                Registration(uuid4(), "national_id", make_up(9000 + n), "", date(1980, 2, 3), "male", f"示範{n}"),
                today=world.TODAY - timedelta(days=90), made_up_allowed=True, by=recorder,
            )
            for n in range(number)
        ]  # fmt: skip


def a_working_day(cases: list[Case], worker: int) -> Callable[[], list[str]]:
    """One user's applications, from the draft to the decision: by recorder, supervisor and one of the desk in turn.

    Each step is a request, which is tried once more where the database refused it, as pages do.
    """

    def work() -> list[str]:
        day = FEBRUARY_15 - timedelta(days=6 * (worker % 3))
        deciders = ("desk_officer", "desk_supervisor")
        return [one_of_them(case, day, deciders[(worker + number) % 2]) for number, case in enumerate(cases)]

    return work


def one_of_them(case: Case, day: date, decider: str) -> str:
    """A late entry, through every state."""
    uid, item = uuid4(), uuid4()

    def write() -> Application:
        with step("recorder") as by:
            return write_application(
                uid=uid, case=Case.objects.select_related("person").get(pk=case.pk), reason="漏登",
                discovered_on=world.TODAY, by=by,
                items=[ItemEntry(item, ItemKind.LATE_ENTRY, entry=counselled(day, item))],
            )  # fmt: skip

    def taken(username: str, do: Callable[..., Application]) -> Application:
        def ask() -> Application:
            with step(username) as by:
                found = Application.objects.get(uid=uid)
                return do(application=found, version=found.version, by=by)

        return try_twice(ask)

    try_twice(write)
    taken("recorder", submit_application)
    taken("supervisor", sign_application)
    claimed_now = taken(decider, claim_application)
    return try_twice(lambda: decided(claimed_now, username=decider)).state


def test_many_applications_by_fifty_users_at_once_leave_none_half_applied(committed: Any) -> None:
    cases = people(USERS * EACH)
    shares = [cases[worker * EACH : (worker + 1) * EACH] for worker in range(USERS)]
    found = at_once([a_working_day(share, worker) for worker, share in enumerate(shares)])
    assert Counter(state for states in found for state in states) == {State.APPROVED: USERS * EACH}
    with step("desk_officer"):
        numbers = sorted(Application.objects.values_list("case_no", flat=True))
        assert numbers == [f"114-04-{n:04}" for n in range(1, USERS * EACH + 1)]
        permits = {permit.application: permit for permit in Permit.objects.all()}
        visits = {visit.authority: visit for visit in Visit.objects.filter(case__in=cases)}
        assert set(permits) == set(visits) == set(Application.objects.values_list("uid", flat=True))
        assert all(permit.used_at and visits[uid].permit == permit.uid for uid, permit in permits.items())


def test_of_many_who_claim_and_decide_one_application_one_does(committed: Any) -> None:
    application = sent(lambda: [late()])

    def deciding(username: str) -> Callable[[], str]:
        def work() -> str:
            try:
                with step(username) as by:
                    mine = claim_application(application=application, version=application.version, by=by)
                return str(decided(mine, username=username).state)
            except Stale:
                return "stale"

        return work

    found = at_once([deciding(name) for name in ("desk_officer", "desk_supervisor") * 10])
    assert Counter(found) == {"approved": 1, "stale": 19}


def test_an_approval_and_a_recording_at_the_same_moment_leave_one_of_the_two(committed: Any, owner: Any) -> None:
    """Four days apart, over the end of a closed month: whoever is first stands, the other is told why."""
    for name in ("示範甲", "示範乙", "示範丁"):
        uid = uuid4()
        with step("recorder"):
            item = ItemEntry(uid, ItemKind.LATE_ENTRY, entry=counselled(date(2025, 2, 28), uid))
            near = counselled(date(2025, 3, 3))
        application = claimed(lambda item=item: [item], name=name)
        recorder = world_actor()
        found = at_once(
            [
                lambda application=application: str(decided(application).state),
                recording(recorder, (name, near)),
            ]
        )
        with step("recorder"):
            days = set(Visit.objects.filter(case=world.case(name)).values_list("visit_on", flat=True))
        approved = found[0] == "approved"
        assert days == ({date(2025, 2, 28)} if approved else {date(2025, 3, 3)}), found
        assert (found[1] if approved else found[0]) == ("visit-too-near",)


def world_actor() -> Any:
    with scoped(world.SYSTEM):
        return world.actor("recorder")
