"""Pages of a person: find, register, see, show the identity number, intake."""

import re
import unicodedata
from contextlib import suppress
from typing import Any
from uuid import UUID, uuid4

from django import forms
from django.contrib import messages
from django.core.exceptions import NON_FIELD_ERRORS
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_safe

from quitledger.accounts.permissions import Permission
from quitledger.audit import journal
from quitledger.cases.models import Case, Person
from quitledger.cases.queries import MOST_FOUND, baselines_of, case_versions, find_cases, merged_cases, visible_case
from quitledger.cases.rules import FTND_ITEMS, REASON_LENGTH, SEXES, Identity, age_on
from quitledger.cases.services import (
    BaselineEntry,
    Registration,
    Stale,
    change_case,
    change_person,
    find_by_identity,
    record_baseline,
    register_case,
    show_identity,
)
from quitledger.policy import PolicyGap
from quitledger.policy.identity import COUNTRIES, IdentityKind
from quitledger.policy.problem import Refused
from quitledger.policy.sentences import Sentence, Words
from quitledger.visits.merge_services import merges
from quitledger.visits.queries import VisitQuery, course_facts, eligibility_on, last_visit, search, standings_on

from .forms import Form, PlainTextField, RocDateField, WholeNumberField, add_problems, shown
from .permissions import needs
from .transactions import Request


class FindForm(Form):
    """Whom to look for. Sent by POST: numbers and names never stand in an address."""

    q = shown(PlainTextField(label=Words("身分證字號、病歷號或姓名"), max_length=60), grow=True)
    then = forms.ChoiceField(choices=[("", ""), ("record", "")], required=False, widget=forms.HiddenInput)


class _WhoForm(Form):
    """Who somebody is: what registering and correcting him ask alike."""

    identity_kind = forms.TypedChoiceField(
        label=Words("證號種類"), choices=[(kind.value, kind.label) for kind in IdentityKind], widget=forms.RadioSelect,
        coerce=IdentityKind,
    )  # fmt: skip
    identity_number = shown(
        PlainTextField(label=Words("證號"), max_length=30, help_text=Words("身分證、居留證或護照上的號碼")), width="l"
    )
    identity_country = shown(
        forms.ChoiceField(
            label=Words("核發國家"),
            help_text=Words("護照才填"),
            choices=[("", "－"), *COUNTRIES.items()],
            required=False,
        ),
        asked=True,
    )
    birth_on = shown(RocDateField(label=Words("出生日期"), help_text=Words("例：69/2/3 或 0690203")), width="m")
    sex = forms.ChoiceField(label=Words("性別"), choices=list(SEXES.items()), widget=forms.RadioSelect)


class RegisterForm(_WhoForm):
    """A person as typed at registration."""

    uid = forms.UUIDField(widget=forms.HiddenInput)
    name = PlainTextField(label=Words("姓名"), max_length=60)
    chart_no = PlainTextField(label=Words("病歷號"), max_length=30, required=False)
    phone = PlainTextField(label=Words("電話"), max_length=30, required=False)


class CaseForm(Form):
    """How the institution calls the person, and the version that was seen when it was typed."""

    version = forms.IntegerField(widget=forms.HiddenInput)
    name = PlainTextField(label=Words("姓名"), max_length=60)
    chart_no = PlainTextField(label=Words("病歷號"), max_length=30, required=False)
    phone = PlainTextField(label=Words("電話"), max_length=30, required=False)
    reason = shown(PlainTextField(label=Words("修改原因"), max_length=REASON_LENGTH, required=False), grow=True)


class CorrectedPersonForm(_WhoForm):
    """Who the person is, and the version that was seen. A number left empty stays as it is."""

    version = forms.IntegerField(widget=forms.HiddenInput)
    identity_number = shown(
        PlainTextField(label=Words("新的證號"), max_length=30, required=False, help_text=Words("證號不變時留白")),
        width="l", asked=True,
    )  # fmt: skip


class PersonForm(CorrectedPersonForm):
    """The same, with why it is corrected."""

    reason = shown(
        PlainTextField(label=Words("更正原因"), max_length=REASON_LENGTH, required=False, help_text=Words("例：換發居留證、證號打錯")),
        grow=True, asked=True,
    )  # fmt: skip


class WeightField(forms.DecimalField):
    """Kilograms with one digit after the point, full-width digits welcome; how much is plausible is a rule's question."""

    default_error_messages = {
        "invalid": gettext_lazy("請填數字，小數點用「.」，例：68.5。"),
        "max_decimal_places": gettext_lazy("最多填到小數第 %(max)s 位。"),
    }

    def __init__(self, **kwargs: Any) -> None:
        widget = forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"})
        super().__init__(decimal_places=1, widget=widget, **kwargs)

    def to_python(self, value: Any) -> Any:
        text = unicodedata.normalize("NFKC", value or "").strip()
        if text and not re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid")
        return super().to_python(text)


class BaselineForm(Form):
    """收案評估; the six items of the Fagerström test are added from cases.rules."""

    uid = forms.UUIDField(widget=forms.HiddenInput)
    taken_on = shown(RocDateField(label=Words("評估日期"), help_text=Words("例：114/4/1 或 1140401")), width="m")
    cigarettes_per_day = shown(
        WholeNumberField(label=Words("平均每日支數"), required=False), unit=Words("支"), width="s", asked=True
    )
    co_ppm = shown(WholeNumberField(label=Words("一氧化碳"), required=False), unit="ppm", width="s")
    weight_kg = shown(WeightField(label=Words("體重"), required=False), unit=Words("公斤"), width="s")
    insured = forms.TypedChoiceField(
        label=Words("健保在保"), choices=[("yes", Words("是")), ("no", Words("否"))], widget=forms.RadioSelect,
        coerce=lambda word: word == "yes", empty_value=None, required=False,
    )  # fmt: skip
    pregnant = forms.BooleanField(label=Words("目前懷孕"), required=False)

    def __init__(self, *args: Any, sex: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for number, item in enumerate(FTND_ITEMS, start=1):
            self.fields[f"ftnd_{item.name}"] = forms.ChoiceField(
                label=Sentence("{number}. {question}", number=number, question=item.question), choices=[(answer.word, answer.label) for answer in item.answers],
                widget=forms.RadioSelect, required=False,
            )  # fmt: skip
        if sex == "male":
            del self.fields["pregnant"]

    def ftnd_fields(self) -> list[forms.BoundField]:
        """The six questions, for the template."""
        return [self[f"ftnd_{item.name}"] for item in FTND_ITEMS]


def case_or_404(request: Request, uid: UUID) -> Case:
    """The case, where the actor may see it; where its person was merged, the one that took its place."""
    case = visible_case(uid, by=request.desk.actor)
    if case is None:
        raise Http404
    return case


def moved(request: Request, case: Case, uid: UUID) -> HttpResponse | None:
    """Where a page lies that was asked for under the uid of a merged case. A form is answered where it was sent."""
    if case.uid == uid or request.method == "POST" or request.resolver_match is None:
        return None
    return redirect(request.resolver_match.view_name, case.uid)


@needs(Permission.CASE_READ)
@require_http_methods(["GET", "HEAD", "POST"])
def case_find(request: Request) -> HttpResponse:
    """Find people by number, chart number or name."""
    form = FindForm(request.POST or None)
    context: dict[str, Any] = {"form": form}
    if form.is_valid():
        found = find_cases(form.cleaned_data["q"], by=request.desk.actor)
        if found:
            journal.record(Permission.CASE_READ, record_type="case", uids=[case.uid for case in found])
        if len(found) == 1 and form.cleaned_data["then"] and request.desk.actor.may(Permission.VISIT_RECORD):
            return redirect("visit_record", found[0].uid)
        context |= {"found": found, "more": len(found) == MOST_FOUND}
    return render(request, "cases/find.html", context, status=422 if form.errors else 200)


@needs(Permission.CASE_REGISTER)
@require_http_methods(["GET", "HEAD", "POST"])
def case_register(request: Request) -> HttpResponse:
    """Open a case for a person."""
    form = RegisterForm(request.POST or None, initial={"uid": uuid4(), "identity_kind": IdentityKind.NATIONAL_ID.value})
    if form.is_valid():
        try:
            case = register_case(
                Registration(**form.cleaned_data), today=request.desk.today,
                made_up_allowed=request.desk.purpose != "production", by=request.desk.actor,
            )  # fmt: skip
        except Refused as refused:
            add_problems(form, refused.problems)
        else:
            messages.success(request, _("已收案：%(name)s。接著可以做收案評估，或直接登錄衛教。") % {"name": case.name})
            return redirect("case_show", case.uid)
    return render(request, "cases/register.html", {"form": form}, status=422 if form.errors else 200)


@needs(Permission.CASE_READ)
@require_safe
def case_show(request: Request, uid: UUID) -> HttpResponse:
    """A person as the institution knows him: timeline, eligibility, basic data."""
    case = case_or_404(request, uid)
    if answer := moved(request, case, uid):
        return answer
    whole = _whole(request, case)
    journal.record(Permission.CASE_READ, record_type="case", uids=[case.uid, *_beside(whole)])
    return render(request, "cases/show.html", whole)


@needs(Permission.IDENTITY_SHOW)
@require_http_methods(["GET", "HEAD", "POST"])
def case_identity(request: Request, uid: UUID) -> HttpResponse:
    """The same page with the whole identity number; journaled by itself. Only its button shows it, never an address."""
    case = case_or_404(request, uid)
    if request.method != "POST" or case.person.is_emptied:  # reloaded, or from the list of visited pages
        return redirect("case_show", case.uid)
    whole = _whole(request, case)
    number = show_identity(case=case, beside=_beside(whole), by=request.desk.actor)
    return render(request, "cases/show.html", whole | {"identity_number": number})


def _beside(whole: dict[str, Any]) -> list[UUID]:
    """The uids of the visits, intakes and merged cases that the page of a person shows."""
    return [one.uid for one in [*whole["visits"], *whole["baselines"], *whole["merged"]]]


def _whole(request: Request, case: Case) -> dict[str, Any]:
    """What the page of a person shows."""
    today = request.desk.today
    query = VisitQuery(case.person.birth_on, today, case_uids=(case.uid,), with_voided=True, sort="-visit_on")
    previous = last_visit(case)
    courses = course_facts(case)
    eligibility = standings = None
    with suppress(PolicyGap):
        eligibility = eligibility_on(case, today, courses, pregnant=bool(previous and previous.pregnant))
        standings = standings_on(today, courses)
    return {
        "case": case,
        "age": age_on(case.person.birth_on, today),
        "visits": list(search(query, by=request.desk.actor)),
        "baselines": list(baselines_of(case)),
        "eligibility": eligibility,
        "standings": standings,
        "merged": list(merged_cases(case)),
        "merges": _merges_into(request, case),
    }


def _merges_into(request: Request, case: Case) -> list[Any]:
    """At the desk: the merges in force into the person of a case."""
    by = request.desk.actor
    if not by.may(Permission.PERSON_MERGE):
        return []
    return list(merges(by=by).filter(kept=case.person_id, undone_at=None))


# --- 更正 ------------------------------------------------------------------------------------------------------------


@needs(Permission.CASE_CHANGE)
@require_http_methods(["GET", "HEAD", "POST"])
def case_change(request: Request, uid: UUID) -> HttpResponse:
    """Name, chart number, telephone: the institution's own, at any time."""
    case = case_or_404(request, uid)
    if answer := moved(request, case, uid):
        return answer
    if case.person.is_emptied:
        return redirect("case_show", case.uid)  # which says why
    said = {name: getattr(case, name) for name in _CASE_LABELS}
    typed = request.POST.copy()
    form = CaseForm(typed or None, initial=said | {"version": case.version})
    conflict = None
    if form.is_valid():
        try:
            changed = change_case(case=case, **form.cleaned_data, by=request.desk.actor)
        except Refused as refused:
            add_problems(form, refused.problems)
        except Stale as stale:
            conflict = _conflict(case, form)
            typed["version"] = str(stale.record.version)
        else:
            messages.success(
                request,
                _("已修改 %(name)s 的個案資料，為第 %(version)s 版。")
                % {"name": changed.name, "version": changed.version},
            )
            return redirect("case_show", case.uid)
    journal.record(Permission.CASE_READ, record_type="case", uids=[case.uid])
    context = {"case": case, "form": form, "conflict": conflict}
    return render(request, "cases/change.html", context, status=409 if conflict else 422 if form.errors else 200)


_CASE_LABELS = {"name": Words("姓名"), "chart_no": Words("病歷號"), "phone": Words("電話")}


def _conflict(case: Case, form: CaseForm) -> list[tuple[str, str, str, str]]:
    """Field by field where somebody else was faster: what was seen, what it says now, what was typed."""
    versions = case_versions(case)
    now = versions[0][1]
    seen = dict(reversed(versions)).get(form.cleaned_data["version"], now)
    rows = [(label, seen[name], now[name], form.cleaned_data[name]) for name, label in _CASE_LABELS.items()]
    return [row for row in rows if len(set(row[1:])) > 1]


@needs(Permission.PERSON_CORRECT)
@require_http_methods(["GET", "HEAD", "POST"])
def person_correct(request: Request, uid: UUID) -> HttpResponse:
    """Identity number, birth date, sex: by the institution itself, as long as it may."""
    return _corrected(request, uid)


@needs(Permission.PERSON_CHANGE)
@require_http_methods(["GET", "HEAD", "POST"])
def case_person_change(request: Request, uid: UUID) -> HttpResponse:
    """The same by the desk, at any time; where another person has the number, the way to a merge."""
    return _corrected(request, uid)


def _corrected(request: Request, uid: UUID) -> HttpResponse:
    case = case_or_404(request, uid)
    if answer := moved(request, case, uid):
        return answer
    if case.person.is_emptied:
        return redirect("case_show", case.uid)  # which says why
    person, typed = case.person, request.POST.copy()
    names = ("identity_kind", "identity_country", "birth_on", "sex", "version")
    form = PersonForm(typed or None, initial={name: getattr(person, name) for name in names})
    now: Person | None = None
    others: list[Case] = []
    if form.is_valid():
        data = form.cleaned_data
        identity = Identity(
            data["identity_kind"], data["identity_number"], data["identity_country"], data["birth_on"], data["sex"]
        )
        try:
            changed = change_person(
                case=case, version=data["version"], identity=identity, reason=data["reason"], today=request.desk.today,
                made_up_allowed=request.desk.purpose != "production", by=request.desk.actor,
            )  # fmt: skip
        except Refused as refused:
            others = _others(request, case, identity, {problem.code for problem in refused.problems})
            add_problems(form, refused.problems)
        except Stale as stale:
            now = stale.record if isinstance(stale.record, Person) else None
            typed["version"] = str(stale.record.version)
        else:
            words = {"name": case.name, "number": changed.masked_identity}
            messages.success(request, _("已更正 %(name)s 的證號、出生日期或性別；現在的證號 %(number)s。") % words)
            return redirect("case_show", case.uid)
    journal.record(Permission.CASE_READ, record_type="case", uids=[case.uid, *(other.uid for other in others)])
    context = {
        "case": case, "form": form, "now": now, "others": others,
        "may_apply": form.has_error(NON_FIELD_ERRORS, "person-not-open"),
    }  # fmt: skip
    return render(request, "cases/person.html", context, status=409 if now else 422 if form.errors else 200)


def _others(request: Request, case: Case, identity: Identity, codes: set[str]) -> list[Case]:
    """At the desk: the cases of the other person who has the number typed, to be merged instead."""
    if "person-known" not in codes or request.desk.actor.institution_id is not None:
        return []
    number = identity.number or case.person.identity_number
    return [
        other for other in find_by_identity(number=number, by=request.desk.actor) if other.person_id != case.person_id
    ]


@needs(Permission.BASELINE_RECORD)
@require_http_methods(["GET", "HEAD", "POST"])
def baseline_record(request: Request, uid: UUID) -> HttpResponse:
    """收案評估 of a case."""
    case = case_or_404(request, uid)
    if answer := moved(request, case, uid):
        return answer
    if case.person.is_emptied:
        return redirect("case_show", uid)  # which says why
    initial = {"uid": uuid4(), "taken_on": request.desk.today}
    form = BaselineForm(request.POST or None, initial=initial, sex=case.person.sex)
    if form.is_valid():
        try:
            baseline = record_baseline(case=case, entry=_entry(form), today=request.desk.today, by=request.desk.actor)
        except Refused as refused:
            add_problems(form, refused.problems)
        else:
            words = _("已登錄 %(name)s 的收案評估。")
            if baseline.ftnd_score is not None:
                words = _("已登錄 %(name)s 的收案評估，尼古丁成癮度 %(score)s 分。")
            messages.success(request, words % {"name": case.name, "score": baseline.ftnd_score})
            return redirect("case_show", case.uid)
    journal.record(Permission.CASE_READ, record_type="case", uids=[case.uid])
    return render(request, "cases/baseline.html", {"form": form, "case": case}, status=422 if form.errors else 200)


def _entry(form: BaselineForm) -> BaselineEntry:
    data = form.cleaned_data
    return BaselineEntry(
        uid=data["uid"], taken_on=data["taken_on"],
        ftnd={item.name: data.get(f"ftnd_{item.name}", "") for item in FTND_ITEMS},
        cigarettes_per_day=data["cigarettes_per_day"], co_ppm=data["co_ppm"], weight_kg=data["weight_kg"],
        pregnant=bool(data.get("pregnant")), insured=data["insured"],
    )  # fmt: skip
