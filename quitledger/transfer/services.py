"""Takes over the records of the system before this one: what is good by the services that record it, the rest as it was.

Every step may be run again: what is there already is left. A rehearsal (`check`) does all of it and takes it back.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4, uuid5

from django.db import transaction

from quitledger.accounts.actors import SYSTEM, Actor
from quitledger.accounts.permissions import Permission
from quitledger.accounts.scope import scoped
from quitledger.audit import journal
from quitledger.audit.database import programme_now, purpose
from quitledger.cases.models import Case
from quitledger.cases.services import BaselineEntry, Registration, record_baseline, register_case
from quitledger.corrections.models import Application
from quitledger.corrections.rules import ItemKind
from quitledger.corrections.services import ItemEntry, register_on_paper
from quitledger.institutions.imports import SAME, Cells, attempt, read_cells, read_table
from quitledger.institutions.services import (
    institution_by_code,
    record_contract,
    record_institution,
    record_staff,
    staff_by_number,
)
from quitledger.policy import TAIPEI, PolicyGap
from quitledger.policy.identity import IdentityKind
from quitledger.policy.problem import Problem, Refused, refuse_where
from quitledger.policy.sentences import Sentence
from quitledger.visits.course_records import course_numbers
from quitledger.visits.models import Medicine, Visit
from quitledger.visits.rules import COUNSELLING, MEDICATION, Counselling, Entry, Medication, month_of
from quitledger.visits.services import Outcome, record_medicine, record_visits, take_over_visits

from . import formats
from .formats import CorrectionRow, IntakeRow, Kind, PersonRow, VisitRow

_SPACE = UUID("6e2b0c8e-0a57-4a0c-8f0e-0a8f6b0c5d11")
AT_ONCE = 300  # visits, persons or intakes written in one transaction
# What breaks a rule is kept as it is; with one of these problems it cannot be kept at all.
_NOT_KEPT = {
    "person-emptied", "policy-unknown", "service-missing", "medicine-missing", "medicine-unknown", "medicine-twice",
    "weeks-missing", "value-implausible", "note-too-long", "note-unreadable", "mode-unknown",
}  # fmt: skip


@dataclass(frozen=True)
class Told:
    """What is said of one row: its file and line, its cells, why."""

    file: str
    line: int
    cells: Cells
    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class CourseDiffers:
    """A service that the old system counted to another course (year AD, number) than we do: ours holds."""

    file: str
    line: int
    kind: str
    was: tuple[int, int]
    ours: tuple[int, int]


@dataclass
class Report:
    """What became of every row. `months`: by institution and month, visits in the files and visits kept of them."""

    recorded: Counter[str] = field(default_factory=Counter)  # by kind of file
    known: Counter[str] = field(default_factory=Counter)  # recorded before
    refused: dict[str, list[Told]] = field(default_factory=lambda: defaultdict(list))
    taken_over: list[Told] = field(default_factory=list)
    courses: list[CourseDiffers] = field(default_factory=list)
    months: dict[tuple[str, date], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    @property
    def is_clean(self) -> bool:
        """Nothing was refused."""
        return not any(self.refused.values())


@dataclass(frozen=True)
class _Row:
    """A row as it was read."""

    told: Told
    value: Any


def check(folder: Path, *, by: Actor, tell: Callable[[str], None] = lambda line: None) -> Report:
    """Do everything that load does, and take it back: the rehearsal; the open applications are read alone.

    Raises PermissionDenied, and Refused where a file cannot be read.
    """
    by.require(Permission.TRANSFER)
    with transaction.atomic():
        report = load(folder, by=by, tell=tell)
        transaction.set_rollback(True)
    for path in _paths(folder, formats.CORRECTIONS):
        list(_rows(path, formats.CORRECTIONS, report))
    return report


def load(folder: Path, *, by: Actor, tell: Callable[[str], None] = lambda line: None) -> Report:
    """Take over what the files of the folder hold; what is there already is left, so that it may be run again.

    As the owner role, in transactions of AT_ONCE rows. `tell` is given a line for each file.
    Raises PermissionDenied, and Refused where a file cannot be read or one that is needed is not there.
    """
    by.require(Permission.TRANSFER)
    report = Report()
    for kind in formats.KINDS:
        paths = _paths(folder, kind)
        if kind.needed and not paths:
            message = Sentence("資料夾裡沒有 {file}。", file=f"{kind.stem}.csv")
            raise Refused([Problem("file-missing", message, kind.stem)])
        for path in paths:
            with _as_one_request(kind, by):
                _WRITERS[kind.stem](list(_rows(path, kind, report)), report)
            tell(path.name)
    return report


def _paths(folder: Path, kind: Kind) -> list[Path]:
    return sorted({*folder.glob(f"{kind.stem}.csv"), *folder.glob(f"{kind.stem}-*.csv")})


@contextmanager
def _as_one_request(kind: Kind, by: Actor) -> Iterator[None]:
    token = journal.request_uid.set(uuid4())
    try:
        yield
        with scoped(by):
            journal.record(Permission.TRANSFER, record_type="database", fields=[kind.stem])
    finally:
        journal.request_uid.reset(token)


def _rows(path: Path, kind: Kind, report: Report) -> Iterator[_Row]:
    """The rows that can be read; the others are refused."""
    try:
        with path.open("rb") as file:
            table = read_table(file, kind.columns, most_rows=None)
    except Refused as refused:
        raise Refused([
            Problem(one.code, Sentence("{file}：{message}", file=path.name, message=one.message), kind.stem)
            for one in refused.problems
        ]) from None  # fmt: skip
    for line, cells in table:
        values, problems = read_cells(cells, kind.columns)
        told = Told(path.name, line, cells, tuple(problems))
        if problems:
            report.refused[kind.stem].append(told)
        else:
            yield _Row(told, kind.make(**values))


def _refuse(report: Report, kind: Kind, row: _Row, problems: Sequence[Problem]) -> None:
    report.refused[kind.stem].append(Told(row.told.file, row.told.line, row.told.cells, tuple(problems)))


# --- The desk's lists ------------------------------------------------------------------------------------------------


def _list_writer(kind: Kind, record: Any) -> Callable[[list[_Row], Report], None]:
    def write(rows: list[_Row], report: Report) -> None:
        with scoped(SYSTEM):
            for row in rows:
                recorded, problems = attempt(record, row.value, by=SYSTEM)
                if recorded is None:
                    _refuse(report, kind, row, problems)
                else:
                    (report.known if recorded.did == SAME else report.recorded)[kind.stem] += 1

    return write


# --- Persons and intakes ---------------------------------------------------------------------------------------------


def case_uid(institution_code: str, number: str) -> UUID:
    """The uid of a case that was taken over, by the old system's number of it at the institution."""
    return uuid5(_SPACE, f"case {institution_code} {number}")


def _write_persons(rows: list[_Row], report: Report) -> None:
    def write(row: PersonRow, by: Actor) -> bool:
        uid = case_uid(row.institution_code, row.number)
        known = Case.objects.filter(uid=uid).exists()
        entry = Registration(
            uid, IdentityKind(row.identity_kind), row.identity_number, row.identity_country, row.birth_on, row.sex, row.name,
            row.chart_no, row.phone,
        )  # fmt: skip
        register_case(entry, today=row.opened_on, made_up_allowed=purpose() != "production", by=by)
        return known

    _write_each(formats.PERSONS, rows, write, report)


def _write_intakes(rows: list[_Row], report: Report) -> None:
    def write(row: IntakeRow, by: Actor) -> bool:
        case = Case.objects.select_related("person").filter(uid=case_uid(row.institution_code, row.number)).first()
        if case is None:
            raise Refused([_case_unknown()])
        entry = BaselineEntry(
            uuid5(_SPACE, f"intake {case.uid} {row.taken_on}"), row.taken_on, row.ftnd, row.cigarettes_per_day, row.co_ppm,
            row.weight_kg, row.pregnant, row.insured,
        )  # fmt: skip
        known = case.baselines.filter(uid=entry.uid).exists()
        record_baseline(case=case, entry=entry, today=programme_now().astimezone(TAIPEI).date(), by=by)
        return known

    _write_each(formats.INTAKES, rows, write, report)


def _write_each(kind: Kind, rows: list[_Row], write: Callable[[Any, Actor], bool], report: Report) -> None:
    """`write` answers whether it was there before."""
    for code, there in _by_institution(rows):
        for part in _parts(there):
            by = _at(code, part, kind, report)
            if by is None:
                continue
            with scoped(by):
                for row in part:
                    try:
                        with transaction.atomic():
                            known = write(row.value, by)
                    except (Refused, PolicyGap) as fault:
                        _refuse(report, kind, row, _problems_of(fault))
                    else:
                        (report.known if known else report.recorded)[kind.stem] += 1


def _problems_of(fault: Refused | PolicyGap) -> list[Problem]:
    if isinstance(fault, Refused):
        return fault.problems
    return [Problem("policy-gap", Sentence("{gap}", gap=fault.reason))]


def _case_unknown() -> Problem:
    return Problem("case-unknown", "persons 檔裡沒有這個個案編號，或那一列沒有收下。", "case_number")


# --- Visits ----------------------------------------------------------------------------------------------------------


def visit_uid(institution_code: str, number: str) -> UUID:
    """The uid of a visit that was taken over, by the old system's number of it."""
    return uuid5(_SPACE, f"visit {institution_code} {number}")


def _write_visits(rows: list[_Row], report: Report) -> None:
    """Every row that can be kept is; then the courses are compared, which other institutions' visits belong to as well."""
    for row in rows:
        report.months[row.value.institution_code, month_of(row.value.visit_on)]["file"] += 1
    persons: set[int] = set()
    with scoped(SYSTEM):
        staff = _staff_of([row.value for row in rows])
    medicines = set(Medicine.objects.values_list("code", flat=True))
    for code, there in _by_institution(rows):
        there.sort(key=lambda row: (row.value.visit_on, row.told.line))
        for part in _parts(there):
            by = _at(code, part, formats.VISITS, report)
            if by is not None:
                with scoped(by):
                    persons |= _write_some(part, staff, medicines, by, report)
    _compare_courses(rows, sorted(persons), report)


def _write_some(
    rows: Sequence[_Row], staff: dict[str, UUID], medicines: set[str], by: Actor, report: Report
) -> set[int]:
    """Write visits of an institution; the persons whose they are."""
    today = programme_now().astimezone(TAIPEI).date()
    cases = Case.objects.select_related("person").in_bulk(
        [case_uid(row.value.institution_code, row.value.case_number) for row in rows], field_name="uid"
    )
    good: list[tuple[_Row, Case, Entry]] = []
    for row in rows:
        case = cases.get(case_uid(row.value.institution_code, row.value.case_number))
        problems = [] if case else [_case_unknown()]
        problems += _unknown(row.value, staff, medicines) + _not_yet(row.value, today)
        if case is None or problems:
            _refuse(report, formats.VISITS, row, problems)
        else:
            good.append((row, case, _entry(row.value, staff)))
    uids = [entry.uid for _, _, entry in good]
    before = set(Visit.objects.filter(uid__in=uids).values_list("uid", flat=True))
    new = [one for one in good if one[2].uid not in before]
    moments = [row.value.recorded_at for row, _, _ in new]
    outcomes = record_visits([(case, entry) for _, case, entry in new], by=by, recorded_at=moments)
    _keep(new, outcomes, by, report)
    kept = Visit.objects.in_bulk(uids, field_name="uid")
    for row, _case, entry in good:
        month = report.months[row.value.institution_code, month_of(entry.visit_on)]
        if entry.uid in before:
            report.known[formats.VISITS.stem] += 1
        month["kept"] += entry.uid in kept
    return {visit.person_id for visit in kept.values()}


def _keep(new: Sequence[tuple[_Row, Case, Entry]], outcomes: Sequence[Outcome], by: Actor, report: Report) -> None:
    """What was recorded is counted; what breaks a rule and can be kept is kept; the rest is refused."""
    broken = []
    for (row, case, entry), outcome in zip(new, outcomes, strict=True):
        if outcome.visit is not None:
            report.recorded[formats.VISITS.stem] += 1
        elif any(problem.code in _NOT_KEPT for problem in outcome.problems):
            _refuse(report, formats.VISITS, row, outcome.problems)
        else:
            broken.append((row, case, entry, outcome.problems))
    take_over_visits(
        [(case, entry) for _, case, entry, _ in broken],
        recorded_at=[row.value.recorded_at for row, *_ in broken],
        by=by,
    )
    for row, *_rest, problems in broken:
        report.taken_over.append(Told(row.told.file, row.told.line, row.told.cells, tuple(problems)))


def _not_yet(row: VisitRow, today: date) -> list[Problem]:
    """What has not happened is no record."""
    days = {"visit_on": row.visit_on, "recorded_at": row.recorded_at.astimezone(TAIPEI).date()}
    return [
        Problem("in-future", Sentence("{day} 還沒到。", day=day), name) for name, day in days.items() if day > today
    ]


def _unknown(row: VisitRow, staff: dict[str, UUID], medicines: set[str]) -> list[Problem]:
    """Why a visit cannot be kept whatever the rules say: it names what is not there."""
    problems = []
    for name, number in ((MEDICATION, row.medication_staff), (COUNSELLING, row.counselling_staff)):
        if number and number not in staff:
            problems.append(Problem("staff-unknown", "人員名冊裡沒有這個身分證字號。", f"{name}_staff"))
    for line in row.lines:
        if line.medicine_code not in medicines:
            message = Sentence("藥品清單裡沒有 {code}。", code=line.medicine_code)
            problems.append(Problem("medicine-unknown", message, "lines"))
        elif not (line.supply_weeks and line.days):
            problems.append(Problem("supply-missing", "週數與天數都要大於 0。", "lines"))
    if not row.medication_staff and not row.counselling_staff:
        problems.append(Problem("services-missing", "沒有用藥也沒有衛教：用藥人員與衛教人員至少填一位。", None))
    return problems


def _entry(row: VisitRow, staff: dict[str, UUID]) -> Entry:
    return Entry(
        visit_uid(row.institution_code, row.number), row.visit_on, row.visit_time,
        Medication(staff[row.medication_staff], row.lines) if row.medication_staff else None,
        Counselling(staff[row.counselling_staff], row.counselling_mode) if row.counselling_staff else None,
        row.pregnant, row.cigarettes_per_day, row.co_ppm, row.note,
    )  # fmt: skip


def _staff_of(rows: Iterable[VisitRow]) -> dict[str, UUID]:
    """The staff named in the rows, by identity number; in the agency's scope."""
    numbers = {number for row in rows for number in (row.medication_staff, row.counselling_staff) if number}
    found = {number: staff_by_number(number) for number in numbers}
    return {number: staff.uid for number, staff in found.items() if staff}


def _compare_courses(rows: Sequence[_Row], persons: Sequence[int], report: Report) -> None:
    """What the old system counted to another course than ours: ours holds."""
    numbers: dict[tuple[UUID, str], tuple[int, int]] = {}
    with scoped(SYSTEM):
        for first in range(0, len(persons), AT_ONCE):
            numbers |= course_numbers(persons[first : first + AT_ONCE])
    for row in rows:
        uid = visit_uid(row.value.institution_code, row.value.number)
        for kind, was in ((MEDICATION, row.value.medication_course), (COUNSELLING, row.value.counselling_course)):
            ours = numbers.get((uid, kind))
            if was and ours and was != ours:
                report.courses.append(CourseDiffers(row.told.file, row.told.line, kind, was, ours))


# --- Applications that were not decided ------------------------------------------------------------------------------


def register_applications(folder: Path, report: Report, *, by: Actor) -> None:
    """Register the open applications as the desk registers what came on paper; each gets a number of ours.

    As the application role, by an account of the desk. Raises PermissionDenied, and Refused where a file cannot be read.
    """
    by.require(Permission.CORRECTION_REGISTER)
    kind = formats.CORRECTIONS
    for path in _paths(folder, kind):
        with _as_one_request(kind, by):
            for row in _rows(path, kind, report):
                try:
                    with scoped(by), transaction.atomic():
                        known = _register(row.value, by)
                except Refused as refused:
                    _refuse(report, kind, row, refused.problems)
                else:
                    (report.known if known else report.recorded)[kind.stem] += 1


def _register(row: CorrectionRow, by: Actor) -> bool:
    """True where it was registered before."""
    uid = uuid5(_SPACE, f"application {row.institution_code} {row.number}")
    case = (
        Case.objects.select_related("person").filter(uid=case_uid(row.institution_code, row.visit.case_number)).first()
    )
    if case is None:
        raise Refused([_case_unknown()])
    if Application.objects.filter(uid=uid).exists():
        return True
    item = uuid5(_SPACE, f"item {uid}")
    if row.kind == ItemKind.VOID:
        visit = Visit.objects.filter(uid=visit_uid(row.institution_code, row.visit.number), case=case).first()
        if visit is None:
            raise Refused([Problem("visit-unknown", "visits 檔裡沒有這個就醫編號，或那一列沒有收下。", "visit_number")])
        said = ItemEntry(item, ItemKind.VOID, visit, visit.version)
    else:
        staff = _staff_of([row.visit])
        refuse_where(_unknown(row.visit, staff, set(Medicine.objects.values_list("code", flat=True))))
        said = ItemEntry(item, ItemKind.LATE_ENTRY, entry=replace(_entry(row.visit, staff), uid=item))
    register_on_paper(
        uid=uid, case=case, reason=Sentence("舊系統案件 {number}：{reason}", number=row.number, reason=row.reason),
        discovered_on=row.discovered_on, received_on=row.received_on, items=[said], by=by,
    )  # fmt: skip
    return False


# --- By institution --------------------------------------------------------------------------------------------------


def _by_institution(rows: Iterable[_Row]) -> Iterator[tuple[str, list[_Row]]]:
    found: dict[str, list[_Row]] = defaultdict(list)
    for row in rows:
        found[row.value.institution_code].append(row)
    yield from sorted(found.items())


def _parts(rows: Sequence[_Row]) -> Iterator[Sequence[_Row]]:
    for first in range(0, len(rows), AT_ONCE):
        yield rows[first : first + AT_ONCE]


def _at(code: str, rows: Sequence[_Row], kind: Kind, report: Report) -> Actor | None:
    """The programme itself at the institution; None, with the rows refused, where there is none of this code."""
    with scoped(SYSTEM):
        institution = institution_by_code(code, programme_now().astimezone(TAIPEI).date())
    if institution is None:
        problem = Problem(
            "institution-unknown", Sentence("沒有代碼 {code} 的醫事機構。", code=code), "institution_code"
        )
        for row in rows:
            _refuse(report, kind, row, [problem])
        return None
    return Actor(None, institution.pk, None, system=True)


_WRITERS: dict[str, Callable[[list[_Row], Report], None]] = {
    formats.MEDICINES.stem: _list_writer(formats.MEDICINES, record_medicine),
    formats.INSTITUTIONS.stem: _list_writer(formats.INSTITUTIONS, record_institution),
    formats.CONTRACTS.stem: _list_writer(formats.CONTRACTS, record_contract),
    formats.STAFF.stem: _list_writer(formats.STAFF, record_staff),
    formats.PERSONS.stem: _write_persons,
    formats.INTAKES.stem: _write_intakes,
    formats.VISITS.stem: _write_visits,
}
