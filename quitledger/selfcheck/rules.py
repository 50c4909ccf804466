"""What a month of an institution still misses: named checks, each a dated policy; who signs it off, whom to remind.

Pure: values in, every finding out. A check's word is the policy parameter that says whether it counts, and its title
there is what pages call it. Findings name nobody: who it is stands in the visit or the case they point to.
"""

from calendar import monthrange
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import cached_property, partial
from typing import Any
from uuid import UUID

from quitledger.accounts.permissions import Role
from quitledger.cases.rules import UNSTORABLE, BaselineFacts
from quitledger.policy import TAIPEI, Month, Problem, Sentence, Words, parameter, policy_on
from quitledger.visits.rules import COUNSELLING, LABELS, MEDICATION, Period, StaffPeriod

REASON_LENGTH = 500  # characters: the width of the column, no rule of the programme


# --- Checks and what they find ---------------------------------------------------------------------------------------


class Check(StrEnum):
    """What is looked at, in the order in which it is listed: the names of the policy parameters."""

    INSTITUTION_CONTRACT = "check_institution_contract"
    STAFF_CONTRACT = "check_staff_contract"
    STAFF_CERTIFICATE = "check_staff_certificate"
    FIRST_INTAKE = "check_first_intake"
    INTAKE_SCORE = "check_intake_score"
    SUPPLY_DAYS = "check_supply_days"
    COUNSELLING = "check_counselling"
    DRAFT = "check_draft"
    NEXT_VISIT = "check_next_visit"
    CASE_WITHOUT_VISIT = "check_case_without_visit"
    CIGARETTES = "check_cigarettes"

    @property
    def label(self) -> Words:
        """How it is called: the policy's title."""
        return Words(parameter(self).title)


class Level(StrEnum):
    """How much a finding weighs: it keeps a month from being whole, it is worth a look, or it is not looked for."""

    INCOMPLETE = "incomplete"
    LOOK = "look"
    UNCHECKED = "unchecked"

    @property
    def label(self) -> Words:
        """In Chinese."""
        return _LEVELS[self]


_LEVELS = {Level.INCOMPLETE: Words("未完整"), Level.LOOK: Words("請留意"), Level.UNCHECKED: Words("不檢查")}


class Where(StrEnum):
    """The form in which a finding is put right: a visit's change, a new intake, a new visit of the case."""

    VISIT = "visit"
    INTAKE = "intake"
    RECORD = "record"


@dataclass(slots=True)  # not frozen, for the same reason as MonthVisit
class Finding:
    """One thing that a month misses: which check, of which day and case (and visit), and the form and field to fix.

    `say`: what is missing in words. Most findings of a large month are counted and not shown: it is asked when they are.
    """

    check: Check
    level: Level
    day: date
    case: int
    visit: UUID | None
    say: Callable[[], str] = field(compare=False)
    where: Where
    field: str

    @property
    def message(self) -> str:
        """What is missing, in words."""
        return self.say()


def level_of(check: Check, month: date) -> Level:
    """What policy makes of a check for a month (its first day). Raises PolicyGap."""
    return Level(policy_on(month, check))


# --- Facts -----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)  # not frozen, which makes thousands of them three times as slow; nobody changes one
class MonthVisit:
    """A visit in force of the month, as far as the checks need it.

    `lines`: weeks and days of each medicine, in their order. `first_of_course`: a medication course began with it; then
    `intake` is the one that counts for it (cases.rules.baseline_of_course), `counselled_on` the first counselling from that
    day on. `next_on`: the person's next visit at the institution, of whatever kind.
    """

    uid: UUID
    case: int
    visit_on: date
    medication_staff: int | None = None
    counselling_staff: int | None = None
    lines: Sequence[Sequence[int]] = ()
    first_of_course: bool = False
    with_cigarettes: bool = True
    next_on: date | None = None
    counselled_on: date | None = None
    intake: BaselineFacts | None = None

    @property
    def staff(self) -> list[tuple[str, int]]:
        """Kind of service and who gave it."""
        given = ((MEDICATION, self.medication_staff), (COUNSELLING, self.counselling_staff))
        return [(kind, staff) for kind, staff in given if staff is not None]


@dataclass(frozen=True, slots=True)
class Validity:
    """From when (None: always) until when a certificate is valid, both included."""

    starts_on: date | None
    ends_on: date

    def contains(self, day: date) -> bool:
        """True when it is valid on the day."""
        return (self.starts_on is None or self.starts_on <= day) and day <= self.ends_on


@dataclass(frozen=True)
class Around:
    """What the visits are held against: today, the institution's contracts, its staff's contracts and certificates.

    `month`: the first day of the one that is looked at. What is asked of a day and a member of staff is worked out once.
    """

    month: date
    today: date
    contracts: Sequence[Period] = ()
    staff: Mapping[int, Sequence[StaffPeriod]] = field(default_factory=dict)
    certificates: Mapping[int, Sequence[Validity]] = field(default_factory=dict)
    _known: dict[Any, bool] = field(default_factory=dict, init=False, repr=False, compare=False)

    @cached_property
    def missed_before(self) -> date:
        """A supply that ended before this day should have been followed by a visit. Raises PolicyGap."""
        return self.today - timedelta(days=policy_on(self.month, "check_next_visit_days"))

    @cached_property
    def days(self) -> list[date]:
        """Every day of the month."""
        return [self.month + timedelta(days=n) for n in range(monthrange(self.month.year, self.month.month)[1])]

    def staff_in_order(self, kind: str) -> list[int]:
        """Who lacks nothing for a kind of service on any day of the month. Raises PolicyGap."""
        return [
            one
            for one in self.staff
            if not any(
                self.lacks_staff_contract(one, kind, day) or self.lacks_certificate(one, day) for day in self.days
            )
        ]

    def is_in_order(self, visit: MonthVisit) -> bool:
        """True where nothing is wrong with the contracts and certificates of the visit's day and staff. Raises PolicyGap."""
        asked = (visit.visit_on, visit.medication_staff, visit.counselling_staff)
        known = self._known.get(asked)
        if known is None:
            known = self._known[asked] = not self.lacks_contract(visit.visit_on) and not any(
                self.lacks_staff_contract(staff, kind, visit.visit_on) or self.lacks_certificate(staff, visit.visit_on)
                for kind, staff in visit.staff
            )
        return known

    def lacks_contract(self, day: date) -> bool:
        """True where the institution should have a contract on the day and has none. Raises PolicyGap."""
        known = self._known.get(day)
        if known is None:
            known = policy_on(day, "contract_required") and not any(one.contains(day) for one in self.contracts)
            self._known[day] = known
        return known

    def lacks_staff_contract(self, staff: int, kind: str, day: date) -> bool:
        """True where the member should have a contract for the kind of service on the day and has none. Raises PolicyGap."""
        asked = (staff, kind, day)
        known = self._known.get(asked)
        if known is None:
            contracts = [one for one in self.staff.get(staff, ()) if one.contains(day)]
            permitted = any(one.may_medicate if kind == MEDICATION else one.may_counsel for one in contracts)
            known = self._known[asked] = policy_on(day, "staff_contract_required") and not permitted
        return known

    def lacks_certificate(self, staff: int, day: date) -> bool:
        """True where the member has certificates on the list, and none of them is valid on the day."""
        asked = (staff, day)
        known = self._known.get(asked)
        if known is None:
            certificates = self.certificates.get(staff, ())
            known = self._known[asked] = bool(certificates) and not any(one.contains(day) for one in certificates)
        return known


Found = Iterable[tuple[Callable[[], str], Where, str]]  # what is missing in words, form, field
NOTHING: Found = ()


# --- The checks of a visit ---------------------------------------------------------------------------------------------


def check_visits(visits: Iterable[MonthVisit], around: Around) -> list[Finding]:
    """Every finding of the visits, in the order of visits and checks. Raises PolicyGap."""
    found = []
    asked = [(check, level_of(check, around.month), rule) for check, rule in _RULES.items()]
    asked = [one for one in asked if one[1] is not Level.UNCHECKED]
    # Most visits need not be asked everything: what is left, by whether the contracts are in order and medicine was given.
    left = {
        (in_order, medicated): [
            one
            for one in asked
            if not (in_order and one[0] in _CONTRACTS or not medicated and one[0] in _OF_MEDICATION)
        ]
        for in_order in (True, False)
        for medicated in (True, False)
    }
    for visit in visits:
        for check, level, rule in left[around.is_in_order(visit), visit.medication_staff is not None]:
            for say, where, name in rule(visit, around):
                found.append(Finding(check, level, visit.visit_on, visit.case, visit.uid, say, where, name))
    return found


def _institution_contract(visit: MonthVisit, around: Around) -> Found:
    if not around.lacks_contract(visit.visit_on):
        return NOTHING
    return [(partial(_not_contracted, visit.visit_on), Where.VISIT, "visit_on")]


def _not_contracted(day: date) -> Sentence:
    return Sentence("貴機構在 {day} 沒有戒菸服務合約。", day=day)


def _staff_contract(visit: MonthVisit, around: Around) -> Found:
    return [
        (partial(_staff_not_contracted, kind), Where.VISIT, f"{kind}_staff")
        for kind, staff in visit.staff
        if around.lacks_staff_contract(staff, kind, visit.visit_on)
    ]


def _staff_not_contracted(kind: str) -> Sentence:
    return Sentence("{service}人員當日沒有這項服務的人員合約。", service=LABELS[kind])


def _staff_certificate(visit: MonthVisit, around: Around) -> Found:
    if not around.certificates:
        return NOTHING
    return [
        (partial(_not_certified, kind, around.certificates[staff]), Where.VISIT, f"{kind}_staff")
        for kind, staff in visit.staff
        if around.lacks_certificate(staff, visit.visit_on)
    ]


def _not_certified(kind: str, certificates: Sequence[Validity]) -> Sentence:
    last = max(one.ends_on for one in certificates)
    return Sentence("{service}人員的資格證明當日無效，名冊上到 {day}。", service=LABELS[kind], day=last)


def _first_intake(visit: MonthVisit, around: Around) -> Found:
    if not visit.first_of_course or visit.intake is not None:
        return NOTHING
    return [(partial(_no_intake, visit.visit_on), Where.INTAKE, "taken_on")]


def _no_intake(day: date) -> Sentence:
    days = policy_on(day, "baseline_validity_days")
    return Sentence("療程首日 {day} 用藥，當日或之前 {days} 日內沒有收案評估。", day=day, days=days)


def _intake_score(visit: MonthVisit, around: Around) -> Found:
    intake = visit.intake
    if intake is None or intake.ftnd_score is not None:
        return NOTHING
    return [(partial(_no_score, intake.taken_on), Where.INTAKE, "ftnd_first_cigarette_0")]


def _no_score(day: date) -> Sentence:
    return Sentence("{day} 的收案評估缺尼古丁成癮度（6 題）。", day=day)


def _supply_days(visit: MonthVisit, around: Around) -> Found:
    return [
        (partial(_wrong_days, weeks, days), Where.VISIT, f"lines-{number}-supply_days")
        for number, (weeks, days) in enumerate(visit.lines)
        if days != weeks * 7
    ]


def _wrong_days(weeks: int, days: int) -> Sentence:
    return Sentence("用藥 {weeks} 週但填 {days} 天，應為 {right} 天。", weeks=weeks, days=days, right=weeks * 7)


def _counselling(visit: MonthVisit, around: Around) -> Found:
    if not visit.first_of_course or visit.counselling_staff is not None:
        return NOTHING
    until = visit.visit_on + timedelta(days=policy_on(around.month, "check_counselling_days"))
    if around.today <= until or (visit.counselled_on is not None and visit.counselled_on <= until):
        return NOTHING
    return [(partial(_not_counselled, until), Where.VISIT, "services_1")]


def _not_counselled(until: date) -> Sentence:
    return Sentence("療程第一次用藥，到 {day} 沒有衛教。", day=until)


def _next_visit(visit: MonthVisit, around: Around) -> Found:
    if not visit.lines or visit.next_on is not None:
        return NOTHING
    longest = visit.lines[0][1] if len(visit.lines) == 1 else max(days for _weeks, days in visit.lines)
    ends = visit.visit_on + timedelta(days=longest)
    if ends >= around.missed_before:
        return NOTHING
    return [(partial(_supply_ended, ends), Where.RECORD, "visit_on")]


def _supply_ended(day: date) -> Sentence:
    return Sentence("藥已於 {day} 用完，之後沒有就醫資料。", day=day)


def _cigarettes(visit: MonthVisit, around: Around) -> Found:
    return NOTHING if visit.with_cigarettes else [(_no_cigarettes, Where.VISIT, "cigarettes_per_day")]


def _no_cigarettes() -> Words:
    return Words("沒有填平均每日支數。")


_CONTRACTS = (Check.INSTITUTION_CONTRACT, Check.STAFF_CONTRACT, Check.STAFF_CERTIFICATE)
_OF_MEDICATION = (Check.FIRST_INTAKE, Check.INTAKE_SCORE, Check.SUPPLY_DAYS, Check.COUNSELLING, Check.NEXT_VISIT)
_RULES: dict[Check, Callable[[MonthVisit, Around], Found]] = {
    Check.INSTITUTION_CONTRACT: _institution_contract,
    Check.STAFF_CONTRACT: _staff_contract,
    Check.STAFF_CERTIFICATE: _staff_certificate,
    Check.FIRST_INTAKE: _first_intake,
    Check.INTAKE_SCORE: _intake_score,
    Check.SUPPLY_DAYS: _supply_days,
    Check.COUNSELLING: _counselling,
    Check.NEXT_VISIT: _next_visit,
    Check.CIGARETTES: _cigarettes,
}


# --- Cases and drafts --------------------------------------------------------------------------------------------------


def check_cases(cases: Iterable[tuple[int, date]], around: Around) -> list[Finding]:
    """Cases without any visit (key and the day they were opened), where that is long enough ago. Raises PolicyGap."""
    level = level_of(Check.CASE_WITHOUT_VISIT, around.month)
    if level is Level.UNCHECKED:
        return []
    wait = timedelta(days=policy_on(around.month, "check_case_days"))
    return [
        Finding(
            Check.CASE_WITHOUT_VISIT, level, opened_on, case, None,
            partial(_never_came, opened_on), Where.RECORD, "visit_on",
        )
        for case, opened_on in cases
        if around.today > opened_on + wait
    ]  # fmt: skip


def _never_came(opened_on: date) -> Sentence:
    return Sentence("{day} 收案，沒有就醫資料。", day=opened_on)


@dataclass(frozen=True, slots=True)
class DraftFacts:
    """A draft of the account that looks: whose, of which visit (None: a new one), the day typed, when it was kept."""

    case: int
    visit: UUID | None
    typed_on: date | None
    changed_at: datetime

    @property
    def day(self) -> date:
        """The day it is about: as typed, else the day it was kept."""
        return self.typed_on or self.changed_at.astimezone(TAIPEI).date()


def check_drafts(drafts: Iterable[DraftFacts], month: date) -> list[Finding]:
    """Drafts that were never finished. Raises PolicyGap."""
    level = level_of(Check.DRAFT, month)
    if level is Level.UNCHECKED:
        return []
    return [
        Finding(
            Check.DRAFT, level, draft.day, draft.case, draft.visit,
            _change_begun if draft.visit else _visit_begun,
            Where.VISIT if draft.visit else Where.RECORD, "visit_on",
        )
        for draft in drafts
    ]  # fmt: skip


def _change_begun() -> Words:
    return Words("修改就醫資料的草稿，尚未送出。")


def _visit_begun() -> Words:
    return Words("草稿，尚未登錄。")


# --- How a month stands ------------------------------------------------------------------------------------------------


class Ground(StrEnum):
    """What the page of a month rests on besides its visits: the names under which it is kept with a sign-off."""

    INTAKES = "intakes"
    CONTRACT = "contract"
    STAFF = "staff"
    CERTIFICATES = "certificates"

    @property
    def label(self) -> Words:
        """What is said of it where it is another one than at the sign-off."""
        return _GROUNDS[self]


_GROUNDS = {
    Ground.INTAKES: Words("有收案評估新登錄或修改。"),
    Ground.CONTRACT: Words("機構的合約期間有變動。"),
    Ground.STAFF: Words("當月服務人員的合約有變動。"),
    Ground.CERTIFICATES: Words("當月服務人員的資格證明有變動。"),
}
Grounds = Mapping[str, Any]  # of each Ground what it was, in a form that is only compared (queries.GROUNDS)


@dataclass(frozen=True, slots=True)
class Books:
    """All visits of a month, those taken out of force too: how many, the sum of their versions, the latest change.

    A visit that comes in or is changed makes the latest change later; one that is moved out makes them fewer; and what
    was being written while somebody signed makes the sum another one. `grounds`: what else the page rests on, where it
    was looked at; values, not moments, so that what was being written meanwhile is found, too.
    """

    visits: int
    versions: int
    changed_at: datetime | None = None
    grounds: Grounds | None = None


@dataclass(frozen=True, slots=True)
class Signed:
    """A sign-off, as far as one must know whether it still holds."""

    signed_at: datetime
    books: Books


class Standing(StrEnum):
    """How a month stands: derived whenever it is asked for."""

    EMPTY = "empty"
    OPEN = "open"
    SIGNED = "signed"
    CHANGED = "changed"

    @property
    def label(self) -> Words:
        """In Chinese."""
        return _STANDINGS[self][1]

    @property
    def kind(self) -> str:
        """The kind of tag."""
        return _STANDINGS[self][0]


_STANDINGS = {
    Standing.EMPTY: ("", Words("沒有登錄")),
    Standing.OPEN: ("warn", Words("未簽核")),
    Standing.SIGNED: ("ok", Words("已簽核")),
    Standing.CHANGED: ("bad", Words("簽核後有變動")),
}


def visits_changed(signed: Signed, now: Books) -> bool:
    """True when a visit of the month was changed after it was signed off."""
    later = now.changed_at is not None and now.changed_at > signed.signed_at
    return later or (now.visits, now.versions) != (signed.books.visits, signed.books.versions)


def grounds_changed(signed: Signed, now: Books) -> list[Ground]:
    """What else of the page is another one than when the month was signed off: intakes, contracts, certificates.

    Nothing where it was not kept, or not looked at.
    """
    before, after = signed.books.grounds, now.grounds
    if before is None or after is None:
        return []
    return [ground for ground in Ground if before.get(ground) != after.get(ground)]


def has_changed(signed: Signed, now: Books) -> bool:
    """True when the month is open again: what its page rests on was changed after it was signed off.

    That a day has passed is no change, nor is a visit of another month, though both may say more of this one.
    """
    return visits_changed(signed, now) or bool(grounds_changed(signed, now))


def standing(signed: Signed | None, now: Books, in_force: int) -> Standing:
    """How a month stands: its latest sign-off if there is one, its visits, and how many of them are in force."""
    if signed is not None:
        return Standing.CHANGED if has_changed(signed, now) else Standing.SIGNED
    return Standing.OPEN if in_force else Standing.EMPTY


# --- Signing off -------------------------------------------------------------------------------------------------------


def check_sign_off(*, month: date, today: date, standing: Standing, incomplete: int, reason: str) -> list[Problem]:
    """Every reason why a month cannot be signed off so. Field: reason.

    What is incomplete may stay so with a reason; a month that is whole needs none.
    """
    problems = []
    ends = (month + timedelta(days=31)).replace(day=1)
    if today < ends and policy_on(month, "sign_off_after_month"):
        message = Sentence("{month}還沒結束，{day} 起可以簽核。", month=Month(month), day=ends)
        problems.append(Problem("month-not-over", message, None, "sign_off_after_month"))
    if standing is Standing.SIGNED:
        problems.append(Problem("already-signed", "這個月已經簽核，之後沒有變動，不必再簽。", None))
    if incomplete and not reason.strip():
        message = Sentence("還有 {n} 筆未完整。請補齊，或說明保留的原因。", n=incomplete)
        problems.append(Problem("reason-missing", message, "reason"))
    if len(reason) > REASON_LENGTH:
        message = Sentence("原因最多 {most} 字，您填了 {typed} 字。", most=REASON_LENGTH, typed=len(reason))
        problems.append(Problem("reason-too-long", message, "reason"))
    if UNSTORABLE.search(reason):
        problems.append(Problem("reason-unreadable", "原因有無法儲存的字元，請刪除後重填。", "reason"))
    return problems


# --- Reminding ---------------------------------------------------------------------------------------------------------


def month_to_check(today: date) -> date:
    """The month that is looked through: the one before (its first day)."""
    return (today.replace(day=1) - timedelta(days=1)).replace(day=1)


def is_reminder_day(today: date) -> bool:
    """True on the days of the month on which institutions are reminded. Raises PolicyGap."""
    return today.day in policy_on(today, "reminder_days")


def is_time_to_mail(moment: datetime) -> bool:
    """True on such a day from the hour on at which mail is sent. Raises PolicyGap."""
    here = moment.astimezone(TAIPEI)
    return is_reminder_day(here.date()) and here.hour >= policy_on(here.date(), "reminder_hour")


@dataclass(frozen=True, slots=True)
class Missing:
    """What somebody is reminded of at one institution: findings, his own drafts, and whether he is to sign."""

    incomplete: int = 0
    drafts: int = 0
    to_sign: bool = False

    def __bool__(self) -> bool:
        return bool(self.incomplete or self.drafts or self.to_sign)


def missing_for(role: Role, standing: Standing, incomplete: int, drafts: int) -> Missing:
    """What a recorder or supervisor is reminded of. Supervisors of a month with visits that nobody signed off, too."""
    unsigned = standing in (Standing.OPEN, Standing.CHANGED)
    if standing is Standing.SIGNED:  # what stayed incomplete was given a reason
        incomplete = 0
    return Missing(incomplete, drafts, role is Role.SUPERVISOR and unsigned)
