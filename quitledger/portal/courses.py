"""療程次變動: recorded services whose course got another number through a later write. For the desk."""

from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from quitledger.accounts.permissions import Permission
from quitledger.audit import journal
from quitledger.visits.merge_services import merges
from quitledger.visits.queries import course_findings

from .permissions import needs
from .transactions import Request

PAGE_ROWS = 50


@needs(Permission.COURSE_REVIEW)
@require_safe
def course_finding_list(request: Request) -> HttpResponse:
    """The findings, newest first. `beyond=1`: only services now in a course beyond the yearly number."""
    beyond = request.GET.get("beyond") == "1"
    page = Paginator(course_findings(by=request.desk.actor, beyond=beyond), PAGE_ROWS).get_page(request.GET.get("page"))
    journal.record(Permission.COURSE_REVIEW, record_type="visit", uids=[row.visit.uid for row in page])
    causes = [row.caused_by for row in page if row.caused_by]
    by_merge = set(merges(by=request.desk.actor).filter(uid__in=causes).values_list("uid", flat=True))
    return render(request, "visits/course_findings.html", {"page": page, "beyond": beyond, "by_merge": by_merge})
