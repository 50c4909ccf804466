"""What the pages of the annual statistics share: which days are counted, a number as it is shown, and the address of its rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.urls import reverse

from quitledger.accounts.permissions import Permission
from quitledger.policy import format_roc, parameter
from quitledger.policy.roc_formats import ROC_EPOCH
from quitledger.policy.sentences import Sentence, Words
from quitledger.statistics.indicators import Grouping, Part
from quitledger.statistics.measures import HIDDEN, Basis, Measured, Period
from quitledger.statistics.reports import BASES

from .forms import Form, RocDateField, shown
from .languages import said
from .transactions import Request


class BasisForm(Form):
    """Whose contract counts, and up to which day."""

    all_optional = True
    basis = forms.ChoiceField(label=Words("合約機構與人員"), required=False, choices=list(BASES.items()))
    until = shown(RocDateField(label=Words("算到哪一天"), required=False), width="m")

    @property
    def basis_asked(self) -> Basis:
        """Whose contract counts; of any day where nothing was asked."""
        return Basis(self.cleaned_data.get("basis") or Basis.ANY_DAY)

    def period(self, year: int, today: date, *, whole_months: bool = False) -> Period | None:
        """From the first day of a ROC year to the day asked for, or as far as there is anything; None and an error where it is not so.

        `whole_months`: to the end of a month that is over (measures.PeriodOpen).
        """
        latest = last_day(year, today, whole_months=whole_months)
        until = self.cleaned_data["until"] or latest
        period = Period(date(year + ROC_EPOCH, 1, 1), until)
        if not period.first <= until <= latest:
            problem = Sentence("請填 {first} 至 {last} 的日期。", first=period.first, last=latest)
        elif whole_months and not period.is_whole_months(today):
            problem = Sentence("這張表只算到月底，請填月底的日期，例如 {last}。", last=latest)
        else:
            return period
        self.add_error("until", said(problem))
        return None


def last_day(year: int, today: date, *, whole_months: bool) -> date:
    """The last day of a ROC year that may be counted: of the running one today, or the end of the month before."""
    until = today.replace(day=1) - timedelta(days=1) if whole_months else today
    return min(until, date(year + ROC_EPOCH, 12, 31))


def years(today: date) -> list[int]:
    """The ROC years of which there may be records, the latest first."""
    first = parameter("recording_window_last_day").values[0].starts_on.year - ROC_EPOCH
    return list(range(today.year - ROC_EPOCH, first - 1, -1))


@dataclass(frozen=True)
class Number:
    """A number of a table: its text, and where its rows are (nothing: it has none, or they are not this reader's)."""

    text: str
    address: str = ""
    hidden: bool = False
    count: int | None = None  # where it is a count that is shown

    @property
    def value(self) -> int | str:
        """As a cell of a file holds it."""
        return self.text if self.count is None else self.count


@dataclass(frozen=True)
class Opening:
    """How the numbers of a page are opened: the year, what of the form stays in the address, and whether visits are the reader's."""

    year: int
    kept: Mapping[str, str]
    may_read_visits: bool

    @classmethod
    def of(cls, request: Request, year: int, period: Period, basis: Basis) -> "Opening":
        """For the tables of a period."""
        kept = {"until": format_roc(period.last)} | ({"basis": basis.value} if basis is not Basis.ANY_DAY else {})
        return cls(year, kept, request.desk.actor.may(Permission.VISIT_READ))

    def number(self, measured: Measured, group: Any, part: Part | None, *, total: bool = False) -> Number:
        """One of a cell's counts, or (None) its value, which has no rows of its own."""
        cell = measured.total if total else measured.of(group)
        if part is None:
            return Number(cell.said, hidden=cell.hidden)
        if cell.hidden:
            address = self._address(measured, group, part) if self.may_read_visits else ""
            return Number(HIDDEN, address, hidden=True)
        count = cell.numerator if part is Part.NUMERATOR else cell.denominator
        if not count:
            return Number("—" if count is None else "0", count=count)
        return Number(f"{count:,}", self._address(measured, group, part, total=total), count=count)

    def _address(self, measured: Measured, group: Any, part: Part, *, total: bool = False) -> str:
        of = {} if total or measured.grouping is Grouping.TOTAL else {
            "by": measured.grouping.value, "of": "" if group is None else str(group)
        }  # fmt: skip
        asked = of | ({"part": part.value} if part is Part.DENOMINATOR else {}) | dict(self.kept)
        return f"{reverse('annual_rows', args=[self.year, measured.indicator.name])}?{urlencode(asked)}"
