"""What the programme demands of a visit. Pure: values in, every problem out (domain.md §2, §6, §6a).

The same rules serve the page, the command and (later) file and API; the database holds the window, the spacing and the
one visit a day once more, for what happens between asking and committing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any
from uuid import UUID

from quitledger.cases.rules import (
    REASON_LENGTH,
    UNSTORABLE,
    BaselineFacts,
    Eligibility,
    baseline_of_course,
    check_reason,
    implausible,
    medication_eligibility,
    person_emptied,
    pregnancy_problems,
)
from quitledger.policy import TAIPEI, Month, PolicyGap, Problem, Sentence, Several, Words, Year, policy_on

from .courses import COUNSELLING, LABELS, MEDICATION, Course, CourseService, course_with

COUNSELLING_MODES = {"in_person": Words("面對面"), "telephone": Words("電話")}
NOTE_LENGTH = 500  # characters: the width of the column, no rule of the programme


# --- The window ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Window:
    """When a visit of a day may be recorded by the institution itself. All moments with time zone.

    `closes_at` is the first moment refused; `prompt_until` the first moment that no longer counts as within 24 hours.
    """

    opens_at: datetime
    closes_at: datetime
    prompt_until: datetime

    def is_open(self, moment: datetime) -> bool:
        """True while the institution can record, change and void."""
        return self.opens_at <= moment < self.closes_at


class Timeliness(StrEnum):
    """登錄情形: derived from the first version's recorded_at, never stored."""

    PROMPT = "prompt"
    IN_WINDOW = "in_window"
    LATE = "late"

    @property
    def label(self) -> Words:
        """The tag's words."""
        return _TIMELINESS[self]


_TIMELINESS = {"prompt": Words("24 小時內"), "in_window": Words("期限內"), "late": Words("補登")}


def month_of(day: date) -> date:
    """The service month of a day: its first day."""
    return day.replace(day=1)


def month_closes_at(month: date) -> datetime:
    """The first moment at which a visit of the month (its first day) can no longer be recorded, before any extension.

    Source: the agency's notice, section 貳 (最遲須於次月 20 日前). Raises PolicyGap where policy has no value.
    """
    first = month_of(month)
    last_day = policy_on(first, "recording_window_last_day")
    hour = policy_on(first, "recording_window_closing_hour")
    next_month = (first + timedelta(days=31)).replace(day=1)
    closes_on = next_month.replace(day=last_day)
    return datetime.combine(closes_on, time(), TAIPEI) + timedelta(hours=hour)


def prompt_until(visit_on: date, visit_time: time | None, hours: int) -> datetime:
    """The end of the prompt recording hours: counted from the time of service, else from the end of its day (A)."""
    start = datetime.combine(visit_on, visit_time or time(), TAIPEI)
    return start + timedelta(days=0 if visit_time else 1, hours=hours)


def recording_window(visit_on: date, visit_time: time | None = None, *, closes_at: datetime | None = None) -> Window:
    """The window of a visit day; `closes_at` of its service month where that is known (it may have been extended)."""
    return Window(
        opens_at=datetime.combine(visit_on, time(), TAIPEI),
        closes_at=closes_at or month_closes_at(visit_on),
        prompt_until=prompt_until(visit_on, visit_time, policy_on(month_of(visit_on), "recording_promptly_hours")),
    )


def timeliness(window: Window, recorded_at: datetime, *, late_entry: bool = False) -> Timeliness:
    """How timely a visit was recorded; a late entry stays one for ever, whatever becomes of the window.

    queries.TIMELINESS says the same in SQL; a test compares them.
    """
    if late_entry:
        return Timeliness.LATE
    if recorded_at < window.prompt_until:
        return Timeliness.PROMPT
    return Timeliness.IN_WINDOW if recorded_at < window.closes_at else Timeliness.LATE


# --- A visit as it was typed, and what the rules need to know -------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """One medicine: its code, weeks and days of supply (seven a week where none were typed)."""

    medicine_code: str
    supply_weeks: int
    supply_days: int | None = None

    def __post_init__(self) -> None:
        if self.supply_days is None:
            object.__setattr__(self, "supply_days", self.supply_weeks * 7)

    @property
    def days(self) -> int:
        """Days of supply: never None once the line is made."""
        return self.supply_days or 0


@dataclass(frozen=True)
class Medication:
    """用藥: the medicines and who prescribed them."""

    staff_uid: UUID | None
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Counselling:
    """衛教: who gave it and how."""

    staff_uid: UUID | None
    mode: str = "in_person"


@dataclass(frozen=True)
class Entry:
    """A visit as typed. `uid` is the visit's for ever; the same uid sent twice is the same visit."""

    uid: UUID
    visit_on: date
    visit_time: time | None = None
    medication: Medication | None = None
    counselling: Counselling | None = None
    pregnant: bool = False
    cigarettes_per_day: int | None = None
    co_ppm: int | None = None
    note: str = ""

    @property
    def weeks(self) -> int:
        """Weeks of medication: of several medicines the longest."""
        return max((line.supply_weeks for line in self.medication.lines), default=0) if self.medication else 0

    @cached_property  # asked by most rules
    def kinds(self) -> dict[str, UUID | None]:
        """The services of this visit: kind → staff member's uid."""
        given: dict[str, Medication | Counselling | None] = {MEDICATION: self.medication, COUNSELLING: self.counselling}
        return {kind: service.staff_uid for kind, service in given.items() if service}


@dataclass(frozen=True)
class Period:
    """Days from starts_on to ends_on, both included; None: until further notice."""

    starts_on: date
    ends_on: date | None

    def contains(self, day: date) -> bool:
        """True when the day lies in the period."""
        return self.starts_on <= day and (self.ends_on is None or day <= self.ends_on)


@dataclass(frozen=True)
class StaffPeriod(Period):
    """A staff contract."""

    may_medicate: bool
    may_counsel: bool


@dataclass(frozen=True)
class StaffFacts:
    """A staff member at this institution: shown name and all contracts here."""

    label: str
    contracts: tuple[StaffPeriod, ...]


@dataclass(frozen=True)
class MedicineFacts(Period):
    """A medicine and the days on which it is subsidised."""

    name: str


@dataclass(frozen=True)
class IntakeFacts(BaselineFacts):
    """An intake: its day, score and cigarettes, and whether the person is insured (None: not asked)."""

    insured: bool | None = None


@dataclass(frozen=True)
class RecordedService:
    """A service in force of the same person at the same institution."""

    visit_uid: UUID
    visit_on: date
    kind: str


@dataclass(frozen=True)
class RecordedVisit:
    """The visit in force on the day of the entry, if there is one: what is already known of that day."""

    uid: UUID
    visit_time: time | None
    cigarettes_per_day: int | None
    co_ppm: int | None
    note: str
    pregnant: bool


@dataclass(frozen=True)
class Facts:
    """All that the rules need to know besides the entry. `closes_at` of the service month; None where policy has a gap."""

    moment: datetime
    closes_at: datetime | None
    birth_on: date
    sex: str
    contracts: Sequence[Period]
    staff: Mapping[UUID, StaffFacts]
    medicines: Mapping[str, MedicineFacts]
    baselines: Sequence[IntakeFacts]
    services: Sequence[RecordedService] = field(default_factory=tuple)
    same_day: RecordedVisit | None = None
    courses: "CourseFacts" = field(default_factory=lambda: CourseFacts())
    emptied: bool = False  # the person's keeping time has ended
    permitted: bool = False  # the desk decides: the window does not bind


@dataclass(frozen=True)
class CourseFacts:
    """The person's services in force in all institutions, and which of their places is this institution."""

    services: Sequence[CourseService] = field(default_factory=tuple)
    place: int = 0
    site: int = 0
    _courses: dict[tuple[Any, ...], Course] = field(default_factory=dict, init=False, repr=False, compare=False)

    def service(self, kind: str, visit_on: date, visit_time: time | None, weeks: int) -> CourseService:
        """A service at this institution that is not recorded yet."""
        return CourseService(None, kind, visit_on, visit_time, weeks, self.place, self.site)

    def course_of(self, service: CourseService) -> Course:
        """The course that a service would belong to; asked by several rules, worked out once. Raises PolicyGap."""
        asked = service.kind, service.order, service.weeks
        found = self._courses.get(asked)
        if found is None:
            found = self._courses[asked] = course_with(service, self.services)
        return found


def recorded_otherwise(entry: Entry) -> Problem:
    """The same form sent again with other contents: what stands is not overwritten."""
    return Problem(
        "visit-recorded-otherwise",
        Sentence(
            "這張表單剛才已登錄為 {day} 的就醫資料，但這次送出的內容不同。請開啟該筆查看，要改內容請用登錄資料修改。",
            day=entry.visit_on,
        ),
        "visit_on",
    )


# --- The rules -------------------------------------------------------------------------------------------------------


def check_visit(entry: Entry, facts: Facts) -> list[Problem]:
    """Every reason why the visit cannot be recorded now; an empty list when it can.

    Fields of the problems: visit_on, visit_time, services, medication_staff, counselling_staff, counselling_mode,
    lines-N-medicine, lines-N-supply_weeks, lines-N-supply_days, pregnant, cigarettes_per_day, co_ppm, note.
    """
    problems: list[Problem] = []
    for rule in _RULES:
        try:
            problems += rule(entry, facts)
        except PolicyGap as gap:
            message = Sentence("{reason}還不能登錄，請洽管理窗口。", reason=gap.reason)
            problems.append(Problem("policy-unknown", message, "visit_on", gap.name))
    return problems


def _person(entry: Entry, facts: Facts) -> list[Problem]:
    return [person_emptied()] if facts.emptied else []


def _services(entry: Entry, facts: Facts) -> list[Problem]:
    if not entry.kinds:
        return [Problem("service-missing", "請選擇本次服務：用藥、衛教，或兩者。", "services")]
    return []


def _day(entry: Entry, facts: Facts) -> list[Problem]:
    """Not in the future, not before birth."""
    day = entry.visit_on
    moment = facts.moment.astimezone(TAIPEI)
    if day > moment.date():
        return [
            Problem(
                "visit-in-future",
                Sentence("就醫日期 {day} 還沒到。今天是 {today}，請填實際就醫的日期。", day=day, today=moment.date()),
                "visit_on",
            )
        ]
    problems = []
    if entry.visit_time and datetime.combine(day, entry.visit_time, TAIPEI) > moment:
        problems.append(
            Problem(
                "visit-time-in-future",
                Sentence("就醫時間 {time} 還沒到，請填實際就醫的時間，或留白。", time=entry.visit_time),
                "visit_time",
            )
        )
    if day < facts.birth_on:
        message = Sentence("就醫日期 {day} 早於出生日期，請確認這兩個日期。", day=day)
        problems.append(Problem("visit-before-birth", message, "visit_on"))
    return problems


def _window(entry: Entry, facts: Facts) -> list[Problem]:
    """The window of the service month is not closed; a day that has not come is told by _day."""
    if facts.permitted or entry.visit_on > facts.moment.astimezone(TAIPEI).date():
        return []
    closes_at = facts.closes_at or month_closes_at(entry.visit_on)
    if facts.moment < closes_at:
        return []
    return [
        Problem(
            "window-closed",
            Sentence(
                "{month}的登錄期限 {closing} 已過，貴機構不能再自行新增。可向管理窗口申請補登。",
                month=Month(entry.visit_on),
                closing=closes_at,
            ),
            "visit_on",
            "recording_window_last_day",
        )
    ]


def _contract(entry: Entry, facts: Facts) -> list[Problem]:
    if policy_on(entry.visit_on, "contract_required") and not any(p.contains(entry.visit_on) for p in facts.contracts):
        return [
            Problem(
                "institution-not-contracted",
                Sentence(
                    "貴機構在 {day} 沒有戒菸服務合約，不能登錄當日的服務。請確認就醫日期，或洽管理窗口。",
                    day=entry.visit_on,
                ),
                "visit_on",
                "contract_required",
            )
        ]
    return []


def _staff(entry: Entry, facts: Facts) -> list[Problem]:
    """A staff contract on the day, with permission for the service."""
    problems = []
    for kind, uid in entry.kinds.items():
        name, label = f"{kind}_staff", LABELS[kind]
        if uid is None:
            problems.append(Problem("staff-missing", Sentence("請選擇{service}人員。", service=label), name))
            continue
        staff = facts.staff.get(uid)
        if staff is None:
            message = Sentence("找不到這位{service}人員，請從名單中選擇。", service=label)
            problems.append(Problem("staff-unknown", message, name))
            continue
        if not policy_on(entry.visit_on, "staff_contract_required"):
            continue
        contract = next((c for c in staff.contracts if c.contains(entry.visit_on)), None)
        if contract is None:
            problems.append(
                Problem("staff-not-contracted", _not_contracted(staff, entry.visit_on), name, "staff_contract_required")
            )
        elif not (contract.may_medicate if kind == MEDICATION else contract.may_counsel):
            problems.append(
                Problem(
                    "staff-not-permitted",
                    Sentence(
                        "{staff} 的人員合約不含{service}，請改選可提供{service}的人員。",
                        staff=staff.label,
                        service=label,
                    ),
                    name,
                    "staff_contract_required",
                )
            )
    return problems


def _not_contracted(staff: StaffFacts, day: date) -> Sentence:
    earlier = [c.ends_on for c in staff.contracts if c.ends_on and c.ends_on < day]
    if earlier:
        return Sentence("{staff} 的人員合約到 {day} 為止，請改選當日在約人員。", staff=staff.label, day=max(earlier))
    return Sentence("{staff} 在 {day} 沒有人員合約，請改選當日在約人員。", staff=staff.label, day=day)


def _lines(entry: Entry, facts: Facts) -> list[Problem]:
    """The medicines are listed on the day; weeks a visit within policy."""
    if entry.medication is None:
        return []
    if not entry.medication.lines:
        return [Problem("medicine-missing", "請至少選擇一項藥品並填週數。", "lines-0-medicine")]
    problems = []
    most = policy_on(entry.visit_on, "weeks_per_visit")
    seen: set[str] = set()
    for number, line in enumerate(entry.medication.lines):
        medicine = facts.medicines.get(line.medicine_code)
        if medicine is None:
            problems.append(Problem("medicine-unknown", "找不到這項藥品，請從清單中選擇。", f"lines-{number}-medicine"))
        elif not medicine.contains(entry.visit_on) and policy_on(entry.visit_on, "listed_medicine_required"):
            problems.append(
                Problem(
                    "medicine-not-listed",
                    Sentence(
                        "{medicine} 在 {day} 不在補助品項內，請改選當日的補助品項。",
                        medicine=medicine.name,
                        day=entry.visit_on,
                    ),
                    f"lines-{number}-medicine",
                    "listed_medicine_required",
                )
            )
        if medicine and line.medicine_code in seen:
            problems.append(Problem("medicine-twice", "同一項藥品請合併成一列。", f"lines-{number}-medicine"))
        seen.add(line.medicine_code)
        if line.supply_weeks < 1:
            problems.append(Problem("weeks-missing", "週數至少 1 週。", f"lines-{number}-supply_weeks"))
        elif line.supply_weeks > most:
            problems.append(
                Problem(
                    "weeks-above-limit",
                    Sentence("每次用藥最多 {most} 週，您填了 {typed} 週。", most=most, typed=line.supply_weeks),
                    f"lines-{number}-supply_weeks",
                    "weeks_per_visit",
                )
            )
        # Seven days a week are implied by the weeks, and so is what is wrong with them.
        if line.days != line.supply_weeks * 7 and not 1 <= line.days <= most * 7:
            problems.append(
                Problem(
                    "days-above-limit",
                    Sentence(
                        "天數應在 1 到 {days} 天之間（每次用藥最多 {weeks} 週），您填了 {typed} 天。",
                        days=most * 7,
                        weeks=most,
                        typed=line.days,
                    ),
                    f"lines-{number}-supply_days",
                    "weeks_per_visit",
                )
            )
    return problems


def _same_day(entry: Entry, facts: Facts) -> list[Problem]:
    """One visit a day: a service already recorded is refused, a missing one joins the visit of that day."""
    day = entry.visit_on
    recorded = {s.kind for s in facts.services if s.visit_on == entry.visit_on}
    problems = [
        Problem(
            "visit-exists",
            Sentence(
                "{day} 已登錄過{service}。同一天同一項服務只登錄一次，請到就醫資料查詢確認那一筆。",
                day=day,
                service=LABELS[kind],
            ),
            "visit_on",
            "same_day_visits",
        )
        for kind in entry.kinds
        if kind in recorded
    ]
    if facts.same_day and len(problems) < len(entry.kinds):
        if entry.pregnant and not facts.same_day.pregnant and MEDICATION in recorded:
            problems.append(
                Problem(
                    "visit-value-differs",
                    Sentence(
                        "{day} 已登錄用藥，懷孕是「否」，與您填的不同。請確認是否懷孕；確為懷孕時，請到該筆修改。",
                        day=day,
                    ),
                    "pregnant",
                    "pregnancy_excludes_medication",
                )
            )
        for name, label, unit in (
            ("visit_time", Words("就醫時間"), ""),
            ("cigarettes_per_day", Words("平均每日支數"), Words("支")),
            ("co_ppm", Words("一氧化碳"), "ppm"),
            ("note", Words("備註"), ""),
        ):
            known, typed = getattr(facts.same_day, name), getattr(entry, name)
            if known not in (None, "") and typed not in (None, "") and known != typed:
                problems.append(
                    Problem(
                        "visit-value-differs",
                        Sentence(
                            "{day} 已登錄的{label}是「{known}」，與您填的不同。這次服務會併入同一筆就醫資料，請填相同的內容或留白。",
                            day=day,
                            label=label,
                            known=Sentence("{number} {unit}", number=known, unit=unit) if unit else known,
                        ),
                        name,
                    )
                )
    return problems


def _spacing(entry: Entry, facts: Facts) -> list[Problem]:
    """Services of one kind are at least `visit_spacing_days` apart, in either direction (S: 小於 5 日)."""
    problems = []
    for kind in entry.kinds:
        recorded = [s.visit_on for s in facts.services if s.kind == kind]
        near = sorted(day for day in recorded if day != entry.visit_on and _too_near(day, entry.visit_on))
        if not near:
            continue
        recorded.sort()
        problems.append(
            Problem(
                "visit-too-near",
                Sentence(
                    "{service}與 {days} 間隔小於 {spacing} 日。同項服務最早可登錄 {earliest}。若真正就醫日是別天，請改就醫日期。",
                    service=LABELS[kind],
                    days=Several(near),
                    spacing=_spacing_days(near[0], entry.visit_on),
                    earliest=_earliest_free(entry.visit_on, recorded),
                ),
                "visit_on",
                "visit_spacing_days",
            )
        )
    return problems


def _earliest_free(day: date, recorded: Iterable[date]) -> date:
    """The first day from `day` on that keeps its distance from all recorded days (ascending)."""
    for other in recorded:
        if _too_near(other, day):
            day = other + timedelta(days=_spacing_days(other, day))
    return day


def _too_near(one: date, other: date) -> bool:
    return abs((one - other).days) < _spacing_days(one, other)


def _spacing_days(one: date, other: date) -> int:
    days: int = policy_on(one if one < other else other, "visit_spacing_days")
    return days


def _eligibility(entry: Entry, facts: Facts) -> list[Problem]:
    if entry.medication is None:
        return []
    service = facts.courses.service(MEDICATION, entry.visit_on, entry.visit_time, entry.weeks)
    return eligibility(service, entry.pregnant, facts).problems


def eligibility(service: CourseService, pregnant: bool, facts: Facts) -> Eligibility:
    """Whether medication may be given (`service`), by the intake that counts for its course. Raises PolicyGap.

    A pregnancy recorded with the other service of the day counts like one typed now.
    """
    visit_on = service.visit_on
    first_day = facts.courses.course_of(service).first_on
    baseline = baseline_of_course(facts.baselines, first_day)
    return medication_eligibility(
        on=visit_on,
        birth_on=facts.birth_on,
        pregnant=pregnant or (facts.same_day is not None and facts.same_day.pregnant),
        # Insurance is asked at the intake: without one that counts, the intake is the one thing to say.
        insured=baseline.insured if baseline else True,
        # Where none counts, the latest is named with what keeps it from counting: too old, or after the course began.
        baseline=baseline or max(facts.baselines, key=lambda intake: intake.taken_on, default=None),
        course_first_day=first_day,
    )


def _courses(entry: Entry, facts: Facts) -> list[Problem]:
    """A course beyond the yearly number is refused (policy `third_course`); a day already recorded is told by _same_day."""
    recorded = {s.kind for s in facts.services if s.visit_on == entry.visit_on}
    problems = []
    for kind in entry.kinds:
        if kind in recorded:
            continue
        service = facts.courses.service(
            kind, entry.visit_on, entry.visit_time, entry.weeks if kind == MEDICATION else 0
        )
        course = facts.courses.course_of(service)
        if not course.is_allowed:
            most = policy_on(course.first_on, "courses_per_year")
            problems.append(
                Problem(
                    "course-beyond-year",
                    Sentence(
                        "這次{service}會是民國 {year} 年的第 {number} 個療程。每年最多 {most} 個療程（含在其他機構的），不能登錄；"
                        "可於次年再開始新的療程。若就醫日期填錯，請改就醫日期。",
                        service=LABELS[kind],
                        year=Year(course.year),
                        number=course.number,
                        most=most,
                    ),
                    "visit_on",
                    "third_course",
                )
            )
    return problems


def _values(entry: Entry, facts: Facts) -> list[Problem]:
    problems = implausible({"cigarettes_per_day": entry.cigarettes_per_day, "co_ppm": entry.co_ppm})
    problems += pregnancy_problems(entry.pregnant, facts.sex)
    if len(entry.note) > NOTE_LENGTH:
        message = Sentence("備註最多 {most} 字，您填了 {typed} 字。", most=NOTE_LENGTH, typed=len(entry.note))
        problems.append(Problem("note-too-long", message, "note"))
    if UNSTORABLE.search(entry.note):
        problems.append(Problem("note-unreadable", "備註有無法儲存的字元，請刪除後重填。", "note"))
    if entry.counselling and entry.counselling.mode not in COUNSELLING_MODES:
        problems.append(Problem("mode-unknown", "請選擇衛教方式：面對面或電話。", "counselling_mode"))
    return problems


_RULES = (
    *(_person, _services, _day, _window, _contract, _staff, _lines, _same_day, _spacing),
    *(_courses, _eligibility, _values),
)


def check_late_entry(entry: Entry, facts: Facts) -> list[Problem]:
    """Every reason why a visit that was never recorded cannot be entered by the desk's decision: all but the window.

    A service missing from a visit of that day is no late entry but a change of that visit. Fields: of check_visit.
    """
    taken, facts = _day_taken(entry, facts)
    return taken + check_visit(entry, replace(facts, permitted=True))


# --- Changing, voiding, restoring ------------------------------------------------------------------------------------


def check_change(
    entry: Entry, facts: Facts, recorded: Entry, *, reason: str, recorded_closes_at: datetime | None
) -> list[Problem]:
    """Every reason why a recorded visit cannot be changed into `entry` now.

    `facts` are those of the new day without the visit itself; `recorded_closes_at` is the closing moment of the old
    day's month: a change of date needs both months open. Fields: those of check_visit, and reason.
    """
    same_month = month_of(entry.visit_on) == month_of(recorded.visit_on)  # then check_visit says it
    problems = [] if same_month else _still_open(recorded.visit_on, facts, recorded_closes_at)
    if entry == recorded:
        problems.append(Problem("nothing-changed", "內容和已登錄的相同，沒有可修改的。", None))
    taken, facts = _day_taken(entry, facts)
    return problems + taken + check_visit(entry, facts) + check_reason(reason)


def check_void(visit_on: date, facts: Facts, *, reason: str) -> list[Problem]:
    """Every reason why a recorded visit cannot be voided now. Fields: visit_on, reason."""
    return _still_open(visit_on, facts, facts.closes_at) + check_reason(reason)


def check_restore(entry: Entry, facts: Facts, *, reason: str) -> list[Problem]:
    """Every reason why a voided visit cannot be brought back now: those of recording it. Fields: of check_change."""
    problems, facts = _day_taken(entry, facts)
    return problems + check_visit(entry, facts) + check_reason(reason)


def _day_taken(entry: Entry, facts: Facts) -> tuple[list[Problem], Facts]:
    """Another visit of the day, which a changed or restored one does not join; and the facts without it."""
    if facts.same_day is None:
        return [], facts
    problem = Problem(
        "day-taken",
        Sentence(
            "{day} 已有這位戒菸者的另一筆就醫資料，一天只能有一筆。請改填別的日期，或到那一筆修改。", day=entry.visit_on
        ),
        "visit_on",
        "same_day_visits",
    )
    others = [service for service in facts.services if service.visit_on != entry.visit_on]
    return [problem], replace(facts, same_day=None, services=others)


def _still_open(visit_on: date, facts: Facts, closes_at: datetime | None) -> list[Problem]:
    if facts.permitted:
        return []
    closes_at = closes_at or month_closes_at(visit_on)
    if facts.moment < closes_at:
        return []
    return [
        Problem(
            "window-closed",
            Sentence(
                "{month}的登錄期限 {closing} 已過，貴機構不能再自行修改或作廢。可向管理窗口申請更正。",
                month=Month(visit_on),
                closing=closes_at,
            ),
            "visit_on",
            "recording_window_last_day",
        )
    ]


def taken_over() -> Problem:
    """Why a visit of the system before this one that breaks a rule is neither changed nor voided."""
    message = Words("這筆由舊系統移轉，當時就不符規定，依原樣保存，不能修改、作廢或恢復。")
    return Problem("visit-taken-over", message)


def recorded_and_voided(entry: Entry) -> Problem:
    """The form of a visit that was voided meanwhile, sent again."""
    return Problem(
        "visit-voided",
        Sentence(
            "這張表單登錄的 {day} 就醫資料已經作廢。要恢復請到該筆就醫資料；要另外登錄請開新的登錄頁。",
            day=entry.visit_on,
        ),
        "visit_on",
    )


# --- Extension of a window -------------------------------------------------------------------------------------------


def check_extension(
    *,
    month: date,
    reach: str,
    county: str,
    institution_id: int | None,
    closes_at: datetime,
    reason: str,
    moment: datetime,
    in_force: datetime | None,
) -> list[Problem]:
    """Every reason why a window cannot be extended so. `in_force`: the closing moment that it would extend.

    An extension never shortens and never reopens for a time already past. Fields: month, county, institution,
    closes_at, reason.
    """
    problems = []
    if in_force is None:
        message = Sentence("{month}沒有登錄期限，不能延長。", month=Month(month))
        problems.append(Problem("month-unknown", message, "month"))
    if reach == "county" and not county:
        problems.append(Problem("county-missing", "請選擇縣市。", "county"))
    if reach == "institution" and institution_id is None:
        problems.append(Problem("institution-missing", "請填要延長的機構代碼。", "institution"))
    if in_force is not None and closes_at <= in_force:
        problems.append(
            Problem(
                "extension-shortens",
                Sentence("只能延長，不能縮短。目前到 {closing}，請填更晚的時間。", closing=in_force),
                "closes_at",
            )
        )
    if closes_at <= moment:
        problems.append(Problem("extension-past", "延長至的時間已經過了，請填之後的時間。", "closes_at"))
    if not reason.strip():
        problems.append(Problem("reason-missing", "請填延長的事由，例如系統中斷、颱風停班。", "reason"))
    elif len(reason) > REASON_LENGTH:
        message = Sentence("事由最多 {most} 字，您填了 {typed} 字。", most=REASON_LENGTH, typed=len(reason))
        problems.append(Problem("reason-too-long", message, "reason"))
    if UNSTORABLE.search(reason):
        problems.append(Problem("reason-unreadable", "事由有無法儲存的字元，請刪除後重填。", "reason"))
    return problems
