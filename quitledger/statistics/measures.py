"""measure(): the only way to a number of the programme. Page, command, file and API ask here."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from types import MappingProxyType
from typing import Any

from django.db import connection

from quitledger.accounts.actors import Actor
from quitledger.accounts.permissions import Permission
from quitledger.accounts.scope import counting
from quitledger.institutions.models import Tier
from quitledger.institutions.queries import Place, places_on
from quitledger.policy.rounding import rounded
from quitledger.policy.sentences import Month, Sentence, Words
from quitledger.visits.rules import LABELS

from .indicators import Grouping, Indicator, Measure, Part, indicators
from .kept import Kept, Row, fetched
from .served import relations, tally, worked
from .suppression import Counted, SuppressionRule, hidden_groups

HIDDEN = "＊"  # what stands in a cell of which nothing is shown
# Finer than tier × year: people helped are suppressed.
FINER = (Grouping.COUNTY, Grouping.INSTITUTION, Grouping.MONTH, Grouping.SERVICE)


class Basis(StrEnum):
    """Whose contract counts: of any day of the period, or of its last day."""

    ANY_DAY = "any_day"
    LAST_DAY = "last_day"


@dataclass(frozen=True)
class Period:
    """From the first to the last day, both included."""

    first: date
    last: date

    @classmethod
    def year(cls, year: int, until: date | None = None) -> "Period":
        """A calendar year (AD); of a year to date, `until` its last day so far."""
        last = date(year, 12, 31)
        return cls(date(year, 1, 1), min(until, last) if until else last)

    def months(self) -> Iterator["Period"]:
        """The period month by month; the first and the last as far as they belong to it."""
        first = self.first
        while first <= self.last:
            following = (first.replace(day=1) + timedelta(days=31)).replace(day=1)
            yield Period(first, min(self.last, following - timedelta(days=1)))
            first = following

    def is_whole_months(self, today: date) -> bool:
        """True when it ends with a month, and that is over."""
        return self.last < today and (self.last + timedelta(days=1)).day == 1


class PeriodOpen(ValueError):
    """A breakdown finer than tier × year of a period that does not end with a month that is over (docs/adr/0027)."""


@dataclass(frozen=True)
class Cell:
    """What was counted of one group: its key and label, the numerator, the denominator (None: there is none).

    `hidden`: so few people that nothing of it is shown; numerator and denominator are None.
    """

    group: Any
    label: str
    numerator: int | None
    denominator: int | None
    measure: Measure
    hidden: bool = False

    @property
    def value(self) -> Decimal | int | None:
        """The rate in percent, the mean, or the count; None where the denominator is 0, and where it is hidden."""
        if self.numerator is None:
            return None
        if self.measure is Measure.COUNT or self.denominator is None:
            return self.numerator
        if not self.denominator:
            return None
        if self.measure is Measure.RATE:
            return rounded(Decimal(100 * self.numerator) / self.denominator, 2)
        return rounded(Decimal(self.numerator) / self.denominator, 1)

    @property
    def said(self) -> str:
        """The value as it is printed; "—" where there is none, "＊" where it is hidden."""
        if self.hidden:
            return HIDDEN
        return "—" if self.value is None else f"{self.value:,}" if isinstance(self.value, int) else str(self.value)


@dataclass(frozen=True)
class Measured:
    """An indicator of a period: a cell for each group, in order, and the total, which need not be the sum of them.

    `suppressed`: by which rule the cells (never the total) are hidden and rounded; None: they are exact.
    """

    indicator: Indicator
    period: Period
    grouping: Grouping
    cells: tuple[Cell, ...]
    total: Cell
    suppressed: SuppressionRule | None = None

    @cached_property
    def _by_group(self) -> dict[Any, Cell]:
        return {cell.group: cell for cell in self.cells}

    def of(self, group: Any) -> Cell:
        """The cell of a group; zeros where nothing of it was counted."""
        found = self._by_group.get(group)
        if found is not None:
            return found
        denominator = None if self.indicator.denominator is None else 0
        return Cell(group, label(self.grouping, group), 0, denominator, self.indicator.measure)


# What `{group}` of a statement is; d: the institution's details on the day that counts, s: the service.
GROUPS = {
    Grouping.TIER: "d.tier",
    Grouping.COUNTY: "d.county",
    Grouping.INSTITUTION: "d.institution_id",
    Grouping.MONTH: "date_trunc('month', s.visit_on)::date",
    Grouping.SERVICE: "s.kind",
}
_NOT_GROUPED = "'all'::text"
_TYPES = {Grouping.INSTITUTION: "bigint", Grouping.MONTH: "date"}  # the others are texts
_OF_SERVICES = (Grouping.MONTH, Grouping.SERVICE)  # what is grouped by is the service's own


def measure(
    name: str, period: Period, *, grouping: Grouping = Grouping.TOTAL, basis: Basis = Basis.ANY_DAY, by: Actor
) -> Measured:
    """An indicator of a period, in all and by groups. Counts alone: no row of a person leaves the database.

    What is finer than tier × year is suppressed before it leaves here. Within one snapshot (scope.in_one_snapshot): months are counted
    one by one. Raises PermissionDenied, PeriodOpen, ValueError for a grouping that the indicator does not have, and InternalError
    outside of one snapshot.
    """
    (measured,) = measure_all([name], period, grouping=grouping, basis=basis, by=by)
    return measured


def measure_all(
    names: Collection[str],
    period: Period,
    *,
    grouping: Grouping = Grouping.TOTAL,
    basis: Basis = Basis.ANY_DAY,
    by: Actor,
) -> list[Measured]:
    """What measure() gives, of several indicators: what they count from is counted once."""
    by.require(Permission.STATISTICS_READ)
    asked = [indicators()[name] for name in names]
    for indicator in asked:
        if grouping not in indicator.groupings:
            raise ValueError(f"{indicator.name} is not grouped by {grouping}")
    today = _today() if grouping in FINER and any(indicator.persons for indicator in asked) else None
    if today and not period.is_whole_months(today):
        raise PeriodOpen(f"by {grouping} until {period.last}")
    places = places_on(period.last) if grouping is Grouping.INSTITUTION else {}
    counted = _counted(asked, period, grouping, basis, places, by)
    if not today:
        return counted
    rule = SuppressionRule.on(today)
    small = [one.indicator for one in counted if one.indicator.persons and _some_county_is_small(one, rule, places)]
    by_county = _counted(small, period, Grouping.COUNTY, basis, {}, by) if small else []
    hidden_counties = {
        one.indicator: {cell.group for cell in _suppressed(one, rule, {}).cells if cell.hidden} for one in by_county
    }
    return [
        _suppressed(one, rule, places, hidden_counties.get(one.indicator, ())) if one.indicator.persons else one
        for one in counted
    ]


def snapshot_moment() -> datetime:
    """The moment of the running snapshot. Raises InternalError where statements would see states of their own."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT statistics_snapshot_moment()")
        moment: datetime = cursor.fetchone()[0]
    return moment


def parameters(period: Period, basis: Basis) -> dict[str, date]:
    """The values of an indicator's statements."""
    return {
        "first": period.first,
        "last": period.last,
        "counted_from": period.last if basis is Basis.LAST_DAY else period.first,
    }


def _counted(
    asked: Collection[Indicator],
    period: Period,
    grouping: Grouping,
    basis: Basis,
    places: Mapping[int, Place],
    by: Actor,
) -> list[Measured]:
    """As counted, not suppressed: nobody but measure_all() may ask."""
    rows = _rows(asked, period, grouping, basis, by)
    return [_measured(indicator, period, grouping, rows[indicator.name], places) for indicator in asked]


def _rows(
    asked: Collection[Indicator], period: Period, grouping: Grouping, basis: Basis, by: Actor
) -> dict[str, list[tuple[Any, ...]]]:
    """The rows (group, whole, numerator, denominator) of indicators by name."""
    group = GROUPS.get(grouping, _NOT_GROUPED)
    of_institution = _NOT_GROUPED if grouping in _OF_SERVICES else group
    statement = " UNION ALL ".join(
        f"SELECT '{one.name}', t.* FROM ({one.statement.format(group=of_institution)}) t"  # noqa: S608 - ours
        for one in asked
    )
    months = [{"first": month.first, "last": month.last} for month in period.months()]

    def count(whole: str, values: Mapping[str, Any]) -> Sequence[Row]:
        of_people, of_staff = (months if relation in statement else () for relation in ("tally", "worked"))
        return fetched(whole, {**values, **tally(_kept, of_people, group), **worked(_kept, of_staff)})

    rows = defaultdict(list)
    snapshot_moment()  # raises where the months would be of several
    with counting(by):
        whole = f"{relations(_TYPES.get(grouping, 'text'))} {statement}"
        # By what is grouped, a statement from `tally` alone does not tell.
        values = {**parameters(period, basis), "grouping": grouping}
        for name, *row in _kept.rows(whole, [values], count)[0]:
            rows[name].append(tuple(row))
    return rows


_kept = Kept()


def _measured(
    indicator: Indicator,
    period: Period,
    grouping: Grouping,
    rows: list[tuple[Any, ...]],
    places: Mapping[int, Place],
) -> Measured:
    found = {(group, whole): (numerator, denominator) for group, whole, numerator, denominator in rows}
    nothing = (0, None if indicator.denominator is None else 0)
    total = Cell(None, Words("合計"), *found.pop((None, 1), nothing), indicator.measure)
    groups = [group for group, _whole in found] if grouping is not Grouping.TOTAL else []
    cells = tuple(
        Cell(group, label(grouping, group, places), *found[group, 0], indicator.measure)
        for group in sorted(groups, key=lambda group: _order(grouping, group, places))
    )
    return Measured(indicator, period, grouping, cells, total)


def _suppressed(
    measured: Measured,
    rule: SuppressionRule,
    places: Mapping[int, Place],
    hidden_counties: Collection[str] = (),
) -> Measured:
    """What may be shown of it: cells of few people hidden, with others that would give them away, the rest rounded."""
    counts = _counts(measured)
    of_tier, of_county = defaultdict(list), defaultdict(list)
    for group in counts.keys() & places.keys():
        of_tier[places[group].tier].append(group)
        of_county[places[group].county].append(group)
    hidden = hidden_groups(
        counts, rule,
        totals=(*of_tier.values(), *of_county.values()),
        never_open=[groups for county, groups in of_county.items() if county in hidden_counties],
    )  # fmt: skip
    return replace(
        measured, suppressed=rule, cells=tuple(_shown(cell, cell.group in hidden, rule) for cell in measured.cells)
    )


def _counts(measured: Measured) -> dict[Any, Counted]:
    """People and services of each group."""
    if measured.indicator.persons is Part.NUMERATOR:
        return {cell.group: Counted(cell.numerator or 0) for cell in measured.cells}
    return {cell.group: Counted(cell.denominator or 0, cell.numerator) for cell in measured.cells}


def _some_county_is_small(measured: Measured, rule: SuppressionRule, places: Mapping[int, Place]) -> bool:
    """True where a county may be hidden itself: none of its institutions helped more people than are hidden."""
    most: dict[str, int] = defaultdict(int)
    for group, counted in _counts(measured).items():
        if group in places:
            most[places[group].county] = max(most[places[group].county], counted.persons)
    return any(persons <= rule.hidden_up_to for persons in most.values())


def _shown(cell: Cell, is_hidden: bool, rule: SuppressionRule) -> Cell:
    if is_hidden:
        return replace(cell, numerator=None, denominator=None, hidden=True)
    numerator, denominator = (
        None if count is None else rule.shown(count) for count in (cell.numerator, cell.denominator)
    )
    return replace(cell, numerator=numerator, denominator=denominator)


def _today() -> date:
    """The day of publication of what is shown now: by it the rule of suppression is chosen."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT programme_today()")
        today: date = cursor.fetchone()[0]
    return today


def _order(grouping: Grouping, group: Any, places: Mapping[int, Place]) -> Any:
    """Tiers as the printed tables have them, institutions by code; what is not known comes last."""
    if group is None:
        return (True, 0)
    if grouping is Grouping.TIER and group in Tier.values:
        return (False, list(Tier.values).index(group))
    return (False, label(grouping, group, places) if grouping is Grouping.INSTITUTION else group)


def label(grouping: Grouping, group: Any, places: Mapping[int, Place] = MappingProxyType({})) -> str:
    """What a group is called; an institution as it stands in `places`."""
    if group is None:
        return Words("不明")
    if grouping is Grouping.TIER:
        return Words(Tier(group).label)
    if grouping is Grouping.SERVICE:
        return LABELS[group]
    if grouping is Grouping.INSTITUTION:
        return str(places[group]) if group in places else Words("不明")
    if isinstance(group, date):
        return Sentence("{month}", month=Month(group))
    return str(group)
