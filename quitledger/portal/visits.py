"""Pages of a visit: record it, see it."""

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid4

from django import forms
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from quitledger.accounts.permissions import Permission
from quitledger.audit import journal
from quitledger.cases.models import Case
from quitledger.cases.rules import age_on
from quitledger.institutions.models import StaffContract
from quitledger.policy import PolicyGap, format_roc, policy_on
from quitledger.policy.problem import Problem
from quitledger.visits import rules
from quitledger.visits.models import Medicine
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
from quitledger.visits.rules import COUNSELLING, COUNSELLING_MODES, LABELS, MEDICATION, format_closing, month_of
from quitledger.visits.services import Outcome, as_entry, record_visits

from .cases import case_or_404
from .forms import ClockField, Form, PlainTextField, RocDateField, WholeNumberField, add_problems, shown
from .permissions import needs
from .transactions import Request

MOST_LINES = 6  # rows of medicines on the form
KEPT = ("uid", "visit_on", "visit_time", "cigarettes_per_day", "co_ppm", "note")  # typed, not repeated from last time


class ChosenUidField(forms.UUIDField):
    """A choice from a list that is only read when the page is shown: the rules say whether the choice is valid."""

    widget = forms.Select


class ChosenCodeField(PlainTextField):
    """As ChosenUidField, for a medicine's code."""

    widget = forms.Select


class VisitForm(Form):
    """A visit as typed; shape only, the rules are visits.rules."""

    uid = forms.UUIDField(widget=forms.HiddenInput)
    visit_on = shown(RocDateField(label="就醫日期", help_text="例：114/4/1 或 1140401"), width="m")
    visit_time = shown(ClockField(label="就醫時間", help_text="填寫後，24 小時由此起算", required=False), width="m")
    services = forms.MultipleChoiceField(
        label="本次服務",
        help_text="可同時選取",
        choices=list(LABELS.items()),
        widget=forms.CheckboxSelectMultiple,
        required=False,
    )
    medication_staff = shown(ChosenUidField(label="用藥人員", required=False), grow=True, asked=True)
    counselling_staff = shown(ChosenUidField(label="衛教人員", required=False), grow=True, asked=True)
    counselling_mode = forms.ChoiceField(
        label="衛教方式", choices=list(COUNSELLING_MODES.items()), widget=forms.RadioSelect, required=False
    )
    pregnant = forms.BooleanField(label="目前懷孕", required=False)
    cigarettes_per_day = shown(WholeNumberField(label="平均每日支數", required=False), unit="支", width="s", asked=True)
    co_ppm = shown(WholeNumberField(label="一氧化碳", required=False), unit="ppm", width="s")
    note = shown(PlainTextField(label="備註", max_length=rules.NOTE_LENGTH, required=False), grow=True)

    def __init__(self, *args: Any, sex: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if sex == "male":
            del self.fields["pregnant"]


class LineForm(Form):
    """One medicine; a row left empty is no line."""

    medicine = shown(ChosenCodeField(label="藥品", max_length=20, required=False), grow=True, asked=True)
    supply_weeks = shown(WholeNumberField(label="週數", required=False), unit="週", width="s", asked=True)
    supply_days = shown(WholeNumberField(label="天數", required=False), unit="天", width="s")

    def line(self) -> rules.Line | None:
        """The line typed, if any; weeks left empty count as 0, which the rules refuse."""
        data = self.cleaned_data  # empty for a row left empty
        medicine, weeks, days = data.get("medicine", ""), data.get("supply_weeks"), data.get("supply_days")
        return None if (medicine, weeks, days) == ("", None, None) else rules.Line(medicine, weeks or 0, days)


Lines = forms.formset_factory(LineForm, extra=0, min_num=1, max_num=MOST_LINES, absolute_max=MOST_LINES)


@needs(Permission.VISIT_RECORD)
@require_http_methods(["GET", "HEAD", "POST"])
def visit_record(request: Request, uid: UUID) -> HttpResponse:
    """Record a visit of a case; today's unless told otherwise."""
    case = case_or_404(request, uid)
    if request.method == "POST" and "repeat" not in request.POST and "add_line" not in request.POST:
        return _record(request, case)
    if "add_line" in request.POST:
        form = VisitForm(initial=_typed(request), sex=case.person.sex)
        lines = Lines(initial=_typed_lines(request), prefix="lines")
        _focus(lines.forms[-1], "medicine")
    else:
        form, lines = _forms(request, case)
        if "repeat" in request.POST:
            _focus(form, "visit_on")
    return _page(request, case, form, lines)


def _focus(form: Form, name: str) -> None:
    """Whoever pressed a button within the form goes on there, not at the top of the page."""
    form.fields[name].widget.attrs["autofocus"] = True


def _record(request: Request, case: Case) -> HttpResponse:
    form, lines = VisitForm(request.POST, sex=case.person.sex), Lines(request.POST, prefix="lines")
    valid = form.is_valid() & lines.is_valid()
    day = form.cleaned_data.get("visit_on")  # a problem found with it takes it out of the form's own data
    if valid:
        (outcome,) = record_visits([(case, _entry(form, lines))], by=request.desk.actor)
        if outcome.visit is not None:
            messages.success(request, _done(case, outcome))
            return redirect("visit_show", outcome.visit.uid)
        add_problems(form, _in_their_rows(outcome.problems, lines), *lines.forms)
        codes = {problem.code for problem in outcome.problems}
        return _page(request, case, form, lines, day=day, closed="window-closed" in codes, status=422)
    return _page(request, case, form, lines, day=day, status=422)


def _done(case: Case, outcome: Outcome) -> str:
    """What to say of a recorded visit: what, and until when it can be changed."""
    assert outcome.visit is not None
    assert outcome.closes_at is not None
    word = "先前已登錄" if outcome.repeated else "已登錄"
    visit_on, until = format_roc(outcome.visit.visit_on), format_closing(outcome.closes_at)
    return f"{word} {case.name} {visit_on} 的就醫資料。可修改至 {until}。"


def _in_their_rows(problems: Iterable[Problem], lines: Any) -> Iterator[Problem]:
    """The rules count the medicines typed; the page counts its rows, of which some may be empty."""
    rows = [number for number, row in enumerate(lines) if row.line()]
    for problem in problems:
        found = re.fullmatch(r"lines-(\d+)-(\w+)", problem.field or "")
        if found and int(found[1]) < len(rows):
            problem = replace(problem, field=f"lines-{rows[int(found[1])]}-{found[2]}")
        yield problem


def _entry(form: VisitForm, lines: Any) -> rules.Entry:
    """The forms' contents as the rules know them."""
    data = form.cleaned_data
    medication = counselling = None
    if MEDICATION in data["services"]:
        typed = tuple(line for line in (row.line() for row in lines) if line)
        medication = rules.Medication(data["medication_staff"], typed)
    if COUNSELLING in data["services"]:
        counselling = rules.Counselling(data["counselling_staff"], data["counselling_mode"])
    return rules.Entry(
        data["uid"], data["visit_on"], data["visit_time"], medication, counselling, data.get("pregnant", False),
        data["cigarettes_per_day"], data["co_ppm"], data["note"],
    )  # fmt: skip


def _forms(request: Request, case: Case) -> tuple[VisitForm, Any]:
    """Empty forms for today, or with the services of the last visit and whatever else was typed already."""
    repeat = "repeat" in request.POST
    initial: dict[str, Any] = {"uid": uuid4(), "visit_on": request.desk.today, "counselling_mode": "in_person"}
    rows: list[dict[str, Any]] = [{}]
    previous = last_visit(case)
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
                rows = [
                    {"medicine": x.medicine_code, "supply_weeks": x.supply_weeks, "supply_days": x.supply_days}
                    for x in last.medication.lines
                ]
    if repeat:
        initial |= {name: text for name in KEPT if (text := request.POST.get(name, ""))}
    return VisitForm(initial=initial, sex=case.person.sex), Lines(initial=rows, prefix="lines")


def _typed(request: Request) -> dict[str, Any]:
    """What was typed, unchecked, to show it again while a row is added."""
    typed: dict[str, Any] = {name: request.POST.get(name, "") for name in VisitForm.base_fields}
    return typed | {"services": request.POST.getlist("services")}


def _typed_lines(request: Request) -> list[dict[str, str]]:
    names = list(LineForm.base_fields)
    rows = [
        {name: request.POST.get(f"lines-{number}-{name}", "") for name in names}
        for number in range(MOST_LINES)
        if f"lines-{number}-medicine" in request.POST
    ]
    return [*rows, {}][:MOST_LINES]


def _page(
    request: Request, case: Case, form: VisitForm, lines: Any, *, day: date | None = None, closed: bool = False,
    status: int = 200,
) -> HttpResponse:  # fmt: skip
    """The page with its choices, the person's standing, the last visits, and the window of the `day` typed."""
    today = request.desk.today
    day = day or today
    _offer_choices(form, lines, case)
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
    }  # fmt: skip
    return render(request, "visits/record.html", context, status=status)


def _offer_choices(form: VisitForm, lines: Any, case: Case) -> None:
    staff: dict[str, list[tuple[str, str]]] = {"may_medicate": [], "may_counsel": []}
    contracts = StaffContract.objects.filter(institution_id=case.institution_id).select_related("staff")
    for contract in contracts.order_by("staff__name", "-starts_on"):
        ended = f"（合約到 {format_roc(contract.ends_on)}）" if contract.ends_on else ""
        for permission, choices in staff.items():
            if getattr(contract, permission) and str(contract.staff.uid) not in dict(choices):
                choices.append((str(contract.staff.uid), f"{contract.staff}{ended}"))
    for name, permission in (("medication_staff", "may_medicate"), ("counselling_staff", "may_counsel")):
        choices = staff[permission]
        form.fields[name].widget.choices = choices if len(choices) == 1 else [("", "請選擇"), *choices]
    medicines = [("", "請選擇"), *Medicine.objects.order_by("code").values_list("code", "name")]
    for row in lines:
        row.fields["medicine"].widget.choices = medicines


@needs(Permission.VISIT_READ)
@require_safe
def visit_show(request: Request, uid: UUID) -> HttpResponse:
    """One visit."""
    found = visible_visit(uid, by=request.desk.actor)
    if found is None:
        raise Http404
    visit, row = found
    journal.record(Permission.VISIT_READ, record_type="visit", uids=[visit.uid])
    context = {
        "visit": visit, "row": row, "case": visit.case,
        "next_days": _next_days(row), "extended": extension_reason(visit.institution_id, visit.visit_on),
    }  # fmt: skip
    return render(request, "visits/show.html", context)


def _next_days(row: VisitRow) -> list[tuple[str, date]]:
    """From when on each service of this visit can be recorded again."""
    spacing = timedelta(days=policy_on(row.visit_on, "visit_spacing_days"))
    return [(LABELS[service.kind], row.visit_on + spacing) for service in row.services]
