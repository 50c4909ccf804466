"""Courses, purely: which service belongs to which (domain.md §6, §6a)."""

from dataclasses import replace
from datetime import date, time, timedelta
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quitledger.policy import PolicyGap
from quitledger.visits import courses as rules_of_courses
from quitledger.visits.courses import (
    COUNSELLING,
    MEDICATION,
    CourseService,
    Effect,
    Renumbering,
    courses_of,
    renumberings,
    standing,
    with_service,
)

START = date(2025, 1, 1)
HERE, THERE = 1, 2


def service(offset, weeks=1, place=HERE, kind=MEDICATION, at=None, site=None, key=None):
    day = START + timedelta(days=offset)
    return CourseService(
        offset if key is None else key, kind, day, at, weeks if kind == MEDICATION else 0, place, site or place
    )


def counselled(offset, place=HERE):
    return service(offset, place=place, kind=COUNSELLING)


def numbers(services):
    """The course of each service, in the services' order in time."""
    return [(course.year, course.number) for course in courses_of(services) for _ in course.services]


@pytest.mark.parametrize(
    ("services", "expected"),
    [
        ([service(0), service(89)], [1, 1]),
        ([service(0), service(90)], [1, 2]),
        ([service(0), service(60), service(95)], [1, 1, 2]),  # counted from the first visit, not from the last
        ([service(0, 4), service(30, 4)], [1, 1]),
        ([service(0, 4), service(30, 4), service(60, 1)], [1, 1, 2]),
        (
            [service(0, 4), service(30, 3), service(60, 2), service(70, 1)],
            [1, 1, 2, 2],
        ),  # what is left does not come back
        ([counselled(7 * n) for n in range(8)], [1] * 8),
        ([counselled(7 * n) for n in range(9)], [1] * 8 + [2]),
        ([service(0), service(10, place=THERE)], [1, 2]),
        ([service(0), service(10, place=THERE), service(20)], [1, 2, 3]),
        ([service(0), service(10, site=9)], [1, 1]),  # a branch
        ([service(0), counselled(0), counselled(100)], [1, 1, 2]),  # kinds apart
        ([service(0, at=time(15)), service(0, at=time(9), place=THERE)], [1, 2]),
    ],
)
def test_a_service_that_does_not_fit_starts_the_next_course(services, expected):
    assert [number for _, number in numbers(services)] == expected


def test_of_two_places_on_one_day_the_earlier_hour_comes_first():
    late_here, early_there = service(0, at=time(15)), service(0, at=time(9), place=THERE, key=7)
    first, second = courses_of([late_here, early_there])
    assert (first.services, second.services) == ([early_there], [late_here])
    first, second = courses_of([replace(late_here, visit_time=None), replace(early_there, visit_time=None)])
    assert (first.place, second.place) == (HERE, THERE)  # no hour is known: as they are numbered


def test_a_course_over_new_year_belongs_to_the_year_of_its_first_day():
    assert numbers([service(-12), service(9), service(78)]) == [(2024, 1), (2024, 1), (2025, 1)]


@pytest.mark.parametrize(("number", "allowed"), [(1, True), (2, True), (3, False)])
def test_the_third_course_of_a_year_is_not_allowed(number, allowed):
    given_before = [service(-100), *(service(95 * n) for n in range(number - 1))]
    asked = service(95 * (number - 1), key=99)
    courses, mine = with_service(asked, given_before)
    assert (mine.number, mine.is_allowed) == (number, allowed)
    assert courses[-1] is mine


def test_a_third_course_is_allowed_where_policy_does_not_refuse_it(monkeypatch):
    real = rules_of_courses.policy_on
    monkeypatch.setattr(
        rules_of_courses, "policy_on", lambda day, name: "warned" if name == "third_course" else real(day, name)
    )
    _, mine = with_service(service(190, key=99), [service(0), service(95)])
    assert (mine.number, mine.is_allowed) == (3, True)


def test_another_institution_goes_on_with_the_course_where_policy_says_so(monkeypatch):
    real = rules_of_courses.policy_on
    monkeypatch.setattr(
        rules_of_courses,
        "policy_on",
        lambda day, name: False if name == "other_institution_starts_next_course" else real(day, name),
    )
    assert numbers([service(0), service(10, place=THERE)]) == [(2025, 1), (2025, 1)]


def test_a_service_asked_for_again_takes_the_place_of_the_one_recorded():
    courses, mine = with_service(service(0, weeks=3, key=99), [service(0, weeks=2), service(20)])
    assert [one.weeks for one in mine.services] == [3, 1]
    assert len(courses) == 1


def test_before_the_programme_nothing_is_known():
    with pytest.raises(PolicyGap):
        courses_of([replace(service(0), visit_on=date(2002, 8, 1)), replace(service(0), visit_on=date(2002, 8, 30))])


def test_a_late_insert_renumbers_later_courses_and_says_so():
    before = [service(100), service(200)]
    after = [service(0, key=7), *before]
    assert renumberings(courses_of(before), courses_of(after)) == [
        Renumbering(100, (2025, 1), (2025, 2), True),
        Renumbering(200, (2025, 2), (2025, 3), False),
    ]
    assert renumberings(courses_of(after), courses_of(before)) == [
        Renumbering(100, (2025, 2), (2025, 1), True),
        Renumbering(200, (2025, 3), (2025, 2), True),
    ]
    assert renumberings(courses_of(before), courses_of([*before, service(210, key=8)])) == []


# --- Where a person stands ---


def stands(day, services, place=HERE, kind=MEDICATION, weeks=1):
    asked = service(day, weeks, place, kind, key=99)
    return standing(kind, asked.visit_on, asked, services)


@pytest.mark.parametrize(
    ("services", "day", "place", "running", "is_here", "effect", "next_number"),
    [
        ([], 0, HERE, None, False, Effect.STARTS, 1),
        ([service(0, 4)], 30, HERE, 1, True, Effect.CONTINUES, 1),
        ([service(0, 4)], 90, HERE, None, False, Effect.STARTS, 2),
        ([service(0, 4), service(30, 4)], 60, HERE, 1, True, Effect.STARTS, 2),
        ([service(0, 4)], 30, THERE, 1, False, Effect.GIVES_UP, 2),
        ([service(0), service(10, place=THERE)], 30, HERE, 2, False, Effect.REFUSED, 3),
        ([service(0), service(95)], 190, HERE, None, False, Effect.REFUSED, 3),
        ([service(50)], 0, HERE, None, False, Effect.STARTS, 1),  # a late one before what is recorded
        ([service(0)], 0, HERE, 1, True, Effect.STARTS, 1),  # the day itself again
    ],
)
def test_the_standing_says_what_runs_and_what_a_visit_would_do(
    services, day, place, running, is_here, effect, next_number
):
    found = stands(day, services, place)
    assert (found.course and found.course.number, found.is_here, found.effect) == (running, is_here, effect)
    assert found.next_course.number == next_number


def test_the_standing_counts_weeks_days_and_visits():
    found = stands(30, [service(0, 4)])
    assert (found.course.weeks, found.weeks, found.course.weeks_left) == (4, 8, 4)
    assert (found.day_number, found.days, found.label, found.is_medication) == (31, 90, "用藥", True)
    found = stands(30, [counselled(0), counselled(7)], kind=COUNSELLING)
    assert (found.course.visits, found.visits, found.course.visits_left) == (2, 8, 6)
    nothing = stands(0, [])
    assert (nothing.day_number, nothing.days, nothing.next_course.year) == (0, 90, 2025)


# --- Properties ---

anything = st.builds(
    service,
    st.integers(0, 500),
    weeks=st.integers(1, 4),
    place=st.integers(1, 3),
    kind=st.sampled_from([MEDICATION, COUNSELLING]),
    at=st.sampled_from([None, time(9), time(15)]),
)
lives = st.lists(anything, max_size=25, unique_by=lambda one: (one.kind, one.visit_on, one.site)).map(
    lambda services: [replace(one, key=number) for number, one in enumerate(services)]
)


def by_key(services):
    return {one.key: (course.year, course.number) for course in courses_of(services) for one in course.services}


@given(lives, st.randoms(use_true_random=False))
def test_the_order_of_recording_cannot_be_seen(services, random):
    shuffled = random.sample(services, len(services))
    assert by_key(shuffled) == by_key(services)


@given(lives)
def test_every_service_is_in_one_course_and_courses_keep_their_limits(services):
    courses = courses_of(services)
    assert sorted(one.key for course in courses for one in course.services) == [one.key for one in services]
    for course in courses:
        assert {one.kind for one in course.services} == {course.kind}
        assert {one.place for one in course.services} == {course.place}
        assert (course.services[-1].visit_on - course.first_on).days < 90
        assert course.weeks <= 8
        assert course.kind == MEDICATION or course.visits <= 8
        assert course.year == course.first_on.year
    for kind in (MEDICATION, COUNSELLING):
        mine = [course for course in courses if course.kind == kind]
        for year in {course.year for course in mine}:
            count = [course.number for course in mine if course.year == year]
            assert count == list(range(1, len(count) + 1))
        for earlier, later in zip(mine, mine[1:], strict=False):
            assert not earlier.takes(later.services[0])  # nothing starts a course without need


@given(lives, anything)
def test_what_a_visit_would_do_is_what_it_then_does(services, asked):
    asked = replace(asked, key=None)
    courses, mine = with_service(asked, services)
    recorded = replace(asked, key=1000)
    same = (asked.kind, asked.visit_on, asked.site)
    after = by_key([*(s for s in services if (s.kind, s.visit_on, s.site) != same), recorded])
    assert after[1000] == (mine.year, mine.number)
    assert standing(asked.kind, asked.visit_on, asked, services).next_course.number == mine.number


def test_three_services_in_any_order_of_arrival():
    services = [service(0, 4), service(30, 4), service(60, 4)]
    assert all(by_key(order) == {0: (2025, 1), 30: (2025, 1), 60: (2025, 2)} for order in permutations(services))
