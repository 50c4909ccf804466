"""年度統計 broken down by county, institution, month or service, and the rows that a number counts."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from quitledger.accounts.permissions import Permission
from quitledger.audit import journal
from quitledger.institutions.models import Tier
from quitledger.institutions.queries import Place, counties, places_on
from quitledger.interop.sheets import Cell as SheetCell
from quitledger.policy.roc_formats import ROC_EPOCH
from quitledger.policy.sentences import Sentence, Words
from quitledger.statistics.indicators import Grouping, Part, indicators
from quitledger.statistics.measures import Measured, Period, label, measure_all
from quitledger.statistics.rows import Behind, contracts, count_contracts, count_services, services
from quitledger.visits.rules import LABELS

from .downloads import table_file
from .figures import BasisForm, Number, Opening, last_day, years
from .forms import PlainTextField, shown
from .languages import day_said
from .permissions import needs
from .transactions import Request, one_snapshot

PAGE_ROWS = 50
BROKEN_DOWN_BY = {
    Grouping.COUNTY: Words("縣市"),
    Grouping.INSTITUTION: Words("機構"),
    Grouping.MONTH: Words("月份"),
    Grouping.SERVICE: Words("服務"),
}


class Table(StrEnum):
    """Which of the three tables is broken down; the third with the people served."""

    SERVICES = "services"
    INSTITUTIONS = "institutions"
    STAFF = "staff"


TABLES = {
    Table.SERVICES: Words("表 3：服務人次與人數"),
    Table.INSTITUTIONS: Words("表 1：機構"),
    Table.STAFF: Words("表 2：人員"),
}


@dataclass(frozen=True)
class Column:
    """A column: one of an indicator's counts, or (part None) what is made of them."""

    title: Words
    name: str
    part: Part | None


_N, _D = Part.NUMERATOR, Part.DENOMINATOR
_PERSONS = Column(Words("服務人數"), "persons_served", _N)
COLUMNS = {
    Table.SERVICES: (
        Column(Words("用藥人次"), "medication_visits", _N), Column(Words("用藥人數"), "medication_visits", _D),
        Column(Words("平均用藥"), "medication_visits", None),
        Column(Words("衛教人次"), "counselling_visits", _N), Column(Words("衛教人數"), "counselling_visits", _D),
        Column(Words("平均衛教"), "counselling_visits", None), _PERSONS,
    ),
    Table.INSTITUTIONS: (
        Column(Words("合約機構"), "institution_execution", _D), Column(Words("執行機構"), "institution_execution", _N),
        Column(Words("執行率（%）"), "institution_execution", None),
    ),
    Table.STAFF: (
        Column(Words("合約人員"), "staff_execution", _D), Column(Words("執行人員"), "staff_execution", _N),
        Column(Words("執行率（%）"), "staff_execution", None),
    ),
}  # fmt: skip


def columns(table: Table, grouping: Grouping) -> tuple[Column, ...]:
    """Those of the table whose indicators are broken down so; none where the table is not."""
    return tuple(column for column in COLUMNS[table] if grouping in indicators()[column.name].groupings)


def tables_by(grouping: Grouping) -> list[Table]:
    """The tables that are broken down so."""
    return [table for table in Table if columns(table, grouping)]


class BreakdownForm(BasisForm):
    """Which table, up to which day, whose contract; of institutions, those of a tier or county, or with words in code or name."""

    table = forms.ChoiceField(label=Words("統計表"), required=False)
    tier = forms.ChoiceField(label=Words("層級別"), required=False, choices=[("", Words("全部")), *Tier.choices])
    county = forms.ChoiceField(label=Words("縣市"), required=False)
    q = shown(PlainTextField(label=Words("機構代碼或名稱"), required=False, max_length=60), grow=True)
    field_order = ("table", "until", "basis", "tier", "county", "q")

    def __init__(self, grouping: Grouping, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["table"].choices = [(table.value, TABLES[table]) for table in tables_by(grouping)]  # type: ignore[attr-defined]
        if grouping is Grouping.INSTITUTION:
            self.fields["county"].choices = [("", Words("全部")), *((one, one) for one in counties())]  # type: ignore[attr-defined]
        else:
            del self.fields["tier"], self.fields["county"], self.fields["q"]
        if len(tables_by(grouping)) == 1:  # no institutions, no staff: no contracts either
            del self.fields["table"], self.fields["basis"]

    @property
    def table_asked(self) -> Table:
        """The table; the third where nothing was asked."""
        return Table(self.cleaned_data.get("table") or Table.SERVICES)

    def wants(self, place: Place | None) -> bool:
        """Whether an institution (None: the group is none) is among those asked for."""
        tier, county, words = (self.cleaned_data.get(name, "") for name in ("tier", "county", "q"))
        if place is None:
            return not (tier or county or words)
        return tier in ("", place.tier) and county in ("", place.county) and words.casefold() in str(place).casefold()


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    label: str
    numbers: tuple[tuple[str, Number], ...]  # each with the title of its column
    more: str = ""  # of an institution, its county and tier


@dataclass(frozen=True)
class Breakdown:
    """A table broken down: its columns, its lines, the total, and what was measured for it."""

    table: Table
    period: Period
    columns: tuple[Column, ...]
    groups: list[tuple[Any, str]]  # with what they are called
    places: Mapping[int, Place]
    measured: Mapping[str, Measured]
    opening: Opening

    @property
    def rule(self) -> Any:
        """By which rule it is suppressed; None where it is exact."""
        return next((one.suppressed for one in self.measured.values() if one.suppressed), None)

    def row(self, group: Any, said: str) -> Row:
        """The line of a group."""
        return Row(said, self._numbers(group), _where(self.places.get(group)))

    @property
    def total(self) -> Row:
        """The last line."""
        return Row(Words("合計"), self._numbers(None, total=True))

    def _numbers(self, group: Any, *, total: bool = False) -> tuple[tuple[str, Number], ...]:
        return tuple(
            (column.title, self.opening.number(self.measured[column.name], group, column.part, total=total))
            for column in self.columns
        )


@needs(Permission.STATISTICS_READ)
@require_safe
@one_snapshot
def annual_breakdown(request: Request, year: int, grouping: str) -> HttpResponse:
    """A table of a year, or of its first months, by county, institution, month or service."""
    form = _form(request, year, Grouping(grouping))
    context: dict[str, Any] = {
        "form": form, "year": year, "ad_year": year + ROC_EPOCH, "grouping": grouping, "by": BROKEN_DOWN_BY[Grouping(grouping)],
        "groupings": BROKEN_DOWN_BY.items(),
    }  # fmt: skip
    found = _breakdown(request, year, Grouping(grouping), form)
    if found:
        page = Paginator(found.groups, PAGE_ROWS).get_page(request.GET.get("page"))
        rows = [found.row(group, said) for group, said in page]
        context |= {"found": found, "page": page, "rows": rows, "title": TABLES[found.table]}
    status = 422 if form.errors else 200
    return render(request, "statistics/breakdown.html", context, status=status)


@needs(Permission.STATISTICS_READ)
@require_safe
@one_snapshot
def annual_breakdown_download(request: Request, year: int, grouping: str, file_format: str) -> HttpResponse:
    """The same lines, all of them, as CSV or ODS."""
    form = _form(request, year, Grouping(grouping))
    found = _breakdown(request, year, Grouping(grouping), form)
    if not found:
        raise Http404
    titles = [BROKEN_DOWN_BY[Grouping(grouping)], *(column.title for column in found.columns)]
    rows: list[list[SheetCell]] = [
        [row.label, *(number.value for _title, number in row.numbers)]
        for row in (*(found.row(group, said) for group, said in found.groups), found.total)
    ]
    name = f"annual-statistics-{year}-{found.table}-by-{grouping}-until-{found.period.last:%Y%m%d}"
    return table_file(request, TABLES[found.table], titles, rows, name, file_format)


def _form(request: Request, year: int, grouping: Grouping) -> BreakdownForm:
    if year not in years(request.desk.today):
        raise Http404
    table = Table.SERVICES if request.GET.get("table", "") not in set(Table) else Table(request.GET["table"])
    asked = request.GET.copy()
    if not asked.get("until"):
        asked["until"] = day_said(last_day(year, request.desk.today, whole_months=table is Table.SERVICES))
    return BreakdownForm(grouping, asked)


def _breakdown(request: Request, year: int, grouping: Grouping, form: BreakdownForm) -> Breakdown | None:
    """What was asked for; None where there is an error, or no month is over yet."""
    if not form.is_valid():
        return None
    table = form.table_asked
    whole_months = table is Table.SERVICES
    if last_day(year, request.desk.today, whole_months=whole_months).year < year + ROC_EPOCH:
        return None
    period = form.period(year, request.desk.today, whole_months=whole_months)
    if period is None:
        return None
    columns_ = columns(table, grouping)
    names = list(dict.fromkeys(column.name for column in columns_))
    figures = measure_all(names, period, grouping=grouping, basis=form.basis_asked, by=request.desk.actor)
    measured = dict(zip(names, figures, strict=True))
    places = places_on(period.last) if grouping is Grouping.INSTITUTION else {}
    groups = _groups(grouping, period, measured.values())
    wanted = [(group, said) for group, said in groups if form.wants(places.get(group))]
    opening = Opening.of(request, year, period, form.basis_asked)
    return Breakdown(table, period, columns_, wanted, places, measured, opening)


def _where(place: Place | None) -> str:
    return Sentence("{county} {tier}", county=place.county, tier=Words(Tier(place.tier).label)) if place else ""


def _groups(grouping: Grouping, period: Period, measured: Iterable[Measured]) -> list[tuple[Any, str]]:
    """The groups of which anything was counted, in order; months and services all of them."""
    if grouping is Grouping.MONTH:
        return [(month.first, label(grouping, month.first)) for month in period.months()]
    if grouping is Grouping.SERVICE:
        return list(LABELS.items())
    found = {cell.group: cell.label for one in measured for cell in one.cells}
    return sorted(found.items(), key=lambda group: (group[0] is None, group[1]))


# --- Rows ------------------------------------------------------------------------------------------------------------


class RowsForm(BasisForm):
    """Which cell of an indicator is opened."""

    by = forms.ChoiceField(required=False, choices=[(grouping.value, "") for grouping in Grouping])
    of = PlainTextField(required=False, max_length=40)
    part = forms.ChoiceField(required=False, choices=[(part.value, "") for part in Part])


@needs(Permission.STATISTICS_READ)
@require_safe
def annual_rows(request: Request, year: int, name: str) -> HttpResponse:
    """The rows that a number counts: institutions and staff for everybody here, visits for whom visits are open."""
    form = RowsForm(request.GET)
    if year not in years(request.desk.today) or not form.is_valid():
        raise Http404
    behind = _behind(form, year, name, request.desk.today)
    places = places_on(behind.period.last) if behind.grouping is Grouping.INSTITUTION else {}
    context: dict[str, Any] = {
        "behind": behind, "year": year, "ad_year": year + ROC_EPOCH,
        "group": Words("合計") if behind.grouping is Grouping.TOTAL else label(behind.grouping, behind.group, places),
    }  # fmt: skip
    if behind.indicator.persons is None:
        context |= _contracts(request, behind)
    elif request.desk.actor.may(Permission.VISIT_READ):
        context |= _services(request, behind)
    else:
        context |= _closed(request, behind, places)
    return render(request, "statistics/rows.html", context)


def _behind(form: RowsForm, year: int, name: str, today: date) -> Behind:
    """The cell asked for; Http404 where there is no such cell."""
    period, grouping = form.period(year, today), Grouping(form.cleaned_data["by"])
    if period is None or grouping not in indicators()[name].groupings:
        raise Http404
    try:
        group = _read(grouping, form.cleaned_data["of"])
    except ValueError:
        raise Http404 from None
    part = Part(form.cleaned_data["part"] or Part.NUMERATOR)
    return Behind(name, period, grouping, group, part, form.basis_asked)


def _read(grouping: Grouping, said: str) -> Any:
    """The group as the address says it; nothing: what is not known. Raises ValueError."""
    if not said:
        return None
    if grouping is Grouping.TIER:
        return Tier(said).value
    if grouping is Grouping.SERVICE and said not in LABELS:
        raise ValueError(said)
    if grouping is Grouping.INSTITUTION:
        return _key(said)
    return date.fromisoformat(said) if grouping is Grouping.MONTH else said


def _key(said: str) -> int:
    key = int(said)
    if not 0 < key < 2**31:
        raise ValueError(said)
    return key


def _page(request: Request, count: int) -> Any:
    return Paginator(range(count), PAGE_ROWS).get_page(request.GET.get("page"))


def _offset(page: Any) -> int:
    return max(0, page.start_index() - 1)


def _contracts(request: Request, behind: Behind) -> dict[str, Any]:
    by = request.desk.actor
    executing, contracted = count_contracts(behind, by=by)
    page = _page(request, executing if behind.part is Part.NUMERATOR else contracted)
    rows = contracts(behind, by=by, limit=PAGE_ROWS, offset=_offset(page))
    staff = [row.staff_uid for row in rows if row.staff_uid]
    if staff:
        journal.record(Permission.REGISTER_READ, record_type="staff_member", uids=staff)
    return {"contracts": rows, "page": page, "of_staff": behind.name == "staff_execution", "named": bool(staff)}


def _services(request: Request, behind: Behind) -> dict[str, Any]:
    by = request.desk.actor
    count, persons = count_services(behind, by=by)
    page = _page(request, count)
    rows = services(behind, by=by, limit=PAGE_ROWS, offset=_offset(page))
    journal.record(Permission.VISIT_READ, record_type="visit", uids=list(dict.fromkeys(row.visit_uid for row in rows)))
    return {"services": rows, "page": page, "persons": persons}


def _closed(request: Request, behind: Behind, places: Mapping[int, Place]) -> dict[str, Any]:
    """For whom no visit is open: the finest that is, the institutions of the cell, by the filter that finds them."""
    whole = behind.period.is_whole_months(request.desk.today)
    found = _found_with(behind, places) if whole else None
    asked = None if found is None else urlencode(found | {"until": day_said(behind.period.last)})
    return {"closed": True, "institutions": asked, "whole_months": whole}


def _found_with(behind: Behind, places: Mapping[int, Place]) -> dict[str, str] | None:
    """The filter that finds the institutions of a cell; None where it has none, or none that are known."""
    if behind.grouping is Grouping.TOTAL:
        return {}
    if behind.grouping in (Grouping.TIER, Grouping.COUNTY) and behind.group:
        return {behind.grouping.value: behind.group}
    if behind.grouping is Grouping.INSTITUTION and behind.group in places:
        return {"q": places[behind.group].code}
    return None
