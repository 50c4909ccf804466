"""What the demo data tell: made-up institutions, staff, people and how their year went. Pure: chance in, values out.

Everybody is made up: names begin with 示範, identity numbers have the second character 0 that is issued to nobody,
medicines are "DEMO" and six digits (domain.md §7).
"""

import random
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID, uuid5

from quitledger.accounts.permissions import Role
from quitledger.cases.rules import FTND_ITEMS, age_on
from quitledger.cases.services import BaselineEntry, Registration
from quitledger.institutions.lists import InstitutionRow, StaffRow
from quitledger.policy import TAIPEI, policy_on
from quitledger.policy.identity import IdentityKind, make_up
from quitledger.visits.rules import COUNSELLING, MEDICATION, Counselling, Entry, Line, Medication, month_closes_at
from quitledger.visits.services import MedicineRow

CLINIC, HEALTH_CENTER, PHARMACY = "9900000019", "9900000027", "9900000035"
STEMS, BRANCHES = "甲乙丙丁戊己庚辛壬癸", "子丑寅卯辰巳午未申酉戌亥"
COUNTIES = ("臺北市", "新北市", "桃園市", "臺中市", "臺南市", "高雄市", "花蓮縣", "澎湖縣")
PATCH, GUM = "DEMO000001", "DEMO000002"

_SPACE = UUID("0b9f1f52-6a36-4b0e-8d5e-3f5f3f1d7a52")
_PAST_YEAR = timedelta(days=365)


@dataclass(frozen=True)
class _Kind:
    """Institutions of a tier: their name, how many there are, staff in each, and each one's part of the people."""

    name: str
    count: int
    staff: int
    part: int


TIERS = {
    "clinic": _Kind("戒菸診所", 9, 5, 12),
    "health_center": _Kind("衛生所", 4, 4, 6),
    "pharmacy": _Kind("藥局", 5, 3, 5),
    "medical_center": _Kind("醫學中心", 2, 9, 16),
    "regional_hospital": _Kind("區域醫院", 3, 8, 11),
    "district_hospital": _Kind("地區醫院", 4, 5, 7),
    "dental_clinic": _Kind("牙醫診所", 3, 5, 2),
}
CODES = {("clinic", 0): CLINIC, ("health_center", 0): HEALTH_CENTER, ("pharmacy", 0): PHARMACY}
_GIVES_MEDICATION = {"dental_clinic": "dentist", "pharmacy": "pharmacist"}  # elsewhere a physician
_OF_THE_CLINIC = (
    ("示範丑", "physician"),
    ("示範子", "counsellor"),
    ("示範寅", "counsellor"),
    ("示範卯", "physician"),
    ("示範辰", "counsellor"),
)
_LEFT_THE_CLINIC = "示範寅"  # contract until the end of last month

# username → display name, role at the agency, places
ACCOUNTS: dict[str, tuple[str, str, dict[str, Role]]] = {
    "demo-recorder": ("示範子", "", {CLINIC: Role.RECORDER}),
    "demo-supervisor": ("示範丑", "", {CLINIC: Role.SUPERVISOR}),
    "demo-both": ("示範午", "", {HEALTH_CENTER: Role.RECORDER, CLINIC: Role.SUPERVISOR}),
    "demo-stranger": ("示範未", "", {PHARMACY: Role.RECORDER}),
    "demo-desk": ("示範申", Role.DESK_OFFICER, {}),
    "demo-desk-supervisor": ("示範酉", Role.DESK_SUPERVISOR, {}),
    "demo-analyst": ("示範戌", Role.ANALYST, {}),
    "demo-administrator": ("示範亥", Role.ADMINISTRATOR, {}),
}


def uid(name: str) -> UUID:
    """The uid of a made-up thing, by its name."""
    return uuid5(_SPACE, name)


def first_day(today: date) -> date:
    """From here on institutions and staff are contracted: the first of January two years back."""
    return date(today.year - 2, 1, 1)


def end_of_last_month(today: date) -> date:
    """The last day of the month before."""
    return today.replace(day=1) - timedelta(days=1)


def missing_day(today: date) -> date:
    """The day of the visit that nobody recorded: the 15th of the month before last, whose window has closed."""
    return end_of_last_month(end_of_last_month(today)).replace(day=15)


def medicines(today: date) -> list[MedicineRow]:
    """The subsidised medicines, examples all; the last one no longer is."""
    first = first_day(today)
    return [
        MedicineRow(PATCH, "尼古丁貼片（示範品項甲）", "patch", False, first),
        MedicineRow(GUM, "尼古丁咀嚼錠（示範品項乙）", "gum", False, first),
        MedicineRow("DEMO000003", "尼古丁口含錠（示範品項丙）", "lozenge", False, first),
        MedicineRow("DEMO000004", "尼古丁吸入劑（示範品項丁）", "inhaler", False, first),
        MedicineRow("DEMO000005", "Bupropion 持續性藥效錠（示範品項戊）", "bupropion", True, first),
        MedicineRow("DEMO000006", "Varenicline 錠（示範品項己）", "varenicline", True, first),
        MedicineRow("DEMO000007", "尼古丁貼片（示範品項庚，已停止補助）", "patch", False, first, date(today.year - 2, 12, 31)),
    ]  # fmt: skip


def institutions(today: date) -> list[InstitutionRow]:
    """About thirty institutions of every tier; one has left the programme, one joined it lately."""
    rows: list[InstitutionRow] = []
    for tier, kind in TIERS.items():
        for number in range(kind.count):
            code = CODES.get((tier, number), f"99001{len(rows):05}")
            county = COUNTIES[len(rows) % len(COUNTIES)]
            row = InstitutionRow(
                code, f"示範{STEMS[number] if number else ''}{kind.name}", tier, county,
                f"{county}示範路 {len(rows) + 1} 號", first_day(today), first_day(today),
            )  # fmt: skip
            if (tier, number) == ("clinic", kind.count - 1):
                row = replace(row, contract_ends_on=end_of_last_month(today))
            if (tier, number) == ("dental_clinic", kind.count - 1):
                joined = today - timedelta(days=120)
                row = replace(row, starts_on=joined, contract_starts_on=joined)
            rows.append(row)
    return rows


def staff(rows: list[InstitutionRow], today: date, chance: random.Random) -> dict[str, list[StaffRow]]:
    """The staff of each institution, by its code. Contracts have ended, certificates expire, some work in two places."""
    found: dict[str, list[StaffRow]] = {}
    serial = 0
    for row in rows:
        found[row.code] = []
        for rank in range(TIERS[row.tier].staff):
            serial += 1
            medicates = rank % 3 == 0 or row.tier == "pharmacy"
            profession = _GIVES_MEDICATION.get(row.tier, "physician") if medicates else "counsellor"
            name = f"示範{BRANCHES[serial % 12]}{STEMS[serial // 12 % 10]}"
            ends_on = row.contract_ends_on
            if row.code == CLINIC:
                name, profession = _OF_THE_CLINIC[rank]
                if name == _LEFT_THE_CLINIC:
                    ends_on = end_of_last_month(today)
            elif rank >= 3 and chance.random() < 0.3:
                ends_on = max(row.starts_on, today - timedelta(days=chance.randrange(1, 300)))
            found[row.code].append(
                StaffRow(
                    row.code,
                    make_up(serial, "S"),
                    name,
                    profession,
                    row.starts_on,
                    ends_on,
                    profession != "counsellor",
                    True,
                    "戒菸服務人員訓練證明（示範）",
                    today + timedelta(days=chance.randrange(-60, 1100)),
                )
            )
    for one, other in zip(rows[1::3], rows[2::3], strict=False):
        starts_on = max(one.starts_on, other.starts_on) + timedelta(days=31)
        also = replace(found[one.code][0], institution_code=other.code, starts_on=starts_on)
        found[other.code].append(replace(also, ends_on=other.contract_ends_on))
    return found


# --- People ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Someone:
    """A made-up person, as every institution knows him.

    Who comes to two institutions comes to one after the other: `stays` are the days of the year between which the
    course here begins; None where there is no other.
    """

    serial: int
    name: str
    sex: str
    birth_on: date
    stays: tuple[int, int] | None = None

    def registration(self, code: str, number: int) -> Registration:
        """His registration as the `number`th person of an institution."""
        return Registration(
            uid(f"case {code} {self.serial}"), IdentityKind.NATIONAL_ID, make_up(self.serial), "", self.birth_on, self.sex,
            self.name, f"DEMO-{number:04}",
        )  # fmt: skip


def people(count: int, today: date, chance: random.Random) -> list[Someone]:
    """`count` made-up persons, the first two of them grown-ups: those of the examples."""
    found = []
    for serial in range(1, count + 1):
        name = "".join(chance.sample(STEMS, 1) + chance.sample(BRANCHES, 1))
        sex = "male" if chance.random() < 0.82 else "female"
        age = chance.randrange(14, 18) if chance.random() < 0.04 else round(chance.triangular(19, 78, 44))
        birth_on = today - timedelta(days=age * 365 + chance.randrange(300))
        if serial <= len(STEMS):
            name, age = STEMS[serial - 1], 45
            birth_on = date(today.year - age, 2, 3) + timedelta(days=97 * (serial - 1))
        found.append(Someone(serial, f"示範{name}", sex, birth_on))
    return found


_STAYS = ((0, 120), (220, 330))  # at the first institution, at the second: no course is given up for another


def residents(rows: list[InstitutionRow], everybody: list[Someone], chance: random.Random) -> dict[str, list[Someone]]:
    """Who goes to which institution, by code: the first ten to the clinic; some go to a second one, too."""
    found: dict[str, list[Someone]] = {row.code: [] for row in rows}
    codes, parts = [row.code for row in rows], [TIERS[row.tier].part for row in rows]
    for someone in everybody:
        chosen = [CLINIC] if someone.serial <= len(STEMS) else chance.choices(codes, parts)
        if someone.serial > len(STEMS) and chance.random() < 0.05:
            chosen += chance.choices(codes, parts)
        places = list(dict.fromkeys(chosen))
        for code, stays in zip(places, _STAYS if len(places) > 1 else (None,), strict=True):
            found[code].append(replace(someone, stays=stays))
    return found


# --- A person's year at an institution -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Colleague:
    """A staff member under contract at the institution."""

    uid: UUID
    row: StaffRow

    def gives(self, kind: str, day: date) -> bool:
        """Whether the contract covers the day and the service."""
        row = self.row
        in_force = row.starts_on <= day and (row.ends_on is None or day <= row.ends_on)
        return in_force and (row.may_medicate if kind == MEDICATION else row.may_counsel)


@dataclass
class Story:
    """What happened: the intakes, and the visits with the moment at which each was recorded."""

    baselines: list[BaselineEntry] = field(default_factory=list)
    visits: list[tuple[Entry, datetime]] = field(default_factory=list)


class Teller:
    """Tells what happened to people at one institution until `now` (Taipei time)."""

    def __init__(self, row: InstitutionRow, colleagues: list[Colleague], now: datetime, chance: random.Random) -> None:
        self.row, self.colleagues, self.now, self.chance = row, colleagues, now, chance
        self.today = now.date()

    def tell(self, someone: Someone) -> Story:
        """The year of one person here. The first two of the clinic are the examples of the seed and the mockups."""
        examples = {1: self._being_helped, 2: self._one_visit_missing} if self.row.code == CLINIC else {}
        return examples.get(someone.serial, self._a_year)(someone)

    def _being_helped(self, someone: Someone) -> Story:
        """In the fourth week of the first course; the next visit is due today."""
        story, start = Story(), self.today - timedelta(days=31)
        self._intake(story, someone, start, cigarettes=20, answered=True)
        for days, weeks, cigarettes, co_ppm in ((0, 2, 20, 24), (7, 0, 16, 19), (14, 2, 12, 15), (21, 0, 9, 12)):
            self._visit(story, someone, start + timedelta(days=days), weeks, cigarettes, co_ppm)
        return story

    def _one_visit_missing(self, someone: Someone) -> Story:
        """Yesterday is recorded; the visit of the 15th of the month before last (114/2/15 on 114/4/1) is not."""
        story, missing, yesterday = Story(), missing_day(self.today), self.today - timedelta(days=1)
        self._intake(story, someone, missing, cigarettes=20, answered=True)
        for day, cigarettes, co_ppm in ((missing + timedelta(days=16), 12, 16), (yesterday - timedelta(days=14), 10, 13),
                                        (yesterday, 9, 11)):  # fmt: skip
            self._visit(story, someone, day, 2, cigarettes, co_ppm)
        return story

    def _a_year(self, someone: Someone) -> Story:
        story, chance = Story(), self.chance
        begin = max(self.today - _PAST_YEAR, self.row.starts_on)
        if someone.stays and begin > self.today - _PAST_YEAR:
            return story  # known here, and helped elsewhere
        day = begin + timedelta(days=chance.randrange(*(someone.stays or (0, 330))))
        for _ in range(1 if someone.stays else policy_on(day, "courses_per_year")):
            if day >= self.today:
                break
            day = self._course(story, someone, day)
            if chance.random() < 0.75:
                break  # most come for one course
            day += timedelta(days=chance.randrange(90, 150))
        return story

    def _course(self, story: Story, someone: Someone, start: date) -> date:
        """A course of up to eight visits from `start` on; returns the day after which nothing happened."""
        chance = self.chance
        day = first = self._open_day(start)
        cigarettes = round(chance.triangular(6, 45, 20))
        grown_up = age_on(someone.birth_on, day) >= policy_on(day, "medication_minimum_age")
        dependent = cigarettes >= policy_on(day, "minimum_cigarettes_per_day")
        pregnant = someone.sex == "female" and 20 < age_on(someone.birth_on, day) < 40 and chance.random() < 0.05
        taken = chance.random() < 0.93  # the others have no intake yet
        insured = chance.random() < 0.98
        if taken:
            self._intake(story, someone, day, cigarettes=cigarettes, answered=chance.random() < 0.9, insured=insured)
        prescribed = self._colleague(MEDICATION, day) is not None and chance.random() < 0.85
        treated = grown_up and dependent and taken and insured and not pregnant and prescribed
        interval = chance.choice((7, 14, 14, 14))
        weeks_left = policy_on(day, "course_weeks")
        for number in range(chance.choices(range(1, 9), (20, 20, 18, 14, 10, 8, 6, 4))[0]):
            weeks = min(interval // 7, weeks_left) if treated and (number == 0 or chance.random() < 0.9) else 0
            weeks_left -= weeks
            co_ppm = max(1, cigarettes + chance.randrange(-2, 5)) if chance.random() < 0.6 else None
            self._visit(story, someone, day, weeks, cigarettes, co_ppm, pregnant=pregnant)
            cigarettes = max(0, round(cigarettes * chance.uniform(0.5, 0.95)))
            day = self._open_day(day + timedelta(days=interval + chance.choice((-1, 0, 0, 0, 1, 2))))
            if (day - first).days >= policy_on(first, "course_days"):
                break
        return day

    def _open_day(self, day: date) -> date:
        """The day itself or the next on which people come: no Sunday, and half as many on a Saturday."""
        if day.weekday() == 6 or (day.weekday() == 5 and self.chance.random() < 0.5):
            return day + timedelta(days=7 - day.weekday())
        return day

    def _intake(
        self, story: Story, someone: Someone, day: date, *, cigarettes: int, answered: bool, insured: bool = True
    ) -> None:
        if day >= self.today:
            return
        answers = {item.name: self.chance.choice(item.answers).word for item in FTND_ITEMS} if answered else {}
        weight_kg = Decimal(self.chance.randrange(450, 950)) / 10
        entry = BaselineEntry(
            uid(f"baseline {self.row.code} {someone.serial} {day}"), day, answers, cigarettes, None, weight_kg,
            pregnant=False, insured=insured,
        )  # fmt: skip
        story.baselines.append(entry)

    def _visit(
        self,
        story: Story,
        someone: Someone,
        day: date,
        weeks: int,
        cigarettes: int,
        co_ppm: int | None,
        *,
        pregnant: bool = False,
    ) -> None:
        """One visit, unless the institution was closed to the programme or has not recorded it yet."""
        row, chance = self.row, self.chance
        if day >= self.today or (row.contract_ends_on and day > row.contract_ends_on):
            return
        counsellor, prescriber = self._colleague(COUNSELLING, day), self._colleague(MEDICATION, day)
        medicine = PATCH if chance.random() < 0.55 else f"DEMO00000{chance.randrange(2, 7)}"
        entry = Entry(
            uid(f"visit {row.code} {someone.serial} {day}"),
            day,
            time(chance.randrange(8, 18), chance.randrange(0, 60, 5)) if chance.random() < 0.4 else None,
            Medication(prescriber.uid, (Line(medicine, weeks, self._days(weeks, someone, day)),))
            if weeks and prescriber
            else None,
            Counselling(counsellor.uid, "telephone" if not weeks and chance.random() < 0.2 else "in_person")
            if counsellor and (not weeks or chance.random() < 0.8)
            else None,
            pregnant,
            cigarettes,
            co_ppm,
        )
        recorded_at = self._recorded_at(entry)
        if entry.kinds and recorded_at <= self.now:
            story.visits.append((entry, recorded_at))

    def _days(self, weeks: int, someone: Someone, day: date) -> int:
        """Seven a week, but for a few slips of last month, left for its self-check to find."""
        last_month = (self.today.replace(day=1) - timedelta(days=1)).replace(day=1)
        slip = someone.serial % 6 == 0 and weeks < 4 and day.replace(day=1) == last_month
        return weeks * 7 + (1 if slip else 0)

    def _colleague(self, kind: str, day: date) -> Colleague | None:
        able = [colleague for colleague in self.colleagues if colleague.gives(kind, day)]
        # The first of the clinic do most of the work.
        return able[0] if able and self.chance.random() < 0.6 else self.chance.choice(able or [None])

    def _recorded_at(self, entry: Entry) -> datetime:
        """Most are recorded the same day, some the next, some later; always before the window closes."""
        chance = self.chance
        came_at = datetime.combine(entry.visit_on, entry.visit_time or time(chance.randrange(8, 17)), TAIPEI)
        if entry.visit_on == self.today - timedelta(days=1) or chance.random() < 0.78:
            return came_at + timedelta(minutes=chance.randrange(5, 360))
        moment = came_at + timedelta(days=chance.choice((1, 1, 2, 3, 5, 8, 13, 21, 34)), minutes=chance.randrange(60))
        last = month_closes_at(entry.visit_on) - timedelta(hours=chance.randrange(7, 16))
        return min(moment, last)
