"""What the rules need to know before visits are recorded, read at once (migrations/recording.sql)."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date, datetime, time
from typing import Any, NamedTuple, Self
from uuid import UUID

from django.db import connection
from django.db.models import Model

from quitledger.cases.models import Case
from quitledger.institutions.models import Profession
from quitledger.policy.sentences import Sentence, Words

from . import rules
from .course_records import CourseBook
from .courses import KINDS
from .models import MedicationLine, Service, Visit
from .rules import Entry, Facts

VALUES = ("visit_time", "pregnant", "cigarettes_per_day", "co_ppm", "note")  # of a visit, besides day and services

_FACTS = """
SELECT visits_recording_facts(%(cases)s, %(staff)s, %(medicines)s, %(month_institutions)s, %(months)s,
  %(visits)s, %(services)s, %(lines)s)
"""
_VISIT_FIELDS = (  # in the order of visits_recording_facts
    *("id", "uid", "case_id", "person_id", "institution_id", "visit_on", "visit_time", "pregnant"),
    *("cigarettes_per_day", "co_ppm", "note", "in_force", "version"),
)
_VISIT_ON = 2 + _VISIT_FIELDS.index("visit_on")  # behind the service's kind and the uid of its entry


class Question:
    """What the database is asked before entries of some cases are recorded. `days`: others than those of the entries whose
    closing moments are asked for."""

    def __init__(self, cases: Iterable[Case], entries: Sequence[Entry], *, days: Iterable[date] = ()) -> None:
        cases = list(cases)
        lines = [line for entry in entries if entry.medication for line in entry.medication.lines]
        self.days = {entry.visit_on for entry in entries}
        asked_months = {rules.month_of(day) for day in (*self.days, *days)}
        institutions = {case.institution_id for case in cases}
        months = sorted((institution_id, month) for institution_id in institutions for month in asked_months)
        self._asked: dict[str, Any] = {
            "cases": _array(case.pk for case in cases),
            "staff": _array({uid for entry in entries for uid in entry.kinds.values() if uid}),
            "medicines": list({line.medicine_code for line in lines}),
            "month_institutions": _array(institution_id for institution_id, _ in months),
            "months": _array(month for _, month in months),
            "visits": len(entries),
            "services": sum(len(entry.kinds) for entry in entries),
            "lines": len(lines),
        }

    def answer(self) -> "Answer":
        """Ask, and lock the persons. Inside a transaction."""
        with connection.cursor() as cursor:
            cursor.execute(_FACTS, self._asked)
            *lists, moment = cursor.fetchone()[0]
        baselines, contracts, staff, medicines, closing, visits, courses, *keys = (found or [] for found in lists)
        return Answer(baselines, contracts, staff, medicines, closing, visits, courses, keys, moment)

    def is_of_visits(self, answer: "Answer") -> bool:
        """True where there are visits on the entries' days."""
        days = {day.isoformat() for day in self.days}
        return any(row[_VISIT_ON] in days for row in answer.visits)


class Answer(NamedTuple):
    """What the database says: lists of rows, as they come out of JSON; keys of new visits, services and lines."""

    baselines: list[list[Any]]
    contracts: list[list[Any]]
    staff: list[list[Any]]
    medicines: list[list[Any]]
    closing: list[list[Any]]
    visits: list[list[Any]]
    courses: list[list[Any]]
    keys: list[list[int]]
    moment: str


class Known:
    """The facts about the persons, staff and months of a list of entries: what a question was answered."""

    def __init__(self, question: Question, answer: Answer) -> None:
        """Asks no database."""
        self.moment = datetime.fromisoformat(answer.moment)
        self._days = question.days
        self._said: dict[int, Entry] = {}  # by the visit's key
        self.courses = CourseBook(answer.courses)
        self.baselines: dict[int, list[rules.IntakeFacts]] = defaultdict(list)
        for case_id, taken_on, *intake in answer.baselines:
            self.baselines[case_id].append(rules.IntakeFacts(_day(taken_on), *intake))
        self.contracts: dict[int, list[rules.Period]] = defaultdict(list)
        for institution_id, starts_on, ends_on in answer.contracts:
            self.contracts[institution_id].append(rules.Period(_day(starts_on), _day(ends_on)))
        self._note_staff(answer.staff)
        self.medicines = {
            code: rules.MedicineFacts(_day(starts_on), _day(ends_on), name)
            for code, starts_on, ends_on, name in answer.medicines
        }
        self.closes_at = {
            (institution_id, _day(month)): datetime.fromisoformat(closes_at)
            for institution_id, month, closes_at in answer.closing
        }
        self._keys = dict(zip((Visit, Service, MedicationLine), map(iter, answer.keys), strict=True))
        self._note_visits(answer.visits)

    @classmethod
    def read(cls, cases: Iterable[Case], entries: Sequence[Entry], *, days: Iterable[date] = ()) -> Self:
        """Ask what there is to know (Question), and know it. Locks the persons, inside a transaction."""
        question = Question(cases, entries, days=days)
        return cls(question, question.answer())

    def _note_visits(self, rows: list[list[Any]]) -> None:
        self.by_uid: dict[UUID, Visit] = {}
        self.by_key: dict[int, Visit] = {}
        self.visits: dict[tuple[int, int, date], Visit] = {}
        self.services: dict[tuple[int, int], list[rules.RecordedService]] = defaultdict(list)
        for kind, entry_uid, key, uid, case_id, person_id, institution_id, visit_on, visit_time, *values in rows:
            visit = self.by_key.get(key)
            if visit is None:
                at = visit_time and time.fromisoformat(visit_time)
                known = [key, UUID(uid), case_id, person_id, institution_id, _day(visit_on), at, *values]
                visit = self.by_key[key] = Visit.from_db(None, _VISIT_FIELDS, known)
            self.by_uid[UUID(entry_uid)] = visit
            if visit.in_force:
                self._add(visit, kind)

    def _note_staff(self, rows: list[list[Any]]) -> None:
        self.staff_ids: dict[UUID, int] = {}
        self.staff: dict[int, dict[UUID, rules.StaffFacts]] = defaultdict(dict)
        periods: dict[tuple[int, UUID], list[rules.StaffPeriod]] = defaultdict(list)
        for text, staff_id, profession, name, institution_id, starts_on, ends_on, *may in rows:
            uid = UUID(text)
            self.staff_ids[uid] = staff_id
            periods[institution_id, uid].append(rules.StaffPeriod(_day(starts_on), _day(ends_on), *may))
            label = Sentence("{profession} {name}", profession=Words(Profession(profession).label), name=name)
            self.staff[institution_id][uid] = rules.StaffFacts(label, tuple(periods[institution_id, uid]))

    def next_key(self, model: type[Model]) -> int:
        """A primary key for a new row; as many as the entries need, were all of them accepted."""
        return next(self._keys[model])

    def same_day(self, case: Case, day: date) -> Visit | None:
        """The visit in force on that day, if any."""
        return self.visits.get((case.person_id, case.institution_id, day))

    def closing_of(self, case: Case, day: date) -> datetime | None:
        """The closing moment of the day's month at the case's institution; None where policy has a gap."""
        return self.closes_at.get((case.institution_id, rules.month_of(day)))

    def forget(self, visit: Visit) -> None:
        """Leave a visit out of the facts: one that is changed is never compared with itself."""
        key = (visit.person_id, visit.institution_id)
        self.services[key] = [service for service in self.services[key] if service.visit_uid != visit.uid]
        if self.visits.get((*key, visit.visit_on)) is visit:
            del self.visits[*key, visit.visit_on]

    def facts(self, case: Case, entry: Entry, moment: datetime, *, permitted: bool = False) -> Facts:
        """The facts for one entry, to be recorded at `moment`; `permitted`: whatever the window."""
        same = self.same_day(case, entry.visit_on)
        return Facts(
            moment=moment,
            closes_at=self.closing_of(case, entry.visit_on),
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
            courses=self.courses.facts(case),
            emptied=case.person.is_emptied,
            permitted=permitted,
        )

    def add(self, visit: Visit, services: Iterable[Service], entry: Entry) -> None:
        """Let the entries that follow know of this one, which was accepted."""
        said = self._said.get(visit.pk)
        self._said[visit.pk] = entry if said is None else _joined(said, entry)
        for service in services:
            self.by_uid[service.entry_uid] = visit
            self._add(visit, service.kind)
            self.courses.add(visit, service, entry.weeks if service.kind == rules.MEDICATION else 0)

    def holds(self, visit: Visit, entry: Entry) -> bool:
        """True when a visit says all that the entry says (it may say more: another service of the day)."""
        if visit.pk not in self._said and visit.visit_on in self._days:
            self.read_said()
        recorded = self._said.get(visit.pk) or entry_of(visit, services_of(visit))
        said = {
            name: value for name in VALUES if (value := getattr(entry, name)) not in (None, "") and value is not False
        }
        return (
            visit.visit_on == entry.visit_on
            and all(getattr(entry, kind) in (None, getattr(recorded, kind)) for kind in KINDS)
            and all(getattr(recorded, name) == value for name, value in said.items())
        )

    def read_said(self) -> None:
        """Read what the visits on the entries' days say, of all at once; after that nothing more is read."""
        visits = [one for one in self.by_key.values() if one.visit_on in self._days and one.pk not in self._said]
        if not visits:
            return
        given = defaultdict(list)
        services = Service.objects.filter(visit_id__in=[visit.pk for visit in visits])
        for service in services.select_related("staff").prefetch_related("lines"):
            given[service.visit_id].append(service)
        self._said |= {visit.pk: entry_of(visit, given[visit.pk]) for visit in visits}

    def _add(self, visit: Visit, kind: str) -> None:
        self.visits[visit.person_id, visit.institution_id, visit.visit_on] = visit
        self.services[visit.person_id, visit.institution_id].append(
            rules.RecordedService(visit.uid, visit.visit_on, kind)
        )


def services_of(visit: Visit) -> Iterable[Service]:
    """A recorded visit's services, with their staff and lines."""
    return visit.services.select_related("staff").prefetch_related("lines")


def entry_of(visit: Visit, services: Iterable[Service]) -> Entry:
    """A recorded visit in the form in which it was typed (lines with their days, services with their staff)."""
    medication = counselling = None
    for service in services:
        if service.kind == rules.MEDICATION:
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


def _joined(said: Entry, entry: Entry) -> Entry:
    """What a visit says once another entry of its day has joined it."""
    more = {name: value for name in (*KINDS, *VALUES) if (value := getattr(entry, name))}
    return replace(said, **more)


def _array(values: Iterable[int | UUID | date]) -> str:
    """An array as PostgreSQL reads it: cheaper than a list, whose elements psycopg looks at one by one."""
    return f"{{{','.join(map(str, values))}}}"


def _day(text: str | None) -> Any:
    """A day out of JSON."""
    return text and date.fromisoformat(text)
