"""measure(): the only way to a number of the programme. Page, command, file and API ask here."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any

from django.db import connection

from quitledger.accounts.actors import Actor
from quitledger.accounts.permissions import Permission
from quitledger.accounts.scope import counting
from quitledger.institutions.models import Tier
from quitledger.policy.rounding import rounded
from quitledger.policy.sentences import Month, Sentence, Words
from quitledger.visits.rules import LABELS

from .indicators import Grouping, Indicator, Measure, indicators


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


@dataclass(frozen=True)
class Cell:
    """What was counted of one group: its key and label, the numerator, the denominator (None: there is none)."""

    group: Any
    label: str
    numerator: int
    denominator: int | None
    measure: Measure

    @property
    def value(self) -> Decimal | int | None:
        """The rate in percent, the mean, or the count; None where the denominator is 0."""
        if self.measure is Measure.COUNT or self.denominator is None:
            return self.numerator
        if not self.denominator:
            return None
        if self.measure is Measure.RATE:
            return rounded(Decimal(100 * self.numerator) / self.denominator, 2)
        return rounded(Decimal(self.numerator) / self.denominator, 1)

    @property
    def said(self) -> str:
        """The value as it is printed; "—" where there is none."""
        return "—" if self.value is None else f"{self.value:,}" if isinstance(self.value, int) else str(self.value)


@dataclass(frozen=True)
class Measured:
    """An indicator of a period: a cell for each group, in order, and the total, which need not be the sum of them."""

    indicator: Indicator
    period: Period
    grouping: Grouping
    cells: tuple[Cell, ...]
    total: Cell

    def of(self, group: Any) -> Cell:
        """The cell of a group; zeros where nothing of it was counted."""
        found = next((cell for cell in self.cells if cell.group == group), None)
        if found is not None:
            return found
        denominator = None if self.indicator.denominator is None else 0
        return Cell(group, _label(self.grouping, group), 0, denominator, self.indicator.measure)


# What `{group}` of a statement is; d: the institution's details on the day that counts, s: the service.
GROUPS = {
    Grouping.TIER: "d.tier",
    Grouping.COUNTY: "d.county",
    Grouping.INSTITUTION: "d.institution_id",
    Grouping.MONTH: "date_trunc('month', s.visit_on)::date",
    Grouping.SERVICE: "s.kind",
}
_NOT_GROUPED = "'all'::text"
_OF_SERVICES = (Grouping.MONTH, Grouping.SERVICE)  # what is grouped by is the service's own
_RELATIONS = Path(__file__).with_name("relations.sql").read_text(encoding="utf-8")
_WORK_MEM = "64MB"  # for the people of a year; 4 MB are for a list's page


def measure(
    name: str, period: Period, *, grouping: Grouping = Grouping.TOTAL, basis: Basis = Basis.ANY_DAY, by: Actor
) -> Measured:
    """An indicator of a period, in all and by groups. Counts alone: no row of a person leaves the database.

    Raises PermissionDenied, and ValueError for a grouping that the indicator does not have.
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
    """What measure() gives, of several indicators of the same moment and in one statement: the year is passed over once."""
    by.require(Permission.STATISTICS_READ)
    asked = [indicators()[name] for name in names]
    for indicator in asked:
        if grouping not in indicator.groupings:
            raise ValueError(f"{indicator.name} is not grouped by {grouping}")
    rows = _rows(asked, period, grouping, basis, by)
    return [_measured(indicator, period, grouping, rows[indicator.name]) for indicator in asked]


def parameters(period: Period, basis: Basis) -> dict[str, date]:
    """The values of an indicator's statement."""
    return {
        "first": period.first,
        "last": period.last,
        "counted_from": period.last if basis is Basis.LAST_DAY else period.first,
    }


def _rows(
    asked: Collection[Indicator], period: Period, grouping: Grouping, basis: Basis, by: Actor
) -> dict[str, list[tuple[Any, ...]]]:
    """The rows (group, whole, numerator, denominator) of indicators by name."""
    group = GROUPS.get(grouping, _NOT_GROUPED)
    if grouping in _OF_SERVICES:
        words = {"group": _NOT_GROUPED, "key": group, "place": "t.key", "is_place": "false"}
    else:
        words = {"group": group, "key": "p.number", "place": "n.place", "is_place": "n.number = t.key"}
    statements = (f"SELECT '{one.name}', t.* FROM ({one.statement.format(group=group)}) t" for one in asked)  # noqa: S608 - ours
    rows = defaultdict(list)
    with counting(by), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('work_mem', %s, true)", [_WORK_MEM])
        cursor.execute(f"{_RELATIONS.format(**words)} {' UNION ALL '.join(statements)}", parameters(period, basis))
        for name, *row in cursor.fetchall():
            rows[name].append(tuple(row))
    return rows


def _measured(indicator: Indicator, period: Period, grouping: Grouping, rows: list[tuple[Any, ...]]) -> Measured:
    found = {(group, whole): (numerator, denominator) for group, whole, numerator, denominator in rows}
    nothing = (0, None if indicator.denominator is None else 0)
    total = Cell(None, Words("合計"), *found.pop((None, 1), nothing), indicator.measure)
    groups = [group for group, _whole in found] if grouping is not Grouping.TOTAL else []
    cells = tuple(
        Cell(group, _label(grouping, group), *found[group, 0], indicator.measure)
        for group in sorted(groups, key=lambda group: _order(grouping, group))
    )
    return Measured(indicator, period, grouping, cells, total)


def _order(grouping: Grouping, group: Any) -> Any:
    """Tiers as the printed tables have them; what is not known comes last."""
    known = list(Tier.values).index(group) if grouping is Grouping.TIER and group in Tier.values else group
    return (group is None, known if group is not None else 0)


def _label(grouping: Grouping, group: Any) -> str:
    if group is None:
        return Words("不明")
    if grouping is Grouping.TIER:
        return Words(Tier(group).label)
    if grouping is Grouping.SERVICE:
        return LABELS[group]
    if isinstance(group, date):
        return Sentence("{month}", month=Month(group))
    return str(group)
