"""Applications through the services, on a real PostgreSQL: from the draft to the record put right."""

from dataclasses import replace
from datetime import date
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection

from quitledger.corrections.models import Application, StepTaken
from quitledger.corrections.rules import ItemKind, State
from quitledger.corrections.services import (
    Decision,
    ItemEntry,
    Stale,
    answer_application,
    ask_institution,
    claim_application,
    confirm_application,
    refer_back,
    register_on_paper,
    rewrite_application,
    sign_application,
    submit_application,
    trial,
)
from quitledger.policy.problem import Refused
from quitledger.visits.history import entry_at, versions_of
from quitledger.visits.models import Permit, Visit
from quitledger.visits.queries import VisitQuery, search, visible_visit
from quitledger.visits.rules import Timeliness
from quitledger.visits.services import as_entry, change_visit, extend_window

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
    sent,
    step,
    submitted,
    visit,
    without,
    written,
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


# --- signing ------------------------------------------------------------------------------------------------------------------


def test_the_writer_does_not_sign_and_of_two_recorders_neither_does(committed: Any) -> None:
    application = submitted(lambda: [late()])
    for username, code in (("recorder", "signed-by-writer"), ("colleague", "supervisor-missing")):
        with pytest.raises(Refused) as refused, step(username) as by:
            sign_application(application=application, version=application.version, by=by)
        assert codes(refused) == [code]


def test_a_supervisor_who_wrote_it_is_countersigned_by_a_colleague(committed: Any) -> None:
    with step("supervisor") as by:
        application = submit_application(application=written([late()], by), version=1, by=by)
    with step("colleague") as by:
        signed = sign_application(application=application, version=application.version, by=by)
    assert (signed.state, signed.single_person) == (State.NEW, False)


def alone(owner: Any) -> None:
    """The clinic has one account left: its recorder."""
    owner.execute(
        "UPDATE institutions_membership SET ends_on = '2025-03-01' WHERE user_id IN"
        " (SELECT id FROM accounts_user WHERE username IN ('supervisor', 'colleague', 'both'))"
    )


def test_an_institution_of_one_account_sends_with_one_signature_and_two_of_the_desk_decide(
    committed: Any, owner: Any
) -> None:
    alone(owner)
    with step("recorder") as by:
        item = late()
        application = sign_application(application=written([item], by), version=1, by=by)
    assert application.single_person
    with step("desk_officer") as by:
        application = claim_application(application=application, version=application.version, by=by)
    application = decided(application)
    assert application.state == State.SECOND
    with step("desk_officer") as by:
        assert not Visit.objects.filter(uid=item.uid).exists()
        with pytest.raises(Refused) as refused:
            confirm_application(application=application, version=application.version, text="", by=by)
        assert codes(refused) == ["decided-twice"]
    with step("desk_supervisor") as by:
        application = refer_back(application=application, version=application.version, text="請再看病歷", by=by)
        assert application.state == State.IN_REVIEW
    application = decided(application)
    with step("desk_supervisor") as by:
        application = confirm_application(application=application, version=application.version, text="", by=by)
        assert application.state == State.APPROVED
        assert Visit.objects.get(uid=item.uid).late_entry == application.uid
        assert (application.decided_by_id, application.confirmed_by_id) == (
            world.actor("desk_officer").account_id, by.account_id
        )  # fmt: skip


# --- deciding -----------------------------------------------------------------------------------------------------------------


def test_items_are_decided_one_by_one_and_only_what_is_approved_is_put_right(committed: Any) -> None:
    first, second = recorded(committed, date(2025, 2, 3)), recorded(committed, date(2025, 2, 17))
    application = claimed(lambda: [changing(first, note="更正"), without(second)])
    with pytest.raises(Refused) as refused:
        decided(application, Decision("approved"), Decision("rejected"))
    assert codes(refused) == ["rejection-missing"]
    done = decided(application, Decision("approved"), Decision("rejected", "evidence"), text="請補件")
    assert done.state == State.IN_PART
    with step("recorder"):
        assert (visit(first).version, visit(first).note, visit(second).version) == (2, "更正", 1)
        assert visit(second).in_force
        assert [(one.decision, one.made_version) for one in done.items.order_by("position")] == [
            ("approved", 2),
            ("rejected", None),
        ]


def test_a_wrong_void_is_taken_back(committed: Any) -> None:
    uid = recorded(committed, date(2025, 2, 3))
    decided(claimed(lambda: [without(uid)]))
    with step("recorder"):
        assert not visit(uid).in_force
    decided(claimed(lambda: [without(uid, ItemKind.RESTORE)]))
    with step("recorder"):
        assert (visit(uid).in_force, visit(uid).version) == (True, 3)
    assert timeliness(uid) is Timeliness.PROMPT


def test_a_neighbour_recorded_meanwhile_stops_the_approval_and_nothing_is_half_done(committed: Any) -> None:
    kept = recorded(committed, date(2025, 2, 3))
    application = claimed(lambda: [changing(kept, note="更正"), late()])
    recorded(committed, date(2025, 2, 13))
    with pytest.raises(Refused) as refused:
        decided(application)
    assert [(one.code, one.field) for one in refused.value.problems] == [("visit-too-near", "item-1")]
    with step("desk_officer"):
        assert visit(kept).version == 1
        assert not Permit.objects.exists()
        assert Application.objects.get().state == State.IN_REVIEW


def test_a_visit_that_was_changed_after_the_application_is_not_overwritten(committed: Any, owner: Any) -> None:
    uid = recorded(committed, MARCH_31)
    set_clock(owner, evening(date(2025, 4, 20)))
    with step("recorder") as by:
        stands = changing(uid, note="申請的")
        change_visit(visit=visit(uid), version=1, entry=counselled(MARCH_31, uid, note="自己改的"), reason="補", by=by)
    set_clock(owner, evening(date(2025, 4, 22)))
    application = claimed(lambda: [stands])
    with pytest.raises(Refused) as refused:
        decided(application)
    assert codes(refused) == ["visit-changed-meanwhile"]
    decided(application, Decision("rejected", "other"), text="內容已變動")
    with step("recorder"):
        assert visit(uid).note == "自己改的"


def test_of_two_applications_on_one_visit_the_second_is_stopped(committed: Any) -> None:
    uid = recorded(committed, date(2025, 2, 3))
    first, second = claimed(lambda: [changing(uid, note="一")]), claimed(lambda: [changing(uid, note="二")])
    decided(first)
    with pytest.raises(Refused) as refused:
        decided(second)
    assert codes(refused) == ["visit-changed-meanwhile"]


def test_the_same_application_sent_twice_is_one_and_a_draft_written_once_more_makes_no_step(committed: Any) -> None:
    uid = uuid4()
    with step("recorder") as by:
        items = [late()]
        once, again = (written(items, by, uid=uid) for _ in range(2))
        assert once.pk == again.pk
        same = rewrite_application(
            application=once, version=1, reason=once.reason, discovered_on=once.discovered_on, items=items, by=by
        )
        assert same.version == 1
        assert StepTaken.objects.filter(application=once).count() == 1


def test_whoever_looks_at_an_older_version_is_told(committed: Any) -> None:
    application = sent(lambda: [late()])
    with step("desk_officer") as by:
        claim_application(application=application, version=application.version, by=by)
    with step("desk_supervisor") as by, pytest.raises(Stale):
        claim_application(application=application, version=application.version, by=by)


def test_a_contract_that_ended_since_is_told_at_the_decision(committed: Any, owner: Any) -> None:
    application = claimed(lambda: [late()])
    owner.execute("UPDATE institutions_contract SET ends_on = '2025-02-01'")
    with pytest.raises(Refused) as refused:
        decided(application)
    assert codes(refused) == ["institution-not-contracted"]


def test_what_touches_a_settled_month_is_decided_by_a_desk_supervisor(committed: Any, owner: Any) -> None:
    recorded(committed, date(2025, 2, 3))
    application = sent(lambda: [late()])
    owner.execute("UPDATE visits_servicemonth SET settled_at = programme_now() WHERE month = '2025-02-01'")
    with pytest.raises(Refused) as refused, step("desk_officer") as by:
        claim_application(application=application, version=application.version, by=by)
    assert codes(refused) == ["month-settled"]
    with step("desk_supervisor") as by:
        application = claim_application(application=application, version=application.version, by=by)
    assert decided(application, username="desk_supervisor").state == State.APPROVED


def test_what_came_on_paper_is_decided_by_another_than_who_registered_it(committed: Any) -> None:
    with step("desk_officer") as by:
        application = register_on_paper(
            uid=uuid4(), case=world.case(), reason="漏登", discovered_on=world.TODAY, received_on=world.TODAY,
            items=[late()], by=by,
        )  # fmt: skip
        assert (application.state, application.case_no) == (State.NEW, "114-04-0001")
        with pytest.raises(Refused) as refused:
            claim_application(application=application, version=application.version, by=by)
        assert codes(refused) == ["decided-by-applicant"]
    with step("desk_supervisor") as by:
        application = claim_application(application=application, version=application.version, by=by)
    assert decided(application, username="desk_supervisor").state == State.APPROVED


def test_a_late_entry_stays_late_when_its_window_is_extended_afterwards(committed: Any) -> None:
    with step("recorder"):
        item = late()
    decided(claimed(lambda: [item]))
    with step("desk_supervisor") as by:
        extend_window(
            month=date(2025, 2, 1),
            reach="all",
            closes_at=evening(date(2025, 6, 1)),
            reason="颱風",
            moment=world.NOW,
            by=by,
        )
    assert timeliness(item.uid) is Timeliness.LATE
    with step("recorder") as by:  # the window is open again: the institution changes it itself, and it stays late
        change_visit(
            visit=visit(item.uid), version=1, entry=counselled(FEBRUARY_15, item.uid, note="補"), reason="補", by=by
        )
        assert (visit(item.uid).authority, visit(item.uid).late_entry is not None) == (None, True)
    assert timeliness(item.uid) is Timeliness.LATE


def test_questions_and_answers_go_back_and_forth_and_all_is_in_the_journal(committed: Any) -> None:
    application = claimed(lambda: [late()])
    with step("desk_officer") as by:
        application = ask_institution(application=application, version=application.version, text="請補第 2 頁", by=by)
    with step("recorder") as by:
        application = answer_application(application=application, version=application.version, text="已補", by=by)
    assert application.state == State.IN_REVIEW
    decided(application)
    with step("desk_supervisor"), connection.cursor() as cursor:
        cursor.execute("SELECT action FROM audit_journal WHERE %s = ANY (record_uids) ORDER BY id", [application.uid])
        actions = [action for (action,) in cursor.fetchall()]
        assert actions == [
            f"correction.{name}" for name in ("write", "submit", "sign", "claim", "ask", "answer", "decide")
        ]
        steps = StepTaken.objects.filter(application=application)
        assert [(one.text, one.from_desk) for one in steps if one.text] == [("請補第 2 頁", True), ("已補", False)]


def test_a_rule_that_breaks_in_a_trial_leaves_nothing_behind(committed: Any) -> None:
    recorded(committed, date(2025, 2, 13))
    application = submitted(lambda: [late()])
    with step("recorder") as by:
        problems = trial(application, list(application.items.all()), by=by)
        assert [(one.code, one.field) for one in problems] == [("visit-too-near", "item-0")]
        assert days_of(by) == [date(2025, 2, 13)]


def days_of(by: Any) -> list[date]:
    return list(Visit.objects.filter(institution_id=by.institution_id).values_list("visit_on", flat=True))
