"""稽核軌跡: who saw or changed this person, this visit, the visits of this month. For supervisors, and for the desk
everywhere."""

from datetime import date
from typing import Any
from uuid import UUID

from django import forms
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse, JsonResponse, QueryDict
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from quitledger.accounts.actors import Actor
from quitledger.accounts.permissions import Permission
from quitledger.audit import journal
from quitledger.cases.queries import visible_case
from quitledger.institutions.models import Membership
from quitledger.policy.sentences import Words
from quitledger.visits.models import Visit
from quitledger.visits.queries import visible_visit
from quitledger.visits.trail import KINDS, TrailEntry, TrailQuery, count_trail, trail, uids_of, uids_of_month

from .downloads import MADE_UP, table_file
from .forms import Form, PlainTextField, RocDateField, RocMonthField, shown
from .languages import day_said
from .permissions import needs
from .transactions import Request

PAGE_ROWS = 50
MOST_ROWS = 20_000  # of a file
FIRST_YEAR = 2002  # before the programme began there is nothing to look for


class TrailForm(Form):
    """What to look for. People stand in the address by uid alone."""

    all_optional = True

    first = shown(RocDateField(label=gettext_lazy("日期，起"), required=False), width="m")
    last = shown(RocDateField(label=gettext_lazy("日期，迄"), required=False), width="m")
    account = shown(forms.UUIDField(label=gettext_lazy("帳號"), widget=forms.Select, required=False), width="m")
    institution = shown(PlainTextField(label=gettext_lazy("機構代碼"), max_length=10, required=False), width="m")
    month = shown(
        RocMonthField(label=gettext_lazy("就醫月份"), help_text=gettext_lazy("例：114/3，只看該月就醫資料的紀錄"), required=False),
        width="m",
    )  # fmt: skip
    kind = forms.ChoiceField(label=gettext_lazy("種類"), choices=[("", Words("全部")), *KINDS.items()], required=False)
    case = forms.UUIDField(widget=forms.HiddenInput, required=False)
    visit = forms.UUIDField(widget=forms.HiddenInput, required=False)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        first, last = data.get("first"), data.get("last")
        if first and last and first > last:
            self.add_error("last", _("迄日早於起日，請確認。"))
        if data.get("month") and "institution" in self.fields and not data.get("institution") and not self.errors:
            self.add_error("institution", _("查一個就醫月份時，請填機構代碼。"))
        return data


def _form(request: Request) -> TrailForm:
    """The form with what was asked; where no day was named, all days of a person, a visit or a service month, else this
    month."""
    asked: QueryDict = request.GET.copy()
    today = request.desk.today
    of_one = asked.get("case") or asked.get("visit") or asked.get("month", "").strip()
    for name, day in (("first", date(FIRST_YEAR, 1, 1) if of_one else today.replace(day=1)), ("last", today)):
        if not asked.get(name, "").strip():
            asked[name] = day_said(day)
    form = TrailForm(asked)
    here = request.desk.actor.institution_id
    if here:
        del form.fields["institution"]
        places = Membership.objects.filter(institution_id=here).select_related("user").order_by("user__display_name")
        people = {place.user.uid: place.user.display_name for place in places}
        form.fields["account"].widget.choices = [("", Words("全部")), *people.items()]
    else:
        del form.fields["account"]
    return form


class _Subject:
    """Whose trail it is: a person's, a visit's, that of a month's visits, or nobody's in particular.

    Raises Http404 for what may not be seen.
    """

    def __init__(self, asked: dict[str, Any], by: Actor) -> None:
        case_uid: UUID | None = asked["case"]
        visit_uid: UUID | None = asked["visit"]
        self.month: date | None = asked["month"]
        self.case = visible_case(case_uid, by=by) if case_uid else None
        self.visit: Visit | None = None
        if visit_uid and (found := visible_visit(visit_uid, by=by)):
            self.visit = found[0]
        if (case_uid and self.case is None) or (visit_uid and self.visit is None):
            raise Http404
        self.uids: tuple[UUID, ...] | None = None
        if self.visit:
            self.uids = (self.visit.uid,)
        elif self.case:
            self.uids = uids_of(self.case, by=by)
        elif self.month:
            self.uids = uids_of_month(self.month, asked.get("institution") or "", by=by)


def _query(form: TrailForm, subject: _Subject) -> TrailQuery:
    data = form.cleaned_data
    return TrailQuery(
        first=data["first"], last=data["last"], uids=subject.uids, account_uid=data.get("account"),
        institution_code="" if subject.month else data.get("institution") or "", kind=data["kind"],
    )  # fmt: skip


@needs(Permission.AUDIT_READ)
@require_safe
def audit_trail(request: Request) -> HttpResponse:
    """Who did what, the newest first."""
    form, by = _form(request), request.desk.actor
    if not form.is_valid():
        return render(request, "audit/trail.html", {"form": form}, status=422)
    subject = _Subject(form.cleaned_data, by)
    query = _query(form, subject)
    count = count_trail(query, by=by)
    page = Paginator(range(count), PAGE_ROWS).get_page(request.GET.get("page"))
    entries = trail(query, limit=PAGE_ROWS, offset=page.start_index() - 1 if count else 0, by=by)
    _tell(subject, entries)
    context = {
        "form": form, "entries": entries, "page": page, "count": count, "case": subject.case, "visit": subject.visit,
        "month": subject.month, "query": query, "too_many": count > MOST_ROWS, "most": MOST_ROWS,
    }  # fmt: skip
    return render(request, "audit/trail.html", context)


@needs(Permission.AUDIT_READ)
@require_safe
def audit_download(request: Request, file_format: str) -> HttpResponse:
    """What was found as CSV, ODS or JSON, at most MOST_ROWS entries."""
    form, by = _form(request), request.desk.actor
    if not form.is_valid():
        return render(request, "audit/trail.html", {"form": form}, status=422)
    subject = _Subject(form.cleaned_data, by)
    query = _query(form, subject)
    entries = trail(query, limit=MOST_ROWS, by=by)
    _tell(subject, entries)
    if file_format == "json":
        found = {
            "made_up": request.desk.purpose in MADE_UP, "first": query.first, "last": query.last,
            "entries": [_json(entry) for entry in entries],
        }  # fmt: skip
        answer = JsonResponse(found, json_dumps_params={"ensure_ascii": False})
        answer["Cache-Control"] = "no-store"
        return answer
    titles = ["時間", "帳號", "機構", "做了什麼", "版本", "資料", "筆數", "欄位", "編號"]
    rows = [
        [entry.at, entry.who, entry.institution, entry.what, entry.version, "、".join(one.words for one in entry.named),
         len(entry.uids), "、".join(entry.field_words), entry.number]
        for entry in entries
    ]  # fmt: skip
    days = f"{query.first:%Y%m%d}-{query.last:%Y%m%d}"
    return table_file(request, Words("稽核軌跡"), titles, rows, f"audit-{days}", file_format)


def _json(entry: TrailEntry) -> dict[str, Any]:
    return {
        "number": entry.number, "at": entry.at.isoformat(), "account": entry.who, "institution": entry.institution,
        "action": entry.action, "what": entry.what, "version": entry.version, "records": len(entry.uids),
        "named": [{"uid": str(one.uid), "name": one.words} for one in entry.named], "fields": entry.fields,
    }  # fmt: skip


def _tell(subject: _Subject, entries: list[TrailEntry]) -> None:
    """Names were shown: the read is journaled like any other. Of a month's visits those that are named were seen."""
    shown_uids = {one.uid for entry in entries for one in entry.named if one.page}
    asked = () if subject.month else subject.uids or ()
    journal.record(Permission.AUDIT_READ, record_type="journal", uids=sorted({*shown_uids, *asked}))
