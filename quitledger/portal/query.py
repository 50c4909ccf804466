"""戒菸者就醫資料查詢: filter, sort, page, totals, downloads."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.core.paginator import Paginator
from django.http import HttpResponse, JsonResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from quitledger.accounts.permissions import Permission
from quitledger.audit import journal
from quitledger.cases.models import Case
from quitledger.cases.queries import find_cases, visible_case, visible_cases
from quitledger.institutions.models import StaffMember
from quitledger.interop.sheets import Cell
from quitledger.policy import format_roc
from quitledger.policy.sentences import Sentence, Words
from quitledger.visits.queries import SORTS, ServiceRow, Totals, VisitQuery, VisitRow, search, totals
from quitledger.visits.rules import COUNSELLING, COUNSELLING_MODES, LABELS, MEDICATION, Timeliness

from .downloads import MADE_UP, table_file
from .forms import Form, PlainTextField, RocDateField, shown
from .languages import day_said
from .permissions import needs
from .transactions import Request

PAGE_ROWS = 25
MONTHS_OFFERED = 3
DEFAULT_SORT = "-recorded_at"


class QueryForm(Form):
    """What to look for. `who` is sent by POST only and becomes a uid: names and numbers never stand in an address."""

    all_optional = True

    first = shown(RocDateField(label=Words("就醫日期，起"), required=False), width="m")
    last = shown(RocDateField(label=Words("就醫日期，迄"), required=False), width="m")
    who = shown(PlainTextField(label=Words("戒菸者（姓名、病歷號、證號）"), required=False, max_length=60), grow=True)
    kind = forms.ChoiceField(label=Words("服務"), choices=[("", Words("全部")), *LABELS.items()], required=False)
    staff = forms.UUIDField(label=Words("人員"), widget=forms.Select, required=False)
    institution = PlainTextField(label=Words("機構代碼"), max_length=10, required=False)
    tags = forms.MultipleChoiceField(
        label=Words("登錄情形"), choices=[(tag.value, tag.label) for tag in Timeliness],
        widget=forms.CheckboxSelectMultiple, required=False,
    )  # fmt: skip
    with_voided = forms.BooleanField(label=Words("含已作廢"), required=False)
    case = forms.UUIDField(widget=forms.HiddenInput, required=False)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        first, last = data.get("first"), data.get("last")
        if first and last and first > last:
            self.add_error("last", _("迄日早於起日，請確認。"))
        return data


def default_days(today: date) -> tuple[date, date]:
    """From the first day of the month before, whose window may still be open, until today."""
    return (today.replace(day=1) - timedelta(days=1)).replace(day=1), today


def days_address(first: date, last: date) -> str:
    """The address of the visits from `first` to `last`."""
    return f"{reverse('visit_query')}?{urlencode({'first': format_roc(first), 'last': format_roc(last)})}"


def month_links(today: date) -> list[tuple[date, str]]:
    """The last MONTHS_OFFERED months, latest first, with the address of each month's visits."""
    links = []
    last = today
    for _month in range(MONTHS_OFFERED):
        first = last.replace(day=1)
        month_end = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
        links.append((first, days_address(first, month_end)))
        last = first - timedelta(days=1)
    return links


def _form(request: Request, data: QueryDict) -> QueryForm:
    """The form with what was asked, the standard days where none were."""
    first, last = default_days(request.desk.today)
    asked = data.copy()
    for name, day in (("first", first), ("last", last)):
        if not asked.get(name, "").strip():
            asked[name] = day_said(day)
    if not asked.getlist("tags"):
        asked.setlist("tags", [tag.value for tag in Timeliness])
    form = QueryForm(asked)
    here = request.desk.actor.institution_id
    staff = StaffMember.objects.filter(contracts__institution_id=here).distinct().order_by("name") if here else ()
    form.fields["staff"].widget.choices = [("", Words("全部")), *((member.uid, str(member)) for member in staff)]
    if here:
        del form.fields["institution"]
    return form


def _query(request: Request, form: QueryForm) -> VisitQuery:
    data, sort = form.cleaned_data, request.GET.get("sort", DEFAULT_SORT)
    case = visible_case(data["case"], by=request.desk.actor) if data["case"] else None
    return VisitQuery(
        first=data["first"], last=data["last"], case_uids=(case.uid if case else data["case"],) if data["case"] else (),
        staff_uid=data["staff"], kind=data["kind"], tags=frozenset(data["tags"]), with_voided=data["with_voided"],
        institution_code=data.get("institution", ""),
        sort=sort if sort.lstrip("-") in SORTS else DEFAULT_SORT,
    )  # fmt: skip


@needs(Permission.VISIT_READ)
@require_http_methods(["GET", "HEAD", "POST"])
def visit_query(request: Request) -> HttpResponse:
    """The list of visits; a POST turns what was typed into an address without names."""
    if request.method == "POST":
        return _asked(request)
    form = _form(request, request.GET)
    context: dict[str, Any] = {"form": form, "months": month_links(request.desk.today)}
    if form.is_valid():
        context |= _found(request, form)
    return render(request, "visits/query.html", context, status=422 if form.errors else 200)


def _asked(request: Request) -> HttpResponse:
    form = _form(request, request.POST)
    if not form.is_valid():
        return render(request, "visits/query.html", {"form": form}, status=422)
    found: list[Case] = []
    if form.cleaned_data["who"]:
        found = find_cases(form.cleaned_data["who"], by=request.desk.actor)
        if not found:
            form.add_error("who", _("找不到這位戒菸者。請確認證號、病歷號或姓名。"))
            return render(request, "visits/query.html", {"form": form}, status=422)
        journal.record(Permission.CASE_READ, record_type="case", uids=[case.uid for case in found])
    addresses = [(case, _address(request.POST, case.uid)) for case in found]
    if len(found) > 1:
        return render(request, "visits/query.html", {"form": form, "addresses": addresses})
    return redirect(addresses[0][1] if addresses else _address(request.POST, None))


def _address(typed: QueryDict, case_uid: UUID | None) -> str:
    kept = typed.copy()
    for name in ("csrfmiddlewaretoken", "who", "case"):
        kept.pop(name, None)
    if case_uid or typed.get("case"):
        kept["case"] = str(case_uid or typed["case"])
    for name in [name for name, values in kept.lists() if not any(values)]:
        del kept[name]
    return f"{reverse('visit_query')}?{kept.urlencode()}"


def _found(request: Request, form: QueryForm) -> dict[str, Any]:
    """The page of rows and the counts of all."""
    by = request.desk.actor
    query = _query(request, form)
    counted = totals(query, by=by)
    page = Paginator(range(counted.visits), PAGE_ROWS).get_page(request.GET.get("page"))
    rows = list(search(query, by=by, limit=PAGE_ROWS, offset=page.start_index() - 1 if counted.visits else 0))
    case = visible_cases(by).filter(uid=query.case_uids[0]).first() if query.case_uids else None
    named = [case.uid] if case else []
    journal.record(Permission.VISIT_READ, record_type="visit", uids=[*(row.uid for row in rows), *named])
    return {"query": query, "rows": rows, "page": page, "totals": _counts(counted), "case": case, "counted": counted}


def _counts(counted: Totals) -> list[tuple[str, Sentence]]:
    tags = [(tag.label, Sentence("{n} 筆", n=f"{counted.tags.get(tag, 0):,}")) for tag in Timeliness]
    medication, counselling = (f"{counted.kinds.get(kind, 0):,}" for kind in (MEDICATION, COUNSELLING))
    kinds = Sentence("{medication}／{counselling} 次", medication=medication, counselling=counselling)
    return [*tags, (Words("用藥／衛教"), kinds)]


@needs(Permission.VISIT_DOWNLOAD)
@require_safe
def visit_download(request: Request, file_format: str) -> HttpResponse:
    """All visits found, as CSV, ODS or JSON; built inside the transaction, never streamed after it."""
    form = _form(request, request.GET)
    if not form.is_valid():
        return render(request, "visits/query.html", {"form": form}, status=422)
    query = _query(request, form)
    rows = list(search(query, by=request.desk.actor))
    journal.record(Permission.VISIT_DOWNLOAD, record_type="visit", uids=[row.uid for row in rows])
    if file_format == "json":
        return JsonResponse(
            {
                "made_up": request.desk.purpose in MADE_UP,
                "first": query.first,
                "last": query.last,
                "visits": [_json(row) for row in rows],
            },
            json_dumps_params={"ensure_ascii": False},
        )
    days = f"{query.first:%Y%m%d}-{query.last:%Y%m%d}"
    return table_file(request, Words("就醫資料"), COLUMNS, map(_cells, rows), f"visits-{days}", file_format)


COLUMNS = [
    "就醫日期", "就醫時間", "機構", "姓名", "病歷號", "證號（遮蔽）", "用藥人員", "用藥", "用藥週數", "衛教人員", "衛教方式",
    "平均每日支數", "一氧化碳 ppm", "備註", "登錄時間", "登錄者", "登錄情形", "登錄期限", "狀態", "版本", "編號",
]  # fmt: skip


def _service(row: VisitRow, kind: str) -> ServiceRow | None:
    return next((service for service in row.services if service.kind == kind), None)


def _cells(row: VisitRow) -> Sequence[Cell]:
    medication, counselling = _service(row, MEDICATION), _service(row, COUNSELLING)
    return [
        row.visit_on, f"{row.visit_time:%H:%M}" if row.visit_time else None, row.institution_name, row.name, row.chart_no,
        row.masked_identity,
        *(_medication_cells(medication) if medication else (None, None, None)),
        *((counselling.staff, COUNSELLING_MODES.get(counselling.mode)) if counselling else (None, None)),
        row.cigarettes_per_day, row.co_ppm, row.note, row.recorded_at, row.recorded_by, row.timeliness.label,
        row.closes_at, Words("有效") if row.in_force else Words("已作廢"), row.version, str(row.uid),
    ]  # fmt: skip


def _medication_cells(medication: ServiceRow) -> tuple[Cell, Cell, Cell]:
    medicines = "、".join(f"{name} {weeks} 週（{days} 天）" for name, weeks, days in medication.lines)
    return medication.staff, medicines, max((weeks for _, weeks, _ in medication.lines), default=None)


def _json(row: VisitRow) -> dict[str, Any]:
    return {
        "uid": str(row.uid), "visit_on": str(row.visit_on), "visit_time": row.visit_time and f"{row.visit_time:%H:%M}",
        "case_uid": str(row.case_uid), "name": row.name, "chart_no": row.chart_no, "identity_masked": row.masked_identity,
        "services": [
            {"kind": s.kind, "staff": s.staff, "mode": s.mode,
             "lines": [{"medicine": name, "supply_weeks": weeks, "supply_days": days} for name, weeks, days in s.lines]}
            for s in row.services
        ],
        "cigarettes_per_day": row.cigarettes_per_day, "co_ppm": row.co_ppm, "note": row.note,
        "recorded_at": row.recorded_at.isoformat(), "timeliness": row.timeliness, "closes_at": row.closes_at.isoformat(),
        "in_force": row.in_force, "version": row.version,
    }  # fmt: skip
