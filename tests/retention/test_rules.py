"""When a keeping time ends: a truth table, and what holds for all records (domain.md §7)."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quitledger.cases.rules import age_on
from quitledger.policy import PolicyGap, policy_on
from quitledger.retention import rules
from quitledger.retention.rules import has_ended, kept_until, last_day_that_may_have_ended, majority_on

ADULT, BORN_2008 = date(1980, 1, 1), date(2008, 4, 2)
ONE_DAY = timedelta(days=1)
RECORDED = st.dates(date(2002, 9, 1), date(2060, 12, 31))
BORN = st.dates(date(1930, 1, 1), date(2050, 12, 31))


@pytest.mark.parametrize(
    ("birth_on", "days", "until"),
    [
        (ADULT, [date(2025, 3, 31)], date(2032, 3, 31)),
        (ADULT, [date(2025, 3, 31), date(2026, 1, 1)], date(2033, 1, 1)),
        (ADULT, [date(2024, 2, 29)], date(2031, 2, 28)),
        (ADULT, [date(2025, 2, 28)], date(2032, 2, 29)),  # seven years from 1 March end with the last of February
        (ADULT, [date(2024, 2, 28)], date(2031, 2, 28)),
        (BORN_2008, [date(2025, 3, 31)], date(2033, 4, 2)),
        (BORN_2008, [date(2026, 4, 1)], date(2033, 4, 2)),  # the day before the birthday
        (BORN_2008, [date(2026, 4, 2)], date(2033, 4, 2)),
        (BORN_2008, [date(2026, 4, 3)], date(2033, 4, 3)),
        (BORN_2008, [date(2010, 1, 1), date(2030, 1, 1)], date(2037, 1, 1)),
        (ADULT, [date(2002, 8, 31)], None),
        (ADULT, [date(2002, 8, 31), date(2025, 3, 31)], None),
    ],
)
def test_a_person_is_kept_until_the_last_record_has_been_kept_long_enough(birth_on, days, until):
    assert kept_until(days, birth_on) == until


@pytest.mark.parametrize(
    ("until", "today", "ended"),
    [
        (date(2032, 3, 31), date(2032, 3, 30), False),
        (date(2032, 3, 31), date(2032, 3, 31), False),
        (date(2032, 3, 31), date(2032, 4, 1), True),
        (None, date(9999, 12, 31), False),
    ],
)
def test_the_keeping_time_has_ended_from_the_day_after_its_last(until, today, ended):
    assert has_ended(until, today) is ended


@pytest.mark.parametrize(
    ("birth_on", "majority"),
    [
        (date(1950, 1, 1), date(1970, 1, 1)),
        (date(2002, 12, 31), date(2022, 12, 31)),
        (date(2003, 1, 1), date(2023, 1, 1)),
        (date(2003, 1, 2), date(2023, 1, 1)),  # 19 on the day on which 18 began to be enough
        (date(2005, 1, 1), date(2023, 1, 1)),
        (date(2005, 1, 2), date(2023, 1, 2)),
        (date(2008, 2, 29), date(2026, 3, 1)),
    ],
)
def test_who_is_old_enough_when_the_age_is_lowered_comes_of_age_on_that_day(birth_on, majority):
    assert majority_on(birth_on) == majority


@given(BORN)
def test_majority_is_the_first_day_on_which_the_age_in_force_is_reached(birth_on):
    day = majority_on(birth_on)
    assert age_on(birth_on, day) >= policy_on(day, "age_of_majority")
    assert age_on(birth_on, day - ONE_DAY) < policy_on(day - ONE_DAY, "age_of_majority")


@given(st.lists(RECORDED, min_size=1), RECORDED, BORN)
def test_a_further_record_never_ends_a_keeping_time_earlier(days, another, birth_on):
    assert kept_until([*days, another], birth_on) >= kept_until(days, birth_on)


@given(RECORDED, BORN)
def test_a_record_is_kept_for_its_years_and_a_minors_until_so_long_after_majority(day, birth_on):
    until = kept_until([day], birth_on)
    years = policy_on(day, "record_retention_years")
    # As a calendar shows it: the years are full on the eve of the day after, so many years later.
    assert age_on(day + ONE_DAY, until + ONE_DAY) >= years
    if day < majority_on(birth_on):
        assert age_on(majority_on(birth_on), until + ONE_DAY) >= policy_on(day, "minor_record_retention_years")
    else:
        assert age_on(day + ONE_DAY, until) < years, "and not longer"


@given(st.lists(RECORDED, min_size=1), BORN, RECORDED)
def test_nobody_whose_time_has_ended_is_left_out_by_the_first_sieve(days, birth_on, today):
    if has_ended(kept_until(days, birth_on), today):
        assert max(days) <= last_day_that_may_have_ended(today)


def unknown(*names):
    """Policy in which the values of these names are null."""

    def ask(day, name):
        if name in names:
            raise PolicyGap(name, day, "不明")
        return policy_on(day, name)

    return ask


@pytest.mark.parametrize(
    ("name", "birth_on", "until"),
    [
        ("record_retention_years", ADULT, None),
        ("minor_record_retention_years", ADULT, date(2032, 3, 31)),
        ("minor_record_retention_years", BORN_2008, None),
        ("age_of_majority", ADULT, None),
    ],
)
def test_a_value_that_is_not_known_keeps_for_ever(monkeypatch, name, birth_on, until):
    monkeypatch.setattr(rules, "policy_on", unknown(name))
    assert kept_until([date(2025, 3, 31)], birth_on) == until
