"""登錄資料修改: change a recorded visit, void it, bring it back; while its window is open."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from quitledger.accounts.permissions import Permission
from quitledger.audit import journal
from quitledger.cases.rules import REASON_LENGTH
from quitledger.policy.problem import Refused
from quitledger.policy.sentences import Sentence, Several, Words
from quitledger.visits.history import FIELDS, Said, Version, line_said, said_of, versions_of
from quitledger.visits.models import Draft, Visit
from quitledger.visits.queries import closes_at, extension_reason, visible_visit
from quitledger.visits.rules import COUNSELLING, COUNSELLING_MODES, MEDICATION, Entry, month_of
from quitledger.visits.services import Stale, as_entry, change_visit, restore_visit, void_visit

from . import drafts
from .forms import Form, PlainTextField, add_problems, shown
from .languages import day_said
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


class ChangeForm(VisitForm):
    """A visit as it shall be, why, and the version that was seen when it was typed."""

    version = forms.IntegerField(widget=forms.HiddenInput)
    reason = shown(
        PlainTextField(label=Words("修改原因"), max_length=REASON_LENGTH, help_text=Words("例：日期填錯、補填一氧化碳"), required=False),
        grow=True, asked=True,
    )  # fmt: skip


class ReasonForm(Form):
    """Why a visit is voided or brought back, and the version that was seen."""

    version = forms.IntegerField(widget=forms.HiddenInput)
    reason = shown(PlainTextField(label=Words("原因"), max_length=REASON_LENGTH, required=False), grow=True, asked=True)


def _visit_or_404(request: Request, uid: UUID) -> Visit:
    found = visible_visit(uid, by=request.desk.actor)
    if found is None or found[0].institution_id != request.desk.actor.institution_id:
        raise Http404
    return found[0]


@needs(Permission.VISIT_CHANGE)
@require_http_methods(["GET", "HEAD", "POST"])
def visit_change(request: Request, uid: UUID) -> HttpResponse:
    """Change any part of a visit."""
    visit = _visit_or_404(request, uid)
    if visit.taken_over or not (visit.in_force or request.method == "POST"):  # what was typed meanwhile is not lost
        return redirect("visit_show", uid)
    if (answer := drafts.answered(request, visit.case, visit)) is not None:
        return answer
    if "add_line" in request.POST:
        form, lines = _shown_again(request.POST, visit)
        focus(lines.forms[-1], "medicine")
        return _page(request, visit, form, lines)
    if request.method == "POST":
        return _change(request, visit)
    if draft := drafts.draft_of(request, visit.case, visit):
        return _page(request, visit, *_shown_again(drafts.typed_of(draft), visit), draft=draft)
    entry = as_entry(visit)
    form = ChangeForm(initial=_initial(visit, entry), sex=visit.case.person.sex)
    return _page(request, visit, form, Lines(initial=rows_of(entry) or [{}], prefix="lines"))


def _shown_again(typed: QueryDict, visit: Visit) -> tuple[ChangeForm, Any]:
    """Forms with what was typed, unchecked: while a row is added, or out of a draft."""
    form = ChangeForm(initial=typed_fields(ChangeForm, typed), sex=visit.case.person.sex)
    return form, Lines(initial=typed_lines(typed), prefix="lines")


def _initial(visit: Visit, entry: Entry) -> dict[str, Any]:
    initial: dict[str, Any] = vars(entry) | {"services": list(entry.kinds), "version": visit.version}
    if entry.medication:
        initial["medication_staff"] = entry.medication.staff_uid
    mode = entry.counselling.mode if entry.counselling else "in_person"
    staff = entry.counselling.staff_uid if entry.counselling else None
    return initial | {"counselling_staff": staff, "counselling_mode": mode}


def _change(request: Request, visit: Visit) -> HttpResponse:
    typed = request.POST.copy()
    typed["uid"] = str(visit.uid)
    form, lines = ChangeForm(typed, sex=visit.case.person.sex), Lines(typed, prefix="lines")
    if not (form.is_valid() & lines.is_valid()):
        return _page(request, visit, form, lines, status=422)
    entry = entry_typed(form, lines)
    try:
        changed = change_visit(
            visit=visit, version=form.cleaned_data["version"], entry=entry, reason=form.cleaned_data["reason"],
            by=request.desk.actor,
        )  # fmt: skip
    except Stale as stale:
        conflict = _Conflict(request, stale.visit, form, lines, entry)
        typed["version"] = str(stale.visit.version)
        return _page(request, visit, form, lines, conflict=conflict, status=409)
    except Refused as refused:
        add_problems(form, in_their_rows(refused.problems, lines), *lines.forms)
        return _page(request, visit, form, lines, status=422)
    drafts.recorded(request, visit.case, visit)
    messages.success(request, _done(_("已修改 %(name)s %(day)s 的就醫資料，為第 %(version)s 版。"), changed, visit))
    return redirect("visit_show", visit.uid)


def _done(sentence: str, changed: Visit, visit: Visit) -> str:
    words = {"name": visit.case.name, "day": day_said(changed.visit_on), "version": changed.version}
    return sentence % words


class _Conflict:
    """Somebody else changed the visit meanwhile: field by field what it said, what it says now, what was typed.

    Sending the form again changes the newer version.
    """

    def __init__(self, request: Request, now: Visit, form: ChangeForm, lines: Any, entry: Entry) -> None:
        versions = versions_of(now, by=request.desk.actor)
        offer_choices(form, lines, now.case)
        self.now: Version = versions[0]
        seen = next((one for one in versions if one.number == form.cleaned_data["version"]), versions[-1])
        mine = _typed_said(form, lines, entry)
        self.rows = [
            (label, seen.said.get(name, ""), self.now.said.get(name, ""), mine.get(name, ""))
            for name, label in FIELDS.items()
            if len({said.get(name, "") for said in (seen.said, self.now.said, mine)}) > 1
        ]


def _typed_said(form: ChangeForm, lines: Any, entry: Entry) -> Said:
    """What was typed, in the words of the versions."""
    said = said_of(
        entry.visit_on, entry.visit_time, pregnant=entry.pregnant, cigarettes_per_day=entry.cigarettes_per_day,
        co_ppm=entry.co_ppm, note=entry.note,
    )  # fmt: skip
    if entry.medication:
        medicines = dict(lines.forms[0].fields["medicine"].widget.choices)
        given = (line_said(medicines.get(x.medicine_code, ""), x.supply_weeks, x.days) for x in entry.medication.lines)
        said[MEDICATION] = Sentence(
            "{staff}：{given}",
            staff=_chosen(form, "medication_staff", entry.medication.staff_uid),
            given=Several(given),
        )
    if entry.counselling:
        mode = COUNSELLING_MODES.get(entry.counselling.mode, "")
        said[COUNSELLING] = Sentence(
            "{staff}（{mode}）", staff=_chosen(form, "counselling_staff", entry.counselling.staff_uid), mode=mode
        )
    return said


def _chosen(form: ChangeForm, name: str, uid: UUID | None) -> str:
    shown_name: str = dict(form.fields[name].widget.choices).get(str(uid), "")
    return shown_name.partition("（")[0].partition(" (")[0]  # without the last day of the contract


def _page(
    request: Request,
    visit: Visit,
    form: ChangeForm,
    lines: Any,
    *,
    conflict: _Conflict | None = None,
    draft: Draft | None = None,
    status: int = 200,
) -> HttpResponse:
    offer_choices(form, lines, visit.case)
    journal.record(Permission.VISIT_READ, record_type="visit", uids=[visit.uid])
    until = closes_at(visit.institution_id, visit.visit_on)
    context = {
        "visit": visit, "case": visit.case, "form": form, "lines": lines, "conflict": conflict, "draft": draft, "closes_at": until,
        "closed": until is None or until <= request.desk.moment, "month": month_of(visit.visit_on),
        "extended": extension_reason(visit.institution_id, visit.visit_on), "can_add_line": len(lines.forms) < MOST_LINES,
    }  # fmt: skip
    return render(request, "visits/change.html", context, status=status)


@needs(Permission.VISIT_VOID)
@require_http_methods(["GET", "HEAD", "POST"])
def visit_void(request: Request, uid: UUID) -> HttpResponse:
    """Take a visit out of force, with a reason."""
    visit = _visit_or_404(request, uid)
    return _decide(request, visit, void_visit, "visits/void.html", _("已作廢 %(name)s %(day)s 的就醫資料。"))


@needs(Permission.VISIT_RESTORE)
@require_http_methods(["GET", "HEAD", "POST"])
def visit_restore(request: Request, uid: UUID) -> HttpResponse:
    """Bring a voided visit back."""
    visit = _visit_or_404(request, uid)
    return _decide(request, visit, restore_visit, "visits/restore.html", _("已恢復 %(name)s %(day)s 的就醫資料。"))


def _decide(request: Request, visit: Visit, decide: Any, template: str, sentence: str) -> HttpResponse:
    typed = request.POST.copy()
    form = ReasonForm(typed or None, initial={"version": visit.version})
    stale = False
    if form.is_valid():
        try:
            decided = decide(
                visit=visit, version=form.cleaned_data["version"], reason=form.cleaned_data["reason"],
                by=request.desk.actor,
            )  # fmt: skip
        except Refused as refused:
            add_problems(form, refused.problems)
        except Stale as found:
            stale = True
            typed["version"] = str(found.visit.version)
        else:
            messages.success(request, _done(sentence, decided, visit))
            return redirect("visit_show", visit.uid)
    journal.record(Permission.VISIT_READ, record_type="visit", uids=[visit.uid])
    versions = versions_of(visit, by=request.desk.actor)
    context = {
        "visit": visit, "case": visit.case, "form": form, "stale": stale, "said": versions[0],
        "facts": [(label, versions[0].said.get(name, "")) for name, label in FIELDS.items()],
    }  # fmt: skip
    return render(request, template, context, status=409 if stale else 422 if form.errors else 200)
