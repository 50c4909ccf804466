"""A list beside the visits recorded: every line and every visit has its place, once."""

from datetime import date, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quitledger.batches.comparing import Listed, Match, Recorded, compare
from quitledger.policy.identity import make_up

MONTH, DAY = date(2025, 3, 1), date(2025, 3, 20)
NUMBER = make_up(1)


def wrong(number: str, place: int = 9) -> str:
    """The number with one digit that is not its own."""
    return number[:place] + str((int(number[place]) + 1) % 10) + number[place + 1 :]


def recorded(person: int = 1, day: date = DAY, number: str = NUMBER) -> Recorded:
    return Recorded(uuid4(), day, person, number)


def found(listed: list[Listed], visits: list[Recorded], near_days: int = 3) -> list[str]:
    return [str(pair.match) for pair in compare(listed, visits, month=MONTH, near_days=near_days)]


CASES = {
    "agrees": ([Listed(2, DAY, NUMBER, person=1)], [recorded()], ["both"]),
    "three days off": ([Listed(2, DAY + timedelta(days=3), NUMBER, person=1)], [recorded()], ["near"]),
    "four days off": ([Listed(2, DAY + timedelta(days=4), NUMBER, person=1)], [recorded()], ["listed", "recorded"]),
    "one digit wrong": ([Listed(2, DAY, wrong(NUMBER))], [recorded()], ["near"]),
    "two digits wrong": ([Listed(2, DAY, wrong(wrong(NUMBER), 4))], [recorded()], ["listed", "recorded"]),
    "one digit, another day": ([Listed(2, DAY + timedelta(days=1), wrong(NUMBER))], [recorded()], ["listed", "recorded"]),
    "a right number of somebody unknown": ([Listed(2, DAY, make_up(2))], [recorded()], ["listed", "recorded"]),
    "neighbours swapped": ([Listed(2, DAY, make_up(12)[:7] + make_up(12)[8] + make_up(12)[7] + make_up(12)[9])], [recorded(number=make_up(12))], ["near"]),
    "by chart number alone, unknown": ([Listed(2, DAY, chart_no="X-1")], [recorded()], ["listed", "recorded"]),
    "another month": ([Listed(2, date(2025, 2, 28), NUMBER, person=1)], [recorded(day=date(2025, 3, 1))], ["elsewhen", "recorded"]),
    "twice in the list": ([Listed(2, DAY, NUMBER, person=1), Listed(3, DAY, NUMBER, person=1)], [recorded()], ["both", "both"]),
    "nothing": ([], [], []),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_goes_together(case):
    listed, visits, expected = CASES[case]
    assert found(listed, visits) == expected


def test_the_nearest_day_goes_first():
    lines = [Listed(2, DAY + timedelta(days=2), NUMBER, person=1), Listed(3, DAY + timedelta(days=1), NUMBER, person=1)]
    pairs = compare(lines, [recorded()], month=MONTH, near_days=3)
    assert [(pair.match, pair.listed.line if pair.listed else 0, pair.days) for pair in pairs] == [
        (Match.NEAR, 3, 1), (Match.LISTED, 2, 0),
    ]  # fmt: skip


days = st.dates(date(2025, 2, 25), date(2025, 4, 4))
persons = st.integers(1, 4)
lines = st.lists(
    st.tuples(days, st.none() | persons, st.sampled_from(["", NUMBER, wrong(NUMBER), make_up(3), "??"])), max_size=12
)
visits = st.lists(st.tuples(st.dates(MONTH, date(2025, 3, 31)), persons), max_size=12, unique=True)


@given(lines=lines, visits=visits, near=st.integers(0, 5))
def test_every_line_is_there_once_and_every_visit_at_least_once(lines, visits, near):
    listed = [Listed(line, on, number, person=person) for line, (on, person, number) in enumerate(lines, start=2)]
    kept = [Recorded(UUID(int=n), on, person, make_up(person)) for n, (on, person) in enumerate(visits)]
    pairs = compare(listed, kept, month=MONTH, near_days=near)
    assert sorted(pair.listed.line for pair in pairs if pair.listed) == [one.line for one in listed]
    assert {pair.recorded.uid for pair in pairs if pair.recorded} == {one.uid for one in kept}
    once = [pair.recorded.uid for pair in pairs if pair.recorded and pair.match is not Match.BOTH]
    assert len(once) == len(set(once))
    for pair in pairs:
        if pair.match is Match.BOTH:
            assert pair.listed
            assert pair.recorded
            assert (pair.listed.person, pair.listed.visit_on) == (pair.recorded.person, pair.recorded.visit_on)
        if pair.match is Match.NEAR and not pair.digit:
            assert 1 <= pair.days <= near
