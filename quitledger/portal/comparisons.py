"""對照院內名單: a list of the institution's own system beside the visits recorded of a month."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID, uuid4

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from quitledger.accounts.permissions import Permission
from quitledger.audit import journal
from quitledger.batches.columns import COLUMNS, Kind
from quitledger.batches.comparing import Match
from quitledger.batches.comparison_services import (
    LABELS,
    UNREAD,
    Compared,
    TitlesUnknown,
    compare_list,
    open_comparison,
    remove_comparison,
)
from quitledger.batches.models import Comparison
from quitledger.cases.models import Case
from quitledger.policy.identity import mask
from quitledger.policy.problem import Problem, Refused
from quitledger.policy.sentences import Sentence, Words
from quitledger.visits.models import Visit
from quitledger.visits.queries import closes_at
from quitledger.visits.rules import month_of

from .batches import ACCEPT, MOST_REQUEST_BYTES
from .forms import Form, RocMonthField, add_problems, shown
from .headers import takes_files
from .permissions import needs
from .transactions import Request

PAGE_ROWS = 50
ASKED = ("chart_no", "identity_number", "visit_on")
_MOST_TITLES, _LONGEST_TITLE = 60, 60


class CompareForm(Form):
    """A list and its month; where its titles were not recognised, which of them means what."""

    uid = forms.UUIDField(widget=forms.HiddenInput)
    month = shown(RocMonthField(label=Words("就醫月份"), help_text=Words("例：114/3")), width="m")
    file = forms.FileField(
        label=Words("檔案"), allow_empty_file=True, widget=forms.FileInput(attrs={"accept": ACCEPT}),
        help_text=Sentence(
            "CSV（UTF-8 或 Big5）、XLSX 或 ODS，最大 {megabytes} MB、{rows} 列；要有就醫日期，和病歷號或身分證字號。",
            megabytes=settings.BATCH_MOST_MEGABYTES, rows=f"{settings.COMPARISON_MOST_ROWS:,}",
        ),
    )  # fmt: skip

    def __init__(self, *args: Any, titles: tuple[str, ...] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.titles = [title for title in titles if title][:_MOST_TITLES]
        for column in COLUMNS[Kind.VISITS]:
            if column.name in ASKED and self.titles:
                choices = [("", _("檔案裡沒有")), *((title, title) for title in self.titles)]
                self.fields[column.name] = forms.ChoiceField(label=column.title, required=False, choices=choices)

    @property
    def chosen(self) -> dict[str, str]:
        """Column → title."""
        return {name: title for name in ASKED if (title := self.cleaned_data.get(name))}


@takes_files(MOST_REQUEST_BYTES)
@needs(Permission.VISIT_COMPARE)
@require_http_methods(["GET", "HEAD", "POST"])
def comparison_new(request: Request) -> HttpResponse:
    """Compare a list."""
    titles = tuple(title[:_LONGEST_TITLE] for title in request.POST.getlist("title"))
    before = month_of(request.desk.today)
    form = CompareForm(
        request.POST or None, request.FILES or None, titles=titles, initial={"uid": uuid4(), "month": before}
    )
    if form.is_valid():
        data = form.cleaned_data
        try:
            comparison = compare_list(
                uid=data["uid"], month=data["month"], content=data["file"].read(), titles=form.chosen,
                by=request.desk.actor,
            )  # fmt: skip
            return redirect("comparison_show", comparison.uid)
        except TitlesUnknown as unknown:
            form = CompareForm(request.POST, request.FILES, titles=unknown.titles)
            form.full_clean()
            add_problems(form, unknown.problems)
        except Refused as refused:
            add_problems(form, refused.problems)
    mine = Comparison.objects.filter(
        institution_id=request.desk.actor.at_institution(), kept_until__gt=request.desk.moment
    )
    kept = list(mine.select_related("compared_by").order_by("-compared_at")[:10])
    context = {"form": form, "kept": kept}
    return render(request, "comparisons/new.html", context, status=422 if form.errors else 200)


@dataclass(frozen=True)
class PairShown:
    """A pair as its page shows it: what the list says, the recorded visit, and what can be done."""

    line: int | None
    visit_on: date | None
    number: str
    chart_no: str
    case: Case | None
    visit: Visit | None
    days: int
    digit: bool
    problems: tuple[Problem, ...]
    is_open: bool = False


@needs(Permission.VISIT_COMPARE)
@require_safe
def comparison_show(request: Request, uid: UUID) -> HttpResponse:
    """What was found, kind by kind. `show`: which."""
    comparison = _comparison_or_404(request, uid)
    found = open_comparison(comparison)
    counts = {name: sum(one.match == name for one in found) for name in LABELS}
    asked = request.GET.get("show", "")
    chosen = asked if asked in LABELS else next((name for name in LABELS if counts[name]), Match.LISTED)
    page = Paginator([one for one in found if one.match == chosen], PAGE_ROWS).get_page(request.GET.get("page"))
    rows = _shown(request, list(page))
    uids = {comparison.uid, *(row.case.uid for row in rows if row.case), *(row.visit.uid for row in rows if row.visit)}
    journal.record("comparison.read", record_type="comparison", uids=sorted(uids))
    context = {
        "comparison": comparison, "page": page, "rows": rows, "show": chosen, "label": LABELS[chosen],
        "filters": [(name, label, counts[name]) for name, label in LABELS.items() if counts[name] or name != UNREAD],
    }  # fmt: skip
    return render(request, "comparisons/show.html", context)


def _shown(request: Request, found: list[Compared]) -> list[PairShown]:
    here = request.desk.actor.at_institution()
    cases = {
        case.uid: case
        for case in Case.objects.filter(institution_id=here, uid__in=[one.case_uid for one in found if one.case_uid])
        .select_related("person")
    }  # fmt: skip
    visits = {
        visit.uid: visit
        for visit in Visit.objects.filter(institution_id=here, uid__in=[one.visit_uid for one in found if one.visit_uid])
        .select_related("case", "person")
    }  # fmt: skip
    closing: dict[date, datetime | None] = {}
    for one in found:
        if one.visit_on:
            closing.setdefault(month_of(one.visit_on), None)
    closing = {month: closes_at(here, month) for month in closing}
    rows = []
    for one in found:
        until = closing.get(month_of(one.visit_on)) if one.visit_on else None
        visit = visits.get(one.visit_uid) if one.visit_uid else None
        case = cases.get(one.case_uid) if one.case_uid else None
        rows.append(PairShown(
            one.line, one.visit_on, mask(one.number) if one.number else "", one.chart_no, case, visit, one.days, one.digit,
            one.problems, until is not None and until > request.desk.moment,
        ))  # fmt: skip
    return rows


@needs(Permission.VISIT_COMPARE)
@require_POST
def comparison_remove(request: Request, uid: UUID) -> HttpResponse:
    """Throw the outcome away at once."""
    remove_comparison(comparison=_comparison_or_404(request, uid), by=request.desk.actor)
    messages.success(request, _("對照結果已刪除。"))
    return redirect("comparison_new")


def _comparison_or_404(request: Request, uid: UUID) -> Comparison:
    """The institution's comparison, while its time lasts."""
    mine = Comparison.objects.filter(
        institution_id=request.desk.actor.at_institution(), kept_until__gt=request.desk.moment
    )
    comparison = mine.filter(uid=uid).first()
    if comparison is None:
        raise Http404
    return comparison
