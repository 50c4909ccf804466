"""Paper: 個案紀錄表 and 更正申請單 as PDF. Masked by their address; whole only where the institution asks for it by a button."""

from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods, require_POST

from quitledger.accounts.permissions import Permission
from quitledger.audit import journal
from quitledger.cases.models import Case
from quitledger.cases.services import show_identity
from quitledger.corrections.evidence import Origin
from quitledger.corrections.evidence_services import attach_evidence
from quitledger.interop.case_sheet import case_sheet as sheet_of
from quitledger.interop.correction_form import correction_form as form_of
from quitledger.policy.problem import Refused

from .cases import case_or_404
from .downloads import MADE_UP
from .evidence import application_or_404, attached, file_answer, refused_page
from .permissions import needs
from .transactions import Request

_PDF = "application/pdf"


@needs(Permission.CASE_READ)
@require_http_methods(["GET", "HEAD", "POST"])
def case_sheet(request: Request, uid: UUID) -> HttpResponse:
    """個案紀錄表. Sent as a form by the institution: with the whole identity number, journaled by itself."""
    case = case_or_404(request, uid)
    if case.person.is_emptied:
        return redirect("case_show", case.uid)
    number = _number(request, case)
    journal.record("case.sheet", record_type="case", uids=[case.uid])
    made = sheet_of(case, number=number, today=request.desk.today, made_up=_made_up(request), by=request.desk.actor)
    return file_answer(made, _PDF, f"case-sheet-{request.desk.today:%Y%m%d}.pdf")


@needs(Permission.CORRECTION_READ)
@require_http_methods(["GET", "HEAD", "POST"])
def correction_form(request: Request, uid: UUID) -> HttpResponse:
    """附錄九 更正申請單. Sent as a form by the institution: with the whole identity number, journaled by itself."""
    application = application_or_404(request, uid)
    whole = _whole(request, application.case)
    number = _number(request, application.case)
    journal.record("correction.form", record_type="correction", uids=[application.uid, application.case.uid])
    made = form_of(
        application, number=number, whole=whole, address=request.build_absolute_uri(f"/corrections/{application.uid}"),
        today=request.desk.today, made_up=_made_up(request), by=request.desk.actor,
    )  # fmt: skip
    return file_answer(made, _PDF, f"correction-form-{application.case_no or 'draft'}.pdf")


@needs(Permission.CORRECTION_READ)
@require_POST
def correction_attach_sheet(request: Request, uid: UUID) -> HttpResponse:
    """Attach the 個案紀錄表 as it is today, with the number masked: the desk knows the person from the application."""
    application = application_or_404(request, uid)
    desk, case = request.desk, application.case
    made = sheet_of(
        case, number=case.person.masked_identity, today=desk.today, made_up=_made_up(request), by=desk.actor
    )
    try:
        evidence = attach_evidence(
            application=application, content=made, origin=Origin.CASE_SHEET, today=desk.today, by=desk.actor
        )
    except Refused as refused:
        return refused_page(request, application, refused)
    return attached(request, evidence)


def _number(request: Request, case: Case) -> str:
    """The identity number as it is to be printed; the whole one is journaled."""
    return show_identity(case=case, by=request.desk.actor) if _whole(request, case) else case.person.masked_identity


def _whole(request: Request, case: Case) -> bool:
    """True where identity numbers are printed whole: a form of the institution asks for it."""
    return request.method == "POST" and request.desk.actor.institution_id is not None and not case.person.is_emptied


def _made_up(request: Request) -> str:
    return MADE_UP.get(request.desk.purpose, "")
