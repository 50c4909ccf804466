"""申請更正: what is to be put right of a visit, or a visit that was never recorded, as the institution writes it; and as
the desk registers what came on paper."""

from dataclasses import dataclass, replace
from functools import wraps
from typing import Any
from uuid import UUID, uuid4

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from quitledger.accounts.permissions import Permission
from quitledger.audit import journal
from quitledger.cases.models import Case
from quitledger.cases.rules import Identity
from quitledger.cases.services import identity_of
from quitledger.corrections.identities import IdentityEntry
from quitledger.corrections.models import Application
from quitledger.corrections.queries import application_of
from quitledger.corrections.rules import ITEM_KINDS, REASON_LENGTH, ItemKind, State
from quitledger.corrections.services import (
    ItemEntry,
    Stale,
    items_of,
    register_on_paper,
    rewrite_application,
    write_application,
)
from quitledger.policy.problem import Problem, Refused
from quitledger.policy.sentences import Sentence, Words
from quitledger.visits.history import Version, entry_at, versions_of
from quitledger.visits.models import Visit
from quitledger.visits.queries import closes_at, visible_visit
from quitledger.visits.rules import Entry
from quitledger.visits.services import as_entry

from .cases import CorrectedPersonForm, PersonForm, case_or_404, moved
from .forms import Form, PlainTextField, RocDateField, add_problems, shown
from .permissions import View, needs
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

TYPED = "typed"  # instead of a version: what the record said was never in this system


def _reason(help_text: str) -> forms.Field:
    """The field of an item's reason."""
    field = PlainTextField(
        label=Words("原因"), help_text=help_text, max_length=REASON_LENGTH, lines=True, required=False
    )
    return shown(field, grow=True, asked=True)


class _Why(Form):
    """Why, and since when it is known; of the application the item is for. `uid` is the item's."""

    uid = forms.UUIDField(widget=forms.HiddenInput)
    application = forms.UUIDField(widget=forms.HiddenInput)
    version = forms.IntegerField(widget=forms.HiddenInput, required=False)
    reason = _reason(Words("請詳細說明，例：2/15 看診後系統無法連線，漏未登錄"))
    discovered_on = shown(
        RocDateField(label=Words("發現日"), help_text=Words("例：114/4/1"), required=False), width="m", asked=True
    )


def _with_received(form: _Why) -> None:
    """Of an application on paper: when it arrived, seal and signature on it."""
    form.fields["received_on"] = shown(
        RocDateField(label=Words("收件日"), help_text=Words("傳真或信件送到的日期，例：114/4/1")), width="m"
    )


class EntryForm(VisitForm, _Why):
    """What a visit shall say, and why."""


class IdentityForm(CorrectedPersonForm, _Why):
    """Who the person shall be, and why."""

    reason = _reason(Words("例：換發居留證、證號打錯"))


class OverwrittenForm(EntryForm):
    """What a record said before it was written over, and the true day of what it says now."""

    back_to = forms.ChoiceField(label=Words("本來的內容"), widget=forms.RadioSelect)
    true_on = shown(
        RocDateField(label=Words("現在的內容，真正的就醫日期"), help_text=Words("例：114/2/15"), required=False),
        width="m", asked=True,
    )  # fmt: skip


@dataclass(frozen=True)
class Subject:
    """What a page of this module is about: a case, a visit of it or none, a kind, and the draft it is for or none."""

    case: Case
    kind: ItemKind
    visit: Visit | None = None
    draft: Application | None = None
    item: ItemEntry | None = None  # the one that is typed anew
    on_paper: bool = False  # the desk registers it

    @property
    def form_class(self) -> type[_Why]:
        """The form it needs."""
        if self.kind in (ItemKind.VOID, ItemKind.RESTORE):
            return _Why
        if self.kind is ItemKind.PERSON:
            return IdentityForm
        return OverwrittenForm if self.kind is ItemKind.OVERWRITTEN else EntryForm


KINDS_OF_A_VISIT = (ItemKind.CHANGE, ItemKind.PARKED, ItemKind.OVERWRITTEN, ItemKind.VOID)


def _visit_or_404(request: Request, uid: UUID) -> Visit:
    found = visible_visit(uid, by=request.desk.actor)
    if found is None:
        raise Http404
    return found[0]


def writes(view: View) -> View:
    """Whoever applies may open the page, and whoever registers what came on paper."""

    @wraps(view)
    def checked(request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        by = request.desk.actor
        if not (by.may(Permission.CORRECTION_APPLY) or by.may(Permission.CORRECTION_REGISTER)):
            raise PermissionDenied(Permission.CORRECTION_APPLY)
        return view(request, *args, **kwargs)

    return needs(Permission.CORRECTION_READ)(checked)


def _on_paper(request: Request) -> bool:
    return request.desk.actor.institution_id is None


def _draft(request: Request, case: Case) -> Application | None:
    """The draft named in the address, to which the item is added."""
    text = request.GET.get("to", "")
    if not text:
        return None
    try:
        found = application_of(UUID(text), by=request.desk.actor)
    except ValueError:
        found = None
    if found is None or found.state != State.DRAFT or found.case_id != case.pk:
        raise Http404
    return found


@writes
@require_http_methods(["GET", "HEAD"])
def correction_choose(request: Request, uid: UUID) -> HttpResponse:
    """What is wrong with a visit whose month is closed."""
    visit = _visit_or_404(request, uid)
    if visit.taken_over:
        return redirect("visit_show", uid)  # which says why
    journal.record(Permission.VISIT_READ, record_type="visit", uids=[visit.uid])
    until = closes_at(visit.institution_id, visit.visit_on)
    kinds = KINDS_OF_A_VISIT if visit.in_force else (ItemKind.RESTORE,)
    context = {
        "visit": visit, "case": visit.case, "kinds": [(kind.value, ITEM_KINDS[kind]) for kind in kinds],
        "open": until is not None and until > request.desk.moment, "to": request.GET.get("to", ""),
    }  # fmt: skip
    return render(request, "corrections/choose.html", context)


@writes
@require_http_methods(["GET", "HEAD", "POST"])
def correction_visit(request: Request, uid: UUID, kind: str) -> HttpResponse:
    """One kind of correction of a recorded visit."""
    visit = _visit_or_404(request, uid)
    if visit.taken_over:
        return redirect("visit_show", uid)  # which says why
    if visit.in_force == (kind == ItemKind.RESTORE):
        return redirect("correction_choose", uid)
    subject = Subject(visit.case, ItemKind(kind), visit, _draft(request, visit.case), on_paper=_on_paper(request))
    return _answer(request, subject)


@writes
@require_http_methods(["GET", "HEAD", "POST"])
def correction_late_entry(request: Request, uid: UUID) -> HttpResponse:
    """A visit of a case that was never recorded."""
    case = case_or_404(request, uid)
    if case.person.is_emptied:
        return redirect("case_show", uid)  # which says why
    subject = Subject(case, ItemKind.LATE_ENTRY, draft=_draft(request, case), on_paper=_on_paper(request))
    return _answer(request, subject)


@writes
@require_http_methods(["GET", "HEAD", "POST"])
def correction_person(request: Request, uid: UUID) -> HttpResponse:
    """Identity number, birth date, sex of a case's person."""
    case = case_or_404(request, uid)
    if answer := moved(request, case, uid):
        return answer
    if case.person.is_emptied:
        return redirect("case_show", uid)  # which says why
    subject = Subject(case, ItemKind.PERSON, draft=_draft(request, case), on_paper=_on_paper(request))
    return _answer(request, subject)


@needs(Permission.CORRECTION_APPLY)
@require_http_methods(["GET", "HEAD", "POST"])
def correction_item(request: Request, uid: UUID, item: UUID) -> HttpResponse:
    """An item of a draft, typed anew; POST `remove` takes it out (with the one it is linked with)."""
    draft = application_of(uid, by=request.desk.actor)
    if draft is None or draft.state != State.DRAFT:
        raise Http404
    items = items_of(draft)
    found = next((one for one in items if one.uid == item), None)
    if found is None:
        raise Http404
    if "remove" in request.POST:
        left = [one for one in items if one.uid != item and not (one.linked and found.linked)]
        return _rewritten(request, draft, left)
    subject = Subject(draft.case, found.kind, found.visit, draft, found)
    return _answer(request, subject)


def _rewritten(request: Request, draft: Application, items: list[ItemEntry]) -> HttpResponse:
    try:
        rewrite_application(
            application=draft, version=draft.version, reason=draft.reason, discovered_on=draft.discovered_on,
            items=items, by=request.desk.actor,
        )  # fmt: skip
    except Refused as refused:
        for problem in refused.problems:
            messages.error(request, problem.message)
    return redirect("correction_show", draft.uid)


def _answer(request: Request, subject: Subject) -> HttpResponse:
    versions = _versions(request, subject)
    if request.method != "POST":
        return _page(request, subject, *_blank(request, subject, versions), versions=versions)
    typed = request.POST
    if "add_line" in typed:
        form, lines = _shown_again(typed, subject, versions)
        focus(lines.forms[-1], "medicine")
        return _page(request, subject, form, lines, versions=versions)
    if "carry" in typed:  # from the page where the institution corrects by itself
        form, lines = _blank(request, subject, versions)
        form.initial.update(typed_fields(PersonForm, typed))
        return _page(request, subject, form, lines, versions=versions)
    form, lines = _form(subject, versions, typed), Lines(typed, prefix="lines")
    if isinstance(form, VisitForm) and not lines.is_valid() or not form.is_valid():
        return _page(request, subject, form, lines, versions=versions, status=422)
    try:
        application = _write(request, subject, form, lines)
    except Refused as refused:
        add_problems(
            form, in_their_rows(refused.problems, lines), *(lines.forms if isinstance(form, VisitForm) else ())
        )
        return _page(request, subject, form, lines, versions=versions, status=422)
    except Stale:
        messages.error(request, _("這件草稿剛才有人修改過，請再看一次。"))
        return redirect("correction_show", subject.draft.uid if subject.draft else form.cleaned_data["application"])
    return redirect("correction_show", application.uid)


def _write(request: Request, subject: Subject, form: _Why, lines: Any) -> Application:
    by, data = request.desk.actor, form.cleaned_data
    new = _items(request, subject, form, lines)
    if subject.on_paper:
        return register_on_paper(
            uid=data["application"], case=subject.case, reason=data["reason"], discovered_on=data["discovered_on"],
            received_on=data["received_on"], items=new, by=by,
        )  # fmt: skip
    if subject.draft is None:
        return write_application(
            uid=data["application"], case=subject.case, reason=data["reason"], discovered_on=data["discovered_on"],
            items=new, by=by,
        )  # fmt: skip
    uids = {one.uid for one in new}
    items = items_of(subject.draft)
    if subject.item is not None:
        items = [new[0] if one.uid == subject.item.uid else one for one in items]
    else:
        items = [*(one for one in items if one.uid not in uids), *new]
    return rewrite_application(
        application=subject.draft, version=subject.draft.version, reason=subject.draft.reason,
        discovered_on=subject.draft.discovered_on, items=items, by=by,
    )  # fmt: skip


def _items(request: Request, subject: Subject, form: _Why, lines: Any) -> list[ItemEntry]:
    """What was typed, as items. Raises Refused."""
    data = form.cleaned_data
    uid, visit, version = data["uid"], subject.visit, data["version"]
    if isinstance(form, IdentityForm):
        return [ItemEntry(uid, subject.kind, identity=_identity(subject, form))]
    if not isinstance(form, VisitForm):
        return [ItemEntry(uid, subject.kind, visit, version)]
    if visit is None:
        return [ItemEntry(uid, ItemKind.LATE_ENTRY, entry=entry_typed(form, lines))]
    if not isinstance(form, OverwrittenForm):
        return [ItemEntry(uid, subject.kind, visit, version, replace(entry_typed(form, lines), uid=visit.uid))]
    return _overwritten(request, visit, form, lines)


def _identity(subject: Subject, form: IdentityForm) -> IdentityEntry:
    """Who the person shall be, beside who he is; a number left empty is the one that is there."""
    data, recorded = form.cleaned_data, identity_of(subject.case.person)
    asked = Identity(
        data["identity_kind"], data["identity_number"] or recorded.number, data["identity_country"], data["birth_on"],
        data["sex"],
    )  # fmt: skip
    return IdentityEntry(data["version"], recorded.compared, asked.compared)


def _overwritten(request: Request, visit: Visit, form: OverwrittenForm, lines: Any) -> list[ItemEntry]:
    """Two items that are one: the record goes back, what it says now is entered late on its true day. Raises Refused."""
    data = form.cleaned_data
    now = as_entry(visit)
    if data["true_on"] is None:
        raise Refused([Problem("true-day-missing", "請填現在的內容真正的就醫日期。", "true_on")])
    if data["true_on"] == visit.visit_on:
        raise Refused(
            [
                Problem(
                    "true-day-same", Sentence("請填真正的就醫日期，不是被覆蓋的 {day}。", day=visit.visit_on), "true_on"
                )
            ]
        )
    original: Entry | None = replace(
        entry_typed(form, lines), uid=visit.uid, visit_on=data["visit_on"] or visit.visit_on
    )
    if data["back_to"] != TYPED:
        original = entry_at(visit, int(data["back_to"]), by=request.desk.actor)
    assert original is not None  # the choices are versions of this visit
    late_uid = UUID(int=data["uid"].int ^ 1)  # the form sent twice makes the same two
    late = replace(now, uid=late_uid, visit_on=data["true_on"])
    return [
        ItemEntry(data["uid"], ItemKind.OVERWRITTEN, visit, data["version"], original, linked=True),
        ItemEntry(late_uid, ItemKind.LATE_ENTRY, entry=late, linked=True),
    ]


# --- The forms -----------------------------------------------------------------------------------------------------------


def _versions(request: Request, subject: Subject) -> list[Version]:
    """The earlier versions of a record that was written over."""
    if subject.kind is not ItemKind.OVERWRITTEN or subject.visit is None:
        return []
    return versions_of(subject.visit, by=request.desk.actor)[1:]


def _form(subject: Subject, versions: list[Version], data: QueryDict | None = None, **kwargs: Any) -> _Why:
    form_class = subject.form_class
    if issubclass(form_class, VisitForm):
        kwargs["sex"] = subject.case.person.sex
    form = form_class(data, **kwargs)
    if isinstance(form, OverwrittenForm):
        form.fields["back_to"].choices = [  # type: ignore[attr-defined]
            *((str(one.number), _version_said(one)) for one in versions),
            (TYPED, Words("不在這個系統裡，由下方填寫")),
        ]
        form.fields["visit_on"].required = False
    if subject.on_paper:
        _with_received(form)
    if subject.draft is not None:
        del form.fields["reason"], form.fields["discovered_on"]
    return form


def _version_said(version: Version) -> str:
    services = "、".join(str(version.said[kind]) for kind in ("medication", "counselling") if version.said.get(kind))
    return Sentence(
        "第 {number} 版：{day} {services}", number=version.number, day=version.said["visit_on"], services=services
    )


def _blank(request: Request, subject: Subject, versions: list[Version]) -> tuple[_Why, Any]:
    """The form with what is recorded (or was typed before)."""
    item = subject.item
    entry = item.entry if item else as_entry(subject.visit) if subject.visit else None
    initial: dict[str, Any] = {"counselling_mode": "in_person"}
    if entry is not None:
        initial |= vars(entry) | {"services": list(entry.kinds)}
        if entry.medication:
            initial["medication_staff"] = entry.medication.staff_uid
        if entry.counselling:
            initial |= {"counselling_staff": entry.counselling.staff_uid, "counselling_mode": entry.counselling.mode}
    initial |= {
        "uid": item.uid if item else uuid4(),
        "application": subject.draft.uid if subject.draft else uuid4(),
        "version": _version_seen(subject),
        "discovered_on": request.desk.today,
        "back_to": str(versions[0].number) if versions else TYPED,
    }
    if subject.kind is ItemKind.PERSON:
        initial |= _person_initial(subject)
    if subject.kind is ItemKind.PARKED and item is None:
        initial["visit_on"] = None  # the true day is what is asked for
    form = _form(subject, versions, initial=initial)
    return form, Lines(initial=(rows_of(entry) if entry else []) or [{}], prefix="lines")


def _version_seen(subject: Subject) -> int | None:
    if subject.kind is ItemKind.PERSON:
        return subject.case.person.version
    if subject.item is not None:
        return subject.item.visit_version
    return subject.visit.version if subject.visit else None


def _person_initial(subject: Subject) -> dict[str, Any]:
    """Who he shall be as it was typed before, or who he is; the number is typed anew where it is to be another one."""
    asked = subject.item.identity.asked if subject.item and subject.item.identity else None
    said = asked or identity_of(subject.case.person)
    return {
        "identity_kind": said.kind, "identity_country": said.country, "birth_on": said.birth_on, "sex": said.sex,
        "identity_number": asked.number if asked and asked.number != identity_of(subject.case.person).number else "",
    }  # fmt: skip


def _shown_again(typed: QueryDict, subject: Subject, versions: list[Version]) -> tuple[_Why, Any]:
    """What was typed, unchecked: while a row is added."""
    assert issubclass(subject.form_class, VisitForm)
    form = _form(subject, versions, initial=typed_fields(subject.form_class, typed))
    return form, Lines(initial=typed_lines(typed), prefix="lines")


def _page(
    request: Request, subject: Subject, form: _Why, lines: Any, *, versions: list[Version], status: int = 200
) -> HttpResponse:
    if isinstance(form, VisitForm):
        offer_choices(form, lines, subject.case)
    uids = [subject.case.uid, *([subject.visit.uid] if subject.visit else [])]
    journal.record(Permission.CASE_READ, record_type="case", uids=uids)
    context = {
        "case": subject.case, "visit": subject.visit, "kind": ITEM_KINDS[subject.kind], "word": subject.kind.value,
        "form": form, "lines": lines, "draft": subject.draft, "item": subject.item, "versions": versions,
        "can_add_line": len(lines.forms) < MOST_LINES, "with_contents": isinstance(form, VisitForm),
        "on_paper": subject.on_paper,
    }  # fmt: skip
    return render(request, "corrections/write.html", context, status=status)
