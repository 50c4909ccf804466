"""Suppression: what is shown is solved for what is hidden, as a reader with a pencil and the published totals would."""

from collections.abc import Iterator, Mapping
from datetime import date
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quitledger.policy import PolicyGap
from quitledger.statistics.suppression import Counted, SuppressionRule, hidden_groups, leaves_open

RULE = SuppressionRule(hidden_up_to=7, rounded_to=5)
FEW = range(1, RULE.hidden_up_to + 1)


def table(*persons: int, services: tuple[int, ...] = ()) -> dict[Any, Counted]:
    return {chr(ord("a") + n): Counted(count, services[n] if services else None) for n, count in enumerate(persons)}


@pytest.mark.parametrize(
    ("count", "shown"), [(0, 0), (2, 0), (3, 5), (7, 5), (8, 10), (12, 10), (13, 15), (1002, 1000)]
)
def test_a_count_is_rounded_half_up(count: int, shown: int) -> None:
    assert RULE.shown(count) == shown


@given(st.integers(1, 12), st.integers(0, 60))
def test_a_reader_knows_from_a_rounded_count_between_what_it_lies(base: int, count: int) -> None:
    rule = SuppressionRule(0, base)
    shown = rule.shown(count)
    same = [other for other in range(200) if rule.shown(other) == shown]
    assert same == list(range(max(0, rule.least(shown)), rule.most(shown) + 1))


@pytest.mark.parametrize(
    ("counts", "hidden"),
    [
        (table(0, 0), ""),
        (table(8, 20, 30), ""),
        (table(0, 8, 20), ""),  # nobody is no secret
        (table(7, 20, 30), "ab"),  # one alone: the total less the others
        (table(3, 4, 30), "ab"),
        (table(7, 7, 32), "abc"),  # 32 is shown as 30 and is at most 32: of the total of 46 both had 7
        (table(1, 1, 30), "ab"),
        (table(3), "a"),
        (table(1, 1, 30, services=(1, 1, 30)), "abc"),  # 32 services less at least 28 leave 4: nobody has 7
        (table(1, 1, 30, services=(5, 4, 40)), "ab"),
        (table(1, 1, 9, 30, services=(1, 1, 10, 40)), "abc"),
        (table(1, 9, 9, services=(1, 30, 10)), "ac"),  # of equals the one with fewer services
    ],
)
def test_what_is_hidden(counts: Mapping[Any, Counted], hidden: str) -> None:
    assert hidden_groups(counts, RULE) == set(hidden)


def test_each_known_total_is_left_open() -> None:
    """b and c, few both, are in two tiers, each of which shows the total of its two."""
    counts = table(3, 4, 40, 50, services=(20, 20, 80, 90))
    assert hidden_groups(counts, RULE) == {"a", "b"}
    assert hidden_groups(counts, RULE, totals=["ac", "bd"]) == {"a", "b", "c", "d"}
    assert hidden_groups(counts, RULE, totals=["ab", "cd"]) == {"a", "b"}


def test_a_county_that_is_hidden_is_not_added_up_from_its_institutions() -> None:
    counts = table(30, 40, 50, 60, services=(60, 80, 90, 100))
    assert hidden_groups(counts, RULE, never_open=["ab"], totals=["ab", "cd"]) == {"a", "b"}
    assert hidden_groups(table(3, 4, 50), RULE, never_open=["ab"]) == {"a", "b"}
    assert hidden_groups(table(0, 0, 50), RULE, never_open=["ab"]) == set()


def test_the_rule_is_that_of_the_day() -> None:
    assert SuppressionRule.on(date(2026, 1, 1)) == RULE
    with pytest.raises(PolicyGap):
        SuppressionRule.on(date(2001, 1, 1))


# --- Solving --------------------------------------------------------------------------------------------------------


@st.composite
def tables(draw: st.DrawFn) -> tuple[dict[Any, Counted], int]:
    """Up to five groups, with services or without, and how many distinct people there are in all of them."""
    persons = draw(st.lists(st.integers(0, 24), min_size=1, max_size=5))
    services: list[int | None] = [None] * len(persons)
    if draw(st.booleans()):
        services = [count and count + draw(st.integers(0, 8)) for count in persons]
    counts = {n: Counted(*both) for n, both in enumerate(zip(persons, services, strict=True))}
    return counts, draw(st.integers(max(persons), sum(persons)))


def solutions(counts: Mapping[Any, Counted], hidden: frozenset[Any], distinct: int, group: Any) -> Iterator[int]:
    """How many people `group` may count, from one to seven, given all that is shown: every way to fill the hidden cells.

    Known: of each shown cell its rounded counts; of a hidden one that it counts somebody, and no more than seven unless another
    was hidden for it; how many distinct people and how many services there are in all; a service for each person at least.
    """
    shown = [counts[one] for one in counts if one not in hidden and counts[one].persons]
    alone = all(counts[one].persons <= RULE.hidden_up_to for one in hidden)
    others = [FEW if alone else range(1, distinct + 1)] * (len(hidden) - 1)
    if len(others) > 1 and not alone:  # more than seven is of use to one of them only
        others = [range(1, distinct + 1), *[FEW] * (len(hidden) - 2)]
    for mine in FEW:
        if any(possible(counts, shown, distinct, [mine, *rest]) for rest in product(*others)):
            yield mine


def possible(counts: Mapping[Any, Counted], shown: list[Counted], distinct: int, hidden: list[int]) -> bool:
    if max(hidden) > distinct:
        return False
    least = [RULE.least(RULE.shown(one.persons)) for one in shown]
    most = [RULE.most(RULE.shown(one.persons)) for one in shown]
    wanted = distinct - sum(hidden)  # people whom the shown cells have to count
    total = [one.services for one in counts.values() if one.services is not None]
    if not total:
        return wanted <= sum(most)
    served = [RULE.shown(one.services or 0) for one in shown]
    needed = [max(low, RULE.least(one)) for low, one in zip(least, served, strict=True)]  # services at least
    free = sum(min(high, need) for high, need in zip(most, needed, strict=True))  # people for whom these are enough
    ends = [min(high, RULE.most(one)) for high, one in zip(most, served, strict=True)]
    more = max(0, wanted - free)
    return wanted <= sum(ends) and sum(hidden) + sum(needed) + more <= sum(total)


@settings(max_examples=400, deadline=None)
@given(tables())
def test_no_hidden_cell_is_solved(drawn: tuple[dict[Any, Counted], int]) -> None:
    """Whatever is shown, each cell of seven people or fewer may count one, seven, and any number between."""
    counts, distinct = drawn
    hidden = hidden_groups(counts, RULE)
    if all(group in hidden for group, one in counts.items() if one.persons):
        return  # nothing is left to hide: what the total says is said to everybody
    for group in hidden:
        if counts[group].persons <= RULE.hidden_up_to:
            assert list(solutions(counts, hidden, distinct, group)) == list(FEW), (counts, distinct, hidden)


@settings(max_examples=400, deadline=None)
@given(tables())
def test_services_add_up_and_none_is_solved(drawn: tuple[dict[Any, Counted], int]) -> None:
    """The total of services less all that are shown leaves a hidden cell as many as seven values, too."""
    counts, _distinct = drawn
    hidden = hidden_groups(counts, RULE)
    shown = [one for group, one in counts.items() if group not in hidden and one.persons]
    if not hidden or not shown or None in [one.services for one in counts.values()]:
        return
    total = sum(one.services or 0 for one in counts.values())
    others = len(hidden) - 1
    most = total - sum(RULE.least(RULE.shown(one.services or 0)) for one in shown) - others
    assert others
    assert most >= RULE.hidden_up_to


@settings(max_examples=300, deadline=None)
@given(tables(), st.data())
def test_every_total_is_left_open_and_no_more_is_hidden_than_asked_for(drawn: Any, data: st.DataObject) -> None:
    counts, _distinct = drawn
    totals = data.draw(st.lists(st.sets(st.sampled_from(sorted(counts)), min_size=1), max_size=3))
    hidden = hidden_groups(counts, RULE, totals=totals)
    few = {group for group, one in counts.items() if 0 < one.persons <= RULE.hidden_up_to}
    assert few <= hidden
    assert all(leaves_open(groups, hidden, few, counts, RULE) for groups in (set(counts), *totals))
    if all(leaves_open(groups, few, few, counts, RULE) for groups in (set(counts), *totals)):
        assert hidden == few


def test_the_solver_solves_what_is_not_protected() -> None:
    """One cell hidden alone, and two of one visit each: the test above would have found them."""
    alone = table(7, 30, services=(9, 40))
    assert list(solutions(alone, frozenset("a"), 37, "a")) == [5, 6, 7]
    assert list(solutions(table(7, 12, 22), frozenset("a"), 41, "a")) == [7]
    ones = table(1, 1, 30, services=(1, 1, 32))
    assert max(solutions(ones, frozenset("ab"), 30, "a")) < RULE.hidden_up_to
