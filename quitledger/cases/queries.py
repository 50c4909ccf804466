"""Finding people again, within what the actor may see."""

from uuid import UUID

from django.db import connection
from django.db.models import Q, QuerySet

from quitledger.accounts.actors import Actor
from quitledger.accounts.permissions import Permission
from quitledger.policy.identity import normalise, recognise

from .models import Baseline, Case, Person
from .services import find_by_identity

MOST_FOUND = 20


def visible_cases(by: Actor) -> QuerySet[Case]:
    """The cases that the actor may see: an institution's own, the desk all. Raises PermissionDenied."""
    by.require(Permission.CASE_READ)
    cases = Case.objects.select_related("person")
    return cases.filter(institution_id=by.institution_id) if by.institution_id else cases


def visible_case(uid: UUID, *, by: Actor) -> Case | None:
    """One case with its person, as the actor may see it. Raises PermissionDenied.

    Asked at every page of a case and at every visit recorded, so that no query is built anew for it.
    """
    by.require(Permission.CASE_READ)
    with connection.cursor() as cursor:
        cursor.execute(_CASE, [uid])
        row = cursor.fetchone()
    if row is None:
        return None
    case = Case.from_db(None, _CASE_FIELDS, row[: len(_CASE_FIELDS)])
    case.person = Person.from_db(None, _PERSON_FIELDS, row[len(_CASE_FIELDS) :])
    return case if by.institution_id in (None, case.institution_id) else None


_CASE_FIELDS, _PERSON_FIELDS = ([f.attname for f in model._meta.concrete_fields] for model in (Case, Person))
_CASE = f"""
SELECT {", ".join([*(f"c.{name}" for name in _CASE_FIELDS), *(f"p.{name}" for name in _PERSON_FIELDS)])}
FROM cases_case c JOIN cases_person p ON p.id = c.person_id WHERE c.uid = %s
"""  # noqa: S608 - our own words


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
