"""Applications through the services, on a real PostgreSQL: from the draft to the record put right."""

from datetime import date
from typing import Any
from uuid import uuid4

import pytest

from quitledger.corrections.rules import ItemKind, State
from quitledger.corrections.services import (
    ItemEntry,
    trial,
)
from quitledger.visits.history import entry_at, versions_of
from quitledger.visits.models import Permit, Visit
from quitledger.visits.queries import VisitQuery, search, visible_visit
from quitledger.visits.rules import Timeliness
from quitledger.visits.services import as_entry, change_visit

from .. import world
from ..sql import set_clock
from .scene import (
    APRIL_1,
    FEBRUARY_15,
    MARCH_31,
    changing,
    claimed,
    counselled,
    decided,
    evening,
    late,
    recorded,
    step,
    visit,
)


def codes(refused: Any) -> list[str]:
    return [problem.code for problem in refused.value.problems]


def timeliness(uid: Any) -> Timeliness:
    with step("recorder") as by:
        found = visible_visit(uid, by=by)
        assert found is not None
        return found[1].timeliness


def days_in_force() -> list[date]:
    with step("recorder") as by:
        asked = VisitQuery(date(2025, 1, 1), world.TODAY, case_uids=(world.case().uid,), sort="visit_on")
        return [row.visit_on for row in search(asked, by=by)]


def test_a_visit_never_recorded_is_entered_late_under_its_true_date_by_one_decision(committed: Any) -> None:
    with step("recorder"):
        item = late()
    application = claimed(lambda: [item])
    assert (application.case_no, application.state) == ("114-04-0001", State.IN_REVIEW)
    with step("desk_officer") as by:
        assert trial(application, list(application.items.all()), by=by) == []
        assert not Visit.objects.filter(uid=item.uid).exists()
    done = decided(application)
    assert done.state == State.APPROVED
    with step("recorder"):
        made = visit(item.uid)
        assert (made.visit_on, made.version, made.authority, made.late_entry) == (
            FEBRUARY_15, 1, application.uid, application.uid
        )  # fmt: skip
        assert made.recorded_by_id == world.actor("desk_officer").account_id
        permit = Permit.objects.get(application=application.uid)
        assert permit.used_at is not None
        assert permit.is_late
    assert timeliness(item.uid) is Timeliness.LATE


def test_a_record_parked_under_another_day_keeps_its_uid_and_counts_as_late(committed: Any) -> None:
    uid = recorded(committed, APRIL_1, world.NOW)
    done = decided(claimed(lambda: [changing(uid, ItemKind.PARKED, visit_on=FEBRUARY_15)]))
    assert done.state == State.APPROVED
    assert days_in_force() == [FEBRUARY_15]
    with step("recorder") as by:
        made = visit(uid)
        assert (made.version, made.late_entry) == (2, done.uid)
        assert versions_of(made, by=by)[0].authority == done.uid
    assert timeliness(uid) is Timeliness.LATE


def test_a_record_parked_while_its_true_month_was_open_is_not_late(committed: Any, owner: Any) -> None:
    uid = recorded(committed, MARCH_31, evening(MARCH_31))
    set_clock(owner, evening(date(2025, 4, 25)))
    decided(claimed(lambda: [changing(uid, ItemKind.PARKED, visit_on=date(2025, 3, 28))]))
    assert timeliness(uid) is not Timeliness.LATE


def overwritten(database: Any) -> tuple[Any, Any]:
    """114/03/31 was recorded, and then written over with the contents of 114/02/15."""
    uid = recorded(database, MARCH_31, cigarettes_per_day=9)
    with step("recorder") as by:
        found = visit(uid)
        false = counselled(MARCH_31, found.uid, cigarettes_per_day=18, note="114/2/15 的內容")
        change_visit(visit=found, version=1, entry=false, reason="舊作法", by=by)
    return uid, false


@pytest.mark.parametrize("today", [APRIL_1, date(2025, 5, 2)])
def test_a_record_written_over_goes_back_to_its_first_version_and_the_other_is_entered_late(
    committed: Any, owner: Any, today: date
) -> None:
    uid, _false = overwritten(committed)
    set_clock(owner, evening(today))

    def items() -> list[ItemEntry]:
        by, found, new = world.actor("recorder"), visit(uid), uuid4()
        first, second = entry_at(found, 1, by=by), entry_at(found, 2, by=by)
        assert first is not None
        assert second is not None
        from dataclasses import replace

        return [
            ItemEntry(uuid4(), ItemKind.OVERWRITTEN, found, 2, first, linked=True),
            ItemEntry(new, ItemKind.LATE_ENTRY, entry=replace(second, uid=new, visit_on=FEBRUARY_15), linked=True),
        ]

    with step("recorder"):
        before = visit(uid).recorded_at
    application = claimed(items)
    done = decided(application)
    assert done.state == State.APPROVED
    assert days_in_force() == [FEBRUARY_15, MARCH_31]
    with step("recorder"):
        original = visit(uid)
        assert (original.recorded_at, original.version, as_entry(original).cigarettes_per_day) == (before, 3, 9)
        entered = Visit.objects.get(visit_on=FEBRUARY_15)
        assert as_entry(entered).cigarettes_per_day == 18
    assert timeliness(uid) is Timeliness.PROMPT
    assert timeliness(entered.uid) is Timeliness.LATE
