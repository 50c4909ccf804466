"""Rows of visits: whom they name, what they say, and what the rules of recording answer."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from quitledger.accounts.actors import Actor
from quitledger.accounts.keys import Keys, keys
from quitledger.audit.database import among
from quitledger.audit.staging import Aside
from quitledger.cases.models import Case
from quitledger.cases.services import identity_hashes, persons_by_hash
from quitledger.institutions.models import StaffMember
from quitledger.policy.identity import COUNTRIES, IdentityKind, normalise, recognise
from quitledger.policy.problem import Problem
from quitledger.policy.sentences import Sentence
from quitledger.visits import services as visits
from quitledger.visits.courses import COUNSELLING, LABELS, MEDICATION
from quitledger.visits.rules import Counselling, Entry, Line, Medication
from quitledger.visits.services import Outcome

from .columns import MOST_MEDICINES, Kind, is_given, read_row
from .verdicts import Verdict, verdict

Cells = Mapping[str, str]
_NOBODY = UUID("00000000-0000-4000-8000-000000000000")  # of staff whom a name does not tell: the rules say so
_CARDS = (IdentityKind.NATIONAL_ID, IdentityKind.RESIDENT_CERTIFICATE, IdentityKind.RESIDENT_CERTIFICATE_OLD)


class Names:
    """What the words of some rows mean at the actor's institution: chart numbers, identity numbers, names of staff."""

    def __init__(self, rows: Sequence[Cells], by: Actor) -> None:
        self._institution = by.at_institution()
        self.keys = keys()
        cases = Case.objects.filter(institution_id=self._institution).select_related("person")
        chart_nos = {text for cells in rows if (text := _word(cells, "chart_no"))}
        self._by_chart_no = {
            case.chart_no: case for case in cases.filter(chart_no__in=among(chart_nos, "text")).exclude(chart_no="")
        }
        numbers = {text for cells in rows if (text := normalise(_word(cells, "identity_number")))}
        hashes = {number: _hashes(number) for number in numbers}
        persons = persons_by_hash([one for several in hashes.values() for one in several])
        found = {person_id for known in persons.values() for person_id, _birth_on in known}
        by_person = {case.person_id: case for case in cases.filter(person_id__in=among(found, "bigint"))}
        self._by_number: dict[str, list[Case]] = {
            number: list({
                person_id: by_person[person_id]
                for one in several for person_id, _birth_on in persons.get(one, ()) if person_id in by_person
            }.values())
            for number, several in hashes.items()
        }  # fmt: skip
        self._by_merged = self._kept_instead(cases)
        self._staff: dict[str, UUID | None] = {}
        for uid, name in (
            StaffMember.objects.filter(contracts__institution_id=self._institution)
            .distinct()
            .values_list("uid", "name")
        ):
            self._staff[name] = None if name in self._staff else uid
            self._staff[str(uid)] = uid

    def _kept_instead(self, cases: "object") -> dict[int, Case]:
        """Of the cases found whose person was merged: the person → the case that took its place."""
        merged = [case.person.merged_into_id for case in self._by_chart_no.values() if case.person.merged_into_id]
        return {case.person_id: case for case in cases.filter(person_id__in=among(merged, "bigint"))} if merged else {}  # type: ignore[attr-defined]

    def case(self, cells: Cells) -> Case | Problem:
        """The case that a row names, or why there is none."""
        chart_no, number = _word(cells, "chart_no"), normalise(_word(cells, "identity_number"))
        by_chart_no = self._by_chart_no.get(chart_no)
        if by_chart_no is not None and by_chart_no.person.merged_into_id:
            by_chart_no = self._by_merged.get(by_chart_no.person.merged_into_id)
        by_number = self._by_number.get(number, [])
        if not chart_no and not number:
            return Problem("case-missing", "請填病歷號或身分證字號，才知道是哪位戒菸者。", "chart_no")
        if number and len(by_number) > 1 and by_chart_no is None:
            return Problem("case-ambiguous", "貴機構有不只一個使用這個證號的個案，請改填病歷號。", "identity_number")
        if chart_no and by_chart_no is None:
            return Problem("case-unknown", "貴機構沒有這個病歷號的個案。請先新收個案，或確認病歷號。", "chart_no")
        if number and not by_number:
            return Problem("case-unknown", "貴機構沒有這個證號的個案。請先新收個案，或確認證號。", "identity_number")
        if by_chart_no is None:
            return by_number[0]
        if by_number and by_chart_no.pk not in {case.pk for case in by_number}:
            return Problem("case-differs", "病歷號與證號不是同一位戒菸者，請確認。", "identity_number")
        return by_chart_no

    def staff(self, word: object) -> UUID | None:
        """The uid of a staff member by name or uid; one of nobody where there is none, or more than one of the name."""
        text = str(word)
        if not text:
            return None
        found = self._staff.get(text)
        if found is None and text not in self._staff:
            try:
                return UUID(text)
            except ValueError:
                return _NOBODY
        return found or _NOBODY

    def is_ambiguous(self, word: object) -> bool:
        """True where more than one of the staff is called so."""
        return bool(word) and str(word) in self._staff and self._staff[str(word)] is None


def _word(cells: Cells, name: str) -> str:
    return cells.get(name, "").replace("\x00", "").strip()


def _hashes(number: str) -> list[bytes]:
    if recognise(number):
        return [one for kind in _CARDS for one in identity_hashes(kind, number)]
    if not number.isalnum() or not number.isascii():
        return []
    return [one for country in COUNTRIES for one in identity_hashes(IdentityKind.PASSPORT, number, country)]


@dataclass
class VisitRow:
    """What a row says: the case and the entry, or the problems with its words."""

    case: Case | None = None
    entry: Entry | None = None
    problems: list[Problem] = field(default_factory=list)


def read(cells: Cells, names: Names) -> VisitRow:
    """A row as the rules know it. Its uid is made of the institution and of what it says: the same row is the same visit."""
    values, problems = read_row(cells, Kind.VISITS)
    case = names.case(cells)
    if isinstance(case, Problem):
        problems.append(case)
    for name, service in (("medication_staff", MEDICATION), ("counselling_staff", COUNSELLING)):
        if names.is_ambiguous(values.get(name)):
            message = Sentence("有不只一位{service}人員叫這個名字，請改填人員的 uid。", service=LABELS[service])
            problems.append(Problem("staff-ambiguous", message, name))
    if problems or isinstance(case, Problem):
        return VisitRow(None if isinstance(case, Problem) else case, None, problems)
    return VisitRow(case, _entry(cells, values, names, case))


def _entry(cells: Cells, values: Mapping[str, "object"], names: Names, case: Case) -> Entry:
    told: frozenset[str] = values["services"]  # type: ignore[assignment]
    given = told or {service for service in LABELS if is_given(cells, service)}
    medication = counselling = None
    if MEDICATION in given:
        lines = tuple(
            Line(str(values[f"medicine_{n}"]), _whole(values[f"weeks_{n}"]) or 0, _whole(values[f"days_{n}"]))
            for n in range(MOST_MEDICINES)
            if any(cells.get(f"{name}_{n}") for name in ("medicine", "weeks", "days"))
        )
        medication = Medication(names.staff(values["medication_staff"]), lines)
    if COUNSELLING in given:
        counselling = Counselling(names.staff(values["counselling_staff"]), str(values["counselling_mode"]))
    said: Any = (
        values["visit_on"], values["visit_time"], medication, counselling, bool(values["pregnant"]),
        _whole(values["cigarettes_per_day"]), _whole(values["co_ppm"]), str(values["note"]),
    )  # fmt: skip
    return Entry(_uid(case, said, names.keys), *said)


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _uid(case: Case, said: tuple[Any, ...], known: Keys) -> UUID:
    """The same for the same words, and told by nothing else: the key of hashes is outside the database.

    `said`: what an entry says, in the order of its fields.
    """
    visit_on, visit_time, medication, counselling, *values = said
    words = (
        str(case.uid), visit_on.isoformat(), str(visit_time),
        medication and (str(medication.staff_uid), [(x.medicine_code, x.supply_weeks, x.days) for x in medication.lines]),
        counselling and (str(counselling.staff_uid), counselling.mode),
        *values,
    )  # fmt: skip
    return UUID(bytes=known.keyed_hash(f"visit {words}")[:16], version=4)


def persons_of(rows: Sequence[Cells], by: Actor) -> list[int | None]:
    """Whom each row names."""
    names = Names(rows, by)
    found = [names.case(cells) for cells in rows]
    return [None if isinstance(case, Problem) else case.person_id for case in found]


def check(rows: Sequence[Cells], *, by: Actor) -> list[Verdict]:
    """What would become of the rows now; those of a person are given together. Raises PermissionDenied."""
    found = _read_all((rows, Names(rows, by)))
    entries = [(row.case, row.entry) for row in found if row.case and row.entry]
    return _verdicts(found, visits.check_visits(entries, by=by))


def record_parts(parts: Iterable[Sequence[Cells]], *, aside: Aside, by: Actor) -> Iterator[list[Verdict]]:
    """Record rows part by part, the good ones of each; none of whose persons is in two. Raises PermissionDenied."""
    begun: deque[list[VisitRow]] = deque()

    def entries() -> Iterator[list[tuple[Case, Entry]]]:
        for found in aside.ahead(_read_all, ((rows, Names(rows, by)) for rows in parts)):
            begun.append(found)
            yield [(row.case, row.entry) for row in found if row.case and row.entry]

    for outcomes in visits.record_parts(entries(), aside=aside, by=by):
        yield _verdicts(begun.popleft(), outcomes)


def _read_all(named: tuple[Sequence[Cells], Names]) -> list[VisitRow]:
    rows, names = named
    return [read(cells, names) for cells in rows]


def _verdicts(rows: Sequence[VisitRow], outcomes: Iterable[Outcome]) -> list[Verdict]:
    told = iter(outcomes)
    verdicts = []
    for row in rows:
        if row.entry is None:
            verdicts.append(verdict(row.problems, is_known=False))
            continue
        outcome = next(told)
        verdicts.append(verdict(outcome.problems, is_known=outcome.repeated or outcome.is_known))
    return verdicts
