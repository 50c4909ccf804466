"""Finding people again, within what the actor may see."""

from django.db.models import Q, QuerySet

from quitledger.accounts.actors import Actor
from quitledger.accounts.permissions import Permission

from .identity import normalise, recognise
from .models import Baseline, Case
from .services import find_by_identity

MOST_FOUND = 20


def visible_cases(by: Actor) -> QuerySet[Case]:
    """The cases that the actor may see: an institution's own, the desk all. Raises PermissionDenied."""
    by.require(Permission.CASE_READ)
    cases = Case.objects.select_related("person")
    return cases.filter(institution_id=by.institution_id) if by.institution_id else cases


def find_cases(text: str, *, by: Actor) -> list[Case]:
    """Cases by exact identity number, exact chart number, or part of the name; at most MOST_FOUND, by name.

    Raises PermissionDenied. Journal the read.
    """
    text = text.strip()
    cases = visible_cases(by)
    if not text:
        return []
    if recognise(text):
        return find_by_identity(number=text, by=by)
    found = list(cases.filter(Q(chart_no__iexact=text) | Q(name__icontains=text)).order_by("name", "pk")[:MOST_FOUND])
    if not found and len(normalise(text)) >= 5:  # a passport number looks like nothing else
        found = find_by_identity(number=text, by=by)
    return found


def baselines_of(case: Case) -> QuerySet[Baseline]:
    """The intakes of a case, latest first."""
    return Baseline.objects.filter(case=case).order_by("-taken_on", "-recorded_at")
