"""年度統計: the three tables of a year, by tier, with what each number means beside it."""

from dataclasses import dataclass
from typing import Any

from django import forms
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from quitledger.accounts.permissions import Permission
from quitledger.institutions.models import Tier
from quitledger.policy import parameter
from quitledger.policy.roc_formats import ROC_EPOCH
from quitledger.policy.sentences import Words
from quitledger.statistics.annual import AnnualTables, annual_tables
from quitledger.statistics.measures import Basis, Cell, Measured, Period

from .forms import Form
from .permissions import needs
from .transactions import Request

_YEARS_END = (12, 31)


class BasisForm(Form):
    """Whose contract counts."""

    all_optional = True
    basis = forms.ChoiceField(
        label=Words("合約機構與人員"), required=False,
        choices=[(Basis.ANY_DAY.value, Words("當年任一日有合約")), (Basis.LAST_DAY.value, Words("期末當日有合約"))],
    )  # fmt: skip


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
def annual_statistics(request: Request, year: int | None = None) -> HttpResponse:
    """The tables of a ROC year; of the current one, up to today. Without a year: the last whole one."""
    if year is None:
        return redirect("annual_statistics", request.desk.today.year - 1 - ROC_EPOCH)
    form = BasisForm(request.GET or {"basis": Basis.ANY_DAY})
    context: dict[str, Any] = {
        "form": form,
        "year": year,
        "ad_year": year + ROC_EPOCH,
        "years": [(one, one + ROC_EPOCH) for one in years_of(request)],
    }
    if form.is_valid():
        tables = _tables(request, year, form)
        context |= {
            "tables": tables, "is_whole": (tables.period.last.month, tables.period.last.day) == _YEARS_END, "asked": request.GET.urlencode(),
            "indicators": (tables.institutions, tables.staff, tables.medication, tables.counselling, tables.persons),
            "tiers": [_row(tables, tier) for tier in Tier],
            "chart_height": len(Tier) * _ROW_HEIGHT,
            "charts": {
                "institutions": _bars(tables.institutions, tables.institutions),
                "staff": _bars(tables.staff, tables.staff),
                "services": _bars(tables.medication, tables.counselling),
            },
        }  # fmt: skip
    return render(request, "statistics/annual.html", context, status=422 if form.errors else 200)


def years_of(request: Request) -> list[int]:
    """The ROC years of which there may be records, the latest first."""
    first = parameter("recording_window_last_day").values[0].starts_on.year - ROC_EPOCH
    return list(range(request.desk.today.year - ROC_EPOCH, first - 1, -1))


def _tables(request: Request, year: int, form: BasisForm) -> AnnualTables:
    if year not in years_of(request):
        raise Http404
    basis = Basis(form.cleaned_data["basis"] or Basis.ANY_DAY)
    period = Period.year(year + ROC_EPOCH, request.desk.today)
    return annual_tables(period, basis=basis, by=request.desk.actor)


def _row(tables: AnnualTables, tier: Tier) -> dict[str, Any]:
    return {
        "label": Words(tier.label),
        "institutions": tables.institutions.of(tier.value), "staff": tables.staff.of(tier.value),
        "medication": tables.medication.of(tier.value), "counselling": tables.counselling.of(tier.value),
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
    return first.numerator, (first.denominator or 0) if first == second else second.numerator


def _width(count: int, longest: int) -> str:
    return f"{_LONGEST * count / longest:.1f}%"
