"""證明文件 of an application: the list with its form (a part of the application's page), attach, take out, open.

The application's page includes "corrections/evidence.html" with what `evidence_of` gives.
"""

from typing import Any
from uuid import UUID

from csp.constants import NONE, UNSAFE_INLINE
from django import forms
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from quitledger.accounts.permissions import Permission
from quitledger.corrections.evidence import MEGABYTE, EvidenceKind, may_attach, most_bytes_on
from quitledger.corrections.evidence_services import asker_of, attach_evidence, open_evidence, remove_evidence
from quitledger.corrections.models import Application, Evidence
from quitledger.corrections.queries import application_of
from quitledger.corrections.rules import State
from quitledger.policy import parameter
from quitledger.policy.problem import Refused
from quitledger.policy.sentences import Sentence, Words

from .forms import Form, add_problems
from .headers import takes_files
from .languages import said
from .permissions import needs
from .transactions import Request

_ACCEPT = ".pdf,.jpg,.jpeg,.png,application/pdf,image/jpeg,image/png"  # a hint to the file chooser; the content decides
_FORM_BYTES = 65_536  # of a request beside the file
MOST_REQUEST_BYTES = max(one.value or 0 for one in parameter("evidence_most_megabytes").values) * MEGABYTE + _FORM_BYTES


class EvidenceForm(Form):
    """One file."""

    file = forms.FileField(
        label=Words("檔案"), allow_empty_file=True, widget=forms.FileInput(attrs={"accept": _ACCEPT})
    )  # fmt: skip

    def __init__(self, *args: Any, megabytes: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["file"].help_text = Sentence(
            "PDF、JPEG 或 PNG，最大 {most} MB。檔名不會保存，照片裡的位置等資訊會自動移除。", most=megabytes
        )


def application_or_404(request: Request, uid: UUID) -> Application:
    """The application with its case, where the actor may see it."""
    application = application_of(uid, by=request.desk.actor)
    if application is None:
        raise Http404
    return application


def evidence_of(request: Request, application: Application, form: EvidenceForm | None = None) -> dict[str, Any]:
    """What the part of the page shows: what is attached and, where something may be, the form."""
    asker, state = asker_of(application, request.desk.actor), State(application.state)
    may = may_attach(state, asker) and not application.case.person.is_emptied
    attached = application.evidence.filter(removed_at=None).select_related("uploaded_by")
    return {
        "application": application, "evidence": list(attached), "may_attach": may,
        "may_remove": state is State.DRAFT and not asker.of_desk,
        "evidence_form": (form or EvidenceForm(megabytes=_megabytes(request))) if may else None,
    }  # fmt: skip


@takes_files(MOST_REQUEST_BYTES)
@needs(Permission.CORRECTION_READ)
@require_http_methods(["GET", "HEAD", "POST"])
def correction_attach(request: Request, uid: UUID) -> HttpResponse:
    """Attach a file."""
    application = application_or_404(request, uid)
    if request.method != "POST":
        return _page(request, application)
    form = EvidenceForm(request.POST, request.FILES, megabytes=_megabytes(request))
    if form.is_valid():
        try:
            evidence = attach_evidence(
                application=application, content=form.cleaned_data["file"].read(), today=request.desk.today,
                by=request.desk.actor,
            )  # fmt: skip
        except Refused as refused:
            add_problems(form, refused.problems)
        else:
            return attached(request, evidence)
    return _page(request, application, form, status=422)


def attached(request: Request, evidence: Evidence) -> HttpResponse:
    """Back to the application, with the word that it is done."""
    messages.success(request, _("已附上：%(name)s。") % {"name": said(evidence.called)})
    return redirect("correction_show", evidence.application.uid)


@needs(Permission.CORRECTION_APPLY)
@require_POST
def correction_detach(request: Request, uid: UUID, evidence: UUID) -> HttpResponse:
    """Take a file out of a draft."""
    application = application_or_404(request, uid)
    found = _evidence_or_404(application, evidence)
    try:
        remove_evidence(evidence=found, by=request.desk.actor)
    except Refused as refused:
        return refused_page(request, application, refused)
    messages.success(request, _("已移除：%(name)s。") % {"name": said(found.called)})
    return redirect("correction_show", application.uid)


@needs(Permission.CORRECTION_READ)
@require_safe
def correction_evidence(request: Request, uid: UUID, evidence: UUID) -> HttpResponse:
    """The file. A picture was made anew and is shown; a PDF is only taken away."""
    application = application_or_404(request, uid)
    found = _evidence_or_404(application, evidence)
    try:
        content = open_evidence(evidence=found, by=request.desk.actor)
    except Refused:
        raise Http404 from None
    kind = EvidenceKind(found.kind)
    return file_answer(content, kind.content_type, found.file_name, shown=kind is not EvidenceKind.PDF)


def file_answer(content: bytes, content_type: str, name: str, *, shown: bool = False) -> HttpResponse:
    """A file as a browser is to take it: as what it is, under our name, and with no powers of our site.

    `shown`: a picture that we made; around it browsers put a page of their own, with a style of its own.
    """
    answer = HttpResponse(content, content_type=content_type)
    answer["Content-Disposition"] = f'{"inline" if shown else "attachment"}; filename="{name}"'
    if shown:
        answer._csp_replace = {"script-src": [NONE], "style-src": [UNSAFE_INLINE]}  # type: ignore[attr-defined]
    else:
        answer._csp_update = {"sandbox": True}  # type: ignore[attr-defined]
    return answer


def refused_page(request: Request, application: Application, refused: Refused) -> HttpResponse:
    """The application again, with why something was not done."""
    form = EvidenceForm({}, megabytes=_megabytes(request))
    form.full_clean()
    form.errors.clear()
    add_problems(form, refused.problems)
    return _page(request, application, form, status=422)


def _page(
    request: Request,
    application: Application,
    form: EvidenceForm | None = None,
    status: int = 200,
) -> HttpResponse:
    context = evidence_of(request, application, form) | {"refused_form": form if status != 200 else None}
    return render(request, "corrections/attach.html", context, status=status)


def _evidence_or_404(application: Application, uid: UUID) -> Evidence:
    found = application.evidence.select_related("application__case").filter(uid=uid).first()
    if found is None:
        raise Http404
    return found


def _megabytes(request: Request) -> int:
    return most_bytes_on(request.desk.today) // MEGABYTE
