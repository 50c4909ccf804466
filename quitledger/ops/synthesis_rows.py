"""Makes the rows of a planned nation (synthesis_plan.py), in the order in which they are to be written. Asks no database.

Everybody is made up, as in the demo data; identity numbers are encrypted and hashed as any others. The same years, seed
and scale make the same rows, but for what encrypts a number, which is never twice the same.
"""

import random
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from typing import NamedTuple

from quitledger.accounts.keys import Keys, keys
from quitledger.accounts.services import EncryptedNumber
from quitledger.audit.staging import as_copied
from quitledger.cases.rules import FTND_ITEMS, FtndAnswers, ftnd_score
from quitledger.cases.services import PERSON_NUMBERS
from quitledger.institutions.services import STAFF_NUMBERS
from quitledger.policy import TAIPEI, policy_on
from quitledger.policy.identity import IdentityKind, make_up
from quitledger.policy.roc_formats import ROC_EPOCH
from quitledger.visits.courses import COUNSELLING, MEDICATION, CourseService, courses_of
from quitledger.visits.rules import month_closes_at

from . import demo_story
from .demo_story import BRANCHES, CODES, COUNTIES, STEMS
from .synthesis_plan import NOBODY, Place, Registry, Visit, YearPlan, plan_nation
from .synthesis_steps import Copy, Line, Loaded, Months, Registered, Step

_LETTERS = "ABCDEFGHJKLM"  # of identity numbers: ten million made-up ones each
_SERIALS = 10_000_000
_DAY = 24 * 60  # minutes
_RETURNS = 0.12  # of a year's people, come back from two years before; their courses have long ended
_IN_HOURS, _IN_DAYS, _LATE = 0.76, 0.225, 0.015  # of all visits, by when they are recorded
_VISITS_AT_ONCE = 20_000


def steps_of(years: Sequence[int], *, seed: int, scale: Decimal, now: datetime) -> Iterator[Step]:
    """What is to be done to write a nation of `years` (AD, ascending) whose last visits are recorded before `now`.

    The last step is Loaded. Raises PlanFails, and PolicyGap where a rule is not known.
    """
    registry, plans = plan_nation(years, seed=seed, scale=scale)
    yield Line("機構、人員與帳號 / institutions, staff and accounts")
    writer = _Writer(registry, years, now, random.Random(f"records {seed} {scale} {years}"))  # noqa: S311 - made up
    yield from writer.register()
    yield Registered()
    for plan in plans:
        yield Line(f"{plan.year - ROC_EPOCH}：{len(plan.visits)} 筆就醫資料 / {plan.year}: {len(plan.visits)} visits")
        yield from writer.write(plan)
        yield Line("療程 / courses")
        yield writer.courses()
    yield writer.loaded


def first_day(years: Sequence[int]) -> date:
    """From when on there are institutions and medicines: long before anybody comes."""
    return date(years[0] - 2, 1, 1)


@dataclass
class _Smokers:
    """What is known of a year's people from one visit to the next, by number in the plan."""

    smoked: dict[int, int]  # cigarettes a day
    pregnant: dict[int, bool]


@dataclass
class _Person:
    """Somebody: his number in the database, and what his rows must agree on."""

    number: int
    birth_on: date
    sex: str
    cases: dict[int, int] = field(default_factory=dict)  # institution → case


class _Day(NamedTuple):
    """A day, as text, the minute at which its window closes, and the spacing of its services."""

    on: date
    text: str
    closes: int
    spacing: int


class _Writer:
    """Turns plans into rows. Numbers of institutions, staff and contracts are those of the plan, from 1 on."""

    def __init__(self, registry: Registry, years: Sequence[int], now: datetime, chance: random.Random) -> None:
        self.registry, self.chance, self.keys = registry, chance, keys()
        self.years = years
        self.begin = first_day(years)
        self.now = _minutes(now)
        self.loaded = Loaded(len(registry.places), len(registry.professions))
        self.cases = 0
        self.people: dict[int, list[_Person]] = {}  # of each year
        self.months: dict[tuple[int, int], int] = {}
        self.days: dict[int, _Day] = {}
        self.given: dict[int, list[CourseService]] = {}  # in a year, to each person

    # --- What is there for all years ---

    def register(self) -> Iterator[Step]:
        """Institutions, contracts, staff."""
        chance, registry, begin = self.chance, self.registry, self.begin
        at = f"{begin} 08:00:00+08"
        yield _copy("institutions_institution", "id uid created_at",
              ((place.number + 1, _uid(chance), at) for place in registry.places))  # fmt: skip
        yield _copy("institutions_institutiondetails", "institution_id starts_on code name tier county address",
              (self._details(place) for place in registry.places))  # fmt: skip
        yield _copy("institutions_contract", "institution_id starts_on end_reason",
              ((place.number + 1, self._from(place), "") for place in registry.places))  # fmt: skip
        yield _copy("institutions_staffmember", "id uid name profession identity_hash identity_token identity_key_id",
              (
                  (number + 1, _uid(chance), _name(number), profession, *_encrypted(self.keys, STAFF_NUMBERS, make_up(number + 1, "S")))
                  for number, profession in enumerate(registry.professions)
              ))  # fmt: skip
        yield _copy("institutions_staffcontract", "staff_id institution_id starts_on may_medicate may_counsel",
              (
                  (c.staff + 1, c.place + 1, self._from(registry.places[c.place]), c.may_medicate, c.may_counsel)
                  for c in registry.contracts
              ))  # fmt: skip

    def _from(self, place: Place) -> date:
        """The first day of the contract."""
        return self.begin if place.since == self.years[0] else date(place.since, 1, 1)

    def _details(self, place: Place) -> tuple[object, ...]:
        county = COUNTIES[place.number % len(COUNTIES)]
        name = f"示範{county}{demo_story.TIERS[place.tier].name}{place.rank + 1}"
        code = CODES.get((place.tier, place.rank), f"9902{place.number:06}")
        address = f"{county}示範路 {place.number + 1} 號"
        return place.number + 1, self.begin, code, name, place.tier, county, address

    # --- A year ---

    def write(self, plan: YearPlan) -> Iterator[Step]:
        """Everything that happened in a year, but for its courses."""
        months = sorted({(visit.place + 1, date.fromordinal(visit.day).replace(day=1)) for visit in plan.visits})
        yield Months([place for place, _ in months], [month for _, month in months])
        people = yield from self._people(plan)
        first_days: dict[tuple[int, int], int] = {}
        for visit in plan.visits:
            first_days.setdefault((visit.person, visit.place), visit.day)
        opened = []
        for (person, place), day in first_days.items():
            cases = people[person].cases
            if place + 1 not in cases:
                self.cases += 1
                cases[place + 1] = self.cases
                opened.append((self.cases, people[person].number, place + 1, day))
        yield _copy("cases_case", "id uid person_id institution_id name chart_no phone opened_on version changed_at change_reason",
              (
                  (number, _uid(self.chance), person, place, _name(person), f"N{number:07}", "", self._iso(day), 1,
                   f"{self._iso(day)} 08:00:00+08", "")
                  for number, person, place, day in opened
              ))  # fmt: skip
        smokers = _Smokers({}, {})
        for first in range(0, len(plan.visits), _VISITS_AT_ONCE):
            yield from self._write_visits(plan, plan.visits[first : first + _VISITS_AT_ONCE], people, smokers)

    def _people(self, plan: YearPlan) -> Generator[Step, None, list[_Person]]:
        """Who the plan's persons are: new ones, and grown-ups of two years before."""
        chance, first = self.chance, date(plan.year, 1, 1)
        minimum = policy_on(first, "medication_minimum_age")
        before = [
            someone
            for someone in self.people.pop(plan.year - 2, [])
            if someone.birth_on < date(plan.year - 2 - minimum, 1, 1)
        ]
        chance.shuffle(before)
        found, new = [], []
        for number in range(plan.people):
            if before and chance.random() < _RETURNS:
                found.append(before.pop())
                continue
            age = round(chance.triangular(minimum + 1, 78, 44))
            if number not in plan.medicated and chance.random() < 0.08:
                age = chance.randrange(14, minimum)
            self.loaded.persons += 1
            birth_on = date(plan.year - age - 1, chance.randrange(1, 13), chance.randrange(1, 29))
            new.append(_Person(self.loaded.persons, birth_on, "male" if chance.random() < 0.82 else "female"))
            found.append(new[-1])
        self.people[plan.year] = found
        at = f"{first} 08:00:00+08"
        kind = IdentityKind.NATIONAL_ID.value
        yield _copy("cases_person",
              "id uid identity_kind identity_country identity_hash identity_token identity_key_id birth_on sex created_at changed_at",
              (
                  (someone.number, _uid(chance), kind, "",
                   *_encrypted(self.keys, PERSON_NUMBERS, _number(someone.number), kind, ""), someone.birth_on, someone.sex, at, at)
                  for someone in new
              ))  # fmt: skip
        return found

    def _write_visits(
        self, plan: YearPlan, part: list[Visit], people: list[_Person], smokers: _Smokers
    ) -> Iterator[Step]:
        chance, smoked, pregnant = self.chance, smokers.smoked, smokers.pregnant
        answers = _answers(date(plan.year, 1, 1))
        least = policy_on(date(plan.year, 1, 1), "minimum_cigarettes_per_day")
        given = self.given
        intakes, visits, services, lines = [], [], [], []
        for visit in part:
            someone, medicated = people[visit.person], visit.person in plan.medicated
            on, day, closes, spacing = self._day(visit.day)
            place, case = visit.place + 1, someone.cases[visit.place + 1]
            if visit.person not in smoked:
                age = plan.year - someone.birth_on.year
                may_be = not medicated and someone.sex == "female" and 20 <= age <= 40
                pregnant[visit.person] = may_be and chance.random() < 0.1
            if visit.person not in smoked or visit.intake:  # whoever begins again smokes as before
                smoked[visit.person] = round(chance.triangular(least, 45, 20)) if medicated else chance.randrange(3, 31)
            cigarettes = smoked[visit.person]
            came_at = 8 * 60 + 5 * chance.randrange(0, 120)
            recorded_at = _moment(min(self._recorded_at(visit.day * _DAY + came_at, closes), self.now))
            co_ppm = max(1, cigarettes + chance.randrange(-2, 5)) if chance.random() < 0.6 else None
            if visit.intake:
                score, said = chance.choice(answers) if chance.random() < 0.9 else (None, [""] * len(FTND_ITEMS))
                weight = f"{chance.randrange(45, 95)}.{chance.randrange(10)}"
                intakes.append((
                    _uid(chance), case, someone.number, place, day, *said, score, cigarettes, co_ppm, weight,
                    pregnant[visit.person], True, 1, recorded_at, recorded_at, "",
                ))  # fmt: skip
            self.loaded.visits += 1
            at = time(*divmod(came_at, 60)) if chance.random() < 0.4 else None
            visits.append((
                self.loaded.visits, _uid(chance), case, someone.number, place, day, at, pregnant[visit.person], cigarettes,
                co_ppm, "", True, 1, recorded_at, recorded_at, "",
            ))  # fmt: skip
            for kind, contract in ((MEDICATION, visit.prescriber), (COUNSELLING, visit.counsellor)):
                if contract == NOBODY:
                    continue
                self.loaded.services += 1
                staff = self.registry.contracts[contract].staff + 1
                mode = "" if kind == MEDICATION else self._mode(visit)
                weeks = visit.weeks if kind == MEDICATION else 0
                given.setdefault(someone.number, []).append(
                    CourseService(self.loaded.services, kind, on, at, weeks, place, place)
                )
                services.append((
                    self.loaded.services, self.loaded.visits, someone.number, place, day, True, kind, staff, mode, spacing,
                    _uid(chance), 1,
                ))  # fmt: skip
                if kind == MEDICATION:
                    medicine = self._medicine(self.registry.places[visit.place].tier)
                    lines.append(
                        (self.loaded.services, self.loaded.visits, place, medicine, visit.weeks, 7 * visit.weeks, 1)
                    )
            smoked[visit.person] = max(cigarettes - chance.randrange(0, 5), 0)
        yield _copy("cases_baseline",
              "uid case_id person_id institution_id taken_on " + " ".join(item.name for item in FTND_ITEMS)
              + " ftnd_score cigarettes_per_day co_ppm weight_kg pregnant insured version recorded_at changed_at change_reason",
              intakes)  # fmt: skip
        yield _copy("visits_visit",
              "id uid case_id person_id institution_id visit_on visit_time pregnant cigarettes_per_day co_ppm note in_force"
              " version recorded_at changed_at change_reason",
              visits)  # fmt: skip
        yield _copy("visits_service",
              "id visit_id person_id institution_id visit_on in_force kind staff_id counselling_mode spacing_days entry_uid version",
              services)  # fmt: skip
        yield _copy(
            "visits_medicationline",
            "service_id visit_id institution_id medicine_code supply_weeks supply_days version",
            lines,
        )

    def courses(self) -> Copy:
        """The courses of the year that was written. Of whoever comes back, those of years before have long ended."""
        rows = [
            (person, course.place, course.kind, course.year, course.number, course.first_on)
            for person, services in sorted(self.given.items())
            for course in courses_of(services)
        ]
        self.given = {}
        return _copy("visits_course", "person_id institution_id kind course_year course_no first_on", rows)

    def _mode(self, visit: Visit) -> str:
        """By telephone only who gets nothing to take along."""
        return "telephone" if not visit.weeks and self.chance.random() < 0.2 else "in_person"

    def _medicine(self, tier: str) -> str:
        """Pharmacies give what needs no prescription."""
        if self.chance.random() < 0.55:
            return demo_story.PATCH
        return f"DEMO00000{self.chance.randrange(2, 5 if tier == 'pharmacy' else 7)}"

    def _recorded_at(self, came_at: int, closes: int) -> int:
        """Most within hours, some within days, few after the window has closed; in minutes, as _minutes."""
        chance = self.chance
        part = chance.random()
        if part < _IN_HOURS:
            return came_at + chance.randrange(5, 360)
        if part < _IN_HOURS + _IN_DAYS:
            moment = came_at + chance.choice((1, 1, 2, 3, 5, 8, 13, 21, 34)) * _DAY + chance.randrange(60)
            return min(moment, closes - 60 * chance.randrange(7, 16))
        return closes + (chance.randrange(1, 60) * _DAY + chance.randrange(8 * 60, 17 * 60))

    def _day(self, day: int) -> _Day:
        if day not in self.days:
            on = date.fromordinal(day)
            self.days[day] = _Day(
                on, on.isoformat(), _minutes(month_closes_at(on)), policy_on(on, "visit_spacing_days")
            )
        return self.days[day]

    def _iso(self, day: int) -> str:
        return self._day(day).text


def _answers(day: date) -> list[tuple[int, list[str]]]:
    """Every way to answer the Fagerström test, with its score."""
    ways: list[list[str]] = [[]]
    for item in FTND_ITEMS:
        ways = [[*way, answer.word] for way in ways for answer in item.answers]
    return [(ftnd_score(FtndAnswers(*way), day), way) for way in ways]


def _number(person: int) -> str:
    """The identity number of a person."""
    return make_up(person % _SERIALS, _LETTERS[person // _SERIALS])


def _name(number: int) -> str:
    return f"示範{STEMS[number % len(STEMS)]}{BRANCHES[number // len(STEMS) % len(BRANCHES)]}"


def _encrypted(by: Keys, numbers: EncryptedNumber, number: str, *more: str) -> tuple[bytes, bytes, str]:
    """An identity number as its table keeps it: hash, token, key."""
    token, key_id = by.encrypt(number, about=numbers.about)
    return by.keyed_hash(numbers.text(number, *more)), token, key_id


def _uid(chance: random.Random) -> str:
    return f"{chance.getrandbits(128):032x}"


def _minutes(moment: datetime) -> int:
    """A moment in minutes of Taipei time since the day before 0001-01-01."""
    here = moment.astimezone(TAIPEI)
    return here.toordinal() * _DAY + here.hour * 60 + here.minute


def _moment(minutes: int) -> str:
    day, minute = divmod(minutes, _DAY)
    return f"{date.fromordinal(day)} {minute // 60:02}:{minute % 60:02}:00+08"


def _copy(table: str, columns: str, rows: Iterable[Sequence[object]]) -> Copy:
    return Copy(table, columns.split(), as_copied(rows))
