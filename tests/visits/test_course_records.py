"""Courses as they are kept: written with the visit, the same as computed anew, and silent about other institutions."""

from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.core.exceptions import PermissionDenied
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import errors

from quitledger.accounts.actors import SYSTEM
from quitledger.accounts.scope import scoped
from quitledger.policy.problem import Refused
from quitledger.visits import rules
from quitledger.visits.course_records import CourseBook
from quitledger.visits.courses import Effect
from quitledger.visits.models import Course, CourseFinding, Visit
from quitledger.visits.queries import course_facts, course_findings, standings_on
from quitledger.visits.services import recompute_courses, record_visit

from .. import world
from ..sql import acting, keys

MARCH = date(2025, 3, 2)
STAFF = {world.CLINIC: "示範丑", world.PHARMACY: "示範卯"}
BY = {world.CLINIC: "recorder", world.PHARMACY: "stranger"}


def record(day: date, code: str = world.CLINIC) -> Visit:
    """A counselling visit of 示範甲, who is known at both institutions."""
    by = world.actor(BY[code])
    with scoped(by):
        counselling = rules.Counselling(world.staff(STAFF[code]).uid)
        entry = rules.Entry(uuid4(), day, counselling=counselling)
        return record_visit(case=world.case("示範甲", code), entry=entry, by=by)


def void(visit: Visit) -> None:
    """As a void will do it: out of force, and the person's courses anew."""
    by = world.actor(BY[world.CLINIC])
    with scoped(by):
        book = CourseBook.read([visit.case_id])
        changed = Visit.objects.get(pk=visit.pk)
        changed.in_force, changed.version = False, changed.version + 1
        changed.save(update_fields=["in_force", "version", "changed_at"])
        for service in visit.services.all():
            book.remove(visit.person_id, service.pk)
        book.write(visit.uid)


def kept() -> list[tuple[int, date]]:
    with scoped(SYSTEM):
        return list(Course.objects.order_by("course_year", "course_no").values_list("course_no", "first_on"))


def test_a_course_is_kept_from_its_first_visit_and_later_ones_write_nothing(committed: Any) -> None:
    record(MARCH)
    assert kept() == [(1, MARCH)]
    with scoped(world.actor("recorder")):
        (first,) = Course.objects.values_list("pk", flat=True)
    record(MARCH + timedelta(days=7))
    with scoped(world.actor("recorder")):
        assert [course.pk for course in Course.objects.all()] == [first]


def test_going_to_another_institution_starts_the_second_course_and_going_back_is_refused(committed: Any) -> None:
    record(MARCH)
    record(MARCH + timedelta(days=7), world.PHARMACY)
    assert kept() == [(1, MARCH), (2, MARCH + timedelta(days=7))]
    with pytest.raises(Refused) as refused:
        record(MARCH + timedelta(days=14))
    (problem,) = refused.value.problems
    assert (problem.code, problem.field, problem.policy) == ("course-beyond-year", "visit_on", "third_course")
    assert "114 年的第 3 個療程" in problem.message
    assert world.PHARMACY not in problem.message
    assert kept() == [(1, MARCH), (2, MARCH + timedelta(days=7))]


def test_a_branch_goes_on_with_the_course_of_its_parent(committed: Any, owner: psycopg.Connection) -> None:
    clinic, pharmacy = (keys(owner, "示範甲", code).institution for code in (world.CLINIC, world.PHARMACY))
    owner.execute("UPDATE institutions_institution SET parent_id = %s WHERE id = %s", [clinic, pharmacy])
    record(MARCH)
    record(MARCH + timedelta(days=7), world.PHARMACY)
    record(MARCH + timedelta(days=14))
    assert kept() == [(1, MARCH)]


def test_a_parent_is_no_branch(committed: Any, owner: psycopg.Connection) -> None:
    clinic, pharmacy = (keys(owner, "示範甲", code).institution for code in (world.CLINIC, world.PHARMACY))
    owner.execute("UPDATE institutions_institution SET parent_id = %s WHERE id = %s", [clinic, pharmacy])
    with pytest.raises(errors.CheckViolation):
        owner.execute("UPDATE institutions_institution SET parent_id = %s WHERE id = %s", [pharmacy, clinic])
    with pytest.raises(errors.CheckViolation):
        owner.execute("UPDATE institutions_institution SET parent_id = id WHERE id = %s", [clinic])


def test_the_standing_tells_of_the_course_elsewhere_but_not_where(committed: Any) -> None:
    record(MARCH, world.PHARMACY)
    by = world.actor("recorder")
    with scoped(by):
        medication, counselling = standings_on(world.TODAY, course_facts(world.case()))
    assert counselling.course is not None
    assert (counselling.course.number, counselling.course.visits, counselling.is_here) == (1, 1, False)
    assert (counselling.day_number, counselling.effect, counselling.next_course.number) == (31, Effect.GIVES_UP, 2)
    assert (medication.course, medication.effect) == (None, Effect.STARTS)


def test_a_late_insert_makes_nothing_invalid_and_is_listed_to_the_desk(committed: Any) -> None:
    later = record(MARCH + timedelta(days=20))
    earlier = record(MARCH, world.PHARMACY)
    assert kept() == [(1, MARCH), (2, MARCH + timedelta(days=20))]
    desk = world.actor("desk_officer")
    with scoped(desk):
        (found,) = course_findings(by=desk)
        assert (found.visit.uid, found.before_no, found.after_no) == (later.uid, 1, 2)
        assert (found.is_allowed, found.caused_by) == (True, earlier.uid)
        assert list(course_findings(by=desk, beyond=True)) == []
    recorder = world.actor("recorder")
    with scoped(recorder), pytest.raises(PermissionDenied):
        course_findings(by=recorder)


def test_a_late_insert_that_makes_a_third_course_is_recorded_and_marked(committed: Any) -> None:
    record(MARCH + timedelta(days=10))
    third = record(MARCH + timedelta(days=20), world.PHARMACY)
    record(MARCH, world.PHARMACY)
    assert [number for number, _ in kept()] == [1, 2, 3]
    desk = world.actor("desk_supervisor")
    with scoped(desk):
        assert [one.visit.uid for one in course_findings(by=desk, beyond=True)] == [third.uid]
        assert Visit.objects.filter(in_force=True).count() == 3


def test_a_void_gives_the_number_back(committed: Any) -> None:
    first = record(MARCH)
    record(MARCH + timedelta(days=7), world.PHARMACY)
    void(first)
    assert kept() == [(1, MARCH + timedelta(days=7))]


def test_a_write_that_fails_leaves_the_courses_as_they_were(committed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    record(MARCH)
    monkeypatch.setattr(CourseBook, "write", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        record(MARCH + timedelta(days=7), world.PHARMACY)
    monkeypatch.undo()
    assert kept() == [(1, MARCH)]
    with scoped(SYSTEM):
        assert Visit.objects.count() == 1


Step = tuple[str, int]
steps = st.lists(
    st.tuples(st.sampled_from([world.CLINIC, world.PHARMACY, "void"]), st.integers(0, 30)), min_size=1, max_size=12
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps)
def test_whatever_was_recorded_and_voided_the_kept_numbers_are_those_computed_anew(
    committed: Any, steps: list[Step]
) -> None:
    recorded: list[Visit] = []
    for what, number in steps:
        try:
            if what == "void":
                if recorded:
                    void(recorded.pop(number % len(recorded)))
            else:
                visit = record(MARCH + timedelta(days=number), what)
                if what == world.CLINIC:
                    recorded.append(visit)
        except Refused:
            continue
    before = kept()  # of this example and those before it
    with committed.as_owner(), scoped(SYSTEM):
        assert recompute_courses(by=SYSTEM) == 0
    assert kept() == before


def test_all_courses_computed_anew_are_put_right_and_listed(committed: Any, owner: psycopg.Connection) -> None:
    visit = record(MARCH)
    record(MARCH + timedelta(days=7), world.PHARMACY)
    owner.execute("DELETE FROM visits_course WHERE first_on > %s", [MARCH])
    owner.execute("UPDATE visits_course SET course_no = 7")
    with committed.as_owner(), scoped(SYSTEM):
        assert recompute_courses(by=SYSTEM) == 1
        (found,) = CourseFinding.objects.all()
        assert (found.visit_id, found.before_no, found.after_no, found.caused_by) == (visit.pk, 7, 1, None)
    with committed.as_owner(), scoped(SYSTEM):
        assert recompute_courses(by=SYSTEM) == 0
    assert [number for number, _ in kept()] == [1, 2]


def test_only_those_who_may_compute_all_courses_anew(db: Any) -> None:
    supervisor = world.actor("supervisor")
    with scoped(supervisor), pytest.raises(PermissionDenied):
        recompute_courses(by=supervisor)


_FACTS = "SELECT visits_recording_facts(%s, '{}', '{}', '{}', '{}', 0, 0, 0)"


@pytest.mark.engine
def test_the_database_gives_an_institution_the_courses_and_facts_of_its_own_cases_alone(
    committed: Any, owner: psycopg.Connection
) -> None:
    ours, theirs = keys(owner), keys(owner, "示範戊", world.PHARMACY)
    with acting(committed, ours.institution, ours.account) as application:
        assert application.execute("SELECT * FROM visits_course_facts(%s)", [[ours.case]]).fetchall()
        assert application.execute(_FACTS, [[ours.case]]).fetchall()
        for statement, values in (
            ("SELECT * FROM visits_course_facts(%s)", [[theirs.case]]),
            (_FACTS, [[theirs.case]]),
            (_FACTS, [[ours.case, theirs.case]]),
            ("SELECT visits_write_courses(%s, '{}', '{}', '[]', NULL)", [[theirs.person]]),
            ("INSERT INTO visits_course DEFAULT VALUES", []),
            ("DELETE FROM visits_course", []),
        ):
            with pytest.raises(errors.InsufficientPrivilege), application.transaction():
                application.execute(statement, values)
