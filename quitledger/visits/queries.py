"""戒菸者就醫資料查詢: the one list of visits that page, downloads, JSON and person page read."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time
from itertools import groupby
from operator import itemgetter
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet

from quitledger.accounts.actors import Actor
from quitledger.accounts.keys import keys
from quitledger.accounts.permissions import Permission
from quitledger.cases.models import EMPTIED_NAME, EMPTIED_NUMBER, Baseline, Case
from quitledger.cases.rules import Eligibility
from quitledger.policy import TAIPEI
from quitledger.policy.identity import mask
from quitledger.policy.sentences import Sentence, Words

from .course_records import CourseBook
from .courses import KINDS, MEDICATION, Standing, standing
from .models import CourseFinding, Visit
from .rules import LABELS, CourseFacts, Facts, IntakeFacts, Timeliness, eligibility, month_of

# 登錄情形 in SQL; rules.timeliness says the same for one visit, and a test compares the two.
TIMELINESS = """CASE
    WHEN v.late_entry IS NOT NULL THEN 'late'
    WHEN v.recorded_at < (v.visit_on + coalesce(v.visit_time, '24:00'::time)) AT TIME ZONE 'Asia/Taipei'
                         + make_interval(hours => m.prompt_hours) THEN 'prompt'
    WHEN v.recorded_at < m.closes_at THEN 'in_window'
    ELSE 'late' END"""

SORTS = {
    "visit_on": "v.visit_on",
    "recorded_at": "v.recorded_at",
    "name": "(SELECT c.name FROM cases_case c WHERE c.id = v.case_id)",
}


@dataclass(frozen=True)
class VisitQuery:
    """What is asked for: visits from `first` to `last` (days, both included), narrowed by whatever is given."""

    first: date
    last: date
    case_uids: tuple[UUID, ...] = ()
    staff_uid: UUID | None = None
    kind: str = ""
    tags: frozenset[str] = frozenset(Timeliness)
    with_voided: bool = False
    institution_code: str = ""  # for the desk, which sees all
    sort: str = "-recorded_at"


@dataclass(frozen=True)
class ServiceRow:
    """One service of a listed visit: kind, staff as shown, and for medication its medicines and weeks."""

    kind: str
    staff: str
    mode: str = ""
    lines: tuple[tuple[str, int, int], ...] = ()  # medicine, weeks, days

    @property
    def label(self) -> str:
        """用藥 2 週 / 衛教."""
        weeks = max((weeks for _, weeks, _ in self.lines), default=0)
        return Sentence("{service} {weeks} 週", service=LABELS[self.kind], weeks=weeks) if weeks else LABELS[self.kind]


@dataclass(frozen=True)
class VisitRow:
    """A listed visit. The identity number is masked."""

    uid: UUID
    visit_on: date
    visit_time: time | None
    in_force: bool
    taken_over: bool
    version: int
    recorded_at: datetime
    closes_at: datetime
    timeliness: Timeliness
    case_uid: UUID
    name: str
    chart_no: str
    masked_identity: str
    institution_name: str
    cigarettes_per_day: int | None
    co_ppm: int | None
    note: str
    recorded_by: str
    services: tuple[ServiceRow, ...] = ()


@dataclass(frozen=True)
class Totals:
    """Counts over all that was found, not over the page: visits, by timeliness, and services by kind."""

    visits: int = 0
    tags: dict[str, int] = field(default_factory=dict)
    kinds: dict[str, int] = field(default_factory=dict)


_FROM = """
FROM visits_visit v
JOIN visits_servicemonth m ON m.institution_id = v.institution_id AND m.month = date_trunc('month', v.visit_on)::date
"""
# The services of the visits found, a row for each line: asked once for all of them.
_SERVICES = """
SELECT s.visit_id, s.kind, s.counselling_mode, t.profession, t.name, d.name, l.supply_weeks, l.supply_days
FROM visits_service s
LEFT JOIN institutions_staffmember t ON t.id = s.staff_id
LEFT JOIN visits_medicationline l ON l.service_id = s.id
LEFT JOIN visits_medicine d ON d.code = l.medicine_code
WHERE s.visit_id = ANY(%s) ORDER BY s.visit_id, s.kind DESC, l.id
"""
_PROFESSIONS = {"physician": "醫師", "dentist": "牙醫師", "pharmacist": "藥師", "counsellor": "衛教師"}


def _where(query: VisitQuery, by: Actor) -> tuple[str, dict[str, Any]]:
    """The conditions and their values. An institution sees its own visits, the desk all; nobody else any."""
    by.require(Permission.VISIT_READ)
    parts = ["v.visit_on BETWEEN %(first)s AND %(last)s"]
    values: dict[str, Any] = {"first": query.first, "last": query.last}
    if by.institution_id is not None:
        parts.append("v.institution_id = %(institution)s")
        values["institution"] = by.institution_id
    elif query.institution_code:
        parts.append(
            "v.institution_id IN (SELECT institution_id FROM institutions_institutiondetails WHERE code = %(code)s)"
        )
        values["code"] = query.institution_code
    if not query.with_voided:
        parts.append("v.in_force")
    if query.case_uids:
        parts.append("v.case_id IN (SELECT id FROM cases_case WHERE uid = ANY(%(cases)s))")
        values["cases"] = list(query.case_uids)
    if query.kind:
        parts.append("EXISTS (SELECT FROM visits_service s WHERE s.visit_id = v.id AND s.kind = %(kind)s)")
        values["kind"] = query.kind
    if query.staff_uid:
        parts.append(
            "EXISTS (SELECT FROM visits_service s JOIN institutions_staffmember t ON t.id = s.staff_id"
            " WHERE s.visit_id = v.id AND t.uid = %(staff)s)"
        )
        values["staff"] = query.staff_uid
    if query.tags != frozenset(Timeliness):
        parts.append(f"{TIMELINESS} = ANY(%(tags)s)")
        values["tags"] = sorted(query.tags)
    return " WHERE " + " AND ".join(parts), values


def totals(query: VisitQuery, *, by: Actor) -> Totals:
    """Counts of all visits found. Raises PermissionDenied."""
    where, values = _where(query, by)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {TIMELINESS} AS tag, count(*), sum(s.medication), sum(s.counselling) {_FROM}"  # noqa: S608 - our words
            " CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE kind = 'medication') AS medication,"
            "  count(*) FILTER (WHERE kind = 'counselling') AS counselling FROM visits_service WHERE visit_id = v.id) s"
            f"{where} GROUP BY tag",
            values,
        )
        rows = cursor.fetchall()
    return Totals(
        visits=sum(row[1] for row in rows),
        tags={tag: sum(row[1] for row in rows if row[0] == tag) for tag in Timeliness},
        kinds={"medication": int(sum(row[2] for row in rows)), "counselling": int(sum(row[3] for row in rows))},
    )


def search(query: VisitQuery, *, by: Actor, limit: int | None = None, offset: int = 0) -> Iterator[VisitRow]:
    """The visits found, sorted, from `offset` on, at most `limit`. Raises PermissionDenied. Journal the read."""
    where, values = _where(query, by)
    column = SORTS.get(query.sort.lstrip("-"), SORTS["recorded_at"])
    direction = "DESC" if query.sort.startswith("-") else "ASC"
    with connection.cursor() as cursor:
        # Sorted and cut first, so that names are looked up for the rows of the page alone.
        cursor.execute(
            f"WITH found AS (SELECT v.*, m.closes_at, {TIMELINESS} AS timeliness,"  # noqa: S608 - our own words
            f" row_number() OVER (ORDER BY {column} {direction}, v.id {direction}) AS place"
            f" {_FROM}{where} ORDER BY place LIMIT %(limit)s OFFSET %(offset)s)"
            " SELECT v.id, v.uid, v.visit_on, v.visit_time, v.in_force, v.taken_over, v.version, v.recorded_at, v.closes_at,"
            " v.timeliness, c.uid, c.name, c.chart_no, p.identity_token, p.identity_key_id,"
            " (SELECT d.name FROM institutions_institutiondetails d WHERE d.institution_id = v.institution_id"
            "   AND daterange(d.starts_on, d.ends_on, '[]') @> v.visit_on LIMIT 1),"
            " v.cigarettes_per_day, v.co_ppm, v.note,"
            " (SELECT u.display_name FROM accounts_user u WHERE u.id = v.recorded_by_id)"
            " FROM found v JOIN cases_case c ON c.id = v.case_id JOIN cases_person p ON p.id = v.person_id ORDER BY v.place",
            values | {"limit": limit, "offset": offset},
        )
        rows = cursor.fetchall()
        cursor.execute(_SERVICES, [[row[0] for row in rows]])
        services = _services(cursor.fetchall())
    for row in rows:
        yield _row(row, services[row[0]])


def _services(rows: list[tuple[Any, ...]]) -> dict[int, list[ServiceRow]]:
    """The services of each visit, out of the rows of _SERVICES."""
    found: dict[int, list[ServiceRow]] = defaultdict(list)
    for service, lines in groupby(rows, key=itemgetter(slice(5))):
        visit_id, kind, mode, profession, name = service
        staff = (
            Sentence("{profession} {name}", profession=Words(_PROFESSIONS[profession]), name=name)
            if name
            else Words("（未填）")
        )
        found[visit_id].append(ServiceRow(kind, staff, mode, tuple(line[5:] for line in lines if line[5])))
    return found


def _row(row: tuple[Any, ...], services: list[ServiceRow]) -> VisitRow:
    _, uid, visit_on, visit_time, in_force, taken_over, version, recorded_at, until, tag, case_uid, name, chart_no = (
        row[:13]
    )
    token, key_id, institution_name, cigarettes_per_day, co_ppm, note, recorded_by = row[13:]
    return VisitRow(
        uid, visit_on, visit_time, in_force, taken_over, version, recorded_at, until, Timeliness(tag), case_uid,
        name or EMPTIED_NAME, chart_no,
        EMPTIED_NUMBER if token is None else mask(keys().decrypt(token, key_id, about=b"identity")), institution_name or "", cigarettes_per_day, co_ppm, note,
        recorded_by or "", tuple(services),
    )  # fmt: skip


def course_facts(case: Case) -> CourseFacts:
    """The services of a case's person at all institutions, as the rules of courses need them. Journal the read."""
    return CourseBook.read([case.pk]).facts(case)


def eligibility_on(case: Case, day: date, courses: CourseFacts, *, pregnant: bool = False) -> Eligibility:
    """Whether medication could be given to a case's person on `day`: by the intakes of this institution and the
    `courses` of all.

    Raises PolicyGap.
    """
    intakes = Baseline.objects.filter(case=case).order_by("recorded_at")
    facts = Facts(
        moment=datetime.combine(day, time(), TAIPEI), closes_at=None, birth_on=case.person.birth_on,
        sex=case.person.sex, contracts=(), staff={}, medicines={},
        baselines=[
            IntakeFacts(*values)
            for values in intakes.values_list("taken_on", "ftnd_score", "cigarettes_per_day", "insured")
        ],
        courses=courses,
    )  # fmt: skip
    return eligibility(courses.service(MEDICATION, day, None, 1), pregnant, facts)


def standings_on(day: date, courses: CourseFacts) -> list[Standing]:
    """Where the person stands on `day`, for each kind of service, and what one given here then would do.

    The least there is to give: a week of medication, a visit of counselling. Raises PolicyGap.
    """
    return [
        standing(kind, day, courses.service(kind, day, None, 1 if kind == MEDICATION else 0), courses.services)
        for kind in KINDS
    ]


def course_findings(*, by: Actor, beyond: bool = False) -> QuerySet[CourseFinding]:
    """Services whose course got another number through a later write, newest first; `beyond`: only those now beyond
    the yearly number. Raises PermissionDenied. Journal the read.
    """
    by.require(Permission.COURSE_REVIEW)
    found = CourseFinding.objects.select_related("visit__case__person").order_by("-found_at", "-pk")
    return found.filter(is_allowed=False) if beyond else found


def visible_visit(uid: UUID, *, by: Actor) -> tuple[Visit, VisitRow] | None:
    """One visit, in force or voided, as the actor may see it; None where there is none. Raises PermissionDenied."""
    by.require(Permission.VISIT_READ)
    visits = Visit.objects.select_related("case__person")
    if by.institution_id:
        visits = visits.filter(institution_id=by.institution_id)
    visit = visits.filter(uid=uid).first()
    if visit is None:
        return None
    asked = VisitQuery(visit.visit_on, visit.visit_on, case_uids=(visit.case.uid,), with_voided=True)
    return visit, next(row for row in search(asked, by=by) if row.uid == uid)


def last_visit(case: Case) -> Visit | None:
    """The latest visit in force of a case."""
    return Visit.objects.filter(case=case, in_force=True).order_by("-visit_on", "-pk").first()


def closes_at(institution_id: int, day: date) -> datetime | None:
    """The first moment at which visits of the day's month can no longer be recorded there; None where not known."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT visits_closes_at(%s, %s)", [institution_id, month_of(day)])
        return cursor.fetchone()[0]


def extension_reason(institution_id: int, day: date) -> str:
    """Why the window of the day's month was extended for the institution (the extension in force); "" when it was not."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT e.reason FROM visits_windowextension e JOIN visits_month m USING (month)"
            " WHERE e.month = %(month)s AND e.closes_at > m.closes_at"
            " AND e.closes_at = visits_closes_at(%(institution)s, %(month)s)"
            # Another county's may end at the same moment: which county counts is said in visits_closes_at.
            " AND (e.reach = 'all' OR e.institution_id = %(institution)s OR e.county = ("
            "   SELECT d.county FROM institutions_institutiondetails d WHERE d.institution_id = %(institution)s"
            "   ORDER BY daterange(d.starts_on, d.ends_on, '[]') @> (e.month + interval '1 month - 1 day')::date DESC,"
            "     d.starts_on DESC LIMIT 1))"
            " ORDER BY e.decided_at DESC LIMIT 1",
            {"month": month_of(day), "institution": institution_id},
        )
        row = cursor.fetchone()
    return row[0] if row else ""


def drafts_left(institution_id: int) -> dict[int, int]:
    """How many drafts each account has at an institution, by the account's key. Raises where it is not in scope."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT account_id, drafts FROM visits_count_drafts(%s)", [institution_id])
        return dict(cursor.fetchall())
