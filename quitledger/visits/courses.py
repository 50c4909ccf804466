"""療程: which course each service of a person belongs to. Pure and dated (domain.md §6, §6a).

Courses of medication and of counselling are counted apart, over all institutions. They are computed from the services
in force alone, so that neither the order of recording nor what was voided meanwhile can be seen in them.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, time
from enum import StrEnum
from operator import attrgetter

from quitledger.policy import Words, policy_on

MEDICATION = "medication"
COUNSELLING = "counselling"
KINDS = (MEDICATION, COUNSELLING)
LABELS = {MEDICATION: Words("用藥"), COUNSELLING: Words("衛教")}
_END_OF_DAY = time.max  # a service without a time comes after those with one


@dataclass(frozen=True, slots=True)
class CourseService:
    """A service in force, as courses see it.

    `key`: the service's own (None: not recorded yet). `weeks` of medication, 0 for counselling; of several medicines
    the longest. `place` stands for the institution and its branches together, `site` for the single one: numbers that
    can be compared, and tell nothing else.
    """

    key: int | None
    kind: str
    visit_on: date
    visit_time: time | None
    weeks: int
    place: int
    site: int

    @property
    def order(self) -> tuple[date, time, int, int]:
        """By day, time and place; there is one service of a kind a day at a site, so that no two are equal."""
        return self.visit_on, self.visit_time or _END_OF_DAY, self.place, self.site


@dataclass
class Course:
    """One course of a kind: the `number`-th of the `year` (AD) of its first day."""

    kind: str
    year: int
    number: int
    services: list[CourseService] = field(default_factory=list)

    @property
    def first_on(self) -> date:
        """Its first day: day 1 of `days`, which policy calls day 0."""
        return self.services[0].visit_on

    @property
    def place(self) -> int:
        """Where it is."""
        return self.services[0].place

    @property
    def weeks(self) -> int:
        """Weeks of medication so far."""
        return sum(service.weeks for service in self.services)

    @property
    def visits(self) -> int:
        """Visits so far."""
        return len(self.services)

    @property
    def is_allowed(self) -> bool:
        """False for a course beyond the yearly number. Raises PolicyGap."""
        allowed: bool = self.number <= policy_on(self.first_on, "courses_per_year")
        return allowed or policy_on(self.first_on, "third_course") != "refused"

    def day_number(self, day: date) -> int:
        """The first day is 1."""
        return (day - self.first_on).days + 1

    def runs_on(self, day: date) -> bool:
        """True within the days of the course (90: day 0 to 89). Raises PolicyGap."""
        runs: bool = 0 <= (day - self.first_on).days < policy_on(self.first_on, "course_days")
        return runs

    def is_at(self, place: int) -> bool:
        """True when it can go on there. Raises PolicyGap."""
        return place == self.place or not policy_on(self.first_on, "other_institution_starts_next_course")

    @property
    def weeks_left(self) -> int:
        """Weeks of medication that may still be given. Raises PolicyGap."""
        left: int = policy_on(self.first_on, "course_weeks") - self.weeks
        return left

    @property
    def visits_left(self) -> int:
        """Counselling visits that may still be given. Raises PolicyGap."""
        left: int = policy_on(self.first_on, "course_counselling_visits") - self.visits
        return left

    def takes(self, service: CourseService) -> bool:
        """True when a later service still fits. Raises PolicyGap."""
        if not (self.is_at(service.place) and self.runs_on(service.visit_on)):
            return False
        return service.weeks <= self.weeks_left if self.kind == MEDICATION else self.visits_left > 0


def courses_of(services: Iterable[CourseService]) -> list[Course]:
    """All courses of a person, by kind and time. A service that does not fit into the course begun last starts the next.

    Values of policy are those of each course's first day. Raises PolicyGap where one is not known.
    """
    given = sorted(services, key=attrgetter("order"))
    return _courses_of(given, KINDS)


def _courses_of(given: Iterable[CourseService], kinds: Iterable[str]) -> list[Course]:
    """As courses_of, of services in their order; of some kinds alone."""
    courses: list[Course] = []
    for kind in kinds:
        counted: dict[int, int] = {}
        course: Course | None = None
        for service in given:
            if service.kind != kind:
                continue
            if course is None or not course.takes(service):
                year = service.visit_on.year
                counted[year] = counted.get(year, 0) + 1
                course = Course(kind, year, counted[year])
                courses.append(course)
            course.services.append(service)
    return courses


def with_service(service: CourseService, services: Iterable[CourseService]) -> tuple[list[Course], Course]:
    """All courses if `service` were recorded (in place of one of its kind there on that day), and its own.

    Raises PolicyGap.
    """
    courses = courses_of([*_others(service, services), service])
    return courses, _its_own(service, courses)


def course_with(service: CourseService, services: Iterable[CourseService]) -> Course:
    """The course of `service` if it were recorded: what with_service says, and only the courses of its kind are worked out.

    Raises PolicyGap.
    """
    kind = service.kind
    given = [s for s in services if s.kind == kind and not (s.visit_on == service.visit_on and s.site == service.site)]
    given.append(service)
    given.sort(key=attrgetter("order"))
    return _its_own(service, _courses_of(given, (kind,)))


def _others(service: CourseService, services: Iterable[CourseService]) -> Iterator[CourseService]:
    """All but the one of its kind there on that day."""
    same = (service.kind, service.visit_on, service.site)
    return (s for s in services if (s.kind, s.visit_on, s.site) != same)


def _its_own(service: CourseService, courses: Iterable[Course]) -> Course:
    return next(course for course in courses if any(one is service for one in course.services))


@dataclass(frozen=True)
class Renumbering:
    """A recorded service whose course has another number than before. `is_allowed`: the new one is not beyond the year's."""

    service: int
    before: tuple[int, int]  # year, number
    after: tuple[int, int]
    is_allowed: bool


def renumberings(before: Sequence[Course], after: Sequence[Course]) -> list[Renumbering]:
    """The services of `before` that are still there `after`, under another number. Raises PolicyGap."""
    earlier = {service.key: (course.year, course.number) for course in before for service in course.services}
    return [
        Renumbering(service.key, earlier[service.key], (course.year, course.number), course.is_allowed)
        for course in after
        for service in course.services
        if service.key is not None and earlier.get(service.key, now := (course.year, course.number)) != now
    ]


class Effect(StrEnum):
    """What a service given now would do."""

    CONTINUES = "continues"
    STARTS = "starts"
    GIVES_UP = "gives_up"  # starts the next course, and the one at another institution is given up by it
    REFUSED = "refused"  # one course too many in the year


@dataclass(frozen=True)
class Standing:
    """Where a person stands on a day, for one kind: the course that runs (None: none), and what a service would do.

    `is_here`: the course runs at this institution or its branches. `next_course`: of a service given on the day.
    """

    kind: str
    day: date
    course: Course | None
    is_here: bool
    effect: Effect
    next_course: Course

    @property
    def label(self) -> str:
        """The service in Chinese."""
        return LABELS[self.kind]

    @property
    def is_medication(self) -> bool:
        """True where weeks are counted, not visits."""
        return self.kind == MEDICATION

    @property
    def days(self) -> int:
        """How many days the course that runs may last. Raises PolicyGap."""
        return self._most("course_days")

    @property
    def weeks(self) -> int:
        """How many weeks of medication it may have. Raises PolicyGap."""
        return self._most("course_weeks")

    @property
    def visits(self) -> int:
        """How many counselling visits it may have. Raises PolicyGap."""
        return self._most("course_counselling_visits")

    def _most(self, name: str) -> int:
        most: int = policy_on((self.course or self.next_course).first_on, name)
        return most

    @property
    def day_number(self) -> int:
        """The day's number in the course that runs."""
        return self.course.day_number(self.day) if self.course else 0


def standing(kind: str, day: date, asked: CourseService, services: Sequence[CourseService]) -> Standing:
    """Where a person stands on `day`, and what the service `asked` for that day would do. Raises PolicyGap."""
    so_far = [s for s in services if s.kind == kind and s.visit_on <= day]
    running = next((course for course in reversed(courses_of(so_far)) if course.runs_on(day)), None)
    _, mine = with_service(asked, services)
    if not mine.is_allowed:
        effect = Effect.REFUSED
    elif mine.services[0] is not asked:
        effect = Effect.CONTINUES
    elif running and not running.is_at(asked.place):
        effect = Effect.GIVES_UP
    else:
        effect = Effect.STARTS
    return Standing(kind, day, running, running is not None and running.place == asked.place, effect, mine)
