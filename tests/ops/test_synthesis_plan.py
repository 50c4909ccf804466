"""The plan of a made-up nation: it counts to the printed tables, and it keeps the programme's rules."""

import json
from collections import Counter, defaultdict
from dataclasses import replace
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quitledger.ops import synthesis_plan
from quitledger.ops.synthesis_plan import (
    MOST_SERVICES,
    NOBODY,
    PlanFails,
    check,
    count,
    plan_nation,
    plan_registry,
    plan_year,
)
from quitledger.ops.synthesis_targets import KINDS, scaled, served, target
from quitledger.policy import policy_on
from quitledger.visits.courses import COUNSELLING, MEDICATION, CourseService, courses_of

FILE = Path(__file__).parents[1] / "annual-statistics-113.json"  # as printed
REFERENCE = json.loads(FILE.read_text(encoding="utf-8"))
TIERS = {"western_clinic": "clinic", "public_health_center": "health_center"}  # otherwise called as in the tables
SMALL = Decimal("0.02")


def planned(year=2024, *, seed=1, scale=SMALL, years=None):
    registry, plans = plan_nation(years or [year], seed=seed, scale=scale)
    return registry, list(plans)


@pytest.fixture(scope="module")
def full():
    """The nation at full size."""
    registry, (plan,) = planned(scale=Decimal(1))
    return registry, plan


@pytest.fixture(scope="module")
def small():
    registry, (plan,) = planned()
    return registry, plan


def rows(table):
    return {TIERS.get(row["tier"], row["tier"]): row for row in REFERENCE[table]["rows"]}


def rounded(number, decimals):
    return str(Decimal(number).quantize(Decimal(decimals), ROUND_HALF_UP))


# --- The printed tables ----------------------------------------------------------------------------------------------


def test_table_1_comes_out_digit_by_digit(full):
    registry, plan = full
    counted = count(plan, registry)
    contracted = Counter(place.tier for place in registry.places)
    for tier, row in rows("table_1_institutions").items():
        assert contracted[tier] == row["contracted"]
        assert counted.places[tier] == row["executing"]
        assert rounded(Decimal(100 * counted.places[tier]) / contracted[tier], "0.01") == row["execution_rate_percent"]
    total = REFERENCE["table_1_institutions"]["total"]
    assert (len(registry.places), sum(counted.places.values())) == (total["contracted"], total["executing"])


def test_table_2_comes_out_digit_by_digit_with_its_distinct_totals(full):
    registry, plan = full
    counted = count(plan, registry)
    for tier, row in rows("table_2_staff").items():
        contracted = {c.staff for c in registry.contracts if registry.places[c.place].tier == tier}
        assert len(contracted) == row["contracted"]
        assert counted.staff[tier] == row["executing"]
    total = REFERENCE["table_2_staff"]["total"]
    assert (len(registry.professions), counted.distinct_staff) == (total["contracted"], total["executing"])


def test_table_3_comes_out_digit_by_digit_except_for_the_total_that_does_not_add_up(full):
    registry, plan = full
    counted = count(plan, registry)
    for tier, row in rows("table_3_services").items():
        for kind in KINDS:
            visits, people = counted.visits[tier, kind], counted.people[tier, kind]
            assert visits == row[f"{kind}_visits"]
            assert rounded(Decimal(visits) / people, "0.1") == row[f"mean_{kind}_visits_per_person"]
    table = REFERENCE["table_3_services"]
    for kind in KINDS:
        total = sum(counted.visits[tier, kind] for tier in rows("table_3_services"))
        assert total == table["row_sums"][f"{kind}_visits"]
        people = counted.distinct_of_kind[kind]
        for shown in (total, table["total_as_printed"][f"{kind}_visits"]):
            assert (
                rounded(Decimal(shown) / people, "0.1") == table["total_as_printed"][f"mean_{kind}_visits_per_person"]
            )
    assert counted.distinct_people == 116_996
    assert sum(counted.visits.values()) == 428_518
    both = sum(counted.distinct_of_kind.values()) - counted.distinct_people
    assert 49_000 <= both <= 56_000


# --- The rules -------------------------------------------------------------------------------------------------------


def keeps_the_rules(plan, registry):
    """Every person's courses and distances, by the rules themselves; one intake on the first day of each course."""
    first, last = date(plan.year, 1, 1).toordinal(), date(plan.year, 12, 31).toordinal()
    spacing = policy_on(date(plan.year, 1, 1), "visit_spacing_days")
    by_person = defaultdict(list)
    for visit in plan.visits:
        assert first <= visit.day <= last
        assert visit.weeks or visit.counsellor != NOBODY
        assert bool(visit.weeks) == (visit.prescriber != NOBODY)
        for kind, number in ((MEDICATION, visit.prescriber), (COUNSELLING, visit.counsellor)):
            if number != NOBODY:
                contract = registry.contracts[number]
                assert contract.place == visit.place
                assert contract.executing
                assert contract.may_medicate if kind == MEDICATION else contract.may_counsel
        by_person[visit.person].append(visit)
    assert len(by_person) == plan.people
    for visits in by_person.values():
        services, intakes = [], set()
        for visit in visits:
            day = date.fromordinal(visit.day)
            assert visit.weeks <= policy_on(day, "weeks_per_visit")
            if visit.intake:
                intakes.add((visit.place, visit.day))
            if visit.weeks:
                services.append(CourseService(None, MEDICATION, day, None, visit.weeks, visit.place, visit.place))
            if visit.counsellor != NOBODY:
                services.append(CourseService(None, COUNSELLING, day, None, 0, visit.place, visit.place))
        for kind in (MEDICATION, COUNSELLING):
            given = [(service.place, service.visit_on.toordinal()) for service in services if service.kind == kind]
            assert len(given) <= MOST_SERVICES
            for (place, day), (next_place, next_day) in pairwise(sorted(given)):
                assert place != next_place or next_day - day >= spacing
        for course in courses_of(services):
            assert course.is_allowed
            if course.kind == MEDICATION:
                assert (course.place, course.first_on.toordinal()) in intakes
    return by_person


def test_the_full_nation_keeps_the_rules_of_spacing_and_of_courses(full):
    registry, plan = full
    by_person = keeps_the_rules(plan, registry)
    moved = sum(len({visit.place for visit in visits}) > 1 for visits in by_person.values())
    assert moved == 1169
    assert sum(visit.weeks > 0 and visit.counsellor != NOBODY for visit in plan.visits) > 100_000


def test_weekdays_and_months_differ_and_nobody_comes_on_a_sunday(full):
    _, plan = full
    days = Counter(date.fromordinal(visit.day).weekday() for visit in plan.visits)
    assert days[6] == 0
    assert days[5] < days[4] / 2
    assert days[0] > days[4]
    months = Counter(date.fromordinal(visit.day).month for visit in plan.visits)
    assert months[2] < months[3]


@settings(max_examples=8, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10**6), scale=st.integers(100, 600), year=st.integers(2014, 2026))
def test_a_small_nation_of_any_year_counts_to_its_numbers_and_keeps_the_rules(seed, scale, year):
    registry, (plan,) = planned(year, seed=seed, scale=Decimal(scale) / 10_000)
    keeps_the_rules(plan, registry)
    counted = count(plan, registry)
    wanted = target(year, Decimal(scale) / 10_000)
    assert counted.distinct_people == wanted.people
    for tier, row in wanted.tiers.items():
        for kind in KINDS:
            assert counted.visits[tier, kind] == row.visits[kind]
            assert wanted.mean_fits(row.visits[kind], counted.people[tier, kind], row.means[kind])


@pytest.mark.parametrize("scale", [Decimal(step) / 200 for step in range(2, 200)])
def test_at_every_scale_the_means_of_the_printed_year_lie_within_two_tenths(scale):
    wanted = target(2024, scale)
    for row in wanted.tiers.values():
        for kind in KINDS:
            people = synthesis_plan._people(row.visits[kind], row.means[kind], wanted)
            assert abs(Decimal(row.visits[kind]) / people - row.means[kind]) <= Decimal("0.2")


def test_the_same_seed_gives_the_same_nation_and_another_another(small):
    registry, plan = small
    again, (same,) = planned()
    assert (again, same) == (registry, plan)
    _, (other,) = planned(seed=2)
    assert other.visits != plan.visits


# --- Several years ---------------------------------------------------------------------------------------------------


def test_ten_years_are_those_published_and_others_between_them():
    assert served(2022) == (91_851, 308_867)
    assert served(2024) == (116_996, 428_518)
    for year in range(2010, 2030):
        people, services = served(year)
        assert 91_851 <= people <= 116_996
        wanted = target(year)
        assert wanted.people == people
        assert sum(row.visits[kind] for row in wanted.tiers.values() for kind in KINDS) == services
    assert [year for year in range(2010, 2030) if target(year).exact] == [2024]


def test_in_earlier_years_fewer_institutions_were_there_and_whoever_executes_is_contracted():
    years = [2021, 2022, 2023, 2024]
    registry, plans = planned(scale=Decimal("0.05"), years=years)
    assert [plan.year for plan in plans] == years
    joined = Counter(place.since for place in registry.places)
    assert joined[2021] > sum(joined[year] for year in years[1:]) > 0
    for plan in plans:
        keeps_the_rules(plan, registry)
        assert all(registry.places[visit.place].since <= plan.year for visit in plan.visits)
    places = [len({visit.place for visit in plan.visits}) for plan in plans]
    assert places == sorted(places)


# --- What cannot be --------------------------------------------------------------------------------------------------


def test_counts_are_rounded_half_up_and_what_was_there_stays():
    assert [scaled(number, Decimal("0.5")) for number in (0, 1, 2, 3, 5)] == [0, 1, 1, 2, 3]
    assert scaled(1, Decimal("0.01")) == 1


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"people": 10}, "distinct people"),
        ({"people": 10**6}, "distinct people"),
        ({"means": {MEDICATION: Decimal(9), COUNSELLING: Decimal(2)}}, "mean of medication: "),
        ({"staff": 10**6}, "staff of all tiers"),
        ({"executing_staff": 10**6}, "staff of all tiers"),
        ({"staff": 110}, "too few staff"),
    ],
)
def test_numbers_that_no_nation_counts_to_are_refused(wrong, word, monkeypatch):
    impossible = replace(target(2024, SMALL), **wrong)
    monkeypatch.setattr(synthesis_plan, "target_of", lambda *_: impossible)
    with pytest.raises(PlanFails, match=word):
        planned()


def of_clinics(**wrong):
    """The numbers of a small year, with some of its clinics' replaced."""
    whole = target(2024, SMALL)
    return replace(whole, tiers={**whole.tiers, "clinic": replace(whole.tiers["clinic"], **wrong)})


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"visits": {MEDICATION: 1, COUNSELLING: 1}}, "no number of people"),
        ({"executing_staff": 5000, "staff": 5000}, "staff of clinic give services"),
    ],
)
def test_a_tier_that_cannot_be_is_refused(wrong, word):
    numbers = replace(of_clinics(**wrong), exact="visits" in wrong)
    numbers = replace(numbers, **{
        name: sum(getattr(row, name) for row in numbers.tiers.values()) for name in ("staff", "executing_staff")
    })  # fmt: skip
    registry = plan_registry(numbers, Random(1), years=[2024])
    with pytest.raises(PlanFails, match=word):
        plan_year(numbers, registry, Random(1), years=[2024])


def test_more_movers_than_can_move_are_refused(monkeypatch):
    monkeypatch.setattr(synthesis_plan, "_MOST_OF_WHO_MOVES", 0)
    with pytest.raises(PlanFails, match="too few who could go on"):
        planned()


def test_a_plan_that_counts_otherwise_is_told_number_by_number(small):
    registry, plan = small
    wanted = target(2024, SMALL)
    with pytest.raises(PlanFails) as said:
        check(replace(plan, visits=plan.visits[:-1]), registry, wanted, years=[2024])
    assert "instead of" in str(said.value)
    with pytest.raises(PlanFails) as said:
        check(replace(plan, visits=[]), registry, wanted, years=[2024])
    for word in ("people: 0", "mean of counselling of dental_clinic", "executing institutions of pharmacy", "staff: 0"):
        assert word in str(said.value)


def test_a_day_is_found_where_there_are_only_sundays():
    calendar = synthesis_plan._Calendar(2024, Random(1))
    sunday = date(2024, 3, 3).toordinal()
    assert calendar.pick(sunday, sunday) == sunday
    assert {calendar.open_day(sunday)} == {sunday + 1}
