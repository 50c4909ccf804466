"""The only writers of visits and of what surrounds them. Each is one transaction with its audit entry, and takes `by=`."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from functools import partial
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import connection, transaction
from django.db.models import QuerySet

from quitledger.accounts.actors import Actor
from quitledger.accounts.models import User
from quitledger.accounts.permissions import Permission
from quitledger.audit import journal
from quitledger.audit.database import ProgrammeNow, programme_now
from quitledger.audit.staging import Aside
from quitledger.cases.models import Case
from quitledger.cases.rules import REASON_LENGTH, UNSTORABLE, person_emptied
from quitledger.institutions import imports
from quitledger.institutions.imports import CHANGED, NEW, SAME, Column, ImportReport, Recorded
from quitledger.institutions.models import Membership, StaffMember
from quitledger.institutions.services import institution_by_code
from quitledger.policy import TAIPEI, PolicyGap, parse_month, parse_time, policy_on
from quitledger.policy.problem import Problem, Refused
from quitledger.policy.sentences import Words

from . import rules
from .course_records import RECOMPUTE_BEGIN, RECOMPUTE_END, copy_courses
from .known import VALUES, Known, Question, entry_of, services_of
from .models import Draft, Medicine, Month, Permit, Service, Visit, WindowExtension
from .rules import COUNSELLING, MEDICATION, Entry
from .written import Written, copied, insert, rewrite

log = logging.getLogger(__name__)

Entries = Sequence[tuple[Case, Entry]]


@dataclass
class Outcome:
    """What became of one entry: the visit, or the problems.

    `repeated`: it had been recorded before by the same uid. `is_known`: refused, because the visit of that day says the
    same already. `closes_at`: until when the visit can be changed.
    """

    visit: Visit | None = None
    problems: list[Problem] = field(default_factory=list)
    repeated: bool = False
    is_known: bool = False
    closes_at: datetime | None = None


def _require(by: Actor, permission: Permission, permit: Permit | None) -> None:
    """What the institution may while the window is open, the desk may by a permit.

    A permit without uid is a trial, which is rolled back: whoever may read the application may see what would come of it.
    """
    if permit is not None:
        permission = Permission.CORRECTION_DECIDE if permit.uid else Permission.CORRECTION_READ
    by.require(permission)


def record_visit(*, case: Case, entry: Entry, by: Actor, permit: Permit | None = None) -> Visit:
    """Record one visit; the call of record_visits with one. With a `permit`: a late entry, of a day that has no visit.

    Raises PermissionDenied, Refused.
    """
    (outcome,) = record_visits([(case, entry)], by=by, permit=permit)
    if outcome.visit is None:
        raise Refused(outcome.problems)
    return outcome.visit


def record_visits(
    entries: Entries, *, by: Actor, recorded_at: Sequence[datetime] | None = None,
    permit: Permit | None = None,
) -> list[Outcome]:  # fmt: skip
    """Record visits, the good ones of the list; an outcome for each, in order. The only writer of new visits.

    Permission → lock the persons → rules → INSERT → journal → courses, in one transaction. An entry whose uid is recorded
    already at this institution is answered with that visit: a double click or a retry never makes two. A service on a
    day that has a visit joins it as the visit's next version. `recorded_at` may be supplied by the owner role only
    (demo data, transfer): the moments at which the entries were recorded, by the actor; the database, which otherwise
    stamps both itself, ignores them from anybody else. `permit`: of one late entry.
    Raises PermissionDenied.
    """
    _require(by, Permission.VISIT_RECORD, permit)
    if not entries:
        return []
    with transaction.atomic(savepoint=False):
        known = Known.read({case.pk: case for case, _ in entries}.values(), [entry for _, entry in entries])
        outcomes, new = _judged(entries, known, recorded_at, permit, by)
        insert(new)
        known.courses.write(new[-1].visit.uid if new else None)
    return outcomes


def take_over_visits(entries: Entries, *, recorded_at: Sequence[datetime], by: Actor) -> list[Visit]:
    """Keep visits of the system before this one that break a rule of today's: as they are, for ever, in force, outside
    the spacing. A visit taken over with the same uid before is the same visit.

    Whoever calls has asked record_visits first. The owner role only (transfer), by an actor of the programme itself.
    Raises PermissionDenied, and Refused where the database cannot hold one: a medicine or a month that is not known.
    """
    by.require(Permission.TRANSFER)
    with transaction.atomic():
        there = Visit.objects.in_bulk([entry.uid for _, entry in entries], field_name="uid")
        new = [one for one in zip(entries, recorded_at, strict=True) if one[0][1].uid not in there]
        known = Known.read({case.pk: case for (case, _), _ in new}.values(), [entry for (_, entry), _ in new])
        staff = StaffMember.objects.filter(uid__in={uid for (_, e), _ in new for uid in e.kinds.values() if uid})
        known.staff_ids |= dict(staff.values_list("uid", "pk"))  # also without a contract there
        written = []
        for (case, entry), moment in new:
            row = Written(case, entry, known, taken_over=True)
            row.visit.recorded_at = row.visit.changed_at = moment
            row.visit.recorded_by_id = row.visit.changed_by_id = by.account_id
            for service in row.services:
                known.courses.add(row.visit, service, entry.weeks if service.kind == MEDICATION else 0)
            there[entry.uid] = row.visit
            written.append(row)
        insert(written)
        known.courses.write(written[-1].visit.uid if written else None)
    return [there[entry.uid] for _, entry in entries]


def check_visits(entries: Entries, *, by: Actor) -> list[Outcome]:
    """What record_visits would answer now; nothing is recorded, and the visits of the outcomes are not there.

    Inside a transaction, which holds the persons' locks to its end. Raises PermissionDenied.
    """
    by.require(Permission.VISIT_RECORD)
    if not entries:
        return []
    known = Known.read({case.pk: case for case, _ in entries}.values(), [entry for _, entry in entries])
    return _judged(entries, known, None, None, by)[0]


def record_parts(parts: Iterable[Entries], *, aside: Aside, by: Actor) -> Iterator[list[Outcome]]:
    """As record_visits, of many parts, none of whose persons is in two: while one is written, the next is judged aside.

    Inside a transaction, for the outcomes of a part are told when it was written. Raises PermissionDenied.
    """
    by.require(Permission.VISIT_RECORD)

    def judged(begun: tuple[Entries, Callable[[], Known]]) -> Callable[[], list[Outcome]]:
        entries, known = begun[0], begun[1]()
        outcomes, new = _judged(entries, known, None, None, by)
        many, changes = copied(new), known.courses.changes()

        def write() -> list[Outcome]:
            insert(new, many)
            known.courses.write(new[-1].visit.uid if new else None, changes)
            return outcomes

        return write

    for write in aside.ahead(judged, map(_answered, aside.ahead(_asked, parts))):
        yield write()


def _asked(entries: Entries) -> tuple[Entries, Question]:
    return entries, Question({case.pk: case for case, _ in entries}.values(), [entry for _, entry in entries])


def _answered(asked: tuple[Entries, Question]) -> tuple[Entries, Callable[[], Known]]:
    """The entries, and what makes Known of what the database said; it will not be asked again."""
    entries, question = asked
    answer = question.answer()
    if question.is_of_visits(answer):
        known = Known(question, answer)
        known.read_said()
        return entries, lambda: known
    return entries, partial(Known, question, answer)


def _judged(
    entries: Entries, known: Known, recorded_at: Sequence[datetime] | None, permit: Permit | None,
    by: Actor,
) -> tuple[list[Outcome], list[Written]]:  # fmt: skip
    """An outcome for each entry, each knowing of those before it; and the rows of the good ones, not written yet."""
    moments = recorded_at or [known.moment] * len(entries)
    outcomes = []
    new: list[Written] = []
    for (case, entry), moment in zip(entries, moments, strict=True):
        outcome = Outcome(closes_at=known.closes_at.get((case.institution_id, rules.month_of(entry.visit_on))))
        recorded = known.by_uid.get(entry.uid)
        if recorded is not None and not recorded.in_force:
            outcome.problems = [rules.recorded_and_voided(entry)]
        elif recorded is not None and known.holds(recorded, entry):
            outcome.visit, outcome.repeated = recorded, True
        elif recorded is not None:
            outcome.problems = [rules.recorded_otherwise(entry)]
        elif permit is not None:
            outcome.problems = rules.check_late_entry(entry, known.facts(case, entry, moment))
        else:
            outcome.problems = rules.check_visit(entry, known.facts(case, entry, moment))
        if {problem.code for problem in outcome.problems} == {"visit-exists"}:
            same = known.same_day(case, entry.visit_on)
            outcome.is_known = same is not None and known.holds(same, entry)
        if not outcome.problems and not outcome.repeated:
            written = Written(case, entry, known)
            written.visit.permit = permit.uid if permit else None
            written.visit.recorded_at = written.visit.changed_at = moment
            if recorded_at is not None:
                written.visit.recorded_by_id = written.visit.changed_by_id = by.account_id
            outcome.visit = written.visit
            known.add(written.visit, written.services, entry)
            new.append(written)
        outcomes.append(outcome)
    return outcomes, new


class Stale(Exception):
    """The visit has another version than the one that was to be changed: somebody else was faster."""

    def __init__(self, visit: Visit) -> None:
        super().__init__(f"version {visit.version}")
        self.visit = visit


def change_visit(
    *, visit: Visit, version: int, entry: Entry, reason: str, by: Actor, permit: Permit | None = None
) -> Visit:
    """Make a recorded visit say what `entry` says, as its next version, while its window (and the new day's) is open,
    or by a `permit`.

    `version` is the one that was seen when the change was typed. The rules are those of recording, on the new day,
    without the visit itself. A change sent twice is made once.
    Raises PermissionDenied, Stale where there is another version by now, and Refused.
    """
    _require(by, Permission.VISIT_CHANGE, permit)
    _require_editable(visit)
    with transaction.atomic():
        known = Known.read([visit.case], [entry], days=[visit.visit_on])
        found, services, recorded = _as_found(visit, known, by)
        if not found.in_force:
            raise Refused([Problem("visit-voided", "這筆就醫資料已作廢，要修改請先恢復。", None)])
        if found.version != version:
            if recorded == entry:
                return found
            raise Stale(found)
        closes_at = known.closing_of(visit.case, found.visit_on)
        known.forget(found)
        for service in services:
            known.courses.remove(found.person_id, service.pk)
        facts = known.facts(visit.case, entry, known.moment, permitted=permit is not None)
        problems = rules.check_change(entry, facts, recorded, reason=reason, recorded_closes_at=closes_at)
        if problems:
            raise Refused(problems)
        changed = [name for name in _SAID if getattr(entry, name) != getattr(recorded, name)]
        found.permit = permit.uid if permit else None
        for service in rewrite(found, services, entry, reason.strip(), known):
            known.courses.add(found, service, entry.weeks if service.kind == MEDICATION else 0)
        journal.record(
            Permission.VISIT_CHANGE, record_type="visit", uids=[found.uid], version=found.version, fields=changed
        )
        known.courses.write(found.uid)
    return found


def void_visit(*, visit: Visit, version: int, reason: str, by: Actor, permit: Permit | None = None) -> Visit:
    """Take a visit out of force, with a reason, while its window is open or by a `permit`: it stays to be seen, and
    counts nowhere.

    Raises PermissionDenied, Stale where there is another version by now, and Refused. A void sent twice is one.
    """
    _require(by, Permission.VISIT_VOID, permit)
    _require_editable(visit)
    with transaction.atomic():
        known = Known.read([visit.case], [], days=[visit.visit_on])
        found, services, recorded = _as_found(visit, known, by)
        if found.version != version:
            if not found.in_force:
                return found
            raise Stale(found)
        if not found.in_force:
            raise Refused([Problem("visit-voided", "這筆就醫資料先前已作廢。", None)])
        facts = known.facts(visit.case, recorded, known.moment, permitted=permit is not None)
        problems = rules.check_void(found.visit_on, facts, reason=reason)
        if problems:
            raise Refused(problems)
        found.in_force, found.version, found.change_reason = False, found.version + 1, reason.strip()
        found.permit = permit.uid if permit else None
        found.save(update_fields=["in_force", "version", "change_reason", "changed_at", "permit"])
        for service in services:
            known.courses.remove(found.person_id, service.pk)
        journal.record(
            Permission.VISIT_VOID, record_type="visit", uids=[found.uid], version=found.version, fields=["in_force"]
        )
        known.courses.write(found.uid)
    return found


def restore_visit(*, visit: Visit, version: int, reason: str, by: Actor, permit: Permit | None = None) -> Visit:
    """Bring a voided visit back as its next version: all rules are asked once more, as if it were recorded now. The
    window, too, but by a `permit`.

    Raises PermissionDenied, Stale where there is another version by now, and Refused. A restoring sent twice is one.
    """
    _require(by, Permission.VISIT_RESTORE, permit)
    _require_editable(visit)
    with transaction.atomic():
        recorded = as_entry(visit)
        known = Known.read([visit.case], [recorded])
        found, services, recorded = _as_found(visit, known, by)
        if found.version != version:
            if found.in_force:
                return found
            raise Stale(found)
        if found.in_force:
            raise Refused([Problem("visit-in-force", "這筆就醫資料沒有作廢，不需恢復。", None)])
        facts = known.facts(visit.case, recorded, known.moment, permitted=permit is not None)
        problems = rules.check_restore(recorded, facts, reason=reason)
        if problems:
            raise Refused(problems)
        found.permit = permit.uid if permit else None
        for service in rewrite(found, services, recorded, reason.strip(), known):
            known.courses.add(found, service, recorded.weeks if service.kind == MEDICATION else 0)
        journal.record(
            Permission.VISIT_RESTORE, record_type="visit", uids=[found.uid], version=found.version, fields=["in_force"]
        )
        known.courses.write(found.uid)
    return found


_SAID = ("visit_on", MEDICATION, COUNSELLING, *VALUES)  # of an entry, by the names the journal uses


def _require_editable(visit: Visit) -> None:
    """Raises Refused where the visit was taken over: it stays as the system before this one had it."""
    if visit.taken_over:
        raise Refused([rules.taken_over()])


def _as_found(visit: Visit, known: Known, by: Actor) -> tuple[Visit, list[Service], Entry]:
    """The visit as it is under the person's lock, its services, and what they say. Raises PermissionDenied."""
    if visit.institution_id != by.at_institution():
        raise PermissionDenied("a visit of another institution")
    found = known.by_key[visit.pk]
    services = list(found.services.select_related("staff").prefetch_related("lines"))
    return found, services, entry_of(found, services)


def keep_draft(*, case: Case, visit: Visit | None, contents: Mapping[str, list[str]], by: Actor) -> None:
    """Keep what is being typed for a person's next visit (or for the change of `visit`), in place of what was kept.

    A draft is no record: it is unchecked, counts nowhere, and only the account sees it. Journaled when it begins.
    Raises PermissionDenied, and Refused where it is longer than any form of ours, or the person's keeping time has ended.
    """
    by.require(Permission.VISIT_RECORD)
    if sum(len(text) for texts in contents.values() for text in texts) > _LONGEST_DRAFT:
        raise Refused([Problem("draft-too-long", "草稿太長，沒有存下。請縮短備註。", "note")])
    if case.person.is_emptied:
        raise Refused([person_emptied()])
    with transaction.atomic():
        _, begun = Draft.objects.update_or_create(
            account_id=by.account_id, case=case, visit=visit, institution_id=by.at_institution(),
            defaults={"contents": _storable(contents), "changed_at": ProgrammeNow()},
        )  # fmt: skip
        if begun:
            journal.record("draft.keep", record_type="case", uids=[case.uid])


def discard_draft(*, case: Case, visit: Visit | None, by: Actor) -> None:
    """Remove a draft: it was recorded, or is not wanted. Raises PermissionDenied."""
    by.require(Permission.VISIT_RECORD)
    with transaction.atomic():
        if drafts_of(by).filter(case=case, visit=visit).delete()[0]:
            journal.record("draft.discard", record_type="case", uids=[case.uid])


def drafts_of(by: Actor) -> QuerySet[Draft]:
    """The actor's drafts at the institution, the newest first."""
    mine = Draft.objects.filter(account_id=by.account_id, institution_id=by.institution_id or 0)
    return mine.select_related("case", "visit").order_by("-changed_at", "-pk")


_LONGEST_DRAFT = 20_000  # characters, of all fields together


def _storable(contents: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Without what no text of the database holds."""
    return {name: [UNSTORABLE.sub("", text) for text in texts] for name, texts in contents.items()}


def recompute_courses(*, by: Actor) -> int:
    """Compute the courses of all persons anew and put right what differs (owner role). Returns the persons changed.

    Nothing differs unless policy or a branch's parent changed: every write keeps its person's courses itself. Services
    that get another number are listed to the desk. Writers wait until it is done.
    Raises PermissionDenied, and PolicyGap where a value is not known.
    """
    by.require(Permission.COURSE_RECOMPUTE)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(RECOMPUTE_BEGIN)
        copied = copy_courses(connection.connection)
        cursor.execute(RECOMPUTE_END)
        cursor.execute("SELECT count(*) FROM course_differs")
        (persons,) = cursor.fetchone()
        journal.record(Permission.COURSE_RECOMPUTE, record_type="course", fields=["courses"])
    log.info("courses of %s services computed, of %s persons changed", copied, persons)
    return int(persons)


def as_entry(visit: Visit) -> Entry:
    """A recorded visit in the form in which it was typed (lines with their days, services with their staff)."""
    return entry_of(visit, services_of(visit))


MEDICINE_KINDS = {
    "patch": Words("尼古丁貼片"),
    "gum": Words("尼古丁咀嚼錠"),
    "lozenge": Words("尼古丁口含錠"),
    "inhaler": Words("尼古丁吸入劑"),
    "bupropion": "Bupropion SR",
    "varenicline": "Varenicline",
    "cytisinicline": "Cytisinicline",
}


@dataclass(frozen=True)
class MedicineRow:
    """One line of the agency's list of medicines; `kind` is a word of MEDICINE_KINDS."""

    code: str
    name: str
    kind: str
    prescription_only: bool
    starts_on: date
    ends_on: date | None = None


MEDICINE_COLUMNS = (
    Column(Words("藥品代碼"), "code", imports.text(20)),
    Column(Words("藥品名稱"), "name", imports.text(100)),
    Column(Words("品項"), "kind", imports.one_of(MEDICINE_KINDS)),
    Column(Words("處方藥"), "prescription_only", imports.yes_or_no),
    Column(Words("起日"), "starts_on", imports.day),
    Column(Words("迄日"), "ends_on", imports.day, optional=True),
)


def record_medicine(row: MedicineRow, *, by: Actor, of: Medicine | None = None) -> Recorded:
    """Record a medicine of the agency's list, or bring a known one up to it. Run as the owner role (commands)."""
    by.require(Permission.MEDICINE_IMPORT)
    values = vars(row)
    known = of or Medicine.objects.filter(code=row.code).first()
    medicine = known or Medicine(code=row.code)
    changed = [name for name, value in values.items() if known is None or getattr(medicine, name) != value]
    if not changed:
        return Recorded(medicine, SAME)
    with transaction.atomic():
        for name in changed:
            setattr(medicine, name, values[name])
        medicine.save()
        journal.record("medicine.record", record_type="medicine", fields=changed)
    return Recorded(medicine, CHANGED if known else NEW)


def import_medicines(content: bytes, *, good_rows_only: bool, by: Actor) -> ImportReport:
    """Import medicines from a file (columns MEDICINE_COLUMNS): all or, where chosen, the good rows only."""
    by.require(Permission.MEDICINE_IMPORT)
    return imports.import_rows(
        imports.read_table(content, MEDICINE_COLUMNS, most_rows=None),
        MEDICINE_COLUMNS,
        MedicineRow,
        record_medicine,
        good_rows_only=good_rows_only,
        by=by,
    )


def hand_over_drafts(*, institution_id: int, from_account: int, to_account: int, by: Actor) -> tuple[int, int]:
    """Pass the drafts of somebody who left to a colleague at the institution. Returns how many were passed and stayed.

    A draft stays where the colleague has begun one of his own for the same person or visit. Raises PermissionDenied
    (also from the database, where the institution is not in the actor's scope), and Refused where the colleague has no
    place at the institution.
    """
    by.require(Permission.ACCOUNT_END)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT programme_today()")
        colleagues = Membership.objects.filter(institution_id=institution_id).in_force_on(cursor.fetchone()[0])
        if to_account == from_account or not colleagues.filter(user_id=to_account).exists():
            raise Refused([Problem("colleague-unknown", "請從清單選擇接手草稿的同事。", "drafts_to")])
        cursor.execute("SELECT * FROM visits_hand_over_drafts(%s, %s, %s)", [institution_id, from_account, to_account])
        passed, kept = cursor.fetchone()
        if passed:
            uids = User.objects.filter(pk__in=[from_account, to_account]).values_list("uid", flat=True)
            journal.record("draft.hand_over", record_type="account", uids=list(uids))
    return passed, kept


def extend_window(
    *,
    month: date,
    reach: str,
    county: str = "",
    institution_id: int | None = None,
    closes_at: datetime,
    reason: str,
    moment: datetime,
    by: Actor,
) -> WindowExtension:
    """Extend the window of a service month for all, a county or one institution; never shortens one.

    Raises PermissionDenied, and Refused where the moment is not later than what it extends or lies in the past.
    """
    by.require(Permission.WINDOW_EXTEND)
    if by.account_id is None:
        raise PermissionDenied("an account")  # an extension is somebody's decision
    problems = rules.check_extension(
        month=month,
        reach=reach,
        county=county,
        institution_id=institution_id,
        closes_at=closes_at,
        reason=reason,
        moment=moment,
        in_force=_closes_at(month, institution_id, county),
    )
    if problems:
        raise Refused(problems)
    with transaction.atomic():
        extension = WindowExtension.objects.create(
            month=month,
            reach=reach,
            county=county,
            institution_id=institution_id,
            closes_at=closes_at,
            reason=reason,
            decided_by_id=by.account_id,
        )
        journal.record(
            Permission.WINDOW_EXTEND,
            record_type="window_extension",
            uids=[extension.uid],
            fields=["month", "reach", "closes_at", "reason"],
        )
    return extension


@dataclass(frozen=True)
class ExtensionRow:
    """An extension as a line of a list: the last day (and time) instead of the first moment refused."""

    month: date
    reach: str
    county: str
    institution_code: str
    last_day: date
    last_time: time | None
    reason: str

    @property
    def closes_at(self) -> datetime:
        """The first moment refused; without a time the end of the last day."""
        if self.last_time is not None:
            return datetime.combine(self.last_day, self.last_time, TAIPEI)
        return datetime.combine(self.last_day + timedelta(days=1), time(), TAIPEI)


EXTENSION_COLUMNS = (
    Column(Words("就醫月份"), "month", parse_month, hint=Words("例：114/3"), width="m"),
    Column(Words("適用對象"), "reach", imports.one_of(dict(WindowExtension.Reach.choices)),
           choices=dict(WindowExtension.Reach.choices)),
    Column(Words("縣市"), "county", imports.text(10), optional=True, empty="", hint=Words("適用縣市時才填"), width="m"),
    Column(Words("機構代碼"), "institution_code", imports.code, optional=True, empty="", hint=Words("適用單一機構時才填"), width="m"),
    Column(Words("延長至"), "last_day", imports.day, hint=Words("例：114/4/25"), width="m"),
    Column(Words("時間"), "last_time", parse_time, optional=True, hint=Words("不填就是當日 24:00"), width="m"),
    Column(Words("事由"), "reason", imports.text(REASON_LENGTH), hint=Words("例：系統中斷、颱風停班"), grow=True),
)  # fmt: skip


def record_extension(row: ExtensionRow, *, by: Actor, of: None = None) -> Recorded:
    """Extend a window by a row of a list; an extension that says the same is known already. Raises as extend_window.

    An extension is never changed (`of`): a further one is given.
    """
    by.require(Permission.WINDOW_EXTEND)
    institution = institution_by_code(row.institution_code, row.month) if row.institution_code else None
    if row.institution_code and institution is None:
        raise Refused(
            [Problem("institution-unknown", "找不到這個代碼的機構，請確認 10 位數代碼。", "institution_code")]
        )
    values: dict[str, Any] = {
        "month": row.month, "reach": row.reach, "closes_at": row.closes_at,
        "county": row.county if row.reach == WindowExtension.Reach.COUNTY else "",
        "institution_id": institution.pk if institution and row.reach == WindowExtension.Reach.INSTITUTION else None,
    }  # fmt: skip
    known = WindowExtension.objects.filter(**values).first()
    if known is not None:
        return Recorded(known, SAME)
    try:
        return Recorded(extend_window(**values, reason=row.reason, moment=programme_now(), by=by), NEW)
    except Refused as refused:
        named = {"closes_at": "last_day", "institution": "institution_code"}
        raise Refused([replace(one, field=named.get(one.field or "", one.field)) for one in refused.problems]) from None


def _closes_at(month: date, institution_id: int | None, county: str) -> datetime | None:
    """The closing moment in force: of one institution, a county or the country. None where the month is not known."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT visits_closes_at(%s, %s, nullif(%s, ''))", [institution_id, month, county])
        closes_at: datetime | None = cursor.fetchone()[0]
    return closes_at


def fill_calendar(first: date, last: date) -> int:
    """Write the closing moments of policy for the months from `first` to `last` (owner role). Returns the months new.

    A month already there is left as it is: a closing moment once published is only ever extended.
    """
    months = []
    month = first.replace(day=1)
    while month <= last:
        with suppress(PolicyGap):  # a month without policy stays unknown: the database refuses its visits
            hours = policy_on(month, "recording_promptly_hours")
            months.append(Month(month=month, closes_at=rules.month_closes_at(month), prompt_hours=hours))
        month = (month + timedelta(days=31)).replace(day=1)
    before = Month.objects.count()
    Month.objects.bulk_create(months, ignore_conflicts=True)
    return Month.objects.count() - before
