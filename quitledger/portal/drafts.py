"""Drafts of the forms of a visit: they keep themselves while somebody types, and are there wherever he goes on.

The form sends itself to its own address with `keep_draft` (draft.js while typing, or the button), which answers 204 or
leads back; `discard_draft` removes the draft. A page opened without anything typed shows the draft, where there is one.
"""

from django.contrib import messages
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from quitledger.cases.models import Case
from quitledger.policy.problem import Refused
from quitledger.visits.models import Draft, Visit
from quitledger.visits.services import discard_draft, drafts_of, keep_draft

from .kept_forms import FIELD
from .transactions import Request

_NOT_TYPED = {"csrfmiddlewaretoken", FIELD, "keep_draft", "discard_draft", "draft", "add_line", "repeat"}


def answered(request: Request, case: Case, visit: Visit | None = None) -> HttpResponse | None:
    """The answer to a form that was sent to be kept as a draft, or to have its draft removed; None for any other."""
    if "discard_draft" in request.POST:
        discard_draft(case=case, visit=visit, by=request.desk.actor)
        messages.success(request, _("已捨棄草稿。"))
        return redirect(request.path)
    if "keep_draft" not in request.POST:
        return None
    typed = {name: texts for name, texts in request.POST.lists() if name not in _NOT_TYPED}
    by_itself = request.POST["keep_draft"] == "auto"
    try:
        keep_draft(case=case, visit=visit, contents=typed, by=request.desk.actor)
    except Refused as refused:
        if by_itself:
            return HttpResponse(status=422)
        messages.error(request, refused.problems[0].message)
        return redirect(request.path)
    if by_itself:
        return HttpResponse(status=204)
    messages.success(request, _("已存為草稿。草稿還不是登錄資料，請在登錄期限內完成登錄。"))
    return redirect("visit_show", visit.uid) if visit else redirect("case_show", case.uid)


def draft_of(request: Request, case: Case, visit: Visit | None = None) -> Draft | None:
    """The draft that a page just opened goes on with."""
    return drafts_of(request.desk.actor).filter(case=case, visit=visit).first()


def typed_of(draft: Draft) -> QueryDict:
    """What was typed, as if it had been sent."""
    typed = QueryDict(mutable=True)
    for name, texts in draft.contents.items():
        typed.setlist(name, texts)
    return typed


def recorded(request: Request, case: Case, visit: Visit | None = None) -> None:
    """What was a draft is a record now: the form says whether there was one."""
    if request.POST.get("draft"):
        discard_draft(case=case, visit=visit, by=request.desk.actor)
