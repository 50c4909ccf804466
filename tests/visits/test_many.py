"""Many visits at once are what one after the other are: the same answers, the same rows, whichever way they went in."""

from datetime import date, timedelta
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.forms.models import model_to_dict

from quitledger.accounts.actors import Actor
from quitledger.accounts.scope import scoped
from quitledger.cases.services import BaselineEntry, record_baseline
from quitledger.visits import written
from quitledger.visits.models import MedicationLine, Service, Visit
from quitledger.visits.rules import Counselling, Entry, Line, Medication
from quitledger.visits.services import check_visits, record_visits

from .. import world
from ..portal.conftest import journaled
from .merged import registered

DAYS = [date(2025, 3, 14) + timedelta(days=5 * n) for n in range(3)]
LEFT_OUT = {"id", "visit", "service", "recorded_at", "changed_at"}


@pytest.fixture
def people(db):
    """Thirty persons, of whom the first ones have been elsewhere, too."""
    cases = [registered(500 + n, world.CLINIC, f"示範{n}") for n in range(30)]
    for n in range(3):
        registered(500 + n, world.PHARMACY, f"示範{n}")
    by = Actor(None, cases[0].institution_id, None, system=True)
    with scoped(by):
        for case in cases[8::9]:
            intake = BaselineEntry(uuid4(), date(2025, 3, 12), {}, 20, None, None, pregnant=False, insured=True)
            record_baseline(case=case, entry=intake, today=world.TODAY, by=by)
    return cases


def entries_of(people):
    staff = world.staff("示範丑").uid, world.staff("示範子").uid
    return [
        (case, Entry(
            uuid4(), day, medication=Medication(staff[0], (Line(world.PATCH, 1), Line(world.GUM, 2))) if n % 9 == 8 else None,
            counselling=Counselling(staff[1], "telephone"), cigarettes_per_day=n % 7, note="好" if n % 3 else "",
        ))
        for n, case in enumerate(people) for day in DAYS
    ]  # fmt: skip


def left() -> list[list[dict]]:
    """What stands in the tables, without keys and moments."""
    found = []
    for model in (Visit, Service, MedicationLine):
        rows = [
            {k: v for k, v in model_to_dict(row).items() if k not in LEFT_OUT} for row in model.objects.order_by("pk")
        ]
        found.append(rows)
    with connection.cursor() as cursor:
        for table in (
            "visits_visit_history",
            "visits_service_history",
            "visits_medicationline_history",
            "visits_course",
        ):
            cursor.execute(f"SELECT count(*) FROM {table}")
            found.append(cursor.fetchall())
    return found


def test_rows_that_are_copied_in_are_those_of_one_after_the_other(people):
    by = world.actor("recorder")
    with scoped(by):
        entries = entries_of(people)
    results = []
    for many in (True, False):
        with journaled() as noted, transaction.atomic():
            with scoped(by), pytest.MonkeyPatch.context() as patched:
                patched.setattr(written, "_MANY", 1 if many else 10**9)
                outcomes = record_visits(entries, by=by)
                assert all(outcome.visit for outcome in outcomes), [one.problems for one in outcomes]
                results.append(left())
                connection.cursor().execute("SET CONSTRAINTS ALL IMMEDIATE")
            transaction.set_rollback(True)
        del noted
    assert results[0] == results[1]
    assert len(results[0][0]) == 90


def test_a_check_answers_what_recording_answers_and_records_nothing(people):
    by = world.actor("recorder")
    with scoped(by):
        entries = entries_of(people)
        wrong = [
            (case, Entry(uuid4(), DAYS[0] + timedelta(days=1), counselling=entry.counselling))
            for case, entry in entries[::3]
        ]
        asked = [*entries[:40], *wrong[:10], *entries[:5]]
        checked = check_visits(asked, by=by)
        assert Visit.objects.count() == 0
        recorded = record_visits(asked, by=by)
    answers = [[(one.problems, one.repeated, one.is_known) for one in outcomes] for outcomes in (checked, recorded)]
    assert answers[0] == answers[1]
    assert {problem.code for problems, *_rest in answers[0] for problem in problems} == {"visit-too-near"}
    assert [repeated for _problems, repeated, _known in answers[0]][-5:] == [True] * 5


def test_many_persons_have_the_same_courses_as_each_of_them(people):
    by = world.actor("recorder")
    with scoped(by):
        record_visits(entries_of(people), by=by)
    columns = "person_id, sites::text, services::text, courses::text"
    with scoped(by), connection.cursor() as cursor:
        cases = [case.pk for case in people]
        cursor.execute(f"SELECT {columns} FROM visits_course_facts(%s) ORDER BY 1", [cases])
        together = cursor.fetchall()
        apart = []
        for case in cases:
            cursor.execute(f"SELECT {columns} FROM visits_course_facts(%s)", [[case]])
            apart += cursor.fetchall()

    def plain(rows):
        import json

        return sorted(
            (person, json.loads(sites), sorted(json.loads(services or "[]")), sorted(json.loads(courses or "[]")))
            for person, sites, services, courses in rows
        )

    assert len(together) == 30
    assert plain(together) == plain(apart)


def test_services_that_join_visits_join_them_together(people):
    by = world.actor("recorder")
    with scoped(by):
        physician, counsellor = world.staff("示範丑").uid, world.staff("示範子").uid
        first = [(case, Entry(uuid4(), DAYS[0], counselling=Counselling(counsellor))) for case in people]
        record_visits(first, by=by)
        more = [
            (case, Entry(uuid4(), DAYS[0], medication=Medication(physician, (Line(world.PATCH, 1),)), co_ppm=9))
            for case in people
        ]
        outcomes = record_visits(more, by=by)
    good = [outcome for outcome in outcomes if outcome.visit]
    with scoped(by):
        assert Visit.objects.count() == 30
        joined = Visit.objects.filter(version=2, co_ppm=9, change_reason="當日另一項服務").count()
    assert joined == len(good)
    assert {problem.code for outcome in outcomes for problem in outcome.problems} == {"baseline-missing"}
    assert 0 < joined < 30
