"""年度統計: the three tables of a year, by tier, with what each number means beside it."""

from dataclasses import dataclass
from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from quitledger.accounts.permissions import Permission
from quitledger.institutions.models import Tier
from quitledger.policy.roc_formats import ROC_EPOCH
from quitledger.policy.sentences import Words
from quitledger.statistics.annual import AnnualTables, annual_tables
from quitledger.statistics.indicators import Part
from quitledger.statistics.measures import Basis, Cell, Measured

from .breakdowns import BROKEN_DOWN_BY
from .figures import BasisForm, Number, Opening, last_day, years
from .languages import day_said
from .permissions import needs
from .transactions import Request, one_snapshot

_YEARS_END = (12, 31)


@dataclass(frozen=True)
class Bar:
    """A row of a chart: two counts, how long they are (of the width), and where its parts stand from the top, in pixels."""

    label: str
    counts: tuple[int, int]
    widths: tuple[str, str]
    top: int

    @property
    def bars(self) -> list[tuple[str, int, str, int, int]]:
        """For each of the two: its class, where it begins, how long it is, its count and where that is written."""
        return [
            (f"b{number}", self.top + 6 + 17 * (number - 1), width, count, self.top + 18 + 17 * (number - 1))
            for number, (width, count) in enumerate(zip(self.widths, self.counts, strict=True), start=1)
        ]


_ROW_HEIGHT, _LONGEST = 66, 80  # pixels of a row; percent of the longest bar, so that its number has room


@needs(Permission.STATISTICS_READ)
@require_safe
@one_snapshot
def annual_statistics(request: Request, year: int | None = None) -> HttpResponse:
    """The tables of a ROC year; of the current one, up to today. Without a year: the last whole one."""
    if year is None:
        return redirect("annual_statistics", request.desk.today.year - 1 - ROC_EPOCH)
    if year not in years(request.desk.today):
        raise Http404
    latest = last_day(year, request.desk.today, whole_months=False)
    form = BasisForm(
        {"basis": Basis.ANY_DAY, "until": day_said(latest)} | {name: said for name, said in request.GET.items() if said}
    )
    context: dict[str, Any] = {
        "form": form,
        "year": year,
        "ad_year": year + ROC_EPOCH,
        "groupings": BROKEN_DOWN_BY.items(),
        "years": [(one, one + ROC_EPOCH) for one in years(request.desk.today)],
    }
    if form.is_valid() and form.period(year, request.desk.today):
        tables = _tables(request, year, form)
        opening = Opening.of(request, year, tables.period, form.basis_asked)
        context |= {
            "tables": tables, "is_whole": (latest.month, latest.day) == _YEARS_END, "asked": request.GET.urlencode(),
            "indicators": (tables.institutions, tables.staff, tables.medication, tables.counselling, tables.persons),
            "tiers": [_row(tables, opening, group, said) for group, said in _tiers(tables)],
            "total": _row(tables, opening, None, "", total=True),
            "chart_height": len(Tier) * _ROW_HEIGHT,
            "charts": {
                "institutions": _bars(tables.institutions, tables.institutions),
                "staff": _bars(tables.staff, tables.staff),
                "services": _bars(tables.medication, tables.counselling),
            },
        }  # fmt: skip
    return render(request, "statistics/annual.html", context, status=422 if form.errors else 200)


def _tables(request: Request, year: int, form: BasisForm) -> AnnualTables:
    if year not in years(request.desk.today):
        raise Http404
    period = form.period(year, request.desk.today)
    if period is None:
        raise Http404
    return annual_tables(period, basis=form.basis_asked, by=request.desk.actor)


def _tiers(tables: AnnualTables) -> list[tuple[str | None, str]]:
    """The seven tiers and, where anything is counted of institutions without one, the unknown (None): the lines add up."""
    counted = (tables.institutions, tables.staff, tables.medication, tables.counselling)
    unknown = any(cell.group is None for measured in counted for cell in measured.cells)
    return [*((tier.value, Words(tier.label)) for tier in Tier), *([(None, Words("不明"))] if unknown else [])]


def _row(
    tables: AnnualTables, opening: Opening, group: str | None, said: str, *, total: bool = False
) -> dict[str, Any]:
    """The numbers of a tier, or of all, as each of the three tables has them."""

    def numbers(measured: Measured, *parts: Part | None) -> list[Number]:
        return [opening.number(measured, group, part, total=total) for part in parts]

    (medication, medication_mean), (counselling, counselling_mean) = (
        numbers(measured, Part.NUMERATOR, None) for measured in (tables.medication, tables.counselling)
    )
    rate = (Part.DENOMINATOR, Part.NUMERATOR, None)
    return {
        "label": said,
        "institutions": numbers(tables.institutions, *rate), "staff": numbers(tables.staff, *rate),
        "services": [medication, counselling, medication_mean, counselling_mean],
    }  # fmt: skip


def _bars(first: Measured, second: Measured) -> list[Bar]:
    """Of one indicator its numerator and denominator; of two the numerators."""
    counts = [_counts(first.of(tier.value), second.of(tier.value)) for tier in Tier]
    longest = max(1, *(count for pair in counts for count in pair))
    return [
        Bar(Words(tier.label), pair, (_width(pair[0], longest), _width(pair[1], longest)), 16 + number * _ROW_HEIGHT)
        for number, (tier, pair) in enumerate(zip(Tier, counts, strict=True))
    ]


def _counts(first: Cell, second: Cell) -> tuple[int, int]:
    return first.numerator or 0, (first.denominator if first == second else second.numerator) or 0


def _width(count: int, longest: int) -> str:
    return f"{_LONGEST * count / longest:.1f}%"
