"""每月自行清查: a month of one's institution, its sign-off and what it said, reminders; all institutions, for the desk."""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from quitledger.accounts.permissions import Permission
from quitledger.audit import journal
from quitledger.cases.models import Case
from quitledger.institutions.models import InstitutionDetails, Tier
from quitledger.interop.sheets import Cell
from quitledger.policy import policy_on
from quitledger.policy.problem import Refused
from quitledger.policy.sentences import Several, Words
from quitledger.selfcheck.models import ReminderAddress
from quitledger.selfcheck.queries import (
    InstitutionMonth,
    MonthCheck,
    cases_of,
    digest,
    grouped,
    idle_staff,
    month_check,
    nation,
    next_month,
    seen_of,
    sign_offs,
    sign_offs_of,
    standing_of,
)
from quitledger.selfcheck.rules import (
    REASON_LENGTH,
    Check,
    Finding,
    Level,
    Standing,
    Where,
    check_sign_off,
    month_to_check,
)
from quitledger.selfcheck.services import Stale, record_address, sign_month_off
from quitledger.visits.models import Month
from quitledger.visits.queries import VisitQuery, search

from .downloads import table_file
from .forms import Form, PlainTextField, add_problems, shown
from .languages import moment_said, month_said
from .permissions import needs
from .query import days_address
from .sign_in import proved_again, sign_in_again
from .transactions import Request

PAGE_ROWS = 25


@needs(Permission.VISIT_READ)
@require_safe
def selfcheck_index(request: Request) -> HttpResponse:
    """The month that is looked through now: the one before this."""
    page = "selfcheck_month" if request.desk.actor.institution_id else "selfcheck_review"
    return redirect(page, month_to_check(request.desk.today))


# --- A month of one's institution --------------------------------------------------------------------------------------


class SignForm(Form):
    """The reason for what stays incomplete, and what was looked at: the how manieth sign-off, and what the page said."""

    number = forms.IntegerField(widget=forms.HiddenInput, min_value=1)
    seen = forms.CharField(widget=forms.HiddenInput, max_length=32)
    reason = shown(
        PlainTextField(
            label=Words("保留未完整的原因"), help_text=Words("例：待個案回診補填成癮度。請勿寫姓名、證號。"),
            max_length=REASON_LENGTH, lines=True, required=False,
        ),
        grow=True, asked=True,
    )  # fmt: skip


def _month_or_404(request: Request, month: date) -> MonthCheck:
    found = month_check(month, moment=request.desk.moment, today=request.desk.today, by=request.desk.actor)
    if found is None:
        raise Http404
    return found


@needs(Permission.SELFCHECK_READ)
@require_safe
def selfcheck_month(request: Request, month: date) -> HttpResponse:
    """A month: what is recorded, what is missing and where to put it right, until when, and whether it is signed off."""
    return _page(request, _month_or_404(request, month))


def _page(request: Request, check: MonthCheck, form: SignForm | None = None, status: int = 200) -> HttpResponse:
    by, after = request.desk.actor, next_month(check.month)
    asked = next((one for one in Check if one == request.GET.get("check")), None)
    found = [one for one in check.findings if one.check is asked] if asked else check.findings
    page = Paginator(found, PAGE_ROWS).get_page(request.GET.get("page"))
    as_list = request.GET.get("view") == "list"
    rows: list[Any] = []
    listed = None
    if as_list:
        listed = Paginator(range(check.visits), PAGE_ROWS).get_page(request.GET.get("page"))
        query = VisitQuery(check.month, after - timedelta(days=1), sort="visit_on")
        rows = list(search(query, by=by, limit=PAGE_ROWS, offset=(listed.number - 1) * PAGE_ROWS))
    shown_now = [*page, *check.drafts, *check.late]
    cases = cases_of(shown_now, by=by)
    uids = {one.visit for one in shown_now if one.visit} | {row.uid for row in rows}
    journal.record(Permission.SELFCHECK_READ, record_type="visit", uids=[*uids, *(case.uid for case in cases.values())])
    if form is None and by.may(Permission.SELFCHECK_SIGN):
        number = (check.signed.number if check.signed else 0) + 1
        form = SignForm(initial={"number": number, "seen": digest(check)})
    before = (check.month - timedelta(days=1)).replace(day=1)
    context = {
        "check": check, "form": form, "page": page, "asked": asked,
        "as_list": as_list, "listed": listed, "rows": rows, "query_url": days_address(check.month, after - timedelta(days=1)),
        "findings": _lines(page, cases, check.is_open), "drafts": _lines(check.drafts, cases, check.is_open),
        "late": _lines(check.late, cases, is_open=False), "over": after <= request.desk.today,
        "before": before if Month.objects.filter(month=before).exists() else None,
        "before_stands": standing_of(before, by=by), "after": after if after <= request.desk.today else None,
        "reminder_days": Several(str(day) for day in policy_on(request.desk.today, "reminder_days")),
        "levels": {"incomplete": Level.INCOMPLETE, "look": Level.LOOK},
        "weeks": [[(day, days_address(day.on, day.on) if day.visits else "") for day in week] for week in check.weeks],
        "sign_offs": sign_offs_of(check.month, by=by) if check.signed else (),
    }  # fmt: skip
    return render(request, "selfcheck/month.html", context, status=status)


def _lines(findings: Iterable[Finding], cases: dict[int, Case], is_open: bool) -> list[dict[str, Any]]:
    """Findings as a table shows them: whom it is about, where it is put right, and what that is called."""
    lines = []
    for one in findings:
        case = cases[one.case]
        address, words = way_of(one, case, is_open)
        lines.append({"finding": one, "case": case, "url": address, "words": words})
    return lines


_ENTRIES = (Check.CASE_WITHOUT_VISIT, Check.DRAFT)  # of a closed month: a visit that was never recorded


def way_of(finding: Finding, case: Case, is_open: bool) -> tuple[str, str]:
    """Where a finding is put right: the form, at the field; of a closed month the application. And what the link says."""
    if finding.where is Where.INTAKE:  # no window holds it
        return f"{reverse('baseline_record', args=[case.uid])}#id_{finding.field}", _("登錄收案評估")
    if finding.visit is not None and finding.where is Where.VISIT:
        if not is_open:
            return reverse("correction_choose", args=[finding.visit]), _("申請更正")
        words = _("完成草稿") if finding.check is Check.DRAFT else _("登錄資料修改")
        return f"{reverse('visit_change', args=[finding.visit])}#id_{finding.field}", words
    if not is_open and finding.check in _ENTRIES:
        return f"{reverse('correction_late_entry', args=[case.uid])}#id_{finding.field}", _("申請補登")
    words = _("完成草稿") if finding.check is Check.DRAFT else _("登錄就醫資料")
    return f"{reverse('visit_record', args=[case.uid])}#id_{finding.field}", words


@needs(Permission.SELFCHECK_SIGN)
@require_POST
def selfcheck_sign(request: Request, month: date) -> HttpResponse:
    """Sign a month off, after having proved once more who one is."""
    check = _month_or_404(request, month)
    form = SignForm(request.POST)
    if form.is_valid():
        data = form.cleaned_data
        repeated = check.signed is not None and data["number"] <= check.signed.number
        problems = [] if repeated else check_sign_off(
            month=month, today=request.desk.today, standing=check.standing, incomplete=len(check.incomplete),
            reason=data["reason"],
        )  # fmt: skip
        if problems:
            add_problems(form, problems)
        elif not repeated and not proved_again(request, f"{check.month} {data['number']} {data['seen']}"):
            return sign_in_again(request)
        else:
            return _sign(request, month, data)
    return _page(request, check, form, status=422)


def _sign(request: Request, month: date, data: dict[str, Any]) -> HttpResponse:
    try:
        signature = sign_month_off(
            month=month, number=data["number"], seen=data["seen"], reason=data["reason"], by=request.desk.actor
        )
    except Stale:
        messages.error(request, _("還沒簽核：您看過之後，這個月的內容有變動。請看過現在的內容再簽核。"))
        return redirect("selfcheck_month", month)
    except Refused as refused:  # somebody changed something since it was looked at a moment ago
        for problem in refused.problems:
            messages.error(request, problem.message)
        return redirect("selfcheck_month", month)
    done = signature.sign_off
    said = {"month": month_said(month), "name": done.signed_by.display_name, "at": moment_said(done.signed_at)}
    if signature.repeated and done.signed_by_id != request.desk.actor.account_id:
        messages.info(request, _("%(month)s已由 %(name)s 於 %(at)s 簽核，不必再簽。") % said)
    else:
        messages.success(request, _("已簽核 %(month)s。之後有變動，會重新開啟並在這裡說明。") % said)
    return redirect("selfcheck_month", month)


@needs(Permission.VISIT_READ)
@require_safe
def selfcheck_signed(request: Request, uid: UUID) -> HttpResponse:
    """What the page of a month said when it was signed off."""
    by = request.desk.actor
    sign_off = sign_offs(by=by).filter(uid=uid).first()
    if sign_off is None:
        raise Http404
    seen = seen_of(sign_off)
    journal.record(Permission.VISIT_READ, record_type="sign_off", uids=[sign_off.uid, *seen.uids])
    others = sign_offs(by=by).filter(institution_id=sign_off.institution_id, month=sign_off.month).order_by("number")
    institution = (
        InstitutionDetails.objects.filter(institution_id=sign_off.institution_id).order_by("-starts_on").first()
    )
    page = Paginator(seen.findings, PAGE_ROWS).get_page(request.GET.get("page"))
    context = {
        "sign_off": sign_off, "seen": seen, "page": page, "others": others, "institution": institution,
        "weeks": [[(day, "") for day in week] for week in seen.weeks],
    }  # fmt: skip
    return render(request, "selfcheck/signed.html", context)


# --- Reminders -----------------------------------------------------------------------------------------------------------


class AddressForm(Form):
    """Where to be reminded; left empty: nowhere."""

    all_optional = True
    address = shown(
        forms.EmailField(label=Words("電子郵件"), max_length=254, required=False, help_text=Words("留空就不寄")),
        grow=True,
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["address"]
        field.widget.attrs["autocomplete"] = "email"
        field.error_messages["invalid"] = _("看不懂這個電子郵件，請寫成 name@example.org。")


@needs(Permission.SELFCHECK_READ)
@require_http_methods(["GET", "HEAD", "POST"])
def reminder_address(request: Request) -> HttpResponse:
    """提醒信: one's own address, to which reminders go."""
    by = request.desk.actor
    known = ReminderAddress.objects.filter(account_id=by.account_id).first()
    form = AddressForm(request.POST or None, initial={"address": known.address if known else ""})
    if form.is_valid():
        address = form.cleaned_data["address"]
        record_address(address=address, by=by)
        messages.success(
            request, _("提醒信會寄到 %(address)s。") % {"address": address} if address else _("不再寄提醒信。")
        )
        return redirect("reminder_address")
    days = Several(str(day) for day in policy_on(request.desk.today, "reminder_days"))
    context = {"form": form, "known": known, "days": days}
    return render(request, "selfcheck/reminders.html", context, status=422 if form.errors else 200)


# --- All institutions, for the desk --------------------------------------------------------------------------------------

UNSIGNED = "unsigned"
STATES: dict[str, tuple[Words, tuple[Standing, ...]]] = {
    UNSIGNED: (Words("有登錄，未簽核"), (Standing.OPEN, Standing.CHANGED)),
    "signed": (Words("已簽核"), (Standing.SIGNED,)),
    "empty": (Words("沒有登錄"), (Standing.EMPTY,)),
    "all": (Words("全部"), tuple(Standing)),
}
SHOWN = {
    "institutions": Words("各機構"), "idle": Words("有合約、沒有服務的機構"), "staff": Words("有合約、沒有服務的人員"),
}  # fmt: skip


class ReviewForm(Form):
    """Which institutions."""

    all_optional = True
    state = forms.ChoiceField(
        label=Words("清查情形"), required=False, choices=[(name, label) for name, (label, _states) in STATES.items()]
    )
    tier = forms.ChoiceField(label=Words("層級別"), required=False, choices=[("", Words("全部")), *Tier.choices])
    county = forms.ChoiceField(label=Words("縣市"), required=False)
    show = forms.ChoiceField(widget=forms.HiddenInput, required=False, choices=list(SHOWN.items()))

    def __init__(self, data: Any, rows: Sequence[InstitutionMonth]) -> None:
        super().__init__(data)
        counties = sorted({row.county for row in rows})
        self.fields["county"].choices = [("", Words("全部")), *((one, Words(one)) for one in counties)]  # type: ignore[attr-defined]

    @property
    def showing(self) -> str:
        """Which list."""
        return self.cleaned_data["show"] or "institutions"

    def chosen(self, rows: Iterable[InstitutionMonth]) -> list[InstitutionMonth]:
        """The institutions asked for; of those without service, only those with a contract."""
        data = self.cleaned_data
        _label, standings = STATES[data["state"] or UNSIGNED]
        idle = self.showing == "idle"
        return [
            row
            for row in rows
            if (row.contracted and not row.figures.visits if idle else row.standing in standings)
            and data["tier"] in ("", row.tier)
            and data["county"] in ("", row.county)
        ]


def _month_known_or_404(request: Request, month: date) -> None:
    if month > request.desk.today or not Month.objects.filter(month=month).exists():
        raise Http404


@needs(Permission.SELFCHECK_REVIEW)
@require_safe
def selfcheck_review(request: Request, month: date) -> HttpResponse:
    """All institutions in a month: who has signed off, how timely they recorded, who gave no service."""
    _month_known_or_404(request, month)
    by = request.desk.actor
    rows = nation(month, by=by)
    form = ReviewForm(request.GET, rows)
    before, after = (month - timedelta(days=1)).replace(day=1), next_month(month)
    context: dict[str, Any] = {
        "month": month, "form": form, "before": before, "after": after if after <= request.desk.today else None,
        "tabs": SHOWN, "groups": [(_("層級別"), grouped(rows, "tier")), (_("縣市"), grouped(rows, "county"))],
    }  # fmt: skip
    if form.is_valid():
        found: Sequence[Any] = form.chosen(rows) if form.showing != "staff" else _staff_of(form, month, request)
        page = Paginator(found, PAGE_ROWS).get_page(request.GET.get("page"))
        context |= {"page": page, "showing": form.showing}
    journal.record(Permission.SELFCHECK_REVIEW, record_type="month")
    return render(request, "selfcheck/review.html", context, status=422 if form.errors else 200)


def _staff_of(form: ReviewForm, month: date, request: Request) -> list[Any]:
    county = form.cleaned_data["county"]
    return [one for one in idle_staff(month, by=request.desk.actor) if county in ("", one.county)]


COLUMNS = (
    Words("就醫月份"), Words("醫事機構代碼"), Words("機構名稱"), Words("層級別"), Words("縣市"), Words("有合約"), Words("清查情形"), Words("簽核時間"),
    Words("簽核人"), Words("就醫資料筆數"), Words("24 小時內"), Words("期限內"), Words("補登"), Words("24 小時內（%）"), Words("期限內（%）"),
    Words("補登（%）"), Words("最近一次服務"),
)  # fmt: skip
STAFF_COLUMNS = (
    Words("就醫月份"), Words("醫事機構代碼"), Words("機構名稱"), Words("縣市"), Words("職類"), Words("姓名"), Words("最近一次服務"),
)  # fmt: skip


@needs(Permission.SELFCHECK_REVIEW)
@require_safe
def selfcheck_download(request: Request, month: date, file_format: str) -> HttpResponse:
    """The list that the desk's page shows, whole, as CSV or ODS."""
    _month_known_or_404(request, month)
    rows = nation(month, by=request.desk.actor)
    form = ReviewForm(request.GET, rows)
    if not form.is_valid():
        raise Http404
    journal.record(Permission.SELFCHECK_REVIEW, record_type="month")
    name = f"self-check-{form.showing}-{month:%Y%m}"
    if form.showing == "staff":
        cells: list[list[Cell]] = [
            [month, one.code, one.institution, one.county, one.profession_label, one.name, one.last_on]
            for one in _staff_of(form, month, request)
        ]
        return table_file(request, SHOWN["staff"], STAFF_COLUMNS, cells, name, file_format)
    cells = [_cells(month, row) for row in form.chosen(rows)]
    return table_file(request, Words("每月自行清查"), COLUMNS, cells, name, file_format)


def _cells(month: date, row: InstitutionMonth) -> list[Cell]:
    figures = row.figures
    return [
        month, row.code, row.name, row.tier_label, row.county, _("是") if row.contracted else _("否"),
        row.standing.label, row.signed_at, row.signed_by, figures.visits, figures.prompt, figures.in_window, figures.late,
        *(None if share is None else float(share) for _number, share in figures.shares), row.last_on,
    ]  # fmt: skip
