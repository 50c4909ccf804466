"""Until when a person's records are kept. Every number is policy; a value that nobody knows means for ever."""

from collections.abc import Collection
from datetime import date, timedelta
from itertools import zip_longest

from quitledger.policy import PolicyGap, parameter, policy_on

_ONE_DAY = timedelta(days=1)


def kept_until(days: Collection[date], birth_on: date) -> date | None:
    """The last day on which a person's records are kept; None: for ever, as long as a value is not known.

    `days`: those of his records at all institutions, at least one. Each record has its own time, by the values of its
    day: so many years, and for one of a minor at least so many after he comes of age. The last to end counts for all.
    """
    try:
        return max(_record_kept_until(day, birth_on) for day in days)
    except PolicyGap:
        return None


def has_ended(until: date | None, today: date) -> bool:
    """Whether the keeping time is over: its last day lies behind."""
    return until is not None and until < today


def last_day_that_may_have_ended(today: date) -> date | None:
    """No record of a later day has ended by `today`, whatever the values; None: none of any day has."""
    years = [dated.value for dated in parameter("record_retention_years").values if dated.value is not None]
    return _anniversary(today, -min(years)) if years else None


def majority_on(birth_on: date) -> date:
    """The day on which somebody comes of age: the first on which the age of majority in force is reached.

    Raises PolicyGap where that age is not known.
    """
    values = parameter("age_of_majority").values
    days: list[date] = []
    for dated, following in zip_longest(values, values[1:]):
        reached = _anniversary(birth_on, policy_on(dated.starts_on, "age_of_majority"))
        # Who is old enough when the age is lowered comes of age on that day.
        days.append(max(reached, dated.starts_on) if days else reached)
        if following is None or days[-1] < following.starts_on:
            break
    return days[-1]


def _record_kept_until(day: date, birth_on: date) -> date:
    until = _years_after(day, policy_on(day, "record_retention_years"))
    came_of_age = majority_on(birth_on)
    if day < came_of_age:
        until = max(until, _years_after(came_of_age, policy_on(day, "minor_record_retention_years")))
    return until


def _years_after(day: date, years: int) -> date:
    """The last day of so many years that begin the day after `day` (Civil Code §120 and §121)."""
    return _anniversary(day + _ONE_DAY, years) - _ONE_DAY


def _anniversary(day: date, years: int) -> date:
    """The same day so many years later; of 29 February, in a common year, 1 March (as in cases.rules.age_on)."""
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return (day + _ONE_DAY).replace(year=day.year + years)
