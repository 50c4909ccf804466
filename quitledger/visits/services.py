"""The only writers of visits and of what surrounds them. Each is one transaction with its audit entry, and takes `by=`."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TextIO
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db import connection, transaction

from quitledger.accounts.actors import Actor
from quitledger.accounts.permissions import Permission
from quitledger.audit import journal
from quitledger.cases.models import Case
from quitledger.institutions import imports
from quitledger.institutions.imports import Column, ImportReport
from quitledger.institutions.models import Contract, StaffContract
from quitledger.policy import PolicyGap, policy_on
from quitledger.policy.problem import Problem, Refused

from . import rules
from .models import MedicationLine, Medicine, Month, Service, Visit, WindowExtension
from .rules import COUNSELLING, MEDICATION, Entry, Facts

_VALUES = ("visit_time", "pregnant", "cigarettes_per_day", "co_ppm", "note")  # of a visit, besides day and services


@dataclass
class Outcome:
    """What became of one entry: the visit, or the problems.

    `repeated`: it had been recorded before by the same uid. `closes_at`: until when the visit can be changed.
    """

    visit: Visit | None = None
    problems: list[Problem] = field(default_factory=list)
    repeated: bool = False
    closes_at: datetime | None = None


def record_visit(*, case: Case, entry: Entry, by: Actor) -> Visit:
    """Record one visit; the call of record_visits with one. Raises Refused."""
    (outcome,) = record_visits([(case, entry)], by=by)
    if outcome.visit is None:
        raise Refused(outcome.problems)
    return outcome.visit


def record_visits(
    entries: Sequence[tuple[Case, Entry]], *, by: Actor, recorded_at: Sequence[datetime] | None = None
) -> list[Outcome]:
    """Record visits, the good ones of the list; an outcome for each, in order. The only writer of new visits.

    Permission → lock the persons → rules → INSERT → journal, in one transaction. An entry whose uid is recorded
    already at this institution is answered with that visit: a double click or a retry never makes two. A service on a
    day that has a visit joins it as the visit's next version. `recorded_at` may be supplied by the owner role only
    (demo data, transfer): the moments at which the entries were recorded, by the actor; the database, which otherwise
    stamps both itself, ignores them from anybody else.
    Raises PermissionDenied.
    """
    by.require(Permission.VISIT_RECORD)
    if not entries:
        return []
    with transaction.atomic(savepoint=False):
        known = _Known({case.pk: case for case, _ in entries}.values(), [entry for _, entry in entries])
        moments = recorded_at or [known.moment] * len(entries)
        outcomes = []
        new: list[_Written] = []
        for (case, entry), moment in zip(entries, moments, strict=True):
            outcome = Outcome(closes_at=known.closes_at.get((case.institution_id, rules.month_of(entry.visit_on))))
            recorded = known.by_uid.get(entry.uid)
            if recorded is not None and _holds(recorded, entry):
                outcome.visit, outcome.repeated = recorded, True
            elif recorded is not None:
                outcome.problems = [rules.recorded_otherwise(entry)]
            else:
                outcome.problems = rules.check_visit(entry, known.facts(case, entry, moment))
            if not outcome.problems and not outcome.repeated:
                written = _Written(case, entry, known.same_day(case, entry.visit_on), known.staff_ids)
                if recorded_at is not None:
                    written.visit.recorded_at = written.visit.changed_at = moment
                    written.visit.recorded_by_id = written.visit.changed_by_id = by.account_id
                outcome.visit = written.visit
                known.add(written.visit, written.services)
                new.append(written)
            outcomes.append(outcome)
        _insert(new)
    return outcomes


def as_entry(visit: Visit) -> Entry:
    """A recorded visit in the form in which it was typed (lines with their days, services with their staff)."""
    medication = counselling = None
    for service in visit.services.select_related("staff").prefetch_related("lines"):
        if service.kind == MEDICATION:
            lines = sorted(service.lines.all(), key=lambda line: line.pk)
            medication = rules.Medication(
                service.staff.uid, tuple(rules.Line(x.medicine_id, x.supply_weeks, x.supply_days) for x in lines)
            )
        else:
            counselling = rules.Counselling(service.staff.uid, service.counselling_mode)
    return Entry(
        visit.uid,
        visit.visit_on,
        visit.visit_time,
        medication,
        counselling,
        visit.pregnant,
        visit.cigarettes_per_day,
        visit.co_ppm,
        visit.note,
    )


def _holds(visit: Visit, entry: Entry) -> bool:
    """True when a recorded visit says all that the entry says (it may say more: another service of the day)."""
    recorded = as_entry(visit)
    said = {name: value for name in _VALUES if (value := getattr(entry, name)) not in (None, "") and value is not False}
    return (
        visit.visit_on == entry.visit_on
        and all(getattr(entry, kind) in (None, getattr(recorded, kind)) for kind in (MEDICATION, COUNSELLING))
        and all(getattr(recorded, name) == value for name, value in said.items())
    )


class _Known:
    """What the rules need to know of the persons, staff and months of a list of entries, read at once.

    Reading it locks the persons: writers of one person wait for each other, always in the same order.
    """

    def __init__(self, cases: Iterable[Case], entries: list[Entry]) -> None:
        cases = list(cases)
        institutions = sorted({case.institution_id for case in cases})
        persons = sorted({case.person_id for case in cases})
        self.baselines: dict[int, list[rules.IntakeFacts]] = defaultdict(list)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT b.case_id, b.taken_on, b.ftnd_score, b.cigarettes_per_day, b.insured FROM cases_person p"
                " LEFT JOIN cases_baseline b ON b.person_id = p.id AND b.case_id = ANY(%s)"
                " WHERE p.id = ANY(%s) ORDER BY p.id, b.recorded_at FOR NO KEY UPDATE OF p",
                [[case.pk for case in cases], persons],
            )
            for case_id, *facts in cursor.fetchall():
                if case_id is not None:
                    self.baselines[case_id].append(rules.IntakeFacts(*facts))
        self.by_uid: dict[UUID, Visit] = {}
        self.visits: dict[tuple[int, int, date], Visit] = {}
        self.services: dict[tuple[int, int], list[rules.RecordedService]] = defaultdict(list)
        for service in Service.objects.filter(person__in=persons, institution__in=institutions).select_related("visit"):
            self.by_uid[service.entry_uid] = service.visit
            if service.in_force:
                self.add(service.visit, [service])
        self._read_institutions(institutions, {uid for entry in entries for uid in entry.kinds.values() if uid})
        self._read_months(cases, entries)
        self.medicines = {
            code: rules.MedicineFacts(starts_on, ends_on, name)
            for code, starts_on, ends_on, name in (
                Medicine.objects.values_list("code", "starts_on", "ends_on", "name")
                if any(entry.medication for entry in entries)
                else ()
            )
        }

    def _read_institutions(self, institutions: list[int], staff_uids: set[UUID]) -> None:
        self.contracts: dict[int, list[rules.Period]] = defaultdict(list)
        for institution_id, starts_on, ends_on in Contract.objects.filter(institution__in=institutions).values_list(
            "institution_id", "starts_on", "ends_on"
        ):
            self.contracts[institution_id].append(rules.Period(starts_on, ends_on))
        self.staff_ids: dict[UUID, int] = {}
        contracts: dict[tuple[int, UUID], list[rules.StaffPeriod]] = defaultdict(list)
        labels: dict[UUID, str] = {}
        for row in StaffContract.objects.filter(institution__in=institutions, staff__uid__in=staff_uids).select_related(
            "staff"
        ):
            self.staff_ids[row.staff.uid] = row.staff_id
            labels[row.staff.uid] = str(row.staff)
            contracts[row.institution_id, row.staff.uid].append(
                rules.StaffPeriod(row.starts_on, row.ends_on, row.may_medicate, row.may_counsel)
            )
        self.staff: dict[int, dict[UUID, rules.StaffFacts]] = defaultdict(dict)
        for (institution_id, uid), periods in contracts.items():
            self.staff[institution_id][uid] = rules.StaffFacts(labels[uid], tuple(periods))

    def _read_months(self, cases: list[Case], entries: list[Entry]) -> None:
        """The closing moments; a month is opened when its first visit is recorded. Also reads the clock."""
        pairs = sorted({(case.institution_id, rules.month_of(entry.visit_on)) for case in cases for entry in entries})
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT institution_id, month, closes_at, programme_now() FROM (SELECT) x"
                " LEFT JOIN visits_open_months(%s, %s) ON true",
                [[institution for institution, _ in pairs], [month for _, month in pairs]],
            )
            rows = cursor.fetchall()
        self.moment: datetime = rows[0][3]
        self.closes_at = {(row[0], row[1]): row[2] for row in rows}

    def same_day(self, case: Case, day: date) -> Visit | None:
        """The visit in force on that day, if any."""
        return self.visits.get((case.person_id, case.institution_id, day))

    def facts(self, case: Case, entry: Entry, moment: datetime) -> Facts:
        """The facts for one entry, to be recorded at `moment`."""
        same = self.same_day(case, entry.visit_on)
        return Facts(
            moment=moment,
            closes_at=self.closes_at.get((case.institution_id, rules.month_of(entry.visit_on))),
            birth_on=case.person.birth_on,
            sex=case.person.sex,
            contracts=self.contracts[case.institution_id],
            staff=self.staff[case.institution_id],
            medicines=self.medicines,
            baselines=self.baselines[case.pk],
            services=self.services[case.person_id, case.institution_id],
            same_day=rules.RecordedVisit(
                same.uid, same.visit_time, same.cigarettes_per_day, same.co_ppm, same.note, same.pregnant
            )
            if same
            else None,
        )

    def add(self, visit: Visit, services: Iterable[Service]) -> None:
        """Let the entries that follow know of this visit."""
        self.by_uid |= {service.entry_uid: visit for service in services}
        self.visits[visit.person_id, visit.institution_id, visit.visit_on] = visit
        self.services[visit.person_id, visit.institution_id] += [
            rules.RecordedService(visit.uid, visit.visit_on, service.kind) for service in services
        ]


class _Written:
    """The rows of one accepted entry. They join the visit of the day where there is one."""

    def __init__(self, case: Case, entry: Entry, same_day: Visit | None, staff_ids: dict[UUID, int]) -> None:
        self.joins = same_day is not None and same_day.pk is not None
        self.fields = ["visit_on", *entry.kinds]
        if same_day is None:
            self.visit = Visit(
                uid=entry.uid,
                case_id=case.pk,
                person_id=case.person_id,
                institution_id=case.institution_id,
                visit_on=entry.visit_on,
            )
            self.visit.case = case
        else:
            self.visit = same_day
            if self.joins:
                self.visit.version += 1
                self.visit.change_reason = "當日另一項服務"
        for name in _VALUES:
            value = getattr(entry, name)
            if value is not None and value is not False and value != "":
                setattr(self.visit, name, value)
                self.fields.append(name)
        self.services = [self._service(kind, entry, staff_ids[uid]) for kind, uid in entry.kinds.items() if uid]
        self.lines = [
            MedicationLine(
                service=service,
                institution_id=case.institution_id,
                medicine_id=line.medicine_code,
                supply_weeks=line.supply_weeks,
                supply_days=line.days,
                version=self.visit.version,
            )
            for service in self.services
            if service.kind == MEDICATION and entry.medication
            for line in entry.medication.lines
        ]

    def _service(self, kind: str, entry: Entry, staff_id: int) -> Service:
        visit = self.visit
        return Service(
            person_id=visit.person_id,
            institution_id=visit.institution_id,
            visit_on=visit.visit_on,
            kind=kind,
            staff_id=staff_id,
            counselling_mode=entry.counselling.mode if entry.counselling and kind != MEDICATION else "",
            spacing_days=policy_on(visit.visit_on, "visit_spacing_days"),
            entry_uid=entry.uid,
            version=visit.version,
        )


_JOINED = [*_VALUES, "version", "change_reason", "changed_at"]


def _insert(new: list[_Written]) -> None:
    if not new:
        return
    made = list({id(written.visit): written.visit for written in new if written.visit.pk is None}.values())
    Visit.objects.bulk_create(made)
    for written in new:
        if written.joins:
            written.visit.save(update_fields=_JOINED)
    services = [service for written in new for service in written.services]
    for written in new:
        for service in written.services:
            service.visit_id = written.visit.pk
    Service.objects.bulk_create(services)
    lines = [line for written in new for line in written.lines]
    for line in lines:
        line.service_id = line.service.pk
        line.visit_id = line.service.visit_id
    MedicationLine.objects.bulk_create(lines)
    journal.record(
        Permission.VISIT_RECORD,
        record_type="visit",
        uids=[written.visit.uid for written in new],
        version=new[0].visit.version if len(new) == 1 else None,
        fields=sorted({name for written in new for name in written.fields}),
    )


MEDICINE_KINDS = {
    "patch": "尼古丁貼片",
    "gum": "尼古丁咀嚼錠",
    "lozenge": "尼古丁口含錠",
    "inhaler": "尼古丁吸入劑",
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
    Column("藥品代碼", "code", imports.text(20)),
    Column("藥品名稱", "name", imports.text(100)),
    Column("品項", "kind", imports.one_of(MEDICINE_KINDS)),
    Column("處方藥", "prescription_only", imports.yes_or_no),
    Column("起日", "starts_on", imports.day),
    Column("迄日", "ends_on", imports.day, optional=True),
)


def record_medicine(row: MedicineRow, *, by: Actor) -> Medicine:
    """Record a medicine of the agency's list, or bring a known one up to it. Run as the owner role (commands)."""
    by.require(Permission.INSTITUTION_IMPORT)
    values = vars(row)
    medicine = Medicine.objects.filter(code=row.code).first() or Medicine(code=row.code)
    changed = [name for name, value in values.items() if medicine.pk is None or getattr(medicine, name) != value]
    if not changed:
        return medicine
    with transaction.atomic():
        for name in changed:
            setattr(medicine, name, values[name])
        medicine.save()
        journal.record("medicine.record", record_type="medicine", fields=changed)
    return medicine


def import_medicines(file: TextIO, *, good_rows_only: bool, by: Actor) -> ImportReport:
    """Import medicines from CSV (columns MEDICINE_COLUMNS): all or, where chosen, the good rows only."""
    by.require(Permission.INSTITUTION_IMPORT)
    return imports.import_rows(
        file, MEDICINE_COLUMNS, MedicineRow, record_medicine, good_rows_only=good_rows_only, by=by
    )


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
