"""合併戒菸者: the desk finds the other person, looks at both side by side, decides; and takes it back."""

from contextlib import suppress
from typing import Any
from uuid import UUID, uuid4

from django import forms
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from quitledger.accounts.permissions import Permission
from quitledger.audit import journal
from quitledger.cases.models import Case, Merge, Person
from quitledger.cases.queries import visible_case
from quitledger.cases.rules import REASON_LENGTH
from quitledger.cases.services import find_by_identity
from quitledger.corrections.queries import still_open
from quitledger.institutions.queries import names_of
from quitledger.policy import PolicyGap
from quitledger.policy.problem import Refused
from quitledger.policy.sentences import Sentence, Words, Year
from quitledger.visits.courses import LABELS, Course
from quitledger.visits.merge_services import (
    Comparison,
    merge_persons,
    merges,
    recorded_since,
    repointed,
    undo_merge,
)

from .cases import case_or_404, moved
from .forms import Form, PlainTextField, add_problems, shown
from .languages import day_said, said
from .permissions import needs
from .transactions import Request

PAGE_ROWS = 50


class OtherForm(Form):
    """Whom to compare with. Sent by POST: numbers never stand in an address."""

    number = shown(PlainTextField(label=Words("另一位的完整證號"), max_length=30), width="l")


class MergeForm(Form):
    """Which of the two is kept, and why they are one."""

    uid = forms.UUIDField(widget=forms.HiddenInput)
    other = forms.UUIDField(widget=forms.HiddenInput)
    keep = forms.ChoiceField(label=Words("保留哪一位"), widget=forms.RadioSelect)
    reason = shown(
        PlainTextField(label=Words("合併原因"), max_length=REASON_LENGTH, required=False, help_text=Words("例：出生日期打錯，以證件影本核對為同一人")),
        grow=True, asked=True,
    )  # fmt: skip

    def __init__(self, *args: Any, one: Person, other: Person, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["keep"].choices = [  # type: ignore[attr-defined]
            (
                name,
                said(
                    Sentence(
                        "{which}：{number}，{day} 生", which=which, number=person.masked_identity, day=person.birth_on
                    )
                ),
            )
            for name, which, person in (("one", Words("第一位"), one), ("other", Words("第二位"), other))
        ]


class UndoForm(Form):
    """Why a merge is undone, and of what was recorded since, what is the kept person's."""

    staying = forms.MultipleChoiceField(
        label=Words("合併後登錄、屬於保留者的紀錄"), widget=forms.CheckboxSelectMultiple, required=False
    )
    reason = shown(
        PlainTextField(label=Words("撤銷原因"), max_length=REASON_LENGTH, required=False), grow=True, asked=True
    )

    def __init__(self, *args: Any, merge: Merge, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [
            (str(one.uid), said(Sentence("{institution} {day} {what}", institution=one.institution, day=one.day, what=one.label)))
            for one in recorded_since(merge)
        ]  # fmt: skip
        if choices:
            self.fields["staying"].choices = choices  # type: ignore[attr-defined]
        else:
            del self.fields["staying"]


@needs(Permission.PERSON_MERGE)
@require_http_methods(["GET", "HEAD", "POST"])
def merge_find(request: Request, uid: UUID) -> HttpResponse:
    """Find the other person by the exact number; who has the same number is offered at once."""
    case = case_or_404(request, uid)
    if answer := moved(request, case, uid):
        return answer
    if case.person.is_emptied:
        return redirect("case_show", case.uid)  # which says why
    form = OtherForm(request.POST or None)
    found = None
    if form.is_valid():
        found = _other_cases(request, case, form.cleaned_data["number"])
    alike = _other_cases(request, case, case.person.identity_number)
    journal.record(
        Permission.CASE_READ, record_type="case", uids=[case.uid, *(one.uid for one in [*(found or []), *alike])]
    )
    context = {"case": case, "form": form, "found": found, "alike": alike}
    return render(request, "merging/find.html", context, status=422 if form.errors else 200)


def _other_cases(request: Request, case: Case, number: str) -> list[Case]:
    """One case of each other person with that number."""
    found = find_by_identity(number=number, by=request.desk.actor)
    return list({one.person_id: one for one in reversed(found) if one.person_id != case.person_id}.values())


@needs(Permission.PERSON_MERGE)
@require_http_methods(["GET", "HEAD", "POST"])
def person_merge(request: Request, uid: UUID) -> HttpResponse:
    """Both side by side, and the decision. `other`: a case of the other person."""
    case = case_or_404(request, uid)
    if answer := moved(request, case, uid):
        return answer
    other = _case_named(request, (request.POST or request.GET).get("other", ""))
    if other is None or case.person.is_emptied:
        return redirect("merge_find", case.uid)
    form = MergeForm(
        request.POST or None, one=case.person, other=other.person, initial={"uid": uuid4(), "other": other.uid}
    )
    if form.is_valid() and (made := _merged(request, case, other, form)):
        messages.success(request, _("已合併。原來兩筆的個案與就醫資料都在保留的這一筆。"))
        return redirect("merge_show", made.uid)
    if case.person_id == other.person_id:  # merged already, by somebody else
        messages.info(request, _("兩個個案已經是同一位戒菸者。"))
        return redirect("case_show", case.uid)
    comparison = Comparison(case.person, other.person, today=request.desk.today, by=request.desk.actor)
    journal.record(Permission.CASE_READ, record_type="case", uids=comparison.uids)
    context = {"case": case, "other": other, "form": form, **_side_by_side(comparison)}
    return render(request, "merging/decide.html", context, status=422 if form.errors else 200)


def _case_named(request: Request, text: str) -> Case | None:
    """The case whose uid stands in an address or a form."""
    with suppress(ValueError):
        return visible_case(UUID(text), by=request.desk.actor)
    return None


def _merged(request: Request, case: Case, other: Case, form: MergeForm) -> Merge | None:
    """The merge; None where it was refused, which the form then says."""
    data = form.cleaned_data
    # A form sent twice finds both cases at one person: the merge it made says who they were.
    known = merges(by=request.desk.actor).filter(uid=data["uid"]).first()
    kept, merged = (case.person, other.person) if data["keep"] == "one" else (other.person, case.person)
    if known is not None and case.person_id == other.person_id == known.kept_id:
        kept, merged = known.kept, known.merged
    try:
        if known is None and (problems := still_open([kept.pk, merged.pk])):
            raise Refused(problems)
        return merge_persons(uid=data["uid"], kept=kept, merged=merged, reason=data["reason"], by=request.desk.actor)
    except Refused as refused:
        add_problems(form, refused.problems)
    return None


def _side_by_side(comparison: Comparison) -> dict[str, Any]:
    """What the page of two persons shows."""
    one, other = comparison.persons
    rows = [
        (label, *values, values[0] != values[1])
        for label, values in (
            (Words("證號種類"), (one.get_identity_kind_display(), other.get_identity_kind_display())),
            (Words("證號"), (one.masked_identity, other.masked_identity)),
            (Words("出生日期"), (day_said(one.birth_on), day_said(other.birth_on))),
            (Words("性別"), (one.get_sex_display(), other.get_sex_display())),
        )
    ]
    courses: tuple[list[Any], ...] | None = None
    with suppress(PolicyGap):
        courses = tuple(_course_words(side) for side in comparison.courses)
    return {
        "rows": rows, "cases": comparison.cases, "names": comparison.institutions, "baselines": comparison.baselines,
        "staying": comparison.staying_baselines, "collisions": comparison.collisions, "timeline": comparison.timeline,
        "courses": courses,
    }  # fmt: skip


def _course_words(courses: list[Course]) -> list[tuple[str, bool]]:
    """Each course in words, and whether it is one of the year's that are allowed."""
    names = names_of({course.services[0].site for course in courses})
    return [
        (
            said(Sentence(
                "{service} {year} 年第 {number} 療程，{day} 起，{institution}",
                service=LABELS[course.kind], year=Year(course.year), number=course.number, day=course.first_on,
                institution=names.get(course.services[0].site, ""),
            )),
            course.is_allowed,
        )
        for course in courses
    ]  # fmt: skip


@needs(Permission.PERSON_MERGE)
@require_safe
def merge_list(request: Request) -> HttpResponse:
    """合併紀錄: all merges, the newest first."""
    page = Paginator(merges(by=request.desk.actor), PAGE_ROWS).get_page(request.GET.get("page"))
    journal.record(Permission.CASE_READ, record_type="merge", uids=[merge.uid for merge in page])
    return render(request, "merging/list.html", {"page": page})


def _merge_or_404(request: Request, uid: UUID) -> Merge:
    merge = merges(by=request.desk.actor).filter(uid=uid).first()
    if merge is None:
        raise Http404
    return merge


@needs(Permission.PERSON_MERGE)
@require_safe
def merge_show(request: Request, uid: UUID) -> HttpResponse:
    """One merge: who decided it and why, what was re-pointed, and how both stand now."""
    merge = _merge_or_404(request, uid)
    comparison = Comparison(merge.kept, merge.merged, today=request.desk.today, by=request.desk.actor)
    journal.record(Permission.CASE_READ, record_type="merge", uids=[merge.uid, *comparison.uids])
    context = {"merge": merge, "came": set(repointed(merge)), **_side_by_side(comparison)}
    return render(request, "merging/show.html", context)


@needs(Permission.MERGE_UNDO)
@require_http_methods(["GET", "HEAD", "POST"])
def merge_undo(request: Request, uid: UUID) -> HttpResponse:
    """Take a merge back, with a reason."""
    merge = _merge_or_404(request, uid)
    if not merge.is_in_force and request.method != "POST":
        return redirect("merge_show", merge.uid)
    form = UndoForm(request.POST or None, merge=merge)
    if form.is_valid():
        staying = {UUID(text) for text in form.cleaned_data.get("staying", [])}
        try:
            if merge.is_in_force and (problems := still_open([merge.kept_id, merge.merged_id])):
                raise Refused(problems)
            undo_merge(merge=merge, reason=form.cleaned_data["reason"], staying=staying, by=request.desk.actor)
        except Refused as refused:
            add_problems(form, refused.problems)
        else:
            messages.success(request, _("已撤銷合併，兩位回到合併前的個案與就醫資料。"))
            return redirect("merge_show", merge.uid)
    journal.record(Permission.CASE_READ, record_type="merge", uids=[merge.uid, merge.kept.uid, merge.merged.uid])
    return render(request, "merging/undo.html", {"merge": merge, "form": form}, status=422 if form.errors else 200)
