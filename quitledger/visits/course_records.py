"""The courses of persons as they are kept: read under the person's lock, written in the transaction of the write."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, time
from itertools import chain, groupby, islice
from operator import itemgetter
from typing import Any
from uuid import UUID

from django.db import OperationalError, connection

from quitledger.cases.models import Case

from .courses import Course, CourseService, Renumbering, courses_of, renumberings
from .models import Service, Visit
from .rules import CourseFacts

_Number = tuple[str, int, int, date, int]  # kind, year, number, first day, site: a course as it is kept


class Repointed(OperationalError):
    """The case that was read belongs to another person by now (a merge): read again, it is right (accounts.scope.try_twice)."""


class CourseBook:
    """The services in force of some persons, at all institutions, and their courses.

    Read it after the persons are locked; tell it of every service recorded, changed or voided; write it before the
    transaction ends. What is written is what a fresh computation gives, whatever happened in between.
    """

    def __init__(self, rows: Iterable[Sequence[Any]]) -> None:
        """`rows`: those of the database function visits_course_facts, with JSON that was read."""
        self._services: dict[int, dict[int, CourseService]] = {}  # of each person, by key
        self._before: dict[int, list[CourseService]] = {}
        self._kept: dict[int, set[_Number]] = {}
        self._sites: dict[int, tuple[int, int]] = {}  # of each case
        self._changed: set[int] = set()
        for person_id, sites, services, courses in rows:
            self._sites |= {int(case): (place, site) for case, (place, site) in sites.items()}
            given = [_service(values) for values in services or ()]
            self._services[person_id] = {service.key: service for service in given if service.key is not None}
            self._before[person_id] = given
            self._kept[person_id] = {
                (kind, year, number, date.fromisoformat(first_on), site)
                for kind, year, number, first_on, site in courses or ()
            }

    @classmethod
    def read(cls, cases: Iterable[int]) -> "CourseBook":
        """The persons of these cases. They must lie within the scope; the database refuses others."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT person_id, sites::json, services::json, courses::json FROM visits_course_facts(%s)",
                [f"{{{','.join(map(str, cases))}}}"],
            )
            return cls(cursor.fetchall())

    def facts(self, case: Case) -> CourseFacts:
        """What the rules need to know for a visit of this case. Raises Repointed."""
        if case.person_id not in self._services:
            raise Repointed
        place, site = self._sites[case.pk]
        return CourseFacts(tuple(self._services[case.person_id].values()), place, site)

    def add(self, visit: Visit, service: Service, weeks: int) -> None:
        """A service was recorded or changed: `weeks` of medication, 0 for counselling."""
        place, site = self._sites[visit.case_id]
        services = self._services[visit.person_id]
        services[service.pk] = CourseService(
            service.pk, service.kind, visit.visit_on, visit.visit_time, weeks, place, site
        )
        for key, other in services.items():  # the other service of the visit has its time, too
            if other.visit_time != visit.visit_time and other.site == site and other.visit_on == visit.visit_on:
                services[key] = replace(other, visit_time=visit.visit_time)
        self._changed.add(visit.person_id)

    def remove(self, person_id: int, service_id: int) -> None:
        """A service was voided."""
        self._services[person_id].pop(service_id, None)
        self._changed.add(person_id)

    def changes(self) -> "Changes":
        """What write() has to keep. Asks no database. Raises PolicyGap."""
        firsts: list[tuple[int, int]] = []
        persons, renumbered = [], []
        for person_id in sorted(self._changed):
            after = courses_of(self._services[person_id].values())
            if {_number(course) for course in after} == self._kept[person_id]:
                continue
            persons.append(person_id)
            firsts += [(course.services[0].key or 0, course.number) for course in after]
            renumbered += renumberings(courses_of(self._before[person_id]), after)
        return persons, firsts, renumbered

    def write(self, cause: UUID | None, changes: "Changes | None" = None) -> bool:
        """Keep the courses of the persons changed; True when that changed any. `cause`: the visit that was written.
        `changes`: what changes() says, where it was asked before.

        A later visit of a course changes nothing that is kept, so that most visits cost no statement here. Services
        whose course got another number are listed to the desk.
        Raises PolicyGap.
        """
        persons, firsts, renumbered = changes or self.changes()
        if persons:
            _write(persons, firsts, renumbered, cause)
        return bool(persons)


# Persons, the first service of each of their courses with the course's number, and what got another number.
Changes = tuple[list[int], list[tuple[int, int]], list[Renumbering]]


def _write(
    persons: list[int], firsts: list[tuple[int, int]], renumbered: list[Renumbering], cause: UUID | None
) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT visits_write_courses(%s::bigint[], %s::bigint[], %s::smallint[], %s::jsonb, %s)",
            [
                persons, [key for key, _ in firsts], [number for _, number in firsts],
                json.dumps([[x.service, *x.before, *x.after, x.is_allowed] for x in renumbered]), cause,
            ],
        )  # fmt: skip


# --- Services that go from one person to another ---


def services_of(persons: Collection[int]) -> dict[int, list[CourseService]]:
    """The services in force of persons at all institutions, in the agency's scope; places and sites are institutions."""
    found: dict[int, list[CourseService]] = {person: [] for person in persons}
    with connection.cursor() as cursor:
        cursor.execute(_THEIR_SERVICES, [list(persons)])
        for person_id, *service in cursor.fetchall():
            found[person_id].append(CourseService(*service))
    return found


def course_numbers(persons: Collection[int]) -> dict[tuple[UUID, str], tuple[int, int]]:
    """The course (year, number) of every service in force of persons, by its visit and kind, in the agency's scope.

    Raises PolicyGap.
    """
    found = {}
    visits = dict(Service.objects.filter(person_id__in=persons, in_force=True).values_list("pk", "visit__uid"))
    for services in services_of(persons).values():
        for course in courses_of(services):
            for service in course.services:
                found[visits[service.key or 0], service.kind] = (course.year, course.number)
    return found


def write_courses(
    before: Mapping[int, list[CourseService]], after: Mapping[int, list[CourseService]], *, cause: UUID
) -> None:
    """Keep the courses of persons anew after services went from one of them to another. Raises PolicyGap."""
    earlier = [course for services in before.values() for course in courses_of(services)]
    now = [course for services in after.values() for course in courses_of(services)]
    firsts = [(course.services[0].key or 0, course.number) for course in now]
    _write(sorted(after), firsts, renumberings(earlier, now), cause)


# --- All persons ---

# Nobody records meanwhile: a course written between reading and comparing would be taken for a wrong one.
RECOMPUTE_BEGIN = """
LOCK TABLE visits_visit IN SHARE ROW EXCLUSIVE MODE;
CREATE TEMP TABLE course_of_service (
  service_id bigint, person_id bigint, institution_id bigint, kind text, visit_on date,
  course_year smallint, course_no smallint, is_first boolean, is_allowed boolean) ON COMMIT DROP
"""
# The persons whose courses differ; what was kept of them, by service; then the rows themselves.
RECOMPUTE_END = """
ANALYZE course_of_service;
CREATE TEMP TABLE course_differs ON COMMIT DROP AS
  SELECT DISTINCT person_id FROM (
    SELECT person_id, institution_id, kind, course_year, course_no, visit_on FROM course_of_service WHERE is_first) n
  FULL JOIN visits_course c USING (person_id, institution_id, kind, course_year, course_no)
  WHERE c.first_on IS DISTINCT FROM n.visit_on;
INSERT INTO visits_coursefinding (visit_id, institution_id, kind, before_year, before_no, after_year, after_no, is_allowed)
  SELECT s.visit_id, n.institution_id, n.kind, c.course_year, c.course_no, n.course_year, n.course_no, n.is_allowed
  FROM course_of_service n JOIN visits_service s ON s.id = n.service_id
  CROSS JOIN LATERAL (
    SELECT c.course_year, c.course_no FROM visits_course c JOIN institutions_institution i ON i.id = c.institution_id
    JOIN institutions_institution own ON own.id = n.institution_id
      AND coalesce(own.parent_id, own.id) = coalesce(i.parent_id, i.id)
    WHERE c.person_id = n.person_id AND c.kind = n.kind AND c.first_on <= n.visit_on
    ORDER BY c.first_on DESC, c.course_no DESC LIMIT 1) c
  WHERE n.person_id IN (SELECT person_id FROM course_differs)
    AND (c.course_year, c.course_no) <> (n.course_year, n.course_no);
DELETE FROM visits_course WHERE person_id IN (SELECT person_id FROM course_differs);
INSERT INTO visits_course (person_id, institution_id, kind, course_year, course_no, first_on)
  SELECT person_id, institution_id, kind, course_year, course_no, visit_on FROM course_of_service
  WHERE is_first AND person_id IN (SELECT person_id FROM course_differs)
"""
_THEIR_SERVICES = """
SELECT s.person_id, s.id, s.kind, s.visit_on, v.visit_time,
  coalesce((SELECT max(l.supply_weeks) FROM visits_medicationline l WHERE l.service_id = s.id), 0), coalesce(i.parent_id, i.id), i.id
FROM visits_service s JOIN visits_visit v ON v.id = s.visit_id JOIN institutions_institution i ON i.id = s.institution_id
WHERE s.person_id = ANY (%s) AND s.in_force ORDER BY s.id
"""
_ALL_SERVICES = """
SELECT s.person_id, s.id, s.kind, s.visit_on, v.visit_time, coalesce(l.weeks, 0), coalesce(i.parent_id, i.id), i.id
FROM visits_service s JOIN visits_visit v ON v.id = s.visit_id
JOIN institutions_institution i ON i.id = s.institution_id
LEFT JOIN (SELECT service_id, max(supply_weeks) AS weeks FROM visits_medicationline GROUP BY 1) l ON l.service_id = s.id
WHERE v.in_force ORDER BY s.person_id
"""
_AT_ONCE = 20_000  # rows read from the server


def copy_courses(connection: Any) -> int:
    """Fill the table course_of_service of RECOMPUTE_BEGIN through psycopg's `connection`; the services computed.

    Raises PolicyGap.
    """
    count = 0
    with connection.cursor(name="all_services") as reading, connection.cursor() as writing:
        reading.itersize = _AT_ONCE
        reading.execute(_ALL_SERVICES)
        computed = chain.from_iterable(
            _computed(person_id, [CourseService(*service) for _, *service in rows])
            for person_id, rows in groupby(reading, key=itemgetter(0))
        )
        while rows := list(islice(computed, _AT_ONCE)):  # read first: nothing can be read while a copy goes on
            with writing.copy("COPY course_of_service FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
            count += len(rows)
    return count


def _computed(person_id: int, services: list[CourseService]) -> Iterator[tuple[Any, ...]]:
    """The rows of course_of_service of one person."""
    for course in courses_of(services):
        allowed = course.is_allowed
        for place, one in enumerate(course.services):
            yield (
                one.key, person_id, one.site, one.kind, one.visit_on, course.year, course.number, place == 0, allowed,
            )  # fmt: skip


def _number(course: Course) -> _Number:
    return course.kind, course.year, course.number, course.first_on, course.services[0].site


def _service(values: list[Any]) -> CourseService:
    key, kind, visit_on, visit_time, weeks, place, site = values
    at = time.fromisoformat(visit_time) if visit_time else None
    return CourseService(key, kind, date.fromisoformat(visit_on), at, weeks, place, site)
