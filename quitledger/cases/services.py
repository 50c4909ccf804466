"""The only writers of persons, cases and baselines. Each is one transaction with its audit entry, and takes `by=`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db import connection, transaction

from quitledger.accounts.actors import Actor
from quitledger.accounts.keys import keys
from quitledger.accounts.permissions import Permission
from quitledger.accounts.services import EncryptedNumber
from quitledger.audit import journal
from quitledger.audit.database import among
from quitledger.policy.identity import COUNTRIES, IdentityKind, normalise
from quitledger.policy.problem import Problem, Refused
from quitledger.policy.sentences import Sentence, Words

from . import rules
from .models import Baseline, Case, Person


@dataclass(frozen=True)
class Registration:
    """A person as typed at registration. `uid` becomes the case's: the same form sent twice is the same case.

    `intake`: taken on the same occasion, where a list tells it: the case and its intake are recorded together or not at all.
    """

    uid: UUID
    identity_kind: IdentityKind
    identity_number: str = field(repr=False)
    identity_country: str
    birth_on: date
    sex: str
    name: str
    chart_no: str = ""
    phone: str = ""
    intake: "BaselineEntry | None" = None

    @property
    def identity(self) -> rules.Identity:
        """Who it is."""
        return rules.Identity(self.identity_kind, self.identity_number, self.identity_country, self.birth_on, self.sex)

    @property
    def hashes(self) -> list[bytes]:
        """The keyed hashes of the number."""
        return identity_hashes(self.identity_kind, self.identity_number, self.identity_country)

    @property
    def called(self) -> tuple[str, str, str]:
        """Name, chart number and telephone as they are kept."""
        return self.name.strip(), self.chart_no.strip(), self.phone.strip()


def _identity_text(number: str, kind: str, country: str) -> str:
    """What is hashed of an identity: the number in its one form."""
    return f"{kind}:{normalise(country)}:{normalise(number)}"


PERSON_NUMBERS = EncryptedNumber("cases_person", b"identity", ("identity_kind", "identity_country"), _identity_text)


def identity_hashes(kind: str, number: str, country: str = "") -> list[bytes]:
    """The keyed hashes under which a person may be found: under the current key, then under older ones."""
    return keys().keyed_hashes(_identity_text(number, kind, country))


def find_by_identity(*, number: str, by: Actor) -> list[Case]:
    """The cases of the actor's institution with exactly this identity number, whatever its kind. Journals nothing.

    The number of a person who was merged finds who was kept.
    """
    by.require(Permission.CASE_READ)
    number = normalise(number)
    kinds = ("national_id", "resident_certificate", "resident_certificate_old")
    cases = Case.objects.select_related("person")
    if by.institution_id:
        cases = cases.filter(institution_id=by.institution_id)
    found = _persons_found([hashed for kind in kinds for hashed in identity_hashes(kind, number)])
    if not found and number.isalnum():  # a passport's hash needs its country
        found = _persons_found(
            [hashed for country in COUNTRIES for hashed in identity_hashes("passport", number, country)]
        )
    return list(cases.filter(person_id__in=found).order_by("pk"))


@dataclass
class Registered:
    """What became of one registration: the case, or the problems.

    `repeated`: it was there before by the same uid. `is_known`: refused, because the institution has the very same case.
    `case_uid`: of either, the case that is there. `takes_intake`: the intake told with it is new, whether the case is or not.
    """

    case: Case | None = None
    problems: list[Problem] = field(default_factory=list)
    repeated: bool = False
    is_known: bool = False
    case_uid: UUID | None = None
    takes_intake: bool = False


class KnownCases:
    """What registrations are compared with, at the actor's institution; and those accepted meanwhile."""

    def __init__(self, entries: Sequence[Registration], by: Actor) -> None:
        here = Case.objects.filter(institution_id=by.at_institution())
        self.by_uid = {
            case.uid: case
            for case in here.filter(uid__in=among([entry.uid for entry in entries], "uuid")).select_related("person")
        }
        chart_nos = {entry.chart_no.strip() for entry in entries} - {""}
        self._chart_nos = dict(
            here.filter(chart_no__in=among(chart_nos, "text")).exclude(chart_no="").values_list("chart_no", "uid")
        )
        self._hashes = {entry.uid: entry.hashes for entry in entries}
        self._persons = persons_by_hash([one for hashes in self._hashes.values() for one in hashes])
        found = {person_id for known in self._persons.values() for person_id, _birth_on in known}
        self._cases = {
            case.person_id: case for case in here.filter(person_id__in=among(found, "bigint")).select_related("person")
        }
        self._by_case = self.by_uid | {case.uid: case for case in self._cases.values()}
        self._accepted: dict[bytes, Registration] = {}
        self._accepted_uids: set[UUID] = set()
        self._intakes: dict[tuple[UUID, date], Baseline | BaselineEntry] = {}
        days = {entry.intake.taken_on for entry in entries if entry.intake}
        if days:
            self._read_intakes(days)

    def _read_intakes(self, days: set[date]) -> None:
        cases = {case.pk: uid for uid, case in self._by_case.items()}
        for baseline in Baseline.objects.filter(case_id__in=among(cases, "bigint"), taken_on__in=days):
            self._intakes[cases[baseline.case_id], baseline.taken_on] = baseline

    def chart_no_is_taken(self, entry: Registration) -> bool:
        """True where another case has the chart number."""
        taken = self._chart_nos.get(entry.chart_no.strip())
        return taken is not None and taken != entry.uid

    def same_number(self, entry: Registration) -> list[tuple[Case | Registration, set[date]]]:
        """Others with this identity number here, each with the birth dates known with it."""
        births: dict[int, set[date]] = {}
        for one in self._hashes[entry.uid]:
            for person_id, birth_on in self._persons.get(one, ()):
                births.setdefault(person_id, set()).add(birth_on)
        found: list[tuple[Case | Registration, set[date]]] = [
            (self._cases[person_id], days) for person_id, days in births.items() if person_id in self._cases
        ]
        before = self._accepted.get(self._hashes[entry.uid][0])
        if before is not None:
            found.append((before, {before.birth_on}))
        return [(one, days) for one, days in found if one.uid != entry.uid]

    def accept(self, entry: Registration) -> None:
        """Let the registrations that follow know of this one."""
        if entry.chart_no.strip():
            self._chart_nos[entry.chart_no.strip()] = entry.uid
        self._accepted[self._hashes[entry.uid][0]] = entry
        self._accepted_uids.add(entry.uid)

    def accepted(self, entry: Registration) -> bool:
        """True where the very same registration was accepted before."""
        return entry.uid in self._accepted_uids

    def person_of(self, case_uid: UUID | None) -> Person | None:
        """The person of a case that is recorded, as far as the registrations name it."""
        here = self._by_case.get(case_uid) if case_uid else None
        return here.person if here else None

    def intake_on(self, case_uid: UUID | None, day: date) -> "Baseline | BaselineEntry | None":
        """The intake of the case on that day, recorded or accepted before."""
        return self._intakes.get((case_uid, day)) if case_uid else None

    def accept_intake(self, case_uid: UUID, intake: "BaselineEntry") -> None:
        """Let the registrations that follow know of this intake."""
        self._intakes[case_uid, intake.taken_on] = intake

    def follow(self, before: "KnownCases") -> None:
        """Know of what was accepted before, in an earlier part of the same file."""
        self._chart_nos = before._chart_nos | self._chart_nos
        self._accepted, self._accepted_uids = before._accepted, before._accepted_uids
        self._intakes = before._intakes | self._intakes


def check_registrations(
    entries: Sequence[Registration], *, today: date, made_up_allowed: bool, known: KnownCases, by: Actor
) -> list[Registered]:
    """What would become of registrations, each knowing of those before it; nobody is registered. Raises PermissionDenied."""
    _require_registering(entries, by)
    return [_judged(entry, known, today, made_up_allowed) for entry in entries]


def _require_registering(entries: Sequence[Registration], by: Actor) -> None:
    """Raises PermissionDenied."""
    by.require(Permission.CASE_REGISTER)
    if any(entry.intake for entry in entries):
        by.require(Permission.BASELINE_RECORD)


def _judged(entry: Registration, known: KnownCases, today: date, made_up_allowed: bool) -> Registered:
    """What becomes of a registration and of the intake told with it; those that follow know of it where it is good."""
    found = _judged_case(entry, known, today, made_up_allowed)
    if entry.intake is not None:
        _judge_intake(entry, entry.intake, found, known, today)
    if not (found.problems or found.repeated or found.is_known):
        known.accept(entry)
    return found


def _judged_case(entry: Registration, known: KnownCases, today: date, made_up_allowed: bool) -> Registered:
    recorded = known.by_uid.get(entry.uid)
    if known.accepted(entry) or (recorded is not None and _registers(recorded, entry)):
        return Registered(case=recorded, repeated=True, case_uid=entry.uid)
    if recorded is not None:
        what = Sentence("個案「{name}」", name=recorded.called)
        return Registered(problems=[recorded_otherwise("case-recorded-otherwise", what)])
    problems = [
        *rules.check_person(entry.identity, today=today, made_up_allowed=made_up_allowed),
        *rules.check_case(name=entry.name, chart_no=entry.chart_no, phone=entry.phone, widths=_WIDTHS),
    ]
    if problems:
        return Registered(problems=problems)
    if known.chart_no_is_taken(entry):
        problems.append(_chart_no_taken())
    found = Registered(problems=problems)
    for one, birth_dates in known.same_number(entry):
        if entry.birth_on in birth_dates:
            found.is_known = (one.name, one.chart_no, one.phone) == entry.called
            found.case_uid = one.uid if found.is_known else None
            problems.append(
                Problem("case-exists", "貴機構已有這位戒菸者，請用「找戒菸者」開啟原有的個案。", "identity_number")
            )
        else:
            problems.append(
                Problem(
                    "birth-differs", "貴機構已有這個證號的個案，但出生日期不同。請核對證件上的出生日期。", "birth_on"
                )
            )
    return found


def _judge_intake(
    entry: Registration, intake: "BaselineEntry", found: Registered, known: KnownCases, today: date
) -> None:
    """Put into `found` what becomes of the intake; of a case that is there already it is the only thing to record."""
    person = known.person_of(found.case_uid)
    before = known.intake_on(found.case_uid, intake.taken_on)
    is_there = found.repeated or found.is_known
    if is_there and before is not None and _says(before, intake):
        return
    birth_on, sex = (person.birth_on, person.sex) if person else (entry.birth_on, entry.sex)
    problems = _not_living(person) if person else []
    problems += _intake_problems(intake, birth_on, sex, today)
    if before is not None:
        problems.append(_baseline_exists(intake.taken_on))
    found.problems = problems if is_there else [*found.problems, *problems]
    if found.problems:
        found.case, found.repeated, found.is_known = None, False, False
        return
    found.takes_intake = True
    known.accept_intake(found.case_uid or entry.uid, intake)


_WIDTHS = {name: getattr(Case._meta.get_field(name), "max_length", 0) for name in ("name", "chart_no", "phone")}


def _chart_no_taken() -> Problem:
    return Problem("chart-no-taken", "貴機構已有個案使用這個病歷號，請確認。", "chart_no")


def _has_chart_no(chart_no: str, uid: UUID, by: Actor) -> bool:
    """True where another case of the institution has the chart number."""
    taken = Case.objects.filter(institution_id=by.at_institution(), chart_no=chart_no.strip()).exclude(uid=uid)
    return bool(chart_no.strip()) and taken.exists()


def _persons_found(hashes: Sequence[bytes]) -> dict[int, set[date]]:
    """The persons with these hashes of whom the scope has a case: key (of who is kept) → the birth dates known with it."""
    found: dict[int, set[date]] = {}
    with connection.cursor() as cursor:
        cursor.execute("SELECT person_id, birth_on FROM cases_persons_found(%s)", [list(hashes)])
        for person_id, birth_on in cursor.fetchall():
            found.setdefault(person_id, set()).add(birth_on)
    return found


def persons_by_hash(hashes: Sequence[bytes]) -> dict[bytes, list[tuple[int, date]]]:
    """As _persons_found, of many numbers at once: hash → the persons found by it, and the birth date known with it."""
    found: dict[bytes, list[tuple[int, date]]] = {}
    with connection.cursor() as cursor:
        cursor.execute("SELECT identity_hash, person_id, birth_on FROM cases_persons_by_hash(%s)", [list(hashes)])
        for identity_hash, person_id, birth_on in cursor.fetchall():
            found.setdefault(bytes(identity_hash), []).append((person_id, birth_on))
    return found


def register_case(entry: Registration, *, today: date, made_up_allowed: bool, by: Actor) -> Case:
    """Open a case for a person at the actor's institution; the call of register_cases with one. Raises PermissionDenied,
    Refused."""
    (registered,) = register_cases([entry], today=today, made_up_allowed=made_up_allowed, by=by)
    if registered.case is None:
        raise Refused(registered.problems)
    return registered.case


def register_cases(
    entries: Sequence[Registration], *, today: date, made_up_allowed: bool, opened_on: Sequence[date] | None = None,
    known: KnownCases | None = None, by: Actor,
) -> list[Registered]:  # fmt: skip
    """Open cases for persons at the actor's institution, the good ones of the list; an outcome for each, in order.

    A person is made where the nation did not know him; it looks the same either way. A registration whose uid is there
    already is answered with that case. `opened_on`: the days on which the cases were opened, where that was not today
    (demo data). `known`: of these entries, where an earlier part of the same list went before.
    Raises PermissionDenied.
    """
    _require_registering(entries, by)
    days = opened_on or [today] * len(entries)
    with transaction.atomic():
        facts = known or KnownCases(entries, by)
        outcomes = [_judged(entry, facts, day, made_up_allowed) for entry, day in zip(entries, days, strict=True)]
        new = [
            (entry, one, day)
            for entry, one, day in zip(entries, outcomes, days, strict=True)
            if not (one.problems or one.repeated or one.is_known)
        ]
        if new:
            _open_cases(new, by)
        _write_baselines([_new_baseline(case, intake) for case, intake in _told_intakes(entries, outcomes, by)])
    return outcomes


_FEW = 200  # persons whose birth dates are locked one by one


def _open_cases(new: Sequence[tuple[Registration, Registered, date]], by: Actor) -> None:
    """Make the persons that are not known, and the cases, each opened on its day; journaled together."""
    asked = []
    for number, (entry, _outcome, _day) in enumerate(new):
        said = entry.identity.compared
        token, key_id = keys().encrypt(said.number, about=b"identity")
        hashes = [one.hex() for one in entry.hashes]
        asked.append(
            [number, hashes, said.birth_on.isoformat(), said.sex, said.kind, said.country, token.hex(), key_id]
        )
    with connection.cursor() as cursor:
        cursor.execute("SELECT n, id, uid FROM cases_find_persons(%s::jsonb, %s)", [json.dumps(asked), len(new) > _FEW])
        persons = {number: (person_id, person_uid) for number, person_id, person_uid in cursor.fetchall()}
    cases, uids, filled = [], [], set()
    for number, (entry, outcome, opened_on) in enumerate(new):
        person_id, person_uid = persons[number]
        name, chart_no, phone = entry.called
        outcome.case = Case(
            uid=entry.uid, person_id=person_id, institution_id=by.at_institution(), name=name, chart_no=chart_no,
            phone=phone, opened_on=opened_on,
        )  # fmt: skip
        cases.append(outcome.case)
        uids += [entry.uid, person_uid]
        filled |= {name for name in _WIDTHS if getattr(outcome.case, name)}
    Case.objects.bulk_create(cases)
    fields = ["identity_number", "birth_on", "sex", *(name for name in _WIDTHS if name in filled)]
    journal.record(Permission.CASE_REGISTER, record_type="case", uids=uids, version=1, fields=fields)


def _told_intakes(
    entries: Sequence[Registration], outcomes: Sequence[Registered], by: Actor
) -> list[tuple[Case, "BaselineEntry"]]:
    """The new intakes told with registrations, each with its case, which was there before or is by now."""
    told = [
        (one.case, one.case_uid, entry.intake)
        for entry, one in zip(entries, outcomes, strict=True)
        if one.takes_intake and entry.intake
    ]
    asked = [uid for case, uid, _ in told if case is None and uid]
    there = Case.objects.filter(institution_id=by.at_institution(), uid__in=among(asked, "uuid")) if asked else []
    cases: dict[UUID | None, Case] = {case.uid: case for case in there}
    return [(case or cases[uid], intake) for case, uid, intake in told]


def recorded_otherwise(code: str, what: Sentence) -> Problem:
    """The same form sent again with other contents (back, typed anew, sent): what stands is not overwritten, and what
    was typed is not lost in silence."""
    message = Sentence(
        "這張表單剛才已登錄為{what}，但這次送出的內容不同，沒有登錄。要登錄另一筆，請重新開啟空白的表單。", what=what
    )
    return Problem(code, message)


def _registers(case: Case, entry: Registration) -> bool:
    """True when the case is what the registration says."""
    person = case.person
    if person.identity_hash is None:
        return False  # emptied: nobody knows any more
    return (
        bytes(person.identity_hash) in entry.hashes
        and person.birth_on == entry.birth_on
        and (case.name, case.chart_no, case.phone) == entry.called
    )  # fmt: skip


def _require_living(person: Person) -> None:
    """Raises Refused where nothing is recorded for the person any more: emptied, or merged into another."""
    problems = _not_living(person)
    if problems:
        raise Refused(problems)


def _not_living(person: Person) -> list[Problem]:
    """Why nothing is recorded for the person any more."""
    if person.is_emptied:
        return [rules.person_emptied()]
    return [rules.person_merged()] if person.is_merged else []


class Stale(Exception):
    """The case or the person has another version than the one that was to be changed: somebody else was faster."""

    def __init__(self, record: Case | Person) -> None:
        super().__init__(f"version {record.version}")
        self.record = record


def change_case(*, case: Case, version: int, name: str, chart_no: str, phone: str, reason: str = "", by: Actor) -> Case:
    """Call a case otherwise, as its next version: name, chart number, telephone are the institution's own, at any time.

    `version` is the one that was seen when the change was typed. A change sent twice is made once.
    Raises PermissionDenied, Stale where there is another version by now, and Refused.
    """
    by.require(Permission.CASE_CHANGE)
    with transaction.atomic():
        found = (
            Case.objects.select_for_update(of=("self",)).select_related("person")
            .get(pk=case.pk, institution_id=by.at_institution())
        )  # fmt: skip
        _require_living(found.person)
        said = {"name": name.strip(), "chart_no": chart_no.strip(), "phone": phone.strip()}
        changed = [field_name for field_name, text in said.items() if getattr(found, field_name) != text]
        if found.version != version:
            if not changed:
                return found
            raise Stale(found)
        problems = rules.check_case(**said, widths=_WIDTHS) + rules.check_note(reason)
        if not changed:
            problems.append(Problem("nothing-changed", "內容和已登錄的相同，沒有可修改的。"))
        if not problems and _has_chart_no(chart_no, found.uid, by):
            problems = [_chart_no_taken()]
        if problems:
            raise Refused(problems)
        for field_name, text in said.items():
            setattr(found, field_name, text)
        found.version, found.change_reason = found.version + 1, reason.strip()
        found.save(update_fields=[*said, "version", "change_reason"])
        journal.record(
            Permission.CASE_CHANGE, record_type="case", uids=[found.uid], version=found.version, fields=changed
        )
    return found


def identity_of(person: Person) -> rules.Identity:
    """Who a person is, with the whole number: to be compared with what is typed, never to be shown."""
    kind = IdentityKind(person.identity_kind)
    return rules.Identity(kind, person.identity_number, person.identity_country, person.birth_on, person.sex)


def change_person(
    *, case: Case, version: int, identity: rules.Identity, reason: str, authority: UUID | None = None, today: date,
    made_up_allowed: bool, by: Actor,
) -> Person:  # fmt: skip
    """Correct who the person of a case is, as his next version: number, kind, country, birth date, sex.

    An institution itself while the database lets it (rules.check_person_change); later the desk, where `authority` is the
    decided application, if one stands behind it. A number left empty is the one that is there. Old numbers are kept in
    history, encrypted, and find nobody any more. A change sent twice is made once.
    Raises PermissionDenied, Stale where there is another version by now, and Refused.
    """
    action = Permission.PERSON_CHANGE if by.institution_id is None else Permission.PERSON_CORRECT
    by.require(action)
    if action == Permission.PERSON_CHANGE and by.account_id is None:
        raise PermissionDenied("an account")  # somebody decided it
    _require_living(case.person)
    with transaction.atomic():
        recorded = identity_of(case.person)
        said = replace(identity, number=identity.number or recorded.number).compared
        hashes = identity_hashes(said.kind, said.number, said.country)
        found, facts = _person_as_found(case.person_id, hashes, said.birth_on)
        recorded = identity_of(found)
        if found.version != version:
            if said == recorded.compared:
                return found
            raise Stale(found)
        problems = rules.check_person_change(said, recorded, facts, today=today, made_up_allowed=made_up_allowed)
        problems += _another_case(found, hashes, by) + rules.check_reason(reason)
        if not problems:
            return _rewritten(found, case, said, recorded.compared, hashes, reason.strip(), authority, action)
    if not facts.is_open and by.institution_id is not None:  # whoever tries numbers out is seen doing so
        journal.record("person.correct_refused", record_type="case", uids=[case.uid])
    raise Refused(problems)


def check_person_application(
    *, case: Case, version: int, identity: rules.Identity, today: date, made_up_allowed: bool, by: Actor
) -> list[Problem]:
    """Every reason why the desk could not correct a person so, as far as the institution may know it.

    `version` is the one that was seen. While the institution may do it itself, that is one of them.
    """
    said = identity.compared
    hashes = identity_hashes(said.kind, said.number, said.country)
    found, facts = _person_as_found(case.person_id, hashes, said.birth_on)
    if found.version != version:
        return [rules.person_changed_meanwhile()]
    problems = rules.check_person_change(
        said, identity_of(found), replace(facts, is_open=True), today=today, made_up_allowed=made_up_allowed
    ) + _another_case(found, hashes, by)
    if not problems and facts.is_open and by.institution_id is not None:
        message = Words("現在還可以由貴機構直接更正，不必申請：請用「更正證號、出生日期、性別」。")
        problems.append(Problem("person-open", message, None, "recording_window_last_day"))
    return problems


def _another_case(person: Person, hashes: list[bytes], by: Actor) -> list[Problem]:
    """A problem where another case of the actor's institution has this number."""
    if by.institution_id is None or all(pk == person.pk for pk in _persons_found(hashes)):
        return []
    message = Words("貴機構已有另一個使用這個證號的個案。若是同一人，請聯絡管理窗口合併。")
    return [Problem("case-exists", message, "identity_number")]


def _rewritten(
    person: Person, case: Case, said: rules.Identity, recorded: rules.Identity, hashes: list[bytes], reason: str,
    authority: UUID | None, action: Permission,
) -> Person:  # fmt: skip
    """The person's next version and its entry in the journal; the number is encrypted anew."""
    token, key_id = keys().encrypt(said.number, about=b"identity")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT cases_change_person(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [person.pk, person.version, hashes, said.birth_on, said.sex, said.kind, said.country, token, key_id, reason,
             authority],
        )  # fmt: skip
    fields = [words for name, words in _IDENTITY_FIELDS.items() if getattr(said, name) != getattr(recorded, name)]
    journal.record(action, record_type="person", uids=[person.uid, case.uid], version=person.version + 1, fields=fields)
    return Person.objects.get(pk=person.pk)


_IDENTITY_FIELDS = {
    "kind": "identity_kind", "number": "identity_number", "country": "identity_country", "birth_on": "birth_on", "sex": "sex",
}  # fmt: skip


def _person_as_found(person_id: int, hashes: list[bytes], birth_on: date) -> tuple[Person, rules.PersonFacts]:
    """The person as he is under his lock, and what his change must be compared with."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT is_open, is_known, first_on, pregnant FROM cases_person_facts(%s, %s, %s)",
            [person_id, hashes, birth_on],
        )
        facts = rules.PersonFacts(*cursor.fetchone())
    found = Person.objects.get(pk=person_id)
    _require_living(found)
    return found, facts


@dataclass(frozen=True)
class BaselineEntry:
    """An intake as typed; `ftnd` maps items to words, all six or none. `uid` becomes the baseline's."""

    uid: UUID
    taken_on: date
    ftnd: Mapping[str, str]
    cigarettes_per_day: int | None
    co_ppm: int | None
    weight_kg: Decimal | None
    pregnant: bool
    insured: bool | None


@dataclass
class Taken:
    """What became of one intake: the baseline, new or there before by the same uid, or the problems."""

    baseline: Baseline | None = None
    problems: list[Problem] = field(default_factory=list)


def record_baseline(*, case: Case, entry: BaselineEntry, today: date, by: Actor) -> Baseline:
    """Record an intake of a case; the call of record_baselines with one. Raises PermissionDenied, Refused."""
    (taken,) = record_baselines([(case, entry)], today=today, by=by)
    if taken.baseline is None:
        raise Refused(taken.problems)
    return taken.baseline


def record_baselines(entries: Sequence[tuple[Case, BaselineEntry]], *, today: date, by: Actor) -> list[Taken]:
    """Record intakes of cases, the good ones of the list; an outcome for each, in order.

    A score is computed from the answers. The same uid twice is one intake. Raises PermissionDenied.
    """
    by.require(Permission.BASELINE_RECORD)
    with transaction.atomic():
        known: dict[tuple[int, UUID | date], Baseline] = {}
        for one in Baseline.objects.filter(case_id__in=among({case.pk for case, _ in entries}, "bigint")):
            known[one.case_id, one.uid] = known[one.case_id, one.taken_on] = one
        outcomes, new = [], []
        for case, entry in entries:
            taken = _taken(case, entry, known, today)
            if taken.baseline is None and not taken.problems:
                taken.baseline = one = _new_baseline(case, entry)
                known[case.pk, one.uid] = known[case.pk, one.taken_on] = one
                new.append(one)
            outcomes.append(taken)
        _write_baselines(new)
    return outcomes


def _taken(case: Case, entry: BaselineEntry, known: Mapping[tuple[int, UUID | date], Baseline], today: date) -> Taken:
    """What becomes of an intake, beside those `known` of its case by uid and by day; nothing at all where it is new."""
    if problems := _not_living(case.person):
        return Taken(problems=problems)
    recorded = known.get((case.pk, entry.uid))
    if recorded is not None:
        what = Sentence("{day} 的收案評估", day=recorded.taken_on)
        says_so = _records(recorded, entry)
        return Taken(recorded) if says_so else Taken(problems=[recorded_otherwise("baseline-recorded-otherwise", what)])
    problems = _intake_problems(entry, case.person.birth_on, case.person.sex, today)
    if (case.pk, entry.taken_on) in known:
        problems.append(_baseline_exists(entry.taken_on))
    return Taken(problems=problems)


def _intake_problems(entry: BaselineEntry, birth_on: date, sex: str, today: date) -> list[Problem]:
    return rules.check_baseline(
        taken_on=entry.taken_on, today=today, birth_on=birth_on, sex=sex, ftnd=entry.ftnd,
        cigarettes_per_day=entry.cigarettes_per_day, co_ppm=entry.co_ppm, weight_kg=entry.weight_kg,
        pregnant=entry.pregnant,
    )  # fmt: skip


def _baseline_exists(day: date) -> Problem:
    return Problem("baseline-exists", Sentence("{day} 已有收案評估，同一天只登錄一次。", day=day), "taken_on")


_INTAKE_VALUES = ("cigarettes_per_day", "co_ppm", "weight_kg", "pregnant", "insured")


def _new_baseline(case: Case, entry: BaselineEntry) -> Baseline:
    answers = {item.name: entry.ftnd.get(item.name) or "" for item in rules.FTND_ITEMS}
    score = rules.ftnd_score(rules.FtndAnswers(**answers), entry.taken_on) if all(answers.values()) else None
    return Baseline(
        uid=entry.uid, case=case, person_id=case.person_id, institution_id=case.institution_id,
        taken_on=entry.taken_on, ftnd_score=score, **answers, **{name: getattr(entry, name) for name in _INTAKE_VALUES},
    )  # fmt: skip


def _write_baselines(new: Sequence[Baseline]) -> None:
    """Write intakes, journaled together. Inside a transaction."""
    if not new:
        return
    Baseline.objects.bulk_create(new)
    said = {name: [getattr(one, name) for one in new] for name in ("ftnd_score", *_INTAKE_VALUES)}
    filled = [
        name for name, values in said.items() if any(value is not None and value is not False for value in values)
    ]
    uids = [uid for one in new for uid in (one.uid, one.case.uid)]
    journal.record(
        Permission.BASELINE_RECORD, record_type="baseline", uids=uids, version=1, fields=["taken_on", *filled]
    )


def _says(recorded: Baseline | BaselineEntry, entry: BaselineEntry) -> bool:
    """True when an intake, recorded or accepted before, is what the entry says."""
    if isinstance(recorded, BaselineEntry):
        return replace(recorded, uid=entry.uid) == entry
    return _records(recorded, entry)


def _records(baseline: Baseline, entry: BaselineEntry) -> bool:
    """True when the intake is what the entry says."""
    answers = {item.name: entry.ftnd.get(item.name) or "" for item in rules.FTND_ITEMS}
    names = ("taken_on", "cigarettes_per_day", "co_ppm", "weight_kg", "pregnant", "insured")
    return all(getattr(baseline, name) == getattr(entry, name) for name in names) and all(
        getattr(baseline, name) == word for name, word in answers.items()
    )


def show_identity(*, case: Case, beside: Sequence[UUID] = (), by: Actor) -> str:
    """The whole identity number of a case's person, journaled, with the uids of the records shown `beside` it.

    Raises PermissionDenied, and Refused where it was emptied.
    """
    by.require(Permission.IDENTITY_SHOW)
    if case.person.is_emptied:
        raise Refused([rules.person_emptied()])
    journal.record(Permission.IDENTITY_SHOW, record_type="case", uids=[case.uid, *beside])
    return case.person.identity_number
