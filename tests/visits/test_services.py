"""Recording visits through the service, on a real PostgreSQL."""

from dataclasses import replace
from datetime import date, time
from uuid import uuid4

import pytest
from django.core.exceptions import PermissionDenied
from django.db import connection

from quitledger.accounts.scope import scoped
from quitledger.policy.problem import Refused
from quitledger.visits import rules
from quitledger.visits.models import MedicationLine, Service, Visit
from quitledger.visits.services import record_visit, record_visits

from .. import world


def entry(day: date = world.TODAY, **changes: object) -> rules.Entry:
    """A visit with both services on `day`."""
    made = rules.Entry(
        uid=uuid4(),
        visit_on=day,
        visit_time=None,
        medication=rules.Medication(world.staff("示範丑").uid, (rules.Line(world.PATCH, 2),)),
        counselling=rules.Counselling(world.staff("示範子").uid),
        cigarettes_per_day=6,
        co_ppm=8,
    )
    return replace(made, **changes)


def journal(action: str) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT record_uids, record_version, fields, account_id FROM audit_journal WHERE action = %s ORDER BY id",
            [action],
        )
        return cursor.fetchall()


def test_a_visit_is_recorded_with_services_lines_history_and_one_journal_entry(db):
    recorder = world.actor("recorder")
    with scoped(recorder):
        typed = entry(visit_time=time(9, 20))
        visit = record_visit(case=world.case(), entry=typed, by=recorder)
        visit.refresh_from_db()
        assert (visit.uid, visit.version, visit.recorded_by_id) == (typed.uid, 1, recorder.account_id)
        assert visit.recorded_at >= world.NOW
        assert {s.kind for s in Service.objects.filter(visit=visit)} == {"medication", "counselling"}
        line = MedicationLine.objects.get(visit=visit)
        assert (line.medicine_id, line.supply_weeks, line.supply_days) == (world.PATCH, 2, 14)
        ((uids, version, fields, account),) = journal("visit.record")
        assert (uids, version, account) == ([typed.uid], 1, recorder.account_id)
        assert "medication" in fields
        with connection.cursor() as cursor:
            cursor.execute("SELECT history_change, version FROM visits_visit_history WHERE id = %s", [visit.pk])
            assert cursor.fetchall() == [("insert", 1)]


def test_the_same_form_sent_twice_is_one_visit(db):
    recorder = world.actor("recorder")
    with scoped(recorder):
        typed = entry()
        first = record_visit(case=world.case(), entry=typed, by=recorder)
        (again,) = record_visits([(world.case(), typed)], by=recorder)
        assert (again.repeated, again.visit.pk) == (True, first.pk)
        assert Visit.objects.count() == 1
        with pytest.raises(Refused) as refused:
            record_visit(case=world.case(), entry=replace(typed, co_ppm=9), by=recorder)
        assert [p.code for p in refused.value.problems] == ["visit-recorded-otherwise"]


def test_the_second_service_of_a_day_joins_the_visit_as_its_next_version(db):
    recorder = world.actor("recorder")
    with scoped(recorder):
        first = record_visit(case=world.case(), entry=entry(counselling=None), by=recorder)
        second = record_visit(case=world.case(), entry=entry(medication=None, cigarettes_per_day=None), by=recorder)
        assert second.pk == first.pk
        second.refresh_from_db()
        assert second.version == 2
        assert Service.objects.filter(visit=first).count() == 2


def test_who_may_not_record_is_refused_before_anything_is_read(db):
    officer = world.actor("desk_officer")
    with scoped(officer), pytest.raises(PermissionDenied):
        record_visit(case=world.case(), entry=entry(), by=officer)


def test_a_joining_form_sent_twice_is_answered_with_the_same_visit(db):
    recorder = world.actor("recorder")
    with scoped(recorder):
        record_visit(case=world.case(), entry=entry(counselling=None), by=recorder)
        joining = entry(medication=None, cigarettes_per_day=None, co_ppm=None)
        first = record_visit(case=world.case(), entry=joining, by=recorder)
        (again,) = record_visits([(world.case(), joining)], by=recorder)
        assert again.repeated
        assert again.visit.pk == first.pk
        first.refresh_from_db()
        assert first.version == 2


def test_no_cigarettes_and_no_carbon_monoxide_are_values(db):
    recorder = world.actor("recorder")
    with scoped(recorder):
        visit = record_visit(case=world.case(), entry=entry(cigarettes_per_day=0, co_ppm=0), by=recorder)
        visit.refresh_from_db()
        assert (visit.cigarettes_per_day, visit.co_ppm) == (0, 0)
