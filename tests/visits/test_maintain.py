"""Changing, voiding and restoring a visit through the services, on a real PostgreSQL."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, connection
from django.db.models import F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quitledger.accounts.actors import Actor
from quitledger.accounts.scope import scoped
from quitledger.audit import journal
from quitledger.policy import TAIPEI
from quitledger.policy.problem import Refused
from quitledger.visits.history import said_of, versions_of
from quitledger.visits.models import MedicationLine, Service, Visit
from quitledger.visits.rules import Counselling, Entry, Line, Medication
from quitledger.visits.services import (
    Stale,
    as_entry,
    change_visit,
    record_visit,
    record_visits,
    restore_visit,
    void_visit,
)

from .. import world
from ..sql import set_clock
from .test_concurrency import at_once

DAY = timedelta(days=1)
REASON = "填錯"


@pytest.fixture
def by(db: Any) -> Iterator[Actor]:
    actor = world.actor("recorder")
    with scoped(actor):
        yield actor


def both(day: date = world.TODAY, **changes: Any) -> Entry:
    entry = Entry(
        uuid4(), day, None, Medication(world.staff("示範丑").uid, (Line(world.PATCH, 2),)),
        Counselling(world.staff("示範子").uid), False, 6, 8, "",
    )  # fmt: skip
    return replace(entry, **changes)


def counselled(day: date = world.TODAY) -> Entry:
    return both(day, medication=None)


def codes(refused: Any) -> list[str]:
    return [problem.code for problem in refused.value.problems]


def changed(visit: Visit, by: Actor, reason: str = REASON, version: int | None = None, **changes: Any) -> Visit:
    visit = Visit.objects.get(pk=visit.pk)
    return change_visit(
        visit=visit, version=version or visit.version, entry=replace(as_entry(visit), **changes), reason=reason, by=by
    )


def test_every_part_of_a_visit_can_be_changed_and_history_says_what_and_why(by: Actor) -> None:
    visit = record_visit(case=world.case(), entry=both(), by=by)
    new_day = world.TODAY - 2 * DAY
    now = changed(
        visit, by, visit_on=new_day, visit_time=time(9, 20), co_ppm=None, note="改了",
        medication=Medication(world.staff("示範丑").uid, (Line(world.GUM, 1),)),
        counselling=Counselling(world.staff("示範丑").uid, "telephone"),
    )  # fmt: skip
    stored = Visit.objects.get(pk=visit.pk)
    assert (stored.visit_on, stored.version, stored.change_reason) == (new_day, 2, REASON)
    assert stored.recorded_at == Visit.objects.get(pk=visit.pk).recorded_at
    assert {service.visit_on for service in Service.objects.filter(visit=visit)} == {new_day}
    assert [line.medicine_id for line in MedicationLine.objects.filter(visit=visit)] == [world.GUM]
    newest, first = versions_of(now, by=by)
    assert (newest.action, newest.by, newest.reason, first.action) == ("change", by.name, REASON, "record")
    assert {change.label for change in newest.changes} == {
        "就醫日期", "就醫時間", "用藥", "衛教", "一氧化碳", "備註"
    }  # fmt: skip
    told = {change.label: (change.before, change.after) for change in newest.changes}
    assert told["就醫日期"] == ("114/04/01", "114/03/30")
    assert told["一氧化碳"] == ("8 ppm", "")
    assert "2 週（14 天）" in told["用藥"][0]
    assert told["衛教"][1].endswith("（電話）")


def test_the_journal_names_the_fields_changed_and_no_value(by: Actor) -> None:
    visit = record_visit(case=world.case(), entry=both(), by=by)
    changed(visit, by, co_ppm=9, note="密")
    with connection.cursor() as cursor:
        cursor.execute("SELECT record_uids, record_version, fields FROM audit_journal WHERE action = 'visit.change'")
        assert cursor.fetchall() == [([visit.uid], 2, ["co_ppm", "note"])]


def test_a_service_is_taken_out_and_put_in(by: Actor) -> None:
    visit = record_visit(case=world.case(), entry=both(), by=by)
    typed = as_entry(visit)
    changed(visit, by, medication=None)
    assert [service.kind for service in Service.objects.filter(visit=visit)] == ["counselling"]
    assert not MedicationLine.objects.filter(visit=visit).exists()
    changed(visit, by, medication=typed.medication)
    assert as_entry(Visit.objects.get(pk=visit.pk)) == typed
    assert [bool(version.said.get("medication")) for version in versions_of(visit, by=by)] == [True, False, True]


def test_the_rules_of_recording_hold_for_a_change_and_all_problems_are_told_at_once(by: Actor) -> None:
    record_visit(case=world.case(), entry=counselled(world.TODAY - 10 * DAY), by=by)
    visit = record_visit(case=world.case(), entry=counselled(), by=by)
    with pytest.raises(Refused) as refused:
        changed(visit, by, reason=" ", visit_on=world.TODAY - 8 * DAY, co_ppm=9999)
    assert codes(refused) == ["visit-too-near", "value-implausible", "reason-missing"]
    with pytest.raises(Refused) as refused:
        changed(visit, by, visit_on=world.TODAY - 10 * DAY)
    assert codes(refused) == ["day-taken"]
    assert changed(visit, by, visit_on=world.TODAY - DAY).version == 2  # a visit is never too near to itself


def test_nothing_changed_is_no_version(by: Actor) -> None:
    visit = record_visit(case=world.case(), entry=both(), by=by)
    with pytest.raises(Refused) as refused:
        changed(visit, by)
    assert codes(refused) == ["nothing-changed"]
    assert Visit.objects.get(pk=visit.pk).version == 1


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (date(2025, 3, 25), date(2025, 3, 27), ["window-closed"]),  # both in the closed month: said once
        (date(2025, 3, 25), date(2025, 4, 2), ["window-closed"]),  # out of the closed month
        (date(2025, 4, 2), date(2025, 3, 25), ["window-closed"]),  # into it
        (date(2025, 4, 2), date(2025, 4, 3), []),
    ],
)
def test_a_change_of_date_needs_both_months_open(
    committed: Any, owner: psycopg.Connection, old: date, new: date, expected: list[str]
) -> None:
    actor = world.actor("recorder")
    set_clock(owner, datetime(2025, 4, 10, tzinfo=TAIPEI))
    with scoped(actor):
        visit = record_visit(case=world.case(), entry=counselled(old), by=actor)
    set_clock(owner, datetime(2025, 4, 21, tzinfo=TAIPEI))
    with scoped(actor):
        if not expected:
            assert changed(visit, actor, visit_on=new).version == 2
            return
        with pytest.raises(Refused) as refused:
            changed(visit, actor, visit_on=new)
        assert codes(refused) == expected


@pytest.mark.engine
@pytest.mark.parametrize(("old", "new"), [("2025-03-25", "2025-04-02"), ("2025-04-02", "2025-03-25")])
def test_the_database_itself_asks_for_both_months(
    committed: Any, owner: psycopg.Connection, old: str, new: str
) -> None:
    actor = world.actor("recorder")
    set_clock(owner, datetime(2025, 4, 10, tzinfo=TAIPEI))
    with scoped(actor):
        visit = record_visit(case=world.case(), entry=counselled(date.fromisoformat(old)), by=actor)
    set_clock(owner, datetime(2025, 4, 21, tzinfo=TAIPEI))
    with pytest.raises(IntegrityError, match="recording window"), scoped(actor):
        Visit.objects.filter(pk=visit.pk).update(visit_on=new, version=2)


def test_the_second_of_two_is_told_and_nothing_of_the_first_is_lost(by: Actor) -> None:
    visit = record_visit(case=world.case(), entry=both(), by=by)
    changed(visit, by, co_ppm=5)
    with pytest.raises(Stale) as stale:
        changed(visit, by, version=1, note="晚了一步", co_ppm=8)
    assert (stale.value.visit.version, stale.value.visit.co_ppm) == (2, 5)
    assert Visit.objects.get(pk=visit.pk).note == ""


def test_a_change_sent_twice_is_made_once(by: Actor) -> None:
    visit = record_visit(case=world.case(), entry=both(), by=by)
    assert changed(visit, by, co_ppm=5).version == 2
    assert changed(visit, by, version=1, co_ppm=5).version == 2


def test_a_voided_visit_counts_nowhere_and_comes_back_as_a_new_version(by: Actor) -> None:
    visit = record_visit(case=world.case(), entry=both(), by=by)
    recorded_at = Visit.objects.get(pk=visit.pk).recorded_at
    with pytest.raises(Refused) as refused:
        void_visit(visit=visit, version=1, reason="", by=by)
    assert codes(refused) == ["reason-missing"]
    assert void_visit(visit=visit, version=1, reason="重複", by=by).version == 2
    assert void_visit(visit=visit, version=1, reason="重複", by=by).version == 2  # sent twice
    other = record_visit(case=world.case(), entry=counselled(world.TODAY - DAY), by=by)  # no longer too near
    with pytest.raises(Refused) as refused:
        restore_visit(visit=visit, version=2, reason="作廢錯了", by=by)
    assert codes(refused) == ["visit-too-near"]
    void_visit(visit=other, version=1, reason="試", by=by)
    restored = restore_visit(visit=visit, version=2, reason="作廢錯了", by=by)
    assert (restored.version, restored.in_force) == (3, True)
    assert restore_visit(visit=visit, version=2, reason="作廢錯了", by=by).version == 3
    assert Visit.objects.get(pk=visit.pk).recorded_at == recorded_at
    assert [version.action for version in versions_of(restored, by=by)] == ["restore", "void", "record"]


def test_the_form_of_a_voided_visit_sent_again_does_not_say_that_it_is_recorded(by: Actor) -> None:
    typed = both()
    visit = record_visit(case=world.case(), entry=typed, by=by)
    void_visit(visit=visit, version=1, reason="重複", by=by)
    (outcome,) = record_visits([(world.case(), typed)], by=by)
    assert ([problem.code for problem in outcome.problems], outcome.repeated) == (["visit-voided"], False)


def test_what_is_voided_is_not_changed_and_what_is_in_force_not_restored(by: Actor) -> None:
    visit = record_visit(case=world.case(), entry=both(), by=by)
    with pytest.raises(Refused) as refused:
        restore_visit(visit=visit, version=1, reason=REASON, by=by)
    assert codes(refused) == ["visit-in-force"]
    void_visit(visit=visit, version=1, reason=REASON, by=by)
    with pytest.raises(Refused) as refused:
        changed(visit, by, co_ppm=1)
    assert codes(refused) == ["visit-voided"]
    with pytest.raises(Refused) as refused:
        void_visit(visit=visit, version=2, reason=REASON, by=by)
    assert codes(refused) == ["visit-voided"]
    with pytest.raises(Stale):
        restore_visit(visit=visit, version=1, reason=REASON, by=by)


def test_after_closing_nothing_is_changed_voided_or_restored(committed: Any, owner: psycopg.Connection) -> None:
    actor = world.actor("recorder")
    with scoped(actor):
        one = record_visit(case=world.case(), entry=counselled(date(2025, 3, 10)), by=actor)
        two = record_visit(case=world.case(), entry=counselled(date(2025, 3, 20)), by=actor)
        void_visit(visit=two, version=1, reason=REASON, by=actor)
    set_clock(owner, datetime(2025, 4, 21, tzinfo=TAIPEI))
    with scoped(actor):
        for attempt in (
            lambda: changed(one, actor, co_ppm=1),
            lambda: void_visit(visit=one, version=1, reason=REASON, by=actor),
            lambda: restore_visit(visit=two, version=2, reason=REASON, by=actor),
        ):
            with pytest.raises(Refused) as refused:
                attempt()
            assert codes(refused) == ["window-closed"]


def test_only_those_who_may_and_only_at_their_own_institution(by: Actor) -> None:
    visit = record_visit(case=world.case(), entry=both(), by=by)
    entry = replace(as_entry(visit), co_ppm=1)
    for actor in (world.actor("desk_officer"), world.actor("stranger")):
        with pytest.raises(PermissionDenied):
            change_visit(visit=visit, version=1, entry=entry, reason=REASON, by=actor)
        with pytest.raises(PermissionDenied):
            void_visit(visit=visit, version=1, reason=REASON, by=actor)
        with pytest.raises(PermissionDenied):
            restore_visit(visit=visit, version=1, reason=REASON, by=actor)
    assert versions_of(visit, by=world.actor("stranger")) == []


def test_a_change_whose_journal_fails_leaves_everything_as_it_was(
    committed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    actor = world.actor("recorder")
    with scoped(actor):
        visit = record_visit(case=world.case(), entry=both(), by=actor)
    monkeypatch.setattr(journal, "record", lambda *_, **__: 1 / 0)
    for attempt in (
        lambda: changed(visit, actor, medication=None, visit_on=world.TODAY - DAY),
        lambda: void_visit(visit=visit, version=1, reason=REASON, by=actor),
    ):
        with pytest.raises(ZeroDivisionError), scoped(actor):
            attempt()
    monkeypatch.undo()
    with scoped(actor):
        assert Visit.objects.get(pk=visit.pk).version == 1
        assert Service.objects.filter(visit=visit, in_force=True, visit_on=world.TODAY).count() == 2


def test_twenty_at_once_make_one_version_and_nineteen_are_told(committed: Any) -> None:
    actor = world.actor("recorder")
    with scoped(actor):
        visit = record_visit(case=world.case(), entry=both(), by=actor)

    def work(number: int) -> Any:
        def change() -> Any:
            with scoped(actor):
                try:
                    if number % 4 == 0:
                        return void_visit(visit=visit, version=1, reason=REASON, by=actor).version
                    return changed(visit, actor, version=1, co_ppm=10 + number).version
                except Stale:
                    return "told"

        return change

    answers = at_once([work(number) for number in range(20)])
    with scoped(actor):
        now = Visit.objects.get(pk=visit.pk)
        assert now.version == 2
        assert len(versions_of(now, by=actor)) == 2
    done = answers.count(2)
    # Voids sent after a void are the same void; all others were told, or had nothing left to change.
    assert done == 1 if now.in_force else 1 <= done <= 5
    assert set(answers) <= {2, "told", ("visit-voided",)}


acts = st.lists(
    st.tuples(st.sampled_from(["change", "void", "restore"]), st.integers(0, 20), st.booleans()), min_size=1, max_size=8
)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts)
def test_after_any_sequence_the_newest_version_is_the_row_and_no_version_is_missing(
    by: Actor, acts: list[tuple[str, int, bool]]
) -> None:
    case = world.case("示範乙")
    Visit.objects.filter(case=case, in_force=True).update(in_force=False, version=F("version") + 1)
    visit = record_visit(case=case, entry=both(world.TODAY - 10 * DAY, medication=None), by=by)
    for act, number, telephone in acts:
        now = Visit.objects.get(pk=visit.pk)
        try:
            if act == "change":
                mode = "telephone" if telephone else "in_person"
                counselling = Counselling(world.staff("示範子").uid, mode)
                changed(visit, by, co_ppm=number, visit_on=world.TODAY - number * DAY, counselling=counselling)
            elif act == "void":
                void_visit(visit=now, version=now.version, reason=REASON, by=by)
            else:
                restore_visit(visit=now, version=now.version, reason=REASON, by=by)
        except Refused:
            continue
    now = Visit.objects.get(pk=visit.pk)
    versions = versions_of(now, by=by)
    assert [version.number for version in versions] == list(range(now.version, 0, -1))
    assert versions[0].in_force == now.in_force
    newest = row_said(now)
    assert {name: versions[0].said[name] for name in newest} == newest


def row_said(visit: Visit) -> dict[str, str]:
    entry = as_entry(visit)
    return said_of(
        entry.visit_on, entry.visit_time, pregnant=entry.pregnant, cigarettes_per_day=entry.cigarettes_per_day,
        co_ppm=entry.co_ppm, note=entry.note,
    )  # fmt: skip
