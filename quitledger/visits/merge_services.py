"""Merges of persons and their undoing: the only writer of both, with what the desk looks at before it decides.

Here and not in cases, because courses are computed anew: a room looks down only (docs/adr/0021-persons-put-right.md).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db import connection, transaction
from django.db.models import QuerySet

from quitledger.accounts.actors import Actor
from quitledger.accounts.permissions import Permission
from quitledger.audit import journal
from quitledger.cases.merging import (
    Candidate,
    Collision,
    GivenService,
    RecordedSince,
    check_merge,
    check_undo,
    collisions,
)
from quitledger.cases.models import Baseline, Case, Merge, MergedRecord, Person
from quitledger.cases.services import recorded_otherwise
from quitledger.institutions.queries import names_of
from quitledger.policy.problem import Problem, Refused
from quitledger.policy.sentences import Sentence, Words

from .course_records import services_of, write_courses
from .courses import LABELS, Course, courses_of
from .models import Visit
from .queries import VisitQuery, VisitRow, search


def merge_persons(*, uid: UUID, kept: Person, merged: Person, reason: str, by: Actor) -> Merge:
    """Make one person of two: everything of `merged` is re-pointed to `kept`, nothing is deleted, courses are computed anew.

    The desk's decision. `uid` is the merge's for ever: the same form sent twice is one merge. Locks both persons, so that
    whoever records for one of them waits, and then finds who was kept.
    Raises PermissionDenied, and Refused with every collision of their visits.
    """
    by.require(Permission.PERSON_MERGE)
    _require_somebody(by)
    with transaction.atomic():
        persons = _locked({kept.pk, merged.pk})
        kept, merged = persons[kept.pk], persons[merged.pk]
        known = Merge.objects.filter(uid=uid).first()
        if known is not None:
            if (known.kept_id, known.merged_id, known.reason) == (kept.pk, merged.pk, reason.strip()):
                return known
            raise Refused([recorded_otherwise("merge-recorded-otherwise", Sentence("另一次合併"))])
        if problems := problems_of_merge(kept, merged, reason=reason):
            raise Refused(problems)
        before = services_of([kept.pk, merged.pk])
        with connection.cursor() as cursor:
            cursor.execute("SELECT visits_merge_persons(%s, %s, %s, %s)", [uid, kept.pk, merged.pk, reason.strip()])
        write_courses(before, services_of([kept.pk, merged.pk]), cause=uid)
        made = Merge.objects.get(uid=uid)
        journal.record(
            Permission.PERSON_MERGE, record_type="merge", uids=[uid, kept.uid, merged.uid, *repointed(made)],
            fields=["person", "courses"],
        )  # fmt: skip
    return made


def undo_merge(*, merge: Merge, reason: str, staying: Collection[UUID] = (), by: Actor) -> Merge:
    """Make two persons of one again: what was re-pointed goes back, courses are computed anew.

    A case that had gone over whole takes along what was recorded under it since. `staying`: of what was recorded since in
    cases that hold the visits of both, that which the desk says is the kept person's; anything else there is refused.
    An undoing sent twice is one. Raises PermissionDenied, and Refused.
    """
    by.require(Permission.MERGE_UNDO)
    _require_somebody(by)
    with transaction.atomic():
        persons = _locked({merge.kept_id, merge.merged_id})
        found = Merge.objects.get(pk=merge.pk)
        if not found.is_in_force and (found.undone_by_id, found.undo_reason) == (by.account_id, reason.strip()):
            return found
        problems = check_undo(
            in_force=found.is_in_force,
            emptied=any(person.is_emptied for person in persons.values()),
            merged_later=Merge.objects.filter(kept=found.kept_id, undone_at=None, pk__gt=found.pk).exists(),
            since=recorded_since(found), staying=staying, reason=reason,
        )  # fmt: skip
        if problems:
            raise Refused(problems)
        moved = repointed(found)
        before = services_of(persons)
        with connection.cursor() as cursor:
            cursor.execute("SELECT visits_undo_merge(%s, %s, %s)", [found.pk, reason.strip(), list(staying)])
        write_courses(before, services_of(persons), cause=found.uid)
        journal.record(
            Permission.MERGE_UNDO, record_type="merge",
            uids=[found.uid, *(person.uid for person in persons.values()), *moved], fields=["person", "courses"],
        )  # fmt: skip
    return Merge.objects.get(pk=found.pk)


def _require_somebody(by: Actor) -> None:
    if by.account_id is None or by.institution_id is not None:
        raise PermissionDenied("an account of the desk")


def _locked(persons: Collection[int]) -> dict[int, Person]:
    """The persons, locked in the order in which everybody locks them."""
    return {
        person.pk: person
        for person in Person.objects.select_for_update(of=("self",)).filter(pk__in=persons).order_by("pk")
    }


def repointed(merge: Merge) -> list[UUID]:
    """The uids of the cases, visits and intakes that a merge re-pointed."""
    of: dict[str, QuerySet[Any]] = {
        MergedRecord.Kind.CASE: Case.objects.all(),
        MergedRecord.Kind.VISIT: Visit.objects.all(),
        MergedRecord.Kind.BASELINE: Baseline.objects.all(),
    }
    return [
        uid
        for kind, records in of.items()
        for uid in records.filter(pk__in=merge.records.filter(kind=kind).values("record_id"))
        .order_by("pk")
        .values_list("uid", flat=True)
    ]


# --- What the desk looks at ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shown:
    """A visit of the two timelines in one list: whose (0 or 1), and the visits of the other that it collides with."""

    row: VisitRow
    whose: int
    same_day: bool = False
    too_near: bool = False


class Comparison:
    """Two persons side by side: cases, intakes, all visits in one list, collisions, courses as they are and would be."""

    def __init__(self, one: Person, other: Person, *, today: date, by: Actor) -> None:
        """`by`: the desk, whose scope sees both. Journal the read: `uids`."""
        by.require(Permission.PERSON_MERGE)
        self.persons = (one, other)
        self._today, self._by = today, by

    @cached_property
    def cases(self) -> tuple[list[Case], list[Case]]:
        """The cases of each, in the order in which they were opened."""
        found = Case.objects.select_related("person").filter(person__in=self.persons).order_by("opened_on", "pk")
        every = list(found)
        one, other = ([case for case in every if case.person_id == person.pk] for person in self.persons)
        return one, other

    @cached_property
    def institutions(self) -> dict[int, str]:
        """The names of the institutions of the cases."""
        return names_of({case.institution_id for side in self.cases for case in side})

    @cached_property
    def baselines(self) -> tuple[list[Baseline], list[Baseline]]:
        """The intakes of each, by day."""
        every = list(Baseline.objects.filter(person__in=self.persons).order_by("taken_on", "pk"))
        one, other = ([intake for intake in every if intake.person_id == person.pk] for person in self.persons)
        return one, other

    @cached_property
    def staying_baselines(self) -> list[Baseline]:
        """The intakes of a day on which both were taken in at one institution: the one merged keeps his."""
        taken = [{(intake.institution_id, intake.taken_on) for intake in side} for side in self.baselines]
        both = taken[0] & taken[1]
        return [intake for intake in self.baselines[1] if (intake.institution_id, intake.taken_on) in both]

    @cached_property
    def collisions(self) -> list[Collision]:
        """What must be voided first."""
        return collisions(given_services([person.pk for person in self.persons]))

    @cached_property
    def timeline(self) -> list[Shown]:
        """The visits of both, voided ones too, the newest first."""
        near: set[UUID] = set()
        same: set[UUID] = set()
        for collision in self.collisions:
            marked = same if collision.is_same_day else near
            marked |= {collision.earlier.visit_uid, collision.later.visit_uid}
        shown = []
        for whose, side in enumerate(self.cases):
            if not side:
                continue
            query = VisitQuery(date.min, date.max, case_uids=tuple(case.uid for case in side), with_voided=True)
            shown += [Shown(row, whose, row.uid in same, row.uid in near) for row in search(query, by=self._by)]
        return sorted(shown, key=lambda one: (one.row.visit_on, str(one.row.visit_time or "")), reverse=True)

    @cached_property
    def courses(self) -> tuple[list[Course], list[Course], list[Course]]:
        """The courses of each as they are, and those of both as one. Raises PolicyGap."""
        services = services_of([person.pk for person in self.persons])
        one, other = (services[person.pk] for person in self.persons)
        return courses_of(one), courses_of(other), courses_of([*one, *other])

    @property
    def uids(self) -> list[UUID]:
        """What is shown, for the journal."""
        return [
            *(person.uid for person in self.persons), *(case.uid for side in self.cases for case in side),
            *(intake.uid for side in self.baselines for intake in side), *(shown.row.uid for shown in self.timeline),
        ]  # fmt: skip


def problems_of_merge(kept: Person, merged: Person, *, reason: str) -> list[Problem]:
    """Every reason why `merged` cannot be merged into `kept` now, as they stand in the database."""
    into = set(Person.objects.filter(merged_into__in=[kept, merged]).values_list("merged_into_id", flat=True))
    one, other = (
        Candidate(person.pk, person.birth_on, person.is_emptied, person.is_merged, person.pk in into)
        for person in (kept, merged)
    )
    persons = [kept.pk, merged.pk]
    services = given_services(persons)
    days = {service.visit_on for service in services}
    days |= set(Baseline.objects.filter(person__in=persons).values_list("taken_on", flat=True))
    return check_merge(one, other, services, days, reason=reason)


def given_services(persons: Sequence[int]) -> list[GivenService]:
    """The services in force of persons, at all institutions, as the rules of a merge need them (the desk's scope)."""
    with connection.cursor() as cursor:
        cursor.execute(_GIVEN, [list(persons)])
        rows = cursor.fetchall()
    names = names_of({row[-1] for row in rows})
    return [
        GivenService(person, uid, visit_on, kind, LABELS[kind], spacing, names.get(institution, ""))
        for person, uid, visit_on, kind, spacing, institution in rows
    ]


_GIVEN = """
SELECT s.person_id, v.uid, s.visit_on, s.kind, s.spacing_days, s.institution_id
FROM visits_service s JOIN visits_visit v ON v.id = s.visit_id WHERE s.person_id = ANY (%s) AND s.in_force AND NOT s.taken_over
ORDER BY s.visit_on, s.id
"""


def recorded_since(merge: Merge) -> list[RecordedSince]:
    """What was recorded since the merge in cases that hold the visits of both."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT kind, uid, institution_id, day FROM visits_recorded_since_merge(%s)", [merge.pk])
        rows = cursor.fetchall()
    names = names_of({institution for _, _, institution, _ in rows})
    words: Mapping[str, str] = {"visit": Words("就醫資料"), "baseline": Words("收案評估")}
    return [
        RecordedSince(uid, kind, names.get(institution, ""), day, words[kind]) for kind, uid, institution, day in rows
    ]


def merges(*, by: Actor) -> QuerySet[Merge]:
    """All merges, the newest first. Raises PermissionDenied. Journal the read."""
    by.require(Permission.PERSON_MERGE)
    return Merge.objects.select_related("kept", "merged", "decided_by", "undone_by").order_by("-decided_at", "-pk")
