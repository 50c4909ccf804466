"""What the desk is told of recorded services: that no contract covers them any longer, how many count to a quota.

A contract may be ended or corrected in retrospect. Nothing becomes invalid by that; the findings are derived anew
whenever they are asked for.
"""

from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Count, F, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce

from quitledger.accounts.actors import Actor
from quitledger.accounts.permissions import Permission
from quitledger.institutions.models import Quota
from quitledger.policy.sentences import Words

from .models import Service

INSTITUTION, STAFF = "institution", "staff"
REASONS = {
    INSTITUTION: Words("就醫日機構沒有合約"),
    STAFF: Words("就醫日人員沒有這項服務的合約"),
}


@dataclass(frozen=True)
class Finding:
    """A service in force on a day that the institution's or the staff member's contract does not cover."""

    visit_uid: UUID
    visit_on: date
    kind: str
    institution_code: str
    institution_name: str
    staff: str
    reason: str

    @property
    def words(self) -> str:
        """The reason in Chinese."""
        return REASONS[self.reason]


# Most staff have one contract that covers their first and their last service: only the others are looked at day by day.
_FOUND = """
WITH worked AS (
  SELECT institution_id, staff_id, kind, min(visit_on) AS first_on, max(visit_on) AS last_on
  FROM visits_service WHERE in_force GROUP BY institution_id, staff_id, kind),
looked_at AS (
  SELECT institution_id, staff_id, kind FROM worked w
  WHERE NOT EXISTS (SELECT FROM institutions_contract c WHERE c.institution_id = w.institution_id
      AND c.starts_on <= w.first_on AND coalesce(c.ends_on, 'infinity') >= w.last_on)
    OR NOT EXISTS (SELECT FROM institutions_staffcontract t WHERE t.institution_id = w.institution_id
      AND t.staff_id = w.staff_id AND t.starts_on <= w.first_on AND coalesce(t.ends_on, 'infinity') >= w.last_on
      AND CASE w.kind WHEN 'medication' THEN t.may_medicate ELSE t.may_counsel END)),
found AS (
  SELECT s.id, s.visit_id, s.visit_on, s.kind, s.institution_id, s.staff_id,
    NOT EXISTS (SELECT FROM institutions_contract c WHERE c.institution_id = s.institution_id
      AND s.visit_on BETWEEN c.starts_on AND coalesce(c.ends_on, 'infinity')) AS no_contract,
    NOT EXISTS (SELECT FROM institutions_staffcontract t WHERE t.institution_id = s.institution_id
      AND t.staff_id = s.staff_id AND s.visit_on BETWEEN t.starts_on AND coalesce(t.ends_on, 'infinity')
      AND CASE s.kind WHEN 'medication' THEN t.may_medicate ELSE t.may_counsel END) AS no_staff_contract
  FROM visits_service s JOIN looked_at l USING (institution_id, staff_id, kind) WHERE s.in_force)
SELECT v.uid, f.visit_on, f.kind, coalesce(d.code, ''), coalesce(d.name, ''), m.name,
  CASE WHEN f.no_contract THEN 'institution' ELSE 'staff' END
FROM found f
JOIN visits_visit v ON v.id = f.visit_id
JOIN institutions_staffmember m ON m.id = f.staff_id
LEFT JOIN LATERAL (SELECT code, name FROM institutions_institutiondetails WHERE institution_id = f.institution_id
  ORDER BY (f.visit_on BETWEEN starts_on AND coalesce(ends_on, 'infinity')) DESC, starts_on DESC LIMIT 1) d ON true
WHERE (f.no_contract OR f.no_staff_contract)
  AND (%(words)s = '' OR d.code = %(words)s OR strpos(d.name, %(words)s) > 0 OR strpos(m.name, %(words)s) > 0)
ORDER BY f.visit_on DESC, f.id DESC
"""


def findings(*, words: str = "", by: Actor) -> list[Finding]:
    """All findings, the newest visit first; `words`: a code or part of a name of institution or staff.

    Raises PermissionDenied. Journal the read.
    """
    by.require(Permission.REGISTER_READ)
    with connection.cursor() as cursor:
        cursor.execute(_FOUND, {"words": words})
        return [Finding(*row) for row in cursor.fetchall()]


def with_used(quotas: QuerySet[Quota]) -> QuerySet[Any]:
    """Quotas with `used`: the services in force of their kind that their institution has recorded in their year."""
    services = Service.objects.filter(
        institution=OuterRef("institution"), kind=OuterRef("kind"), in_force=True, visit_on__year=OuterRef("year")
    )
    counted = services.values("kind").annotate(used=Count("pk")).values("used")
    return quotas.annotate(used=Coalesce(Subquery(counted), 0))


def quotas_reached(institution_id: int, year: int) -> list[Any]:
    """The quotas of an institution and year that are used up, with `used`: a warning, never a refusal."""
    return list(with_used(Quota.objects.filter(institution_id=institution_id, year=year)).filter(used__gte=F("visits")))
