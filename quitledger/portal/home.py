"""The first page: what is due comes first, then what is known."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from django.db.models import Count, DateTimeField, F, Func, Q, Value
from django.db.models.functions import TruncMonth
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from quitledger.accounts.permissions import Permission
from quitledger.audit import journal
from quitledger.corrections.queries import waiting_for
from quitledger.institutions.queries import to_confirm
from quitledger.policy import DateError, PolicyGap, parse_time, policy_on
from quitledger.policy.sentences import Words
from quitledger.selfcheck.queries import MonthCheck, cases_of, month_check, typed_day
from quitledger.selfcheck.rules import Missing, Standing, is_reminder_day, missing_for, month_to_check
from quitledger.visits.models import Draft, Month, Visit, WindowExtension
from quitledger.visits.queries import closes_at as closes_at_of
from quitledger.visits.rules import month_of, prompt_until
from quitledger.visits.services import drafts_of

from .batches import batches_waiting
from .permissions import signed_in
from .selfcheck import way_of
from .transactions import Desk

DUE_SHOWN = 5  # findings on the first page; the self-check has them all


@dataclass(frozen=True)
class OpenMonth:
    """A service month that the institution can still record in."""

    month: date
    closes_at: datetime
    recorded: int


@dataclass(frozen=True)
class Due:
    """A draft and until when it is to be recorded: within the 24 hours, else in its window. `until` None: no day typed."""

    draft: Draft
    visit_on: date | None
    words: str
    until: datetime | None


@signed_in
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """首頁."""
    desk: Desk = request.desk  # type: ignore[attr-defined]
    institution = desk.actor.institution_id
    months = open_months(institution, desk.moment, desk.today) if institution else []
    drafts = [_due(draft, desk) for draft in drafts_of(desk.actor)] if desk.actor.may(Permission.VISIT_RECORD) else []
    drafts.sort(key=lambda one: (one.until is None, one.until))
    waiting = to_confirm(desk.actor, desk.moment).count() if desk.actor.may(Permission.ACCOUNT_CONFIRM) else 0
    check = _check(desk)
    found = check.incomplete[:DUE_SHOWN] if check and check.standing is not Standing.SIGNED else []
    cases = cases_of(found, by=desk.actor) if found else {}
    named = [*(one.draft.case.uid for one in drafts), *(case.uid for case in cases.values())]
    if named:
        journal.record(Permission.CASE_READ, record_type="case", uids=named)
    context = {
        "months": months, "drafts": drafts, "to_confirm": waiting, "waiting": waiting_for(desk.actor), "check": check,
        "missing": _missing(check, len(drafts), desk),
        "due": [(one, cases[one.case], *way_of(one, cases[one.case], is_open=True)) for one in found],
        "batches": batches_waiting(desk),
    }  # fmt: skip
    return render(request, "home.html", context)


def _check(desk: Desk) -> MonthCheck | None:
    """The month that is to be looked through now, while it can be put right."""
    if not desk.actor.may(Permission.SELFCHECK_READ):
        return None
    try:
        found = month_check(month_to_check(desk.today), moment=desk.moment, today=desk.today, by=desk.actor)
    except PolicyGap:  # the first page is there whatever policy knows
        return None
    return found if found and found.is_open else None


def _missing(check: MonthCheck | None, drafts: int, desk: Desk) -> Missing | None:
    """What is to be said on a day on which institutions are reminded."""
    if check is None or desk.actor.role is None or not is_reminder_day(desk.today):
        return None
    return missing_for(desk.actor.role, check.standing, len(check.incomplete), drafts)


def _due(draft: Draft, desk: Desk) -> Due:
    """Until when a draft is to be recorded."""
    on = draft.visit.visit_on if draft.visit else typed_day(draft.contents)
    if on is None or on > desk.today:
        return Due(draft, None, "", None)
    until = closes_at_of(draft.institution_id, on)
    if draft.visit is None:
        try:
            prompt = prompt_until(on, _typed_time(draft), policy_on(month_of(on), "recording_promptly_hours"))
        except PolicyGap:
            return Due(draft, on, "", None)
        if desk.moment < prompt:
            return Due(draft, on, Words("24 小時登錄"), prompt)
    return Due(draft, on, Words("登錄期限"), until)


def _typed_time(draft: Draft) -> time | None:
    try:
        return parse_time((draft.contents.get("visit_time") or [""])[0])
    except DateError:
        return None


def open_months(institution: int, moment: datetime, today: date) -> list[OpenMonth]:
    """The months still open at `moment`, the first to close first, with the number of visits in force in each."""
    this = month_of(today)
    extended = WindowExtension.objects.filter(closes_at__gt=moment, month__lte=this).values("month")
    closes = (
        Month.objects.filter(Q(month__in=[month_of(this - timedelta(days=1)), this]) | Q(month__in=extended))
        .annotate(until=Func(Value(institution), F("month"), function="visits_closes_at", output_field=DateTimeField()))
        .filter(until__gt=moment)
        .values_list("month", "until")
    )
    until = dict(closes)
    if not until:
        return []
    counts = dict(
        Visit.objects.filter(institution_id=institution, in_force=True, visit_on__gte=min(until))
        .values_list(TruncMonth("visit_on"))
        .annotate(Count("pk"))
    )
    months = [OpenMonth(month, closes_at, counts.get(month, 0)) for month, closes_at in until.items()]
    return sorted(months, key=lambda one: (one.closes_at, one.month))
