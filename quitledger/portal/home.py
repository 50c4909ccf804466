"""The first page: what is due comes first, then what is known."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db.models import Count, DateTimeField, F, Func, Q, Value
from django.db.models.functions import TruncMonth
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from quitledger.accounts.permissions import Permission
from quitledger.audit import journal
from quitledger.corrections.queries import waiting_for
from quitledger.institutions.queries import to_confirm
from quitledger.visits.models import Month, Visit, WindowExtension
from quitledger.visits.rules import month_of
from quitledger.visits.services import drafts_of

from .batches import batches_waiting
from .permissions import signed_in
from .transactions import Desk


@dataclass(frozen=True)
class OpenMonth:
    """A service month that the institution can still record in."""

    month: date
    closes_at: datetime
    recorded: int


@signed_in
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """首頁."""
    desk: Desk = request.desk  # type: ignore[attr-defined]
    institution = desk.actor.institution_id
    months = open_months(institution, desk.moment, desk.today) if institution else []
    drafts = list(drafts_of(desk.actor)) if desk.actor.may(Permission.VISIT_RECORD) else []
    if drafts:  # they name people
        journal.record(Permission.CASE_READ, record_type="case", uids=[draft.case.uid for draft in drafts])
    waiting = to_confirm(desk.actor, desk.moment).count() if desk.actor.may(Permission.ACCOUNT_CONFIRM) else 0
    context = {
        "months": months, "drafts": drafts, "to_confirm": waiting, "waiting": waiting_for(desk.actor),
        "batches": batches_waiting(desk),
    }  # fmt: skip
    return render(request, "home.html", context)


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
