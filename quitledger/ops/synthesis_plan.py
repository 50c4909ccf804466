"""Plans a made-up nation that counts to given numbers: who works where, who goes where, and when. Pure: numbers in, visits out.

A *stay* is what one person receives in one institution in a year. Numbers of stays and of services are fixed first, tier
by tier, so that every sum is right before the first day is chosen; days then keep every rule of spacing and of courses.
Everything is counted again from what was planned, and a plan that counts otherwise is not handed out (`check`).
"""

import math
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import accumulate
from random import Random
from typing import NamedTuple

from quitledger.policy import policy_on

from .synthesis_targets import KINDS, Target, TierTarget, joined_a_year
from .synthesis_targets import target as target_of

MEDICATION, COUNSELLING = KINDS
NOBODY = -1
MOST_SERVICES = 13  # of a kind for one person in a year: below what two courses hold
_MOVED = 100  # one person in so many goes on at an institution of another tier
_MOST_OF_WHO_MOVES = 6  # services of a kind at each of the two
_TWICE = 0.12  # of those who could do it in one course, begin a second
_APART = 0.15  # of those with both services, come on different days for them
_INTAKE_OF_THE_COUNSELLED = 0.85  # have an intake though they get no medication
_COUNSELLORS = 0.5  # of the staff that is not needed to prescribe
_PRESCRIBING = {"dental_clinic": "dentist", "pharmacy": "pharmacist"}  # elsewhere a physician
# How busy a month and a weekday are: few come around the lunar New Year, nobody on a Sunday.
_MONTHS = (112, 74, 108, 98, 104, 100, 106, 103, 97, 102, 104, 92)
_WEEKDAYS = (118, 112, 108, 106, 104, 48, 0)
_INTERVALS = (7, 7, 14, 14, 14, 28)  # days between two visits


class PlanFails(ValueError):
    """No nation counts to these numbers, or the one that was planned does not; the message says what is wrong."""


def plan_nation(
    years: Sequence[int], *, seed: int, scale: Decimal = Decimal(1)
) -> tuple["Registry", Iterator["YearPlan"]]:
    """A nation of `years` (AD, ascending): its institutions and staff, and the visits year by year, each year counted.

    The same years, seed and scale give the same nation. Raises PlanFails, and PolicyGap where a rule is not known.
    """
    registry = plan_registry(target_of(years[-1], scale), Random(f"{seed} {scale}"), years=years)  # noqa: S311 - made up

    def planned(year: int) -> YearPlan:
        target = target_of(year, scale)
        plan = plan_year(target, registry, Random(f"{seed} {scale} {year}"), years=years)  # noqa: S311 - made up
        check(plan, registry, target, years=years)
        return plan

    last = planned(years[-1])  # which says what each of the staff does
    return registry, (last if year == years[-1] else planned(year) for year in years)


# --- The registry: institutions, staff, contracts ---------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """An institution. It executes in a year when its rank in its tier is below the year's number."""

    number: int
    tier: str
    rank: int
    since: int  # the year (AD) from which on it is contracted
    weight: float  # how many go there, compared with the others of its tier


@dataclass
class StaffContract:
    """A staff member at a place; `executing`: gives a service in the last year."""

    number: int
    staff: int
    place: int
    executing: bool
    may_medicate: bool = True
    may_counsel: bool = True


@dataclass
class Registry:
    """All institutions and staff, the same for all years. `professions` by number of the staff member."""

    places: list[Place]
    professions: list[str]
    contracts: list[StaffContract]
    by_place: list[list[StaffContract]]


def plan_registry(target: Target, chance: Random, *, years: Sequence[int]) -> Registry:
    """Institutions and staff as of the last of `years`, whose `target` it is. Raises PlanFails."""
    places: list[Place] = []
    of_tier: dict[str, list[Place]] = {}
    for tier, row in target.tiers.items():
        of_tier[tier] = [
            Place(len(places) + rank, tier, rank, _since(rank, row.institutions, years), math.exp(chance.gauss(0, 1)))
            for rank in range(row.institutions)
        ]
        places += of_tier[tier]
    people = _staff(target, chance)
    slots: dict[tuple[str, bool], list[int]] = defaultdict(list)
    for number, roles in enumerate(people):
        for tier, executing in roles:
            slots[tier, executing].append(number)
    registry = Registry(places, ["physician"] * len(people), [], [[] for _ in places])
    for tier, row in target.tiers.items():
        active = of_tier[tier][: row.executing_institutions]
        others = of_tier[tier][row.executing_institutions :]
        for is_executing, first in ((True, active), (False, others)):
            numbers = slots[tier, is_executing]
            chance.shuffle(numbers)
            # One for each first, as far as they go; whoever else there is works where most people come.
            more = max(len(numbers) - len(first), 0)
            where = active if is_executing else of_tier[tier]
            chosen = [*first, *chance.choices(where, [place.weight for place in where], k=more)]
            for staff, place in zip(numbers, chosen, strict=False):
                contract = StaffContract(len(registry.contracts), staff, place.number, is_executing)
                registry.contracts.append(contract)
                registry.by_place[place.number].append(contract)
    return registry


def _since(rank: int, count: int, years: Sequence[int]) -> int:
    """The year in which the institution of this rank joined: of every hundred, a few in each year after the first."""
    return next(year for year in years if rank < math.ceil(count * _part(year, years)))


def _part(year: int, years: Sequence[int]) -> float:
    """The part of the institutions of the last year that was there in a year."""
    return 1 - joined_a_year() * (years[-1] - year) / 100


def _staff(target: Target, chance: Random) -> list[list[tuple[str, bool]]]:
    """Everybody of the staff: his tiers, and whether he gives services there.

    People of several tiers are physicians: they work in hospitals, clinics and health centres.
    """
    left = {(tier, True): row.executing_staff for tier, row in target.tiers.items()}
    left |= {(tier, False): row.staff - row.executing_staff for tier, row in target.tiers.items()}
    twice_executing = sum(row.executing_staff for row in target.tiers.values()) - target.executing_staff
    twice = sum(row.staff for row in target.tiers.values()) - target.staff - twice_executing
    if twice_executing < 0 or twice < 0:
        raise PlanFails("the staff of all tiers together are fewer than the nation's")
    people = []

    def take(allowed: Callable[[str, bool], bool]) -> tuple[str, bool]:
        able = [slot for slot, count in left.items() if count and slot[0] not in _PRESCRIBING and allowed(*slot)]
        if not able:
            raise PlanFails("too few staff for so many who work in two tiers")
        slot = chance.choices(able, [left[slot] for slot in able])[0]
        left[slot] -= 1
        return slot

    for number in range(twice_executing + twice):
        both = number < twice_executing
        first = take(lambda _, executing, both=both: executing is both)  # type: ignore[misc]
        other = take(lambda tier, executing, both=both, first=first: tier != first[0] and executing >= both)  # type: ignore[misc]
        people.append([first, other])
    for slot, count in left.items():
        people += [[slot] for _ in range(count)]
    return people


# --- A year ----------------------------------------------------------------------------------------------------------


class Visit(NamedTuple):
    """One planned visit. `weeks` of medication, 0: none; `prescriber` and `counsellor`: numbers of contracts or NOBODY."""

    person: int
    place: int
    day: int  # ordinal
    weeks: int
    prescriber: int
    counsellor: int
    intake: bool  # an intake is taken on this day


@dataclass
class YearPlan:
    """A year's visits in the order of their days; persons are numbered from 0. `medicated`: who gets medication."""

    year: int
    people: int
    visits: list[Visit]
    medicated: set[int]


@dataclass
class _Stay:
    place: int
    tier: str
    medication: int
    counselling: int
    person: int = NOBODY
    follows: "_Stay | None" = None  # the same person's, elsewhere, before this one
    is_first: bool = False
    days: list["_Day"] = field(default_factory=list)


@dataclass
class _Day:
    day: int
    weeks: int
    counselled: bool
    intake: bool


@dataclass(frozen=True)
class _Rules:
    """The numbers of policy for a year's visits."""

    spacing: int
    course_days: int
    course_weeks: int
    course_visits: int
    weeks_a_visit: int

    @classmethod
    def of(cls, year: int) -> "_Rules":
        names = "visit_spacing_days", "course_days", "course_weeks", "course_counselling_visits", "weeks_per_visit"
        return cls(*(policy_on(date(year, 1, 1), name) for name in names))


def plan_year(target: Target, registry: Registry, chance: Random, *, years: Sequence[int]) -> YearPlan:
    """The visits of one year; in the last of `years` everybody gives a service whom the registry says to be executing.

    Raises PlanFails, and PolicyGap where a rule is not known.
    """
    is_last = target.year == years[-1]
    stays = _stays(target, chance)
    for tier, row in target.tiers.items():
        _settle([stay for stay in stays if stay.tier == tier], tier, row, registry, chance, _part(target.year, years))
    _settle_people(stays, target.people, chance)
    rules, calendar = _Rules.of(target.year), _Calendar(target.year, chance)
    for stay in sorted(stays, key=lambda stay: stay.follows is not None):
        _place_days(stay, rules, calendar, chance)
    if is_last:
        _give_roles(registry, stays, chance)
    visits = _give_staff(stays, registry, chance, everybody=is_last)
    medicated = {stay.person for stay in stays if stay.medication}
    return YearPlan(target.year, target.people, visits, medicated)


def _stays(target: Target, chance: Random) -> list[_Stay]:
    """Who gets how many services in which tier; nobody has a place yet."""
    people = {
        (tier, kind): _people(row.visits[kind], row.means[kind], target)
        for tier, row in target.tiers.items()
        for kind in KINDS
    }
    ceilings = {tier: min(people[tier, kind] for kind in KINDS) for tier in target.tiers}
    both = sum(people.values()) - target.people - target.people // _MOVED
    if not 0 <= both <= sum(ceilings.values()):
        raise PlanFails("the people of the tiers cannot be so many distinct people of the nation")
    with_both = _in_proportion(both, ceilings)
    stays = []
    for tier, row in target.tiers.items():
        counts = [_spread(row.visits[kind], people[tier, kind], chance) for kind in KINDS]
        share = with_both[tier]
        # Who comes often, comes often for both.
        pairs = list(zip(*(sorted(numbers[:share]) for numbers in counts), strict=True))
        pairs += [(number, 0) for number in counts[0][share:]]
        pairs += [(0, number) for number in counts[1][share:]]
        chance.shuffle(pairs)
        stays += [_Stay(NOBODY, tier, medication, counselling) for medication, counselling in pairs]
    return stays


def _people(visits: int, mean: Decimal, target: Target) -> int:
    """How many people have so many visits with the mean asked for."""
    near = max(round(visits / mean), 1)
    for people in sorted(range(max(near - 2, 1), near + 3), key=lambda number: abs(number - near)):
        if people <= visits and target.mean_fits(visits, people, mean):
            return people
    raise PlanFails(f"no number of people has {visits} visits with a mean of {mean}")


def _in_proportion(total: int, parts: dict[str, int]) -> dict[str, int]:
    """`total`, not above the sum of `parts`, split so that none gets more than its part."""
    found, given, before = {}, 0, 0
    whole = sum(parts.values())
    for name, part in parts.items():
        before += part
        found[name] = total * before // whole - given
        given += found[name]
    return found


def _spread(total: int, people: int, chance: Random) -> list[int]:
    """`total` services for `people`, at least one each, few with many, in the order of chance."""
    stop = math.log(1 - people / (total + 1))
    counts = [min(1 + int(math.log(1 - chance.random()) / stop), MOST_SERVICES) for _ in range(people)]
    missing = total - sum(counts)
    step = 1 if missing > 0 else -1
    while missing:
        number = chance.randrange(people)
        if 1 <= counts[number] + step <= MOST_SERVICES:
            counts[number] += step
            missing -= step
    return counts


def _settle(stays: list[_Stay], tier: str, row: TierTarget, registry: Registry, chance: Random, part: float) -> None:
    """Give the stays of a tier their places: one for each who executes, then wherever people like to go."""
    executing = max(int(row.executing_institutions * part), 1)
    places = [place for place in registry.places if place.tier == tier][:executing]
    wanted = [place.number for place in places for contract in registry.by_place[place.number] if contract.executing]
    if len(wanted) > len(stays):
        raise PlanFails(f"{len(wanted)} of the staff of {tier} give services to {len(stays)} people")
    more = chance.choices(places, [place.weight for place in places], k=len(stays) - len(wanted))
    for stay, number in zip(stays, [*wanted, *(place.number for place in more)], strict=True):
        stay.place = number


def _settle_people(stays: list[_Stay], people: int, chance: Random) -> None:
    """Say whose each stay is: so many are second ones, in another tier, that the distinct people are `people`."""
    moves = len(stays) - people
    able = [stay for stay in stays if max(stay.medication, stay.counselling) <= _MOST_OF_WHO_MOVES]
    chance.shuffle(able)
    waiting: _Stay | None = None
    for stay in able:
        if not moves:
            break
        if waiting is None:
            waiting = stay
        elif stay.tier != waiting.tier:
            stay.follows, waiting.is_first, waiting = waiting, True, None
            moves -= 1
    if moves:
        raise PlanFails("too few who could go on in another tier")
    person = 0
    for stay in stays:
        if stay.follows is None:
            stay.person = person
            person += 1
    for stay in stays:
        if stay.follows is not None:
            stay.person = stay.follows.person


# --- Days ------------------------------------------------------------------------------------------------------------


class _Calendar:
    """The days of a year, by how many people come."""

    def __init__(self, year: int, chance: Random) -> None:
        self.first, self.last = date(year, 1, 1).toordinal(), date(year, 12, 31).toordinal()
        self.chance = chance
        days = [date.fromordinal(day) for day in range(self.first, self.last + 1)]
        self.sums = [0, *accumulate(_MONTHS[day.month - 1] * _WEEKDAYS[day.weekday()] for day in days)]

    def pick(self, first: int, last: int) -> int:
        """A day between two, both included; never a Sunday, where there is another."""
        below, above = self.sums[first - self.first], self.sums[last - self.first + 1]
        if above == below:
            return first
        return self.first + bisect_right(self.sums, below + self.chance.randrange(above - below)) - 1

    def open_day(self, day: int) -> int:
        """The day itself or, of a Sunday and half of the Saturdays, the Monday after."""
        weekday = (day + 6) % 7
        if weekday == 6 or (weekday == 5 and self.chance.random() < 0.5):
            return day + 7 - weekday
        return day


_SHIFT = 2  # days by which open_day moves a day at most


def _place_days(stay: _Stay, rules: _Rules, calendar: _Calendar, chance: Random) -> None:
    """Give a stay its days: one course, or two where one does not hold it. A second stay comes after the first."""
    blocks = _blocks(stay, rules, chance)
    intervals = [_interval(_number_of_days(*block), rules, chance) for block in blocks]
    spans = [(_number_of_days(*block) - 1) * (gap + _SHIFT) for block, gap in zip(blocks, intervals, strict=True)]
    first, last = calendar.first, calendar.last - spans[-1]
    if stay.follows:
        first = stay.follows.days[-1].day + rules.spacing
    elif stay.is_first:
        last -= rules.course_days + rules.spacing  # there is time for what follows
    pause = rules.course_days + rules.spacing
    for number, (block, gap) in enumerate(zip(blocks, intervals, strict=True)):
        still = len(blocks) - number - 1
        day = calendar.pick(first, last - still * (pause + _SHIFT + rules.spacing))
        first = day + pause
        stay.days += _days(block, gap, day, rules, calendar, chance)
    if not stay.medication and chance.random() < _INTAKE_OF_THE_COUNSELLED:
        stay.days[0].intake = True


_Block = tuple[int, int, bool]  # medication, counselling, on different days


def _blocks(stay: _Stay, rules: _Rules, chance: Random) -> list[_Block]:
    """The services of a stay by course."""
    medication, counselling = stay.medication, stay.counselling
    together = max(medication, counselling)
    moves = stay.follows is not None or stay.is_first
    one = medication <= rules.course_weeks and counselling <= rules.course_visits
    if one and (moves or together == 1 or chance.random() >= _TWICE):
        return [_block(medication, counselling, rules, chance)]
    halves = (medication + 1) // 2, (counselling + 1) // 2
    rest = medication - halves[0], counselling - halves[1]
    return [_block(*halves, rules, chance), _block(*rest, rules, chance)]


def _block(medication: int, counselling: int, rules: _Rules, chance: Random) -> _Block:
    fits = medication and counselling and medication + counselling <= min(rules.course_weeks, rules.course_visits)
    return medication, counselling, bool(fits) and chance.random() < _APART


def _number_of_days(medication: int, counselling: int, apart: bool) -> int:
    return medication + counselling if apart else max(medication, counselling)


def _interval(days: int, rules: _Rules, chance: Random) -> int:
    """Days between the visits of a course, so that all lie within it."""
    wanted = chance.choice(_INTERVALS)
    most = (rules.course_days - 1) // max(days - 1, 1) - _SHIFT
    return max(min(wanted, most), rules.spacing)


def _days(block: _Block, gap: int, day: int, rules: _Rules, calendar: _Calendar, chance: Random) -> list[_Day]:
    medication, counselling, apart = block
    number = _number_of_days(*block)
    later = list(range(1, number))
    # Medication begins on the first day, on which the intake is taken.
    medicated = {0, *chance.sample(later, medication - 1)} if medication else set()
    # On the same days one of the two is given each time.
    counselled = set(range(number)) - medicated if apart else set(chance.sample(range(number), counselling))
    weeks = min(rules.weeks_a_visit, rules.course_weeks // medication) if medication else 0
    found = []
    for place in range(number):
        if place:
            day = calendar.open_day(day + gap)
        given = place in medicated
        found.append(_Day(day, weeks if given else 0, place in counselled, given and not place))
    return found


# --- Staff -----------------------------------------------------------------------------------------------------------


def _give_roles(registry: Registry, stays: Iterable[_Stay], chance: Random) -> None:
    """Who of the staff prescribes, who counsels. The first of every place may do both, as may all of pharmacies and
    whoever works in two tiers; counsellors are never more than the counselling that executing ones can give."""
    counselled: Counter[int] = Counter()
    for stay in stays:
        counselled[stay.place] += stay.counselling
    places = Counter(contract.staff for contract in registry.contracts)
    for place, contracts in zip(registry.places, registry.by_place, strict=True):
        prescribing = _PRESCRIBING.get(place.tier, "physician")
        enough = counselled[place.number]
        for rank, contract in enumerate(contracts):
            registry.professions[contract.staff] = prescribing
            if not rank or place.tier == "pharmacy" or places[contract.staff] > 1 or chance.random() >= _COUNSELLORS:
                continue
            if contract.executing:
                if not enough:
                    continue
                enough -= 1
            registry.professions[contract.staff] = "counsellor"
            contract.may_medicate = False


def _give_staff(stays: Iterable[_Stay], registry: Registry, chance: Random, *, everybody: bool) -> list[Visit]:
    """Say who gives each service; with `everybody` each who executes gives one at least."""
    by_place: dict[int, list[tuple[int, _Day]]] = defaultdict(list)
    for stay in stays:
        by_place[stay.place] += [(stay.person, day) for day in stay.days]
    visits = []
    for place in sorted(by_place):
        given = by_place[place]
        executing = [contract for contract in registry.by_place[place] if contract.executing]
        both = [contract.number for contract in executing if contract.may_medicate]
        counsellors = [contract.number for contract in executing if not contract.may_medicate]
        medicated = [number for number, (_, day) in enumerate(given) if day.weeks]
        counselled = [number for number, (_, day) in enumerate(given) if day.counselled]
        chance.shuffle(medicated)
        chance.shuffle(counselled)
        prescriber, counsellor = [NOBODY] * len(given), [NOBODY] * len(given)
        if everybody:
            for number, contract in zip(counselled, counsellors, strict=False):
                counsellor[number] = contract
            for number, contract in zip(medicated, both, strict=False):
                prescriber[number] = contract
            for number, contract in zip(counselled[len(counsellors) :], both[len(medicated) :], strict=False):
                counsellor[number] = contract
        for number in medicated:
            if prescriber[number] == NOBODY:
                prescriber[number] = _one_of(both, chance)
        for number in counselled:
            if counsellor[number] == NOBODY:
                counsellor[number] = _one_of(counsellors or both, chance)
        visits += [
            Visit(person, place, day.day, day.weeks, prescriber[number], counsellor[number], day.intake)
            for number, (person, day) in enumerate(given)
        ]
    visits.sort(key=lambda visit: (visit.day, visit.place, visit.person))
    return visits


def _one_of(contracts: list[int], chance: Random) -> int:
    """One of the staff; the first do most of the work."""
    return contracts[int(len(contracts) * chance.random() ** 2)]


# --- Counting it again -----------------------------------------------------------------------------------------------


@dataclass
class Counted:
    """What a year's plan counts to, by tier: visits and distinct people by kind, places and staff that gave a service."""

    visits: Counter[tuple[str, str]]
    people: dict[tuple[str, str], int]
    places: dict[str, int]
    staff: dict[str, int]
    distinct_staff: int
    distinct_of_kind: dict[str, int]
    distinct_people: int


def count(plan: YearPlan, registry: Registry) -> Counted:
    """Count the records of a plan as an engine counts rows: from the visits alone."""
    visits: Counter[tuple[str, str]] = Counter()
    people: dict[tuple[str, str], set[int]] = defaultdict(set)
    places: dict[str, set[int]] = defaultdict(set)
    staff: dict[str, set[int]] = defaultdict(set)
    tiers, staff_of = [place.tier for place in registry.places], [contract.staff for contract in registry.contracts]
    for visit in plan.visits:
        tier = tiers[visit.place]
        for kind, contract in ((MEDICATION, visit.prescriber), (COUNSELLING, visit.counsellor)):
            if contract != NOBODY:
                visits[tier, kind] += 1
                people[tier, kind].add(visit.person)
                places[tier].add(visit.place)
                staff[tier].add(staff_of[contract])
    of_kind = {kind: set().union(*(who for (_, of), who in people.items() if of == kind)) for kind in KINDS}
    return Counted(
        visits,
        {key: len(who) for key, who in people.items()},
        {tier: len(found) for tier, found in places.items()},
        {tier: len(found) for tier, found in staff.items()},
        len(set().union(*staff.values())),
        {kind: len(who) for kind, who in of_kind.items()},
        len(set().union(*of_kind.values())),
    )


def check(plan: YearPlan, registry: Registry, target: Target, *, years: Sequence[int]) -> Counted:
    """What the plan counts to. Raises PlanFails, naming each number, where it is not what was asked for.

    Institutions and staff are those asked for in the last of `years`; in others they are what comes of it.
    """
    counted = count(plan, registry)
    wrong = []

    def same(what: str, found: int | None, wanted: int) -> None:
        if found != wanted:
            wrong.append(f"{what}: {found} instead of {wanted}")

    def mean(what: str, visits: int, people: int, wanted: Decimal) -> None:
        if not people or not target.mean_fits(visits, people, wanted):
            wrong.append(f"{what}: {visits}/{people} instead of {wanted}")

    same("people", counted.distinct_people, target.people)
    for kind in KINDS:
        total = sum(row.visits[kind] for row in target.tiers.values())
        mean(f"mean of {kind}", total, counted.distinct_of_kind[kind], target.means[kind])
    for tier, row in target.tiers.items():
        for kind in KINDS:
            same(f"{kind} of {tier}", counted.visits[tier, kind], row.visits[kind])
            mean(f"mean of {kind} of {tier}", row.visits[kind], counted.people.get((tier, kind), 0), row.means[kind])
    if target.year == years[-1]:
        contracts = Counter(place.tier for place in registry.places)
        for tier, row in target.tiers.items():
            staff = {c.staff for c in registry.contracts if registry.places[c.place].tier == tier}
            same(f"institutions of {tier}", contracts[tier], row.institutions)
            same(f"executing institutions of {tier}", counted.places.get(tier), row.executing_institutions)
            same(f"staff of {tier}", len(staff), row.staff)
            same(f"executing staff of {tier}", counted.staff.get(tier), row.executing_staff)
        same("staff", len({contract.staff for contract in registry.contracts}), target.staff)
        same("executing staff", counted.distinct_staff, target.executing_staff)
    if wrong:
        raise PlanFails("; ".join(wrong))
    return counted
