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
    """One case with its person, as the actor may see it; of a person who was merged, the case that took its place.

    Asked at every page of a case and at every visit recorded, so that no query is built anew for it. Raises
    PermissionDenied.
    """
    case = _case(uid, by=by)
    return kept_case(case) if case is not None and case.person.is_merged else case


def kept_case(case: Case) -> Case:
    """The case of the same institution that took the place of one whose person was merged; any other case itself."""
    into = case.person.merged_into_id
    if into is None:
        return case
    kept = Case.objects.select_related("person").get(person_id=into, institution_id=case.institution_id)
    kept.found_as = case
    return kept


def merged_cases(case: Case) -> QuerySet[Case]:
    """The cases of the same institution in whose place this one stands, as they were called."""
    merged = Case.objects.filter(person__merged_into=case.person_id, institution_id=case.institution_id)
    return merged.select_related("person").order_by("pk")


def case_versions(case: Case) -> list[tuple[int, dict[str, str]]]:
    """How a case was called, version by version, the newest first: name, chart_no, phone."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT version, name, chart_no, phone FROM cases_case_history WHERE id = %s ORDER BY history_id DESC",
            [case.pk],
        )
        return [
            (version, {"name": name, "chart_no": chart_no, "phone": phone}) for version, name, chart_no, phone in cursor
        ]


def _case(uid: UUID, *, by: Actor) -> Case | None:
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

    In the place of a case whose person was merged stands the one that took its place, once, with what it was found as.
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
    return list({kept.pk: kept for kept in map(kept_case, reversed(found))}.values())[::-1]


def baselines_of(case: Case) -> QuerySet[Baseline]:
    """The intakes of a case, latest first."""
    return Baseline.objects.filter(case=case).order_by("-taken_on", "-recorded_at")
