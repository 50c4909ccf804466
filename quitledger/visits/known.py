"""What the rules need to know before visits are recorded, read at once: few statements, for it is asked at every save."""

from collections import defaultdict
from collections.abc import Iterable
from contextlib import ExitStack
from datetime import date, datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Model

from quitledger.accounts.scope import pipelined
from quitledger.cases.models import Case
from quitledger.institutions.models import Profession

from . import rules
from .models import Service, Visit
from .rules import Entry, Facts

# Writers of one person wait for each other here, always in the same order. What others have recorded of the person is
# read by a later statement, which sees what they have committed meanwhile.
_PERSONS = """
SELECT b.case_id, b.taken_on, b.ftnd_score, b.cigarettes_per_day, b.insured
FROM cases_person p LEFT JOIN cases_baseline b ON b.person_id = p.id AND b.case_id = ANY(%s)
WHERE p.id = ANY(%s) ORDER BY p.id, b.recorded_at FOR NO KEY UPDATE OF p
"""
_VISIT_FIELDS = [field.attname for field in Visit._meta.concrete_fields]
_VISITS = f"""
SELECT s.kind, s.entry_uid, {", ".join(f"v.{name}" for name in _VISIT_FIELDS)}
FROM visits_visit v JOIN visits_service s ON s.visit_id = v.id
WHERE v.person_id = ANY(%s) AND v.institution_id = ANY(%s)
"""  # noqa: S608 - our own words
# Contracts of the institutions (no uid) and of the staff named.
_CONTRACTS = """
SELECT institution_id, starts_on, ends_on, NULL, NULL, '', '', false, false
FROM institutions_contract WHERE institution_id = ANY(%s)
UNION ALL
SELECT c.institution_id, c.starts_on, c.ends_on, s.id, s.uid, s.profession, s.name, c.may_medicate, c.may_counsel
FROM institutions_staffcontract c JOIN institutions_staffmember s ON s.id = c.staff_id
WHERE c.institution_id = ANY(%s) AND s.uid = ANY(%s)
"""
_MEDICINES = "SELECT code, starts_on, ends_on, name FROM visits_medicine WHERE code = ANY(%s)"
# The closing moments; a month is opened when its first visit is recorded. And the clock, in every row.
_MONTHS = """
SELECT institution_id, month, closes_at, programme_now()
FROM (SELECT) clock LEFT JOIN visits_open_months(%s::bigint[], %s::date[]) ON true
"""
# Primary keys for what will be written: then all of it can be sent at once.
_IDS = """
SELECT 'visits_visit', nextval('visits_visit_id_seq') FROM generate_series(1, %s)
UNION ALL SELECT 'visits_service', nextval('visits_service_id_seq') FROM generate_series(1, %s)
UNION ALL SELECT 'visits_medicationline', nextval('visits_medicationline_id_seq') FROM generate_series(1, %s)
"""


class Known:
    """The facts about the persons, staff and months of a list of entries. Reading them locks the persons."""

    def __init__(self, cases: Iterable[Case], entries: list[Entry]) -> None:
        cases = list(cases)
        institutions = sorted({case.institution_id for case in cases})
        persons = sorted({case.person_id for case in cases})
        staff = sorted({uid for entry in entries for uid in entry.kinds.values() if uid})
        months = sorted({(case.institution_id, rules.month_of(entry.visit_on)) for case in cases for entry in entries})
        services = [kind for entry in entries for kind in entry.kinds]
        lines = [line for entry in entries if entry.medication for line in entry.medication.lines]
        baselines, visits, contracts, listed, closing, ids = _answers(
            (_PERSONS, [[case.pk for case in cases], persons]),
            (_VISITS, [persons, institutions]),
            (_CONTRACTS, [institutions, institutions, staff]),
            (_MEDICINES, [sorted({line.medicine_code for line in lines})]),
            (_MONTHS, [[institution for institution, _ in months], [month for _, month in months]]),
            (_IDS, [len(entries), len(services), len(lines)]),
        )
        self.baselines: dict[int, list[rules.IntakeFacts]] = defaultdict(list)
        for case_id, *intake in baselines:
            if case_id is not None:
                self.baselines[case_id].append(rules.IntakeFacts(*intake))
        self._note_visits(visits)
        self._note_contracts(contracts)
        self.medicines = {code: rules.MedicineFacts(*facts) for code, *facts in listed}
        self.moment: datetime = closing[0][3]
        self.closes_at: dict[tuple[int, date], datetime] = {(row[0], row[1]): row[2] for row in closing}
        self._ids: dict[str, list[int]] = defaultdict(list)
        for table, key in reversed(ids):
            self._ids[table].append(key)

    def next_id(self, model: type[Model]) -> int:
        """A primary key for a new row; as many as the entries need, were all of them accepted."""
        return self._ids[model._meta.db_table].pop()

    def _note_visits(self, rows: list[tuple[Any, ...]]) -> None:
        self.by_uid: dict[UUID, Visit] = {}
        self.visits: dict[tuple[int, int, date], Visit] = {}
        self.services: dict[tuple[int, int], list[rules.RecordedService]] = defaultdict(list)
        found: dict[int, Visit] = {}
        for kind, entry_uid, *values in rows:
            visit = found.setdefault(values[0], Visit.from_db(None, _VISIT_FIELDS, values))
            self.by_uid[entry_uid] = visit
            if visit.in_force:
                self._add(visit, kind)

    def _note_contracts(self, rows: list[tuple[Any, ...]]) -> None:
        self.contracts: dict[int, list[rules.Period]] = defaultdict(list)
        self.staff_ids: dict[UUID, int] = {}
        periods: dict[tuple[int, UUID, str], list[rules.StaffPeriod]] = defaultdict(list)
        for institution_id, starts_on, ends_on, staff_id, uid, profession, name, *may in rows:
            if uid is None:
                self.contracts[institution_id].append(rules.Period(starts_on, ends_on))
            else:
                self.staff_ids[uid] = staff_id
                label = f"{Profession(profession).label} {name}"
                periods[institution_id, uid, label].append(rules.StaffPeriod(starts_on, ends_on, *may))
        self.staff: dict[int, dict[UUID, rules.StaffFacts]] = defaultdict(dict)
        for (institution_id, uid, label), contracts in periods.items():
            self.staff[institution_id][uid] = rules.StaffFacts(label, tuple(contracts))

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
        for service in services:
            self.by_uid[service.entry_uid] = visit
            self._add(visit, service.kind)

    def _add(self, visit: Visit, kind: str) -> None:
        self.visits[visit.person_id, visit.institution_id, visit.visit_on] = visit
        self.services[visit.person_id, visit.institution_id].append(
            rules.RecordedService(visit.uid, visit.visit_on, kind)
        )


def _answers(*questions: tuple[str, list[Any]]) -> list[list[tuple[Any, ...]]]:
    """The rows of several statements."""
    with ExitStack() as stack:
        cursors = [stack.enter_context(connection.cursor()) for _ in questions]
        with pipelined():
            for cursor, (statement, values) in zip(cursors, questions, strict=True):
                cursor.execute(statement, values)
        return [cursor.fetchall() for cursor in cursors]
