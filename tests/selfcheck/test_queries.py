"""The read models of the self-check: the same numbers as the query of visits, few statements, shares that add up."""

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from quitledger.accounts.scope import scoped
from quitledger.cases.services import BaselineEntry, record_baseline
from quitledger.institutions.models import Tier
from quitledger.policy import TAIPEI
from quitledger.selfcheck.queries import (
    Figures,
    InstitutionMonth,
    grouped,
    idle_staff,
    month_check,
    nation,
    percent,
    standing_of,
    weeks_of,
)
from quitledger.selfcheck.rules import Check, Standing
from quitledger.visits.queries import VisitQuery, totals
from quitledger.visits.rules import Counselling, Entry, Line, Medication, Timeliness
from quitledger.visits.services import record_visits

from .. import world
from .scene import MARCH, MARCH_15, MARCH_20, recorded, seen_by, signed, step

MOST_STATEMENTS = 14


def test_timeliness_is_that_of_the_query_of_visits_on_the_page_and_at_the_desk(committed: Any) -> None:
    recorder = world.actor("recorder")
    with committed.as_owner(), scoped(recorder):
        staff = world.staff("示範子").uid
        days = [(date(2025, 3, 3), 0), (date(2025, 3, 10), 2), (date(2025, 3, 17), 9), (date(2025, 3, 24), 1)]
        entries = [(world.case(), Entry(uuid4(), day, counselling=Counselling(staff))) for day, _late in days]
        moments = [datetime.combine(day + timedelta(days=late), time(20), TAIPEI) for day, late in days]
        outcomes = record_visits(entries, by=recorder, recorded_at=moments)
        assert all(outcome.visit for outcome in outcomes), outcomes
    with step("recorder") as by:
        counted = totals(VisitQuery(MARCH, date(2025, 3, 31)), by=by)
        check = seen_by(by)
        assert (check.visits, dict(check.tags)) == (counted.visits, {tag: n for tag, n in counted.tags.items() if n})
        assert sum(number for _tag, number, _share in check.shares) == check.visits
    with step("desk_officer") as by:
        (row,) = [row for row in nation(MARCH, by=by) if row.code == world.CLINIC]
        figures = row.figures
        assert counted.tags == dict(zip(Timeliness, (figures.prompt, figures.in_window, figures.late), strict=True))


def test_a_month_is_read_in_few_statements_however_many_visits_it_has(committed: Any) -> None:
    found = []
    for name in ("示範甲", "示範乙"):
        recorded(committed, MARCH_20, name)
        with step("recorder") as by, CaptureQueriesContext(connection) as captured:
            seen_by(by)
        found.append(len(captured.captured_queries))
    assert found[0] == found[1] <= MOST_STATEMENTS


def test_the_first_medication_of_a_course_is_told_from_later_ones_and_held_against_its_intake(committed: Any) -> None:
    with step("recorder") as by:
        case = world.case("示範乙")
        entry = BaselineEntry(uuid4(), MARCH_15, {}, 20, None, None, pregnant=False, insured=True)
        record_baseline(case=case, entry=entry, today=world.TODAY, by=by)
    first = recorded(committed, MARCH_15, "示範乙", counselling=None)
    recorded(committed, MARCH_20, "示範乙", counselling=None)
    with step("recorder") as by:
        found = {(one.check, one.visit) for one in seen_by(by).findings}
    assert found == {(Check.INTAKE_SCORE, first), (Check.COUNSELLING, first)}


@pytest.mark.parametrize(("earlier", "later", "missing"), [(True, False, [Check.INTAKE_SCORE]), (False, True, [])])
def test_of_several_intakes_the_latest_is_held_against_the_course(
    committed: Any, earlier: bool, later: bool, missing: list[Check]
) -> None:
    with step("recorder") as by:
        for day, scored in ((date(2025, 3, 10), earlier), (MARCH_15, later)):
            answers = world.FTND if scored else {}
            entry = BaselineEntry(uuid4(), day, answers, 20, None, None, pregnant=False, insured=True)
            record_baseline(case=world.case("示範丁"), entry=entry, today=world.TODAY, by=by)
    recorded(committed, MARCH_20, "示範丁")
    with step("recorder") as by:
        assert [one.check for one in seen_by(by).findings] == missing


@pytest.mark.parametrize(("weeks", "missing"), [((1, 1), [Check.NEXT_VISIT]), ((1, 4), []), ((4, 1), [])])
def test_of_several_medicines_the_one_that_lasts_longest_is_waited_for(
    committed: Any, weeks: tuple[int, int], missing: list[Check]
) -> None:
    lines = tuple(Line(code, number) for code, number in zip((world.PATCH, world.GUM), weeks, strict=True))
    with step("recorder") as by:
        entry = BaselineEntry(uuid4(), MARCH, world.FTND, 20, None, None, pregnant=False, insured=True)
        record_baseline(case=world.case("示範丁"), entry=entry, today=world.TODAY, by=by)
        physician = world.staff("示範丑").uid
    recorded(committed, date(2025, 3, 5), "示範丁", medication=Medication(physician, lines))
    with step("recorder") as by:
        assert [one.check for one in seen_by(by).findings] == missing


def test_counselling_on_a_later_day_is_counselling(committed: Any) -> None:
    recorded(committed, MARCH_15, counselling=None)
    recorded(committed, MARCH_20, medication=None)
    with step("recorder") as by:
        assert seen_by(by).findings == []


def test_a_case_opened_in_the_month_without_a_visit_is_found_until_it_has_one(committed: Any) -> None:
    february = date(2025, 1, 1)  # everybody of the world was registered on 1/31
    with step("recorder") as by:
        found = seen_by(by, february).findings
        assert {(one.check, one.case) for one in found} == {
            (Check.CASE_WITHOUT_VISIT, world.case(name).pk) for name in ("示範甲", "示範乙", "示範丙", "示範丁")
        }
    recorded(committed, MARCH_20)
    with step("recorder") as by:
        assert world.case().pk not in {one.case for one in seen_by(by, february).findings}


@pytest.mark.parametrize("username", ["desk_officer", "analyst", "nowhere", "administrator"])
def test_whoever_is_at_no_institution_has_no_month(db: Any, username: str) -> None:
    with step(username) as by:
        for ask in (
            lambda: month_check(MARCH, moment=world.NOW, today=world.TODAY, by=by),
            lambda: standing_of(MARCH, by=by),
        ):
            with pytest.raises(PermissionDenied):
                ask()


@pytest.mark.parametrize("username", ["recorder", "supervisor", "analyst", "nowhere"])
def test_the_lists_of_all_institutions_are_the_desks(db: Any, username: str) -> None:
    with step(username) as by:
        for ask in (nation, idle_staff):
            with pytest.raises(PermissionDenied):
                ask(MARCH, by=by)


def test_an_extension_moves_the_moment_until_which_the_month_is_open(committed: Any, owner: Any) -> None:
    recorded(committed)
    owner.execute(
        "INSERT INTO visits_windowextension (month, reach, county, closes_at, reason, decided_by_id)"
        " SELECT '2025-03-01', 'all', '', '2025-05-01 00:00+08', 'test', id FROM accounts_user WHERE username = 'desk_supervisor'"
    )
    with step("recorder") as by:
        assert seen_by(by).closes_at == datetime(2025, 5, 1, tzinfo=TAIPEI)


def test_a_month_signed_off_is_signed_at_the_desk_with_who_and_when(committed: Any) -> None:
    recorded(committed)
    done = signed().sign_off
    with step("desk_officer") as by:
        (row,) = [row for row in nation(MARCH, by=by) if row.code == world.CLINIC]
    assert (row.standing, row.signed_by, row.signed_at, row.sign_off) == (
        Standing.SIGNED, "示範主管", done.signed_at, done.uid
    )  # fmt: skip


@pytest.mark.parametrize(
    ("part", "whole", "expected"),
    [(0, 0, None), (0, 3, "0.00"), (1, 3, "33.33"), (2, 3, "66.67"), (1, 800, "0.13"), (3, 3, "100.00")],  # half up
)
def test_shares_have_two_decimals_round_half_up(part: int, whole: int, expected: str | None) -> None:
    assert percent(part, whole) == (None if expected is None else Decimal(expected))


@given(st.dates(date(2020, 1, 1), date(2030, 12, 31)))
def test_a_calendar_has_every_day_of_its_month_once_in_weeks_from_sunday(day: date) -> None:
    month = day.replace(day=1)
    weeks = weeks_of(month, {day: 3}, {day: 1})
    assert all(len(week) == 7 and week[0].on.weekday() == 6 for week in weeks)
    own = [one for week in weeks for one in week if one.in_month]
    assert [one.on for one in own] == [month + timedelta(days=n) for n in range(len(own))]
    assert (own[-1].on + timedelta(days=1)).day == 1
    assert [(one.visits, one.incomplete) for one in own if one.visits] == [(3, 1)]


FIGURES = st.builds(Figures, *[st.integers(0, 9)] * 3)


@given(st.lists(st.tuples(st.sampled_from(Tier.values), st.sampled_from("甲乙丙"), FIGURES, st.sampled_from(Standing))))
def test_groups_add_up_to_all_institutions(given_: list[Any]) -> None:
    rows = [
        InstitutionMonth(n, str(n), "", tier, county, True, figures, how, None, "", None, None)
        for n, (tier, county, figures, how) in enumerate(given_)
    ]
    for label in ("tier", "county"):
        *groups, everything = grouped(rows, label)
        assert everything.institutions == len(rows) == sum(group.institutions for group in groups)
        assert everything.figures == sum((group.figures for group in groups), Figures())
        assert [sum(group.in_order[n] for group in groups) for n in range(4)] == everything.in_order
        assert sum(everything.in_order) == len(rows)
