"""The only writers of persons, cases and baselines. Each is one transaction with its audit entry, and takes `by=`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from uuid import UUID

from django.db import connection, transaction

from quitledger.accounts.actors import Actor
from quitledger.accounts.keys import keys
from quitledger.accounts.permissions import Permission
from quitledger.accounts.services import EncryptedNumber
from quitledger.audit import journal
from quitledger.policy.identity import IdentityKind, check_identity, normalise, sex_of
from quitledger.policy.problem import Problem, Refused
from quitledger.policy.sentences import Sentence, Words

from . import rules
from .models import Baseline, Case


@dataclass(frozen=True)
class Registration:
    """A person as typed at registration. `uid` becomes the case's: the same form sent twice is the same case."""

    uid: UUID
    identity_kind: IdentityKind
    identity_number: str = field(repr=False)
    identity_country: str
    birth_on: date
    sex: str
    name: str
    chart_no: str = ""
    phone: str = ""


def _identity_text(number: str, kind: str, country: str) -> str:
    """What is hashed of an identity: the number in its one form."""
    return f"{kind}:{normalise(country)}:{normalise(number)}"


PERSON_NUMBERS = EncryptedNumber("cases_person", b"identity", ("identity_kind", "identity_country"), _identity_text)


def identity_hashes(kind: str, number: str, country: str = "") -> list[bytes]:
    """The keyed hashes under which a person may be found: under the current key, then under older ones."""
    return keys().keyed_hashes(_identity_text(number, kind, country))


def find_by_identity(*, number: str, by: Actor) -> list[Case]:
    """The cases of the actor's institution with exactly this identity number, whatever its kind. Journals nothing."""
    by.require(Permission.CASE_READ)
    number = normalise(number)
    kinds = ("national_id", "resident_certificate", "resident_certificate_old")
    hashes = [hashed for kind in kinds for hashed in identity_hashes(kind, number)]
    cases = Case.objects.select_related("person")
    if by.institution_id:
        cases = cases.filter(institution_id=by.institution_id)
    found = list(cases.filter(person__identity_hash__in=hashes))
    if found or not number.isalnum():
        return found
    # A passport's hash needs its country: those of the institution's own passport holders are tried.
    passports = cases.filter(person__identity_kind="passport")
    countries = set(passports.values_list("person__identity_country", flat=True))
    hashes = [hashed for country in countries for hashed in identity_hashes("passport", number, country)]
    return list(passports.filter(person__identity_hash__in=hashes))


def check_registration(entry: Registration, *, today: date, made_up_allowed: bool, by: Actor) -> list[Problem]:
    """Every reason why this person cannot be registered as typed."""
    problems = check_identity(
        entry.identity_kind, entry.identity_number, entry.identity_country or None, made_up_allowed=made_up_allowed
    )
    if entry.birth_on > today:
        problems.append(
            Problem("birth-in-future", Sentence("出生日期 {day} 還沒到，請確認。", day=entry.birth_on), "birth_on")
        )
    else:
        too_old = rules.implausible({"age": rules.age_on(entry.birth_on, today)})
        problems += [replace(problem, field="birth_on") for problem in too_old]
    if entry.sex not in ("male", "female"):
        problems.append(Problem("sex-missing", "請選擇性別。", "sex"))
    else:
        expected = sex_of(entry.identity_kind, normalise(entry.identity_number)) if not problems else None
        if expected and expected != entry.sex:
            problems.append(Problem("sex-differs", "性別與證號第 2 碼不符，請確認性別與證號。", "sex"))
    if not entry.name.strip():
        problems.append(Problem("name-missing", "請填姓名。", "name"))
    for name, label in (("name", Words("姓名")), ("chart_no", Words("病歷號")), ("phone", Words("電話"))):
        most = getattr(Case._meta.get_field(name), "max_length", 0)
        if len(getattr(entry, name)) > most:
            problems.append(Problem("text-too-long", Sentence("{label}最多 {most} 字。", label=label, most=most), name))
        elif "\x00" in getattr(entry, name):
            message = Sentence("{label}有無法儲存的字元，請刪除後重填。", label=label)
            problems.append(Problem("text-unreadable", message, name))
    if problems:
        return problems
    if entry.chart_no and Case.objects.filter(institution_id=by.at_institution(), chart_no=entry.chart_no).exclude(
        uid=entry.uid
    ):
        problems.append(Problem("chart-no-taken", "貴機構已有個案使用這個病歷號，請確認。", "chart_no"))
    hashes = identity_hashes(entry.identity_kind, entry.identity_number, entry.identity_country)
    for known in Case.objects.filter(
        institution_id=by.at_institution(), person__identity_hash__in=hashes
    ).select_related("person"):
        if known.uid == entry.uid:
            continue
        if known.person.birth_on == entry.birth_on:
            problems.append(
                Problem("case-exists", "貴機構已有這位戒菸者，請用「找戒菸者」開啟原有的個案。", "identity_number")
            )
        else:
            problems.append(
                Problem(
                    "birth-differs", "貴機構已有這個證號的個案，但出生日期不同。請核對證件上的出生日期。", "birth_on"
                )
            )
    return problems


def register_case(entry: Registration, *, today: date, made_up_allowed: bool, by: Actor) -> Case:
    """Open a case for a person at the actor's institution; the person is made where the nation did not know him.

    Looks the same either way. A registration whose uid is there already is answered with that case.
    Raises PermissionDenied, Refused.
    """
    by.require(Permission.CASE_REGISTER)
    known = Case.objects.filter(uid=entry.uid, institution_id=by.at_institution()).select_related("person").first()
    if known is not None:
        if _registers(known, entry):
            return known
        raise Refused([recorded_otherwise("case-recorded-otherwise", Sentence("個案「{name}」", name=known.called))])
    problems = check_registration(entry, today=today, made_up_allowed=made_up_allowed, by=by)
    if problems:
        raise Refused(problems)
    number, country = normalise(entry.identity_number), normalise(entry.identity_country)
    token, key_id = keys().encrypt(number, about=b"identity")
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT id, uid FROM cases_find_person(%s, %s, %s, %s, %s, %s, %s)",
                [
                    identity_hashes(entry.identity_kind, number, country),
                    entry.birth_on,
                    entry.sex,
                    entry.identity_kind,
                    country,
                    token,
                    key_id,
                ],
            )
            person_id, person_uid = cursor.fetchone()
        case = Case.objects.create(
            uid=entry.uid,
            person_id=person_id,
            institution_id=by.at_institution(),
            name=entry.name.strip(),
            chart_no=entry.chart_no.strip(),
            phone=entry.phone.strip(),
            opened_on=today,
        )
        filled = [name for name in ("name", "chart_no", "phone") if getattr(case, name)]
        journal.record(
            Permission.CASE_REGISTER,
            record_type="case",
            uids=[case.uid, person_uid],
            version=1,
            fields=["identity_number", "birth_on", "sex", *filled],
        )
    return case


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
        bytes(person.identity_hash) in identity_hashes(entry.identity_kind, entry.identity_number, entry.identity_country)
        and (person.birth_on, case.name, case.chart_no, case.phone)
        == (entry.birth_on, entry.name.strip(), entry.chart_no.strip(), entry.phone.strip())
    )  # fmt: skip


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


def record_baseline(*, case: Case, entry: BaselineEntry, today: date, by: Actor) -> Baseline:
    """Record an intake of a case; its score is computed from the answers. The same uid twice is one intake.

    Raises PermissionDenied, Refused.
    """
    by.require(Permission.BASELINE_RECORD)
    if case.person.is_emptied:
        raise Refused([rules.person_emptied()])
    known = Baseline.objects.filter(uid=entry.uid, case=case).first()
    if known is not None:
        if _records(known, entry):
            return known
        what = Sentence("{day} 的收案評估", day=known.taken_on)
        raise Refused([recorded_otherwise("baseline-recorded-otherwise", what)])
    problems = rules.check_baseline(
        taken_on=entry.taken_on,
        today=today,
        birth_on=case.person.birth_on,
        sex=case.person.sex,
        ftnd=entry.ftnd,
        cigarettes_per_day=entry.cigarettes_per_day,
        co_ppm=entry.co_ppm,
        weight_kg=entry.weight_kg,
        pregnant=entry.pregnant,
    )
    if Baseline.objects.filter(case=case, taken_on=entry.taken_on).exists():
        problems.append(
            Problem(
                "baseline-exists", Sentence("{day} 已有收案評估，同一天只登錄一次。", day=entry.taken_on), "taken_on"
            )
        )
    if problems:
        raise Refused(problems)
    answers = {item.name: entry.ftnd.get(item.name) or "" for item in rules.FTND_ITEMS}
    score = rules.ftnd_score(rules.FtndAnswers(**answers), entry.taken_on) if all(answers.values()) else None
    values = {
        name: getattr(entry, name) for name in ("cigarettes_per_day", "co_ppm", "weight_kg", "pregnant", "insured")
    }
    with transaction.atomic():
        baseline = Baseline.objects.create(
            uid=entry.uid,
            case=case,
            person_id=case.person_id,
            institution_id=case.institution_id,
            taken_on=entry.taken_on,
            ftnd_score=score,
            **answers,
            **values,
        )
        journal.record(
            Permission.BASELINE_RECORD,
            record_type="baseline",
            uids=[baseline.uid, case.uid],
            version=1,
            fields=[
                "taken_on",
                *(["ftnd_score"] if score is not None else []),
                *(name for name, value in values.items() if value is not None and value is not False),
            ],
        )
    return baseline


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
