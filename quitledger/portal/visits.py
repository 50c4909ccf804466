"""Pages of a visit: record it, see it."""

from contextlib import suppress
from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.contrib import messages
from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from quitledger.accounts.permissions import Permission
from quitledger.audit import journal
from quitledger.cases.models import Case
from quitledger.cases.rules import age_on
from quitledger.corrections.queries import numbers_of
from quitledger.institutions.queries import own_contract
from quitledger.policy import DateError, PolicyGap, parse_date, policy_on
from quitledger.visits.findings import quotas_reached
from quitledger.visits.history import Version, versions_of
from quitledger.visits.models import Draft
from quitledger.visits.queries import (
    VisitQuery,
    VisitRow,
    closes_at,
    course_facts,
    eligibility_on,
    extension_reason,
    last_visit,
    search,
    standings_on,
    visible_visit,
)
from quitledger.visits.rules import LABELS, month_of
from quitledger.visits.services import Outcome, as_entry, record_visits

from . import drafts
from .cases import case_or_404, moved
from .forms import add_problems
from .languages import day_said, moment_said
from .permissions import needs
from .transactions import Request
from .visit_forms import (
    MOST_LINES,
    Lines,
    VisitForm,
    entry_typed,
    focus,
    in_their_rows,
    offer_choices,
    rows_of,
    typed_fields,
    typed_lines,
)

KEPT = ("uid", "visit_on", "visit_time", "cigarettes_per_day", "co_ppm", "note")  # typed, not repeated from last time


@needs(Permission.VISIT_RECORD)
@require_http_methods(["GET", "HEAD", "POST"])
def visit_record(request: Request, uid: UUID) -> HttpResponse:
    """Record a visit of a case; today's unless told otherwise."""
    case = case_or_404(request, uid)
    if (elsewhere := moved(request, case, uid)) is not None:
        return elsewhere
    if case.person.is_emptied:
        return redirect("case_show", uid)  # which says why
    if (answer := drafts.answered(request, case)) is not None:
        return answer
    if request.method == "POST" and "repeat" not in request.POST and "add_line" not in request.POST:
        return _record(request, case)
    draft = None
    if "add_line" in request.POST:
        form, lines = _shown_again(request.POST, case)
        focus(lines.forms[-1], "medicine")
    elif request.method != "POST" and (draft := drafts.draft_of(request, case)):
        form, lines = _shown_again(drafts.typed_of(draft), case)
    else:
        form, lines = _forms(request, case)
        if "repeat" in request.POST:
            focus(form, "visit_on")
    return _page(request, case, form, lines, draft=draft)


def _record(request: Request, case: Case) -> HttpResponse:
    form, lines = VisitForm(request.POST, sex=case.person.sex), Lines(request.POST, prefix="lines")
    valid = form.is_valid() & lines.is_valid()
    day = form.cleaned_data.get("visit_on")  # a problem found with it takes it out of the form's own data
    if valid:
        (outcome,) = record_visits([(case, entry_typed(form, lines))], by=request.desk.actor)
        if outcome.visit is not None:
            drafts.recorded(request, case)
            messages.success(request, _done(case, outcome))
            return redirect("visit_show", outcome.visit.uid)
        add_problems(form, in_their_rows(outcome.problems, lines), *lines.forms)
        codes = {problem.code for problem in outcome.problems}
        return _page(request, case, form, lines, day=day, closed="window-closed" in codes, status=422)
    return _page(request, case, form, lines, day=day, status=422)


def _done(case: Case, outcome: Outcome) -> str:
    """What to say of a recorded visit: what, and until when it can be changed."""
    assert outcome.visit is not None
    assert outcome.closes_at is not None
    words = _("已登錄 %(name)s %(day)s 的就醫資料。可修改至 %(until)s。")
    if outcome.repeated:
        words = _("先前已登錄 %(name)s %(day)s 的就醫資料。可修改至 %(until)s。")
    day, until = day_said(outcome.visit.visit_on), moment_said(outcome.closes_at)
    return words % {"name": case.name, "day": day, "until": until}


def _forms(request: Request, case: Case) -> tuple[VisitForm, Any]:
    """Empty forms for today, or with the services of the last visit and whatever else was typed already."""
    repeat = "repeat" in request.POST
    initial: dict[str, Any] = {"uid": uuid4(), "visit_on": _day_asked(request), "counselling_mode": "in_person"}
    rows: list[dict[str, Any]] = [{}]
    previous = last_visit(case)
    own = own_contract(request.desk.actor, request.desk.today)
    if previous is not None:
        last = as_entry(previous)
        initial["pregnant"] = last.pregnant
        if last.medication:
            initial["medication_staff"] = last.medication.staff_uid
        if last.counselling:
            initial |= {"counselling_staff": last.counselling.staff_uid, "counselling_mode": last.counselling.mode}
        if repeat:
            initial["services"] = list(last.kinds)
            if last.medication:
                rows = rows_of(last)
    if own is not None:  # whoever records gives the service himself, unless he says otherwise
        initial |= {"medication_staff": own.staff.uid} if own.may_medicate else {}
        initial |= {"counselling_staff": own.staff.uid} if own.may_counsel else {}
    if repeat:
        initial |= {name: text for name in KEPT if (text := request.POST.get(name, ""))}
    return VisitForm(initial=initial, sex=case.person.sex), Lines(initial=rows, prefix="lines")


def _day_asked(request: Request) -> date:
    """Today, or the day that whoever came from a list wants to record."""
    with suppress(DateError):
        return parse_date(request.GET.get("on", ""))
    return request.desk.today


def _shown_again(typed: QueryDict, case: Case) -> tuple[VisitForm, Any]:
    """Forms with what was typed, unchecked: while a row is added, or out of a draft."""
    form = VisitForm(initial=typed_fields(VisitForm, typed), sex=case.person.sex)
    return form, Lines(initial=typed_lines(typed), prefix="lines")


def _page(
    request: Request, case: Case, form: VisitForm, lines: Any, *, day: date | None = None, closed: bool = False,
    draft: Draft | None = None, status: int = 200,
) -> HttpResponse:  # fmt: skip
    """The page with its choices, the person's standing, the last visits, and the window of the `day` typed."""
    today = request.desk.today
    day = day or today
    offer_choices(form, lines, case)
    recent = VisitQuery(case.person.birth_on, today, case_uids=(case.uid,), sort="-visit_on")
    visits = list(search(recent, by=request.desk.actor, limit=3))
    # A refused form shows the person as well: it is a read, whatever was to be written.
    journal.record(
        Permission.CASE_READ, record_type="case", uids=[case.uid, *(row.uid for row in visits)], fields=["courses"]
    )
    eligibility = weeks = standings = None
    courses = course_facts(case)
    with suppress(PolicyGap):
        eligibility, weeks = eligibility_on(case, today, courses), policy_on(today, "weeks_per_visit")
        standings = standings_on(day, courses)
    context = {
        "case": case, "form": form, "lines": lines, "closed": closed, "age": age_on(case.person.birth_on, today),
        "visits": visits, "eligibility": eligibility, "standings": standings, "weeks_per_visit": weeks,
        "closes_at": closes_at(case.institution_id, day), "month": month_of(day),
        "extended": extension_reason(case.institution_id, day), "can_add_line": len(lines.forms) < MOST_LINES,
        "draft": draft, "quotas": quotas_reached(case.institution_id, day.year),
    }  # fmt: skip
    return render(request, "visits/record.html", context, status=status)


@needs(Permission.VISIT_READ)
@require_safe
def visit_show(request: Request, uid: UUID) -> HttpResponse:
    """One visit."""
    found = visible_visit(uid, by=request.desk.actor)
    if found is None:
        raise Http404
    visit, row = found
    journal.record(Permission.VISIT_READ, record_type="visit", uids=[visit.uid])
    versions = versions_of(visit, by=request.desk.actor)
    context = {
        "visit": visit, "row": row, "case": visit.case, "versions": versions, "cited": _cited(request, versions),
        "next_days": _next_days(row), "extended": extension_reason(visit.institution_id, visit.visit_on),
    }  # fmt: skip
    return render(request, "visits/show.html", context)


def _cited(request: Request, versions: list[Version]) -> dict[UUID, str]:
    """The applications that versions came of, with their numbers. (The authority of a version may be a merge as well.)"""
    uids = [version.authority for version in versions if version.authority]
    return numbers_of(uids, by=request.desk.actor) if uids else {}


def _next_days(row: VisitRow) -> list[tuple[str, date]]:
    """From when on each service of this visit can be recorded again."""
    spacing = timedelta(days=policy_on(row.visit_on, "visit_spacing_days"))
    return [(LABELS[service.kind], row.visit_on + spacing) for service in row.services]
