"""更正申請: the lists of institution and desk, one application, and every step it takes."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from quitledger.accounts.actors import Actor
from quitledger.accounts.permissions import Permission
from quitledger.audit import journal
from quitledger.corrections import services
from quitledger.corrections.differences import groups_of
from quitledger.corrections.models import Application
from quitledger.corrections.queries import (
    ApplicationQuery,
    Numbers,
    application_of,
    compared,
    due,
    numbers,
    others_with_number,
    received,
    rejections,
    search,
    waiting_for,
)
from quitledger.corrections.rules import (
    DECIDED,
    ITEM_KINDS,
    OPEN,
    REASON_LENGTH,
    STATES,
    TRANSITIONS,
    ItemKind,
    Rejection,
    State,
    Step,
)
from quitledger.corrections.services import Decision, Stale
from quitledger.institutions.models import InstitutionDetails
from quitledger.institutions.queries import names_of
from quitledger.interop.sheets import Cell
from quitledger.policy.problem import Problem, Refused
from quitledger.policy.sentences import Words

from .downloads import table_file
from .evidence import evidence_of
from .forms import Form, PlainTextField, RocDateField, RocMonthField, add_problems, shown
from .permissions import needs
from .sign_in import proved_again, sign_in_again
from .transactions import Request

PAGE_ROWS = 25


# --- Lists ---------------------------------------------------------------------------------------------------------------

VIEWS: dict[str, tuple[Words, tuple[State, ...]]] = {
    "open": (Words("處理中"), OPEN),
    "new": (Words("待審"), (State.NEW,)),
    "waiting": (Words("等機構回覆"), (State.WAITING,)),
    "second": (Words("待複審"), (State.SECOND,)),
    "ended": (Words("已結束"), (*DECIDED, State.WITHDRAWN)),
}


class ListForm(Form):
    """Which applications."""

    all_optional = True
    view = forms.ChoiceField(
        label=Words("狀態"), choices=[(name, label) for name, (label, _states) in VIEWS.items()], required=False
    )
    kind = forms.ChoiceField(
        label=Words("類別"), required=False,
        choices=[("", Words("全部")), *((kind.value, ITEM_KINDS[kind].label) for kind in ItemKind)],
    )  # fmt: skip
    institution = PlainTextField(label=Words("機構代碼"), max_length=10, required=False)
    mine = forms.BooleanField(label=Words("只看由我承辦的"), required=False)


@needs(Permission.CORRECTION_READ)
@require_safe
def correction_list(request: Request) -> HttpResponse:
    """The applications of the institution; at the desk the queue, the oldest first."""
    by = request.desk.actor
    form = ListForm(request.GET or {"view": "open"})
    if by.institution_id:
        del form.fields["institution"], form.fields["mine"]
    rows = None
    if form.is_valid():
        data = form.cleaned_data
        _label, states = VIEWS[data["view"] or "open"]
        asked = ApplicationQuery(states, data.get("institution", ""), data["kind"], data.get("mine", False))
        page = Paginator(search(asked, by=by), PAGE_ROWS).get_page(request.GET.get("page"))
        names = names_of({one.institution_id for one in page})
        rows = [(one, _row(one, request) | {"institution": names.get(one.institution_id, "")}) for one in page]
        journal.record(Permission.CORRECTION_READ, record_type="correction", uids=[one.uid for one, _row in rows])
        context = {"form": form, "page": page, "rows": rows, "waiting": waiting_for(by)}
    else:
        context = {"form": form, "rows": None, "waiting": waiting_for(by)}
    return render(request, "corrections/list.html", context, status=422 if form.errors else 200)


def _row(application: Application, request: Request) -> dict[str, Any]:
    until = due(application)
    items = sorted(application.items.all(), key=lambda item: item.position)
    return {
        "state": STATES[State(application.state)],
        "kinds": [ITEM_KINDS[ItemKind(item.kind)].label for item in items],
        "days": [item.visit_on for item in items if item.visit_on],
        "until": until,
        "overdue": until is not None and until < request.desk.today,
    }


# --- 申請登記簿 and numbers, for the desk ------------------------------------------------------------------------------------


class MonthsForm(Form):
    """Applications received from the first day of one month to the last of another."""

    all_optional = True
    first = shown(RocMonthField(label=Words("收件月份，起"), help_text=Words("例：114/3"), required=False), width="m")
    last = shown(RocMonthField(label=Words("收件月份，迄"), required=False), width="m")

    def days(self, today: date) -> tuple[date, date] | None:
        """The days asked for, this year's where nothing was; None where the form is wrong."""
        if not self.is_valid():
            return None
        first = self.cleaned_data["first"] or today.replace(month=1, day=1)
        last = self.cleaned_data["last"] or max(first, today.replace(day=1))
        if last < first:
            self.add_error("last", _("迄月早於起月，請確認。"))
            return None
        return first, (last + timedelta(days=31)).replace(day=1) - timedelta(days=1)


TITLES = (
    Words("案件編號"), Words("收件時間"), Words("方式"), Words("醫事機構代碼"), Words("機構名稱"), Words("戒菸者證號"), Words("就醫日期"), Words("項目"), Words("資料組別"), Words("原值"), Words("新值"), Words("原因"),
    Words("狀態"), Words("退回原因"), Words("審核時間"), Words("處理天數"),
)  # fmt: skip


@needs(Permission.CORRECTION_DECIDE)
@require_safe
def correction_numbers(request: Request) -> HttpResponse:
    """How many applications were received, and what became of them."""
    form = MonthsForm(request.GET)
    asked, by = form.days(request.desk.today), request.desk.actor
    context: dict[str, Any] = {"form": form, "asked": asked}
    if asked:
        context |= {"tables": _counted(asked, by), "rejections": rejections(*asked, by=by)}
    return render(request, "corrections/numbers.html", context, status=200 if asked else 422)


def _counted(asked: tuple[date, date], by: Actor) -> list[tuple[str, list[Numbers]]]:
    """The numbers by month and by institution, each with what it is by."""
    return [
        (label, numbers(*asked, group, by=by))
        for group, label in (("month", _("收件月份")), ("institution", _("機構")))
    ]


NUMBERS_TITLES = (
    Words("分組"), Words("項目"), Words("收件"), Words("處理中"), Words("核可"), Words("部分核可"), Words("退回"), Words("撤回"), Words("處理天數中位數"),
)  # fmt: skip


@needs(Permission.CORRECTION_DECIDE)
@require_safe
def correction_numbers_download(request: Request, file_format: str) -> HttpResponse:
    """The same numbers as a file, and how many items were rejected for each reason."""
    asked, by = MonthsForm(request.GET).days(request.desk.today), request.desk.actor
    if asked is None:
        raise Http404
    rows: list[list[Cell]] = [
        [label, *(getattr(one, name) for name in _COUNTS), None if one.median_days is None else str(one.median_days)]
        for label, found in _counted(asked, by)
        for one in found
    ]
    rows += [[_("退回原因"), reason, *[None] * 4, count] for reason, count in rejections(*asked, by=by)]
    name = f"correction-numbers-{asked[0]:%Y%m}-{asked[1]:%Y%m}"
    return table_file(request, Words("更正申請統計"), NUMBERS_TITLES, rows, name, file_format)


_COUNTS = ("label", "received", "open", "approved", "in_part", "rejected", "withdrawn")


@needs(Permission.CORRECTION_DECIDE)
@require_safe
def correction_download(request: Request, file_format: str) -> HttpResponse:
    """申請登記簿: the applications received, an item a line, as CSV or ODS. Identity numbers are masked."""
    asked, by = MonthsForm(request.GET).days(request.desk.today), request.desk.actor
    if asked is None:
        raise Http404
    found = list(received(*asked, by=by))
    journal.record(Permission.CORRECTION_READ, record_type="correction", uids=[one.uid for one in found])
    about = {
        d.institution_id: d
        for d in InstitutionDetails.objects.filter(institution_id__in={a.institution_id for a in found}).order_by(
            "starts_on"
        )
    }
    rows = [row for one in found for row in _register_rows(one, about[one.institution_id], by)]
    return table_file(
        request, Words("更正申請登記簿"), TITLES, rows, f"corrections-{asked[0]:%Y%m}-{asked[1]:%Y%m}", file_format
    )


def _register_rows(application: Application, institution: InstitutionDetails, by: Actor) -> Iterator[list[Cell]]:
    ended = application.decided_at
    for one in compared(application, (), by=by):
        changed = [row for row in one.rows if row.changed]
        yield [
            application.case_no or "", application.sent_at, _("紙本") if application.on_paper else _("線上"),
            institution.code, institution.name, application.case.person.masked_identity, one.item.visit_on, one.kind.label,
            "、".join(map(str, one.groups)), *("；".join(f"{row.label}：{text}" for row in changed if (text := getattr(row, side))) for side in ("before", "after")),
            application.reason, STATES[State(application.state)].label, one.item.get_rejected_for_display() if one.item.rejected_for else "",
            ended, (ended - application.sent_at).days if ended and application.sent_at else None,
        ]  # fmt: skip


# --- One application -------------------------------------------------------------------------------------------------------


class StepForm(Form):
    """A step: the version that was looked at, and what is written with it."""

    version = forms.IntegerField(widget=forms.HiddenInput)
    text = shown(
        PlainTextField(label=Words("內容"), max_length=REASON_LENGTH, lines=True, required=False), grow=True, asked=True
    )


class DecisionForm(StepForm):
    """What the desk says of each item. (Linked items are decided as one: the form asks once.)"""

    def __init__(self, items: list[Any], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.places = _decided_together(items)
        for place, label in self.places.items():
            self.fields[f"item-{place}"] = forms.ChoiceField(
                label=label, choices=[("approved", Words("核可")), ("rejected", Words("退回"))],
                widget=forms.RadioSelect, required=False,
            )  # fmt: skip
            self.fields[f"rejected_for-{place}"] = shown(
                forms.ChoiceField(
                    label=Words("退回原因"), required=False, help_text=Words("退回時必選"),
                    choices=[("", Words("請選擇")), *((one.value, one.label) for one in Rejection)],
                ),
                asked=True,
            )  # fmt: skip
        self.fields["text"].label = Words("給機構的說明")
        self.order_fields([name for name in self.fields if name != "text"] + ["text"])

    def decisions(self, items: list[Any]) -> dict[UUID, Decision]:
        """What was chosen, for each item."""
        first = min((place for place, item in enumerate(items) if item.linked), default=None)
        given = {}
        for place, item in enumerate(items):
            asked = first if item.linked else place
            decision = self.cleaned_data.get(f"item-{asked}", "")
            given[item.uid] = Decision(decision, self.cleaned_data.get(f"rejected_for-{asked}", ""))
        return given


def _decided_together(items: list[Any]) -> dict[int, str]:
    """The places that are asked about, with what they are called; of linked items the first stands for all."""
    places: dict[int, str] = {}
    linked = [ITEM_KINDS[ItemKind(item.kind)].label for item in items if item.linked]
    for place, item in enumerate(items):
        if item.linked:
            if linked:
                places[place] = "＋".join(map(str, linked))
                linked = []
            continue
        places[place] = ITEM_KINDS[ItemKind(item.kind)].label
    return places


class WhyForm(Form):
    """Reason and discovery date of a draft, written anew."""

    version = forms.IntegerField(widget=forms.HiddenInput)
    reason = shown(
        PlainTextField(label=Words("原因"), max_length=REASON_LENGTH, lines=True, required=False), grow=True, asked=True
    )
    discovered_on = shown(RocDateField(label=Words("發現日"), required=False), width="m", asked=True)


def _application_or_404(request: Request, uid: UUID) -> Application:
    found = application_of(uid, by=request.desk.actor)
    if found is None:
        raise Http404
    return found


@needs(Permission.CORRECTION_READ)
@require_safe
def correction_show(request: Request, uid: UUID) -> HttpResponse:
    """One application: what it would change, the facts, what was said, what can be done."""
    application = _application_or_404(request, uid)
    services.see_decision(application=application, by=request.desk.actor)
    return _show(request, application)


def _show(
    request: Request, application: Application, form: Form | None = None, step: Step | None = None, status: int = 200,
    *, whole: bool = False,
) -> HttpResponse:  # fmt: skip
    by = request.desk.actor
    items = list(application.items.select_related("visit__case__person", "identity").order_by("position"))
    open_now = application.state in OPEN
    problems = []
    if open_now:
        problems = services.trial(application, items, by=by)
    else:
        journal.record(
            Permission.CORRECTION_READ, record_type="correction", uids=[application.uid, application.case.uid]
        )
    single = services.accounts_of(application.institution_id) == 1
    steps = [one for one in Step if _offered(request, application, one, single)]
    bound = {step: form} if step else {}
    found = compared(application, problems, whole=whole, by=by)
    details = (
        InstitutionDetails.objects.filter(institution_id=application.institution_id).order_by("-starts_on").first()
    )
    context = {
        "application": application, "case": application.case, "standing": STATES[State(application.state)],
        "compared": found, "problems": problems, "institution": details,
        "groups": groups_of(row.field for one in found for row in one.rows if row.changed),
        "steps": {str(one): bound.get(one) or _form_of(one, application, items) for one in steps},
        "taken": application.steps.select_related("by"), "failed": form, "single": single,
        "settled": services.touches_settled(application), "is_open": open_now,
        "late_days": _late_days(application), "until": due(application),
        "whole": whole, "with_person": any(item.kind == ItemKind.PERSON for item in items),
        "others": sum(others_with_number(item, by=by) for item in items if open_now and by.may(Permission.CORRECTION_DECIDE)),
        "with_visits": any(item.visit_on for item in items),
    }  # fmt: skip
    return render(request, "corrections/show.html", context | evidence_of(request, application), status=status)


@needs(Permission.IDENTITY_SHOW)
@require_http_methods(["GET", "HEAD", "POST"])
def correction_identity(request: Request, uid: UUID) -> HttpResponse:
    """The same page with whole identity numbers; journaled by itself. Only its button shows them, never an address."""
    application = _application_or_404(request, uid)
    if request.method != "POST":
        return redirect("correction_show", uid)
    journal.record(Permission.IDENTITY_SHOW, record_type="correction", uids=[application.uid, application.case.uid])
    return _show(request, application, whole=True)


def _late_days(application: Application) -> int | None:
    """Days between the earliest true visit day and its discovery."""
    days = [item.visit_on for item in application.items.all() if item.visit_on]
    return (application.discovered_on - min(days)).days if days else None


def _form_of(step: Step, application: Application, items: list[Any]) -> Form:
    initial = {"version": application.version}
    if step is Step.DECIDE:
        return DecisionForm(items, initial=initial)
    if step is Step.REWRITE:
        return WhyForm(
            initial=initial | {"reason": application.reason, "discovered_on": application.discovered_on},
        )
    form = StepForm(initial=initial, auto_id=f"{step}_%s")
    form.fields["text"].label = _TEXTS.get(step, Words("說明"))
    return form


_TEXTS = {
    Step.HAND_BACK: Words("要修改什麼"),
    Step.ASK: Words("要問機構的事"),
    Step.ANSWER: Words("回覆"),
    Step.REFER_BACK: Words("不同意的理由"),
    Step.WITHDRAW: Words("撤回原因"),
}


def _offered(request: Request, application: Application, step: Step, single: bool) -> bool:
    """True where the page offers a step: its state, the permission, and whose turn it is. (The services say it again.)

    `single`: the institution has one account.
    """
    by, way = request.desk.actor, TRANSITIONS[step]
    if not by.may(way.permission) or State(application.state) not in way.from_states:
        return False
    mine, writer = application.claimed_by_id == by.account_id, application.written_by_id == by.account_id
    if step in (Step.RELEASE, Step.ASK, Step.DECIDE):
        return mine
    if step is Step.CLAIM:
        return by.account_id not in (application.written_by_id, application.signed_by_id)
    if step in (Step.CONFIRM, Step.REFER_BACK):
        return by.account_id not in (application.decided_by_id, application.written_by_id)
    if step is Step.SUBMIT:
        return not single
    if step is Step.SIGN:
        return single or (application.state == State.TO_SIGN and not writer)
    return step is not Step.HAND_BACK or not writer


@needs(Permission.CORRECTION_READ)
@require_http_methods(["POST"])
def correction_step(request: Request, uid: UUID, step: str) -> HttpResponse:
    """Take a step with an application."""
    application, taken = _application_or_404(request, uid), Step(step)
    by = request.desk.actor
    if not by.may(TRANSITIONS[taken].permission):
        raise PermissionDenied(step)
    if taken is Step.SIGN and not proved_again(request, f"{application.uid} {application.version}"):
        return sign_in_again(request)
    items = list(application.items.order_by("position"))
    form: Form = StepForm(request.POST, auto_id=f"{step}_%s")
    if taken is Step.DECIDE:
        form = DecisionForm(items, request.POST)
    elif taken is Step.REWRITE:
        form = WhyForm(request.POST)
    if not form.is_valid():
        return _show(request, application, form, taken, status=422)
    try:
        done = _take(taken, application, items, form, request)
    except Refused as refused:
        add_problems(form, _in_the_form(refused.problems, form))
        return _show(request, _application_or_404(request, uid), form, taken, status=422)
    except Stale:
        messages.error(request, _("這件申請剛才有人處理過，請看過現在的內容再決定。"))
        return redirect("correction_show", uid)
    messages.success(request, _done(taken, done))
    return redirect("correction_show", uid)


def _in_the_form(problems: list[Problem], form: Form) -> list[Problem]:
    """Problems of an item that the form asks about together with another stand above the form, where they say more."""
    here = [one for one in problems if one.field in form.fields]
    said_here = {one.message for one in here}
    return here + [
        Problem(one.code, one.message, None, one.policy)
        for one in problems
        if one.field not in form.fields and one.message not in said_here
    ]


def _take(step: Step, application: Application, items: list[Any], form: Form, request: Request) -> Application:
    data = form.cleaned_data
    given: dict[str, Any] = {"application": application, "version": data["version"], "by": request.desk.actor}
    if step is Step.REWRITE:
        return services.rewrite_application(
            reason=data["reason"], discovered_on=data["discovered_on"], items=services.items_of(application), **given
        )
    if step is Step.DECIDE:
        assert isinstance(form, DecisionForm)
        return services.decide_application(decisions=form.decisions(items), text=data["text"], **given)
    plain = {
        Step.SUBMIT: services.submit_application, Step.SIGN: services.sign_application,
        Step.CLAIM: services.claim_application, Step.RELEASE: services.release_application,
    }  # fmt: skip
    if step in plain:
        return plain[step](**given)
    written = {
        Step.HAND_BACK: services.hand_back_application, Step.WITHDRAW: services.withdraw_application,
        Step.ASK: services.ask_institution, Step.ANSWER: services.answer_application,
        Step.CONFIRM: services.confirm_application, Step.REFER_BACK: services.refer_back,
    }  # fmt: skip
    return written[step](text=data["text"], **given)


def _done(step: Step, application: Application) -> str:
    number = application.case_no or ""
    sentences = {
        Step.REWRITE: _("已修改草稿。"),
        Step.SUBMIT: _("已送簽核。業務主管登入後可以簽核送出。"),
        Step.SIGN: _("已簽核並送出，案件編號 %(number)s。"),
        Step.HAND_BACK: _("已退回填寫人。"),
        Step.WITHDRAW: _("已撤回。"),
        Step.CLAIM: _("由您審核 %(number)s。"),
        Step.RELEASE: _("%(number)s 已放回待審。"),
        Step.ASK: _("已詢問機構，等機構回覆。"),
        Step.ANSWER: _("已回覆管理窗口。"),
        Step.REFER_BACK: _("%(number)s 已退回承辦人。"),
    }
    ended = {
        State.APPROVED: _("已核可 %(number)s，紀錄已更正。"),
        State.IN_PART: _("已部分核可 %(number)s，核可的部分已更正。"),
        State.REJECTED: _("已退回 %(number)s，紀錄沒有變動。"),
        State.SECOND: _("%(number)s 是單人機構的申請，等另一位承辦人複審。"),
    }
    return (sentences.get(step) or ended[State(application.state)]) % {"number": number}
