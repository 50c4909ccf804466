"""Read models of the self-check: one institution's month as its page shows it, and all institutions' for the desk.

Everything is read from the rows as they are now. An institution's month is read in a few statements, however many visits
it has; the rules look through them. The desk's lists are one statement each.
"""

import calendar
import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet

from quitledger.accounts.actors import Actor
from quitledger.accounts.permissions import Permission
from quitledger.cases.models import Case
from quitledger.cases.rules import BaselineFacts, baseline_of_course
from quitledger.institutions.models import Profession, Tier
from quitledger.policy import DateError, parse_date, policy_on
from quitledger.policy.rounding import rounded
from quitledger.policy.sentences import Words
from quitledger.visits.models import Visit
from quitledger.visits.queries import TIMELINESS, closes_at, drafts_left
from quitledger.visits.rules import COUNSELLING, MEDICATION, Period, StaffPeriod, Timeliness, month_of
from quitledger.visits.services import drafts_of

from .models import SignOff
from .rules import (
    Around,
    Books,
    Check,
    DraftFacts,
    Finding,
    Ground,
    Grounds,
    Level,
    MonthVisit,
    Signed,
    Standing,
    Validity,
    check_cases,
    check_drafts,
    check_visits,
    grounds_changed,
    level_of,
    standing,
    visits_changed,
)

SUNDAY = 6


def next_month(month: date) -> date:
    """The first day of the month after (the first day of) `month`."""
    return (month + timedelta(days=31)).replace(day=1)


# --- One institution's month -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Day:
    """A day of the calendar: how many visits in force, how many findings that keep the month from being whole.

    `in_month` is False for the days that fill the first and the last week.
    """

    on: date
    in_month: bool
    visits: int = 0
    incomplete: int = 0


@dataclass(frozen=True)
class Differences:
    """How findings of visits differ from those of a sign-off: how many are new, how many are there no more."""

    new: int
    gone: int


def differences(sign_off: SignOff | None, findings: Iterable[Finding]) -> Differences:
    """How findings differ from those kept with a sign-off. Of visits alone: what is said of a case is a matter of days."""
    before = Counter(
        (one["check"], one["uid"]) for one in (sign_off.seen["findings"] if sign_off else ()) if one["of"] == "visit"
    )
    now = Counter((one.check.value, str(one.visit)) for one in findings if one.visit)
    return Differences((now - before).total(), (before - now).total())


@dataclass(frozen=True)
class MonthCheck:
    """A month as its page shows it.

    `closes_at`: the first moment at which nothing can be changed any more. `days`: visits in force on each day that has
    any; `tags`: by timeliness. `drafts`: those of the account that looks, `others_drafts` how many its colleagues have.
    `late`: its drafts of months that closed before. `signed`: the latest sign-off.
    """

    month: date
    moment: datetime
    closes_at: datetime
    books: Books
    days: Mapping[date, int]
    tags: Mapping[str, int]
    findings: Sequence[Finding]
    drafts: Sequence[Finding]
    late: Sequence[Finding]
    others_drafts: int
    signed: SignOff | None

    @property
    def is_open(self) -> bool:
        """True while the institution can still record and change."""
        return self.moment < self.closes_at

    @cached_property
    def visits(self) -> int:
        """Visits in force."""
        return sum(self.days.values())

    @cached_property
    def incomplete(self) -> list[Finding]:
        """What keeps the month from being whole."""
        return [one for one in self.findings if one.level is Level.INCOMPLETE]

    @cached_property
    def standing(self) -> Standing:
        """How the month stands now."""
        return standing(signed_of(self.signed), self.books, self.visits)

    @property
    def visits_changed(self) -> bool:
        """True when a visit of the month was changed after the latest sign-off."""
        signed = signed_of(self.signed)
        return signed is not None and visits_changed(signed, self.books)

    @property
    def grounds_changed(self) -> list[Ground]:
        """What else of the page was changed since."""
        signed = signed_of(self.signed)
        return grounds_changed(signed, self.books) if signed else []

    @cached_property
    def since_signed(self) -> Differences:
        """How the findings of visits differ from those of the latest sign-off."""
        return differences(self.signed, self.findings)

    @cached_property
    def checks(self) -> list[tuple[Check, Level, int]]:
        """The checks that found something, in their order, with how often."""
        counted = Counter((one.check, one.level) for one in self.findings)
        return [(check, level, counted[check, level]) for check in Check for level in Level if counted[check, level]]

    @property
    def shares(self) -> list[tuple[Timeliness, int, Decimal | None]]:
        """Visits and their share of all (percent), by timeliness."""
        return [(tag, self.tags.get(tag, 0), percent(self.tags.get(tag, 0), self.visits)) for tag in Timeliness]

    @property
    def weeks(self) -> list[list[Day]]:
        """The calendar, weeks from Sunday on."""
        return weeks_of(self.month, self.days, Counter(one.day for one in self.incomplete))


def percent(part: int, whole: int) -> Decimal | None:
    """The share in percent, two decimals, round half up; None where there is nothing to share."""
    return rounded(Decimal(100 * part) / whole, 2) if whole else None


def weeks_of(month: date, days: Mapping[date, int], incomplete: Mapping[date, int]) -> list[list[Day]]:
    """The calendar of a month, weeks from Sunday on."""
    return [
        [Day(on, on.month == month.month, days.get(on, 0), incomplete.get(on, 0)) for on in week]
        for week in calendar.Calendar(SUNDAY).monthdatescalendar(month.year, month.month)
    ]


def signed_of(sign_off: SignOff | None) -> Signed | None:
    """What rules need to know of a sign-off."""
    if sign_off is None:
        return None
    return Signed(sign_off.signed_at, Books(sign_off.visits, sign_off.versions, grounds=sign_off.grounds))


# What retention empties years later is no change of the month: whose visit it is, is asked of the few changed since.
# (CASE, not AND: NULL AND … would be asked of every visit of a month that nobody has signed off.)
CHANGED_SINCE = """CASE WHEN v.changed_at > {signed_at} THEN EXISTS (
    SELECT FROM cases_person p WHERE p.id = v.person_id AND p.emptied_run IS NULL) END"""
# What the month consists of: a line for each day, timeliness, and whether in force.
_DAYS = f"""
WITH m AS MATERIALIZED (SELECT closes_at, prompt_hours FROM visits_servicemonth
  WHERE institution_id = %(institution)s AND month = %(month)s)
SELECT v.visit_on, {TIMELINESS}, v.in_force, count(*), sum(v.version),
  max(CASE WHEN {CHANGED_SINCE.format(signed_at="%(signed_at)s::timestamptz")} THEN v.changed_at END)
FROM m, visits_visit v
WHERE v.institution_id = %(institution)s AND v.visit_on >= %(month)s AND v.visit_on < %(next)s
GROUP BY 1, 2, 3
"""  # noqa: S608 - our own words
# The visits in force as the checks see them, a row for each medicine and for each intake that may count; of these only the
# visits at which a check may find something. The next visit is asked for where a supply ended long enough ago that one is
# missed, counselling where a course of medication began without; to others they say nothing. Of several intakes the one
# without score comes first: where one with score is left, all have one. (MATERIALIZED, so that nothing is asked twice.)
_VISITS = """
WITH looked AS MATERIALIZED (SELECT v.id, v.uid, v.case_id, v.visit_on, v.cigarettes_per_day IS NOT NULL AS with_cigarettes,
    m.id AS service, m.staff_id AS medication, g.staff_id AS counselling, c.id IS NOT NULL AS began,
    l.supply_weeks AS weeks, l.supply_days AS days, i.taken_on, i.ftnd_score, i.cigarettes_per_day,
    CASE WHEN v.visit_on + l.supply_days < %(missed_before)s::date THEN (SELECT min(n.visit_on) FROM visits_visit n
      WHERE n.person_id = v.person_id AND n.institution_id = v.institution_id AND n.visit_on > v.visit_on AND n.in_force) END AS next_on,
    CASE WHEN c.id IS NOT NULL AND g.id IS NULL AND v.visit_on < %(counselled_before)s::date THEN (
      SELECT o.visit_on FROM visits_visit o JOIN visits_service s ON s.visit_id = o.id AND s.kind = 'counselling'
      WHERE o.person_id = v.person_id AND o.institution_id = v.institution_id AND o.visit_on >= v.visit_on AND o.in_force AND o.id <> v.id
      ORDER BY o.visit_on LIMIT 1) END AS counselled_on
  FROM visits_visit v
  LEFT JOIN visits_service m ON m.visit_id = v.id AND m.kind = 'medication'
  LEFT JOIN visits_service g ON g.visit_id = v.id AND g.kind = 'counselling'
  LEFT JOIN visits_medicationline l ON l.service_id = m.id
  LEFT JOIN visits_course c ON c.person_id = m.person_id AND c.kind = 'medication' AND c.first_on = m.visit_on
    AND c.institution_id = m.institution_id
  LEFT JOIN cases_baseline i ON i.case_id = CASE WHEN c.id IS NOT NULL THEN v.case_id END
    AND i.taken_on <= v.visit_on AND i.taken_on >= v.visit_on - %(validity)s::int
  WHERE v.institution_id = %(institution)s AND v.visit_on >= %(month)s AND v.visit_on < %(next)s AND v.in_force)
SELECT f.uid, f.case_id, f.visit_on, f.medication, f.counselling, l.supply_weeks, l.supply_days, f.with_cigarettes, f.next_on,
  f.counselled_on, f.began, f.taken_on, f.ftnd_score, f.cigarettes_per_day
FROM (SELECT DISTINCT ON (id) * FROM looked WHERE {may_miss} ORDER BY id, ftnd_score NULLS FIRST) f
LEFT JOIN visits_medicationline l ON l.service_id = f.service
ORDER BY f.visit_on, f.id, l.id
"""
# What the rules find stands in rules.py alone. Here only: where they find nothing. Each visit at which they find something
# must pass, others may; tests/selfcheck/test_what_is_fetched.py compares with a month of which every visit is fetched.
MAY_MISS = """
visit_on = ANY (%(not_contracted)s::date[]) OR medication <> ALL (%(medicators)s::bigint[]) OR counselling <> ALL (%(counsellors)s::bigint[])
  OR NOT with_cigarettes OR days <> 7 * weeks OR visit_on + days < %(missed_before)s::date AND next_on IS NULL
  OR began AND (ftnd_score IS NULL OR counselling IS NULL AND visit_on < %(counselled_before)s::date
    AND (counselled_on IS NULL OR counselled_on > visit_on + %(counselling_days)s::int))
"""
# All that is written in the month, and the latest change since it was signed off.
BOOKS = f"""
SELECT count(*), coalesce(sum(v.version), 0), max(v.changed_at) FILTER (WHERE {CHANGED_SINCE}),
  count(*) FILTER (WHERE v.in_force)
FROM visits_visit v
WHERE v.institution_id = {{institution}} AND v.visit_on >= %(month)s AND v.visit_on < %(next)s
"""  # noqa: S608 - our own words
# What else the month's page rests on (rules.Ground), as values that are only compared: the intakes that may count for one
# of its visits, the days of the month that contracts and certificates cover, of staff who gave a service in it.
GROUNDS = """
WITH given AS MATERIALIZED (SELECT v.id, v.case_id, v.visit_on FROM visits_visit v
    WHERE v.institution_id = {institution} AND v.visit_on >= %(month)s AND v.visit_on < %(next)s AND v.in_force),
  worked AS MATERIALIZED (SELECT DISTINCT s.staff_id FROM given g JOIN visits_service s ON s.visit_id = g.id)
SELECT jsonb_build_object(
  'intakes', (SELECT jsonb_build_array(count(*), sum(version)) FROM cases_baseline b WHERE b.id IN (
    SELECT t.id FROM given g JOIN cases_baseline t ON t.case_id = g.case_id
      AND t.taken_on <= g.visit_on AND t.taken_on >= g.visit_on - %(validity)s::int)),
  'contract', (SELECT (range_agg(daterange(starts_on, ends_on, '[]')) * datemultirange(daterange(%(month)s::date, %(next)s::date)))::text
    FROM institutions_contract WHERE institution_id = {institution}),
  'staff', (SELECT jsonb_object_agg(staff_id, covered) FROM (SELECT staff_id, jsonb_build_array(
      (range_agg(daterange(starts_on, ends_on, '[]')) FILTER (WHERE may_medicate) * datemultirange(daterange(%(month)s::date, %(next)s::date)))::text,
      (range_agg(daterange(starts_on, ends_on, '[]')) FILTER (WHERE may_counsel) * datemultirange(daterange(%(month)s::date, %(next)s::date)))::text) AS covered
    FROM institutions_staffcontract JOIN worked USING (staff_id) WHERE institution_id = {institution}
    GROUP BY staff_id) c),
  'certificates', (SELECT jsonb_object_agg(staff_id, covered) FROM (SELECT staff_id,
      (range_agg(daterange(starts_on, ends_on, '[]')) * datemultirange(daterange(%(month)s::date, %(next)s::date)))::text AS covered
    FROM institutions_certificate JOIN worked USING (staff_id) GROUP BY staff_id) c)) AS grounds
"""
_INTAKES = """
SELECT case_id, taken_on, ftnd_score, cigarettes_per_day FROM cases_baseline WHERE case_id = ANY (%s) ORDER BY recorded_at
"""
_CASES = """
WITH alone AS MATERIALIZED (SELECT c.id, c.opened_on, c.person_id FROM cases_case c
  WHERE c.institution_id = %(institution)s AND c.opened_on >= %(month)s AND c.opened_on < %(next)s
    AND c.opened_on < %(opened_before)s AND c.emptied_run IS NULL
    AND NOT EXISTS (SELECT FROM visits_visit v WHERE v.case_id = c.id AND v.in_force))
SELECT a.id, a.opened_on FROM alone a JOIN cases_person p ON p.id = a.person_id WHERE p.merged_into_id IS NULL
ORDER BY a.opened_on, a.id
"""


def month_check(month: date, *, moment: datetime, today: date, by: Actor) -> MonthCheck | None:
    """A month (its first day) of the actor's institution; None where the calendar has no such month yet.

    Raises PermissionDenied and PolicyGap. Journal the read where somebody is named.
    """
    by.require(Permission.SELFCHECK_READ)
    institution = by.at_institution()
    until = closes_at(institution, month)
    if until is None or month > today:
        return None
    asked: dict[str, Any] = {"institution": institution, "month": month, "next": next_month(month)}
    signed = _latest(month, by)
    with connection.cursor() as cursor:
        # The books first: what is written while the rest is read opens the month again.
        cursor.execute(_DAYS, asked | {"signed_at": signed.signed_at if signed else None})
        everything = cursor.fetchall()
        around = _around(cursor, asked, today)
        visits = _visits(cursor, around, asked)
        cursor.execute(_CASES, asked | {"opened_before": today - timedelta(days=policy_on(month, "check_case_days"))})
        cases = cursor.fetchall()
        grounds = _grounds(cursor, asked) if signed else None
    in_force = [row for row in everything if row[2]]
    left = drafts_left(institution)
    drafts = _drafts(by) if by.account_id in left else []
    own = [one for one in drafts if month_of(one.day) == month]
    earlier = [one for one in drafts if one.day < month and moment < until]
    others = sum(number for account, number in left.items() if account != by.account_id)
    return MonthCheck(
        month=month, moment=moment, closes_at=until,
        books=Books(
            sum(row[3] for row in everything), sum(row[4] for row in everything),
            max((row[5] for row in everything if row[5]), default=None), grounds,
        ),
        days=_counted(in_force, 0), tags=_counted(in_force, 1),
        findings=sorted(
            [*check_visits(visits, around), *check_cases(cases, around)],
            key=lambda one: (one.level is not Level.INCOMPLETE, one.day),
        ),
        drafts=check_drafts(own, month), late=check_drafts(_closed(earlier, institution, moment), month),
        others_drafts=others if level_of(Check.DRAFT, month) is not Level.UNCHECKED else 0,
        signed=signed,
    )  # fmt: skip


def standing_of(month: date, *, by: Actor) -> Standing:
    """How a month (its first day) of the actor's institution stands. Raises PermissionDenied."""
    by.require(Permission.SELFCHECK_READ)
    institution = by.at_institution()
    asked: dict[str, Any] = {"institution": institution, "month": month, "next": next_month(month)}
    signed = _latest(month, by)
    with connection.cursor() as cursor:
        cursor.execute(
            BOOKS.format(institution="%(institution)s", signed_at="%(signed_at)s::timestamptz"),
            asked | {"signed_at": signed.signed_at if signed else None},
        )
        visits, versions, changed_at, in_force = cursor.fetchone()
        grounds = _grounds(cursor, asked) if signed else None
    return standing(signed_of(signed), Books(visits, versions, changed_at, grounds), in_force)


def _grounds(cursor: Any, asked: dict[str, Any]) -> Grounds:
    cursor.execute(GROUNDS.format(institution="%(institution)s"), asked | _validity(asked["month"]))
    found: Grounds = json.loads(cursor.fetchone()[0])
    return found


def _validity(month: date) -> dict[str, int]:
    return {"validity": policy_on(month, "baseline_validity_days")}


def grounds_of(month: date, *, by: Actor) -> Grounds:
    """What the page of a month (its first day) of the actor's institution rests on besides visits. Raises PolicyGap."""
    with connection.cursor() as cursor:
        return _grounds(cursor, {"institution": by.at_institution(), "month": month, "next": next_month(month)})


def _latest(month: date, by: Actor) -> SignOff | None:
    found: SignOff | None = sign_offs_of(month, by=by).first()
    return found


def _counted(rows: Iterable[Sequence[Any]], column: int) -> Counter[Any]:
    """How many visits there are of each value of a column of _DAYS."""
    counted: Counter[Any] = Counter()
    for row in rows:
        counted[row[column]] += row[3]
    return counted


def _visits(cursor: Any, around: Around, asked: dict[str, Any]) -> list[MonthVisit]:
    """The visits in force at which a check may find something, by day. Raises PolicyGap."""
    counselling_days = policy_on(around.month, "check_counselling_days")
    cursor.execute(
        _VISITS.format(may_miss=MAY_MISS),
        asked | {
            "not_contracted": [day for day in around.days if around.lacks_contract(day)],
            "medicators": around.staff_in_order(MEDICATION), "counsellors": around.staff_in_order(COUNSELLING),
            "missed_before": around.missed_before, "counselling_days": counselling_days,
            "counselled_before": around.today - timedelta(days=counselling_days),
            "validity": min(policy_on(day, "baseline_validity_days") for day in around.days),
        },
    )  # fmt: skip
    rows = cursor.fetchall()
    intakes: dict[int, list[BaselineFacts]] = {}
    unsure = [case for _uid, case, *_said, began, _taken, score, _smoked in rows if began and score is None]
    if unsure:
        cursor.execute(_INTAKES, [unsure])
        for case, *facts in cursor.fetchall():
            intakes.setdefault(case, []).append(BaselineFacts(*facts))
    visits: list[MonthVisit] = []
    last, lines = None, []
    for uid, case, on, medication, counselling, weeks, days, *said, began, taken_on, score, smoked in rows:
        if uid == last:  # one more medicine
            lines.append((weeks, days))
            continue
        last, lines = uid, [] if weeks is None else [(weeks, days)]
        with_cigarettes, next_on, counselled_on = said
        intake = None
        if began and score is None:
            intake = baseline_of_course(intakes.get(case, ()), on)
        elif began:  # each that may count has a score: which of them does is all the same
            intake = BaselineFacts(taken_on, score, smoked)
        visits.append(
            MonthVisit(
                uid, case, on, medication, counselling, lines, began, with_cigarettes, next_on, counselled_on, intake
            )
        )  # fmt: skip
    return visits


# Contracts of the institution, of its staff, and their certificates: of none, of whom, of what.
_AROUND = """
SELECT 'contract', NULL, starts_on, ends_on, false, false FROM institutions_contract WHERE institution_id = %(institution)s
UNION ALL SELECT 'staff', staff_id, starts_on, ends_on, may_medicate, may_counsel FROM institutions_staffcontract
  WHERE institution_id = %(institution)s
UNION ALL SELECT 'certificate', staff_id, starts_on, ends_on, false, false FROM institutions_certificate
  WHERE staff_id IN (SELECT staff_id FROM institutions_staffcontract WHERE institution_id = %(institution)s)
"""


def _around(cursor: Any, asked: dict[str, Any], today: date) -> Around:
    contracts: list[Period] = []
    staff: dict[int, list[StaffPeriod]] = {}
    certificates: dict[int, list[Validity]] = {}
    cursor.execute(_AROUND, asked)
    for what, member, starts_on, ends_on, may_medicate, may_counsel in cursor.fetchall():
        if what == "contract":
            contracts.append(Period(starts_on, ends_on))
        elif what == "staff":
            staff.setdefault(member, []).append(StaffPeriod(starts_on, ends_on, may_medicate, may_counsel))
        else:
            certificates.setdefault(member, []).append(Validity(starts_on, ends_on))
    return Around(asked["month"], today, contracts, staff, certificates)


def _drafts(by: Actor) -> list[DraftFacts]:
    """The drafts of whoever looks, oldest day first."""
    if not by.may(Permission.VISIT_RECORD):
        return []
    found = [
        DraftFacts(one.case_id, one.visit.uid if one.visit else None, typed_day(one.contents), one.changed_at)
        for one in drafts_of(by)
    ]
    return sorted(found, key=lambda one: (one.day, one.case))


def typed_day(contents: Mapping[str, Sequence[str]]) -> date | None:
    """The day typed into a draft, where it can be read."""
    try:
        return parse_date((contents.get("visit_on") or [""])[0])
    except DateError:
        return None


def _closed(drafts: Iterable[DraftFacts], institution: int, moment: datetime) -> list[DraftFacts]:
    """Those whose month is closed."""
    closing: dict[date, datetime | None] = {}
    found = []
    for draft in drafts:
        month = month_of(draft.day)
        if month not in closing:
            closing[month] = closes_at(institution, month)
        until = closing[month]
        if until is not None and until <= moment:
            found.append(draft)
    return found


def cases_of(findings: Iterable[Finding], *, by: Actor) -> dict[int, Case]:
    """Whom findings are about, by the case's key. Raises PermissionDenied. Journal the read."""
    by.require(Permission.CASE_READ)
    keys = {one.case for one in findings}
    cases = Case.objects.filter(pk__in=keys, institution_id=by.at_institution()).select_related("person")
    return {case.pk: case for case in cases}


# --- Sign-offs -----------------------------------------------------------------------------------------------------------


def sign_offs(*, by: Actor) -> QuerySet[SignOff]:
    """The sign-offs that the actor may see: his institution's, at the desk all. Raises PermissionDenied."""
    by.require(Permission.VISIT_READ)
    found = SignOff.objects.select_related("signed_by")
    return found if by.institution_id is None else found.filter(institution_id=by.institution_id)


def sign_offs_of(month: date, *, by: Actor) -> QuerySet[SignOff]:
    """Those of a month of the actor's institution, the latest first; what the page said is read where it is asked for.

    Raises PermissionDenied.
    """
    return sign_offs(by=by).filter(institution_id=by.at_institution(), month=month).order_by("-number").defer("seen")


def snapshot(check: MonthCheck) -> dict[str, Any]:
    """What a month's page says, as it is kept with a sign-off: numbers, and each finding with the visit or case it is of.

    Nobody is named in it, and no number of anybody stands in it.
    """
    cases = dict(
        Case.objects.filter(pk__in={one.case for one in check.findings if one.visit is None}).values_list("pk", "uid")
    )
    return {
        "visits": check.visits,
        "days": {day.isoformat(): number for day, number in sorted(check.days.items())},
        "tags": {tag.value: check.tags.get(tag, 0) for tag in Timeliness},
        "closes_at": check.closes_at.isoformat(),
        "drafts": len(check.drafts) + check.others_drafts,
        "findings": [
            {
                "check": one.check.value, "level": one.level.value, "day": one.day.isoformat(),
                "of": "visit" if one.visit else "case", "uid": str(one.visit or cases[one.case]), "says": str(one.message),
            }
            for one in check.findings
        ],
    }  # fmt: skip


def digest(check: MonthCheck) -> str:
    """What was looked at, in short: whoever signs signs this and nothing newer. Drafts come and go while he reads."""
    said = [check.books.visits, check.books.versions, sorted(check.days.items()), sorted(check.tags.items())]
    found = [(one.check, one.level, one.day, one.visit or one.case, one.field) for one in check.findings]
    return hashlib.sha256(repr((said, found)).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class SeenFinding:
    """A finding as it stood when the month was signed off. `called`: whom it is about, as the case is called now."""

    check: Check
    level: Level
    day: date
    says: str
    page: str  # visit_show, case_show
    uid: UUID
    called: str


@dataclass(frozen=True)
class Seen:
    """What the page said when the month was signed off."""

    visits: int
    drafts: int
    closes_at: datetime
    shares: Sequence[tuple[Timeliness, int, Decimal | None]]
    weeks: Sequence[Sequence[Day]]
    findings: Sequence[SeenFinding]
    uids: Collection[UUID] = field(default_factory=tuple)


def seen_of(sign_off: SignOff) -> Seen:
    """What a sign-off keeps of the page, with the names of today. Journal the read."""
    said = sign_off.seen
    days = {date.fromisoformat(day): number for day, number in said["days"].items()}
    uids = {(one["of"], UUID(one["uid"])) for one in said["findings"]}
    visits = [uid for of, uid in uids if of == "visit"]
    called = {
        **{case.uid: case.called for case in Case.objects.filter(uid__in=[uid for of, uid in uids if of == "case"])},
        **{one.uid: one.case.called for one in Visit.objects.filter(uid__in=visits).select_related("case")},
    }
    findings = [
        SeenFinding(
            Check(one["check"]), Level(one["level"]), date.fromisoformat(one["day"]), one["says"],
            "visit_show" if one["of"] == "visit" else "case_show", UUID(one["uid"]), called.get(UUID(one["uid"]), ""),
        )
        for one in said["findings"]
    ]  # fmt: skip
    incomplete = Counter(one.day for one in findings if one.level is Level.INCOMPLETE)
    return Seen(
        said["visits"], said["drafts"], datetime.fromisoformat(said["closes_at"]),
        [(tag, said["tags"][tag], percent(said["tags"][tag], said["visits"])) for tag in Timeliness],
        weeks_of(sign_off.month, days, incomplete), findings, list(called),
    )  # fmt: skip


# --- All institutions, for the desk --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Figures:
    """Visits in force of a month, by timeliness."""

    prompt: int = 0
    in_window: int = 0
    late: int = 0

    @property
    def visits(self) -> int:
        """All of them."""
        return self.prompt + self.in_window + self.late

    def __add__(self, other: "Figures") -> "Figures":
        return Figures(self.prompt + other.prompt, self.in_window + other.in_window, self.late + other.late)

    @property
    def shares(self) -> list[tuple[int, Decimal | None]]:
        """Number and percent of each."""
        return [(one, percent(one, self.visits)) for one in (self.prompt, self.in_window, self.late)]


@dataclass(frozen=True, slots=True)
class InstitutionMonth:
    """An institution's month as the desk sees it. `last_on`: its last service up to the end of the month."""

    key: int
    code: str
    name: str
    tier: str
    county: str
    contracted: bool
    figures: Figures
    standing: Standing
    signed_at: datetime | None
    signed_by: str
    sign_off: UUID | None
    last_on: date | None

    @property
    def tier_label(self) -> Words:
        """層級別 in Chinese."""
        return Words(Tier(self.tier).label)


_NATION = f"""
SELECT i.id, d.code, d.name, d.tier, d.county, c.contracted, v.prompt, v.in_window, v.late, b.visits, b.versions, b.changed_at,
  s.signed_at, s.visits, s.versions, s.grounds, g.grounds, s.signed_by, s.uid,
  CASE WHEN v.prompt + v.in_window + v.late = 0 THEN (SELECT max(o.visit_on) FROM visits_visit o
    WHERE o.institution_id = i.id AND o.visit_on < %(next)s AND o.in_force) END
FROM institutions_institution i
CROSS JOIN LATERAL (SELECT code, name, tier, county FROM institutions_institutiondetails WHERE institution_id = i.id
  ORDER BY daterange(starts_on, ends_on, '[]') @> (%(next)s::date - 1) DESC, starts_on DESC LIMIT 1) d
CROSS JOIN LATERAL (SELECT EXISTS (SELECT FROM institutions_contract WHERE institution_id = i.id
  AND starts_on < %(next)s AND coalesce(ends_on, 'infinity') >= %(month)s) AS contracted) c
LEFT JOIN visits_servicemonth m ON m.institution_id = i.id AND m.month = %(month)s
CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE tag = 'prompt') AS prompt,
    count(*) FILTER (WHERE tag = 'in_window') AS in_window, count(*) FILTER (WHERE tag = 'late') AS late
  FROM (SELECT {TIMELINESS} AS tag FROM visits_visit v
    WHERE v.institution_id = i.id AND v.visit_on >= %(month)s AND v.visit_on < %(next)s AND v.in_force) t) v
LEFT JOIN LATERAL (SELECT signed_at, visits, versions, grounds, uid, (SELECT display_name FROM accounts_user WHERE id = signed_by_id) AS signed_by
  FROM selfcheck_signoff WHERE institution_id = i.id AND month = %(month)s ORDER BY number DESC LIMIT 1) s ON true
CROSS JOIN LATERAL ({BOOKS.format(institution="i.id", signed_at="s.signed_at")}) b(visits, versions, changed_at)
LEFT JOIN LATERAL ({GROUNDS.format(institution="i.id")}) g ON s.grounds IS NOT NULL
WHERE c.contracted OR b.visits > 0 OR s.uid IS NOT NULL
ORDER BY d.code
"""  # noqa: S608 - our own words


def nation(month: date, *, by: Actor) -> list[InstitutionMonth]:
    """Every institution with a contract in the month (its first day), or with visits in it, by code.

    Raises PermissionDenied.
    """
    by.require(Permission.SELFCHECK_REVIEW)
    with connection.cursor() as cursor:
        cursor.execute(_NATION, {"month": month, "next": next_month(month), **_validity(month)})
        return [_institution_month(row) for row in cursor.fetchall()]


def _institution_month(row: Sequence[Any]) -> InstitutionMonth:
    key, code, name, tier, county, contracted, prompt, in_window, late = row[:9]
    visits, versions, changed_at, signed_at, seen, seen_versions, kept, grounds, signed_by, uid, last_on = row[9:]
    figures = Figures(prompt, in_window, late)
    signed = Signed(signed_at, Books(seen, seen_versions, grounds=kept and json.loads(kept))) if uid else None
    how = standing(signed, Books(visits, versions, changed_at, grounds and json.loads(grounds)), figures.visits)
    return InstitutionMonth(
        key, code, name, tier, county, contracted, figures, how, signed_at, signed_by or "", uid, last_on
    )


@dataclass(frozen=True)
class Group:
    """Institutions of a tier or county: how many stand how, and the visits of all."""

    label: str
    institutions: int
    standings: Mapping[Standing, int]
    figures: Figures

    @property
    def in_order(self) -> list[int]:
        """How many are signed off, open, changed since, and empty."""
        return [
            self.standings.get(one, 0) for one in (Standing.SIGNED, Standing.OPEN, Standing.CHANGED, Standing.EMPTY)
        ]


def grouped(rows: Iterable[InstitutionMonth], label: str) -> list[Group]:
    """The institutions by `label`, "tier" in the printed order or "county", and all of them last."""
    rows = list(rows)
    keys: list[str] = Tier.values if label == "tier" else sorted({row.county for row in rows})
    groups = []
    for key in keys:
        here = [row for row in rows if getattr(row, label) == key]
        if here:
            groups.append(_group(Words(Tier(key).label) if label == "tier" else Words(key), here))
    return [*groups, _group(Words("全部"), rows)]


def _group(label: str, rows: Sequence[InstitutionMonth]) -> Group:
    return Group(label, len(rows), Counter(row.standing for row in rows), sum((row.figures for row in rows), Figures()))


@dataclass(frozen=True, slots=True)
class IdleStaff:
    """A member of staff with a contract in the month and no service in it, and his last service there before its end."""

    name: str
    profession: str
    code: str
    institution: str
    county: str
    last_on: date | None

    @property
    def profession_label(self) -> Words:
        """職類 in Chinese."""
        return Words(Profession(self.profession).label)


# Who gave a service is asked once for all, not for each of eleven thousand.
_IDLE_STAFF = """
WITH contracted AS (SELECT DISTINCT staff_id, institution_id FROM institutions_staffcontract
    WHERE starts_on < %(next)s AND coalesce(ends_on, 'infinity') >= %(month)s),
  worked AS (SELECT institution_id, staff_id, max(visit_on) AS last_on FROM visits_service
    WHERE in_force AND visit_on < %(next)s GROUP BY 1, 2)
SELECT t.name, t.profession, d.code, d.name, d.county, w.last_on
FROM contracted c
LEFT JOIN worked w USING (institution_id, staff_id)
JOIN institutions_staffmember t ON t.id = c.staff_id
CROSS JOIN LATERAL (SELECT code, name, county FROM institutions_institutiondetails WHERE institution_id = c.institution_id
  ORDER BY daterange(starts_on, ends_on, '[]') @> (%(next)s::date - 1) DESC, starts_on DESC LIMIT 1) d
WHERE w.last_on IS NULL OR w.last_on < %(month)s
ORDER BY d.code, t.name, t.id
"""


def idle_staff(month: date, *, by: Actor) -> list[IdleStaff]:
    """Staff with a contract in the month and no service in it, by institution. Raises PermissionDenied."""
    by.require(Permission.SELFCHECK_REVIEW)
    with connection.cursor() as cursor:
        cursor.execute(_IDLE_STAFF, {"month": month, "next": next_month(month)})
        return [IdleStaff(*row) for row in cursor.fetchall()]
