"""The one list of visits: what it says of each, what it finds, how it counts, sorts and pages.

Everything runs as the owner, who may supply when a visit was recorded and whom row-level security does not stop: what
narrows a list here is the query itself.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.exceptions import PermissionDenied
from django.db import transaction
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from quitledger.accounts.actors import Actor
from quitledger.accounts.scope import scoped
from quitledger.policy import TAIPEI, policy_on
from quitledger.visits import rules
from quitledger.visits.models import ServiceMonth, Visit, WindowExtension
from quitledger.visits.queries import (
    VisitQuery,
    VisitRow,
    closes_at,
    course_facts,
    eligibility_on,
    extension_reason,
    last_visit,
    search,
    totals,
    visible_visit,
)
from quitledger.visits.rules import COUNSELLING, MEDICATION, Timeliness
from quitledger.visits.services import record_visits

from .. import world
from ..conftest import connect_django

ALL = VisitQuery(date(1800, 1, 1), date(2910, 12, 31))
CLOSES = datetime(2025, 3, 21, tzinfo=TAIPEI)  # February


@pytest.fixture
def owned(shared: Any) -> Iterator[Any]:
    """The shared database as its owner, rolled back at the end."""
    connect_django(shared.owner_url)
    with scoped(world.SYSTEM):
        yield shared
        transaction.set_rollback(True)
    connect_django(shared.app_url)


@pytest.fixture
def recorder(owned: Any) -> Actor:
    return world.actor("recorder")


@contextmanager
def undone() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def record(
    day: date, name: str = "示範甲", code: str = world.CLINIC, *, at: datetime | None = None, by: str = "recorder",
    medication: str | None = "示範丑", counselling: str | None = "示範子", clock: time | None = None, **values: Any,
) -> UUID:  # fmt: skip
    """A visit recorded at a moment (noon of its day where none is given); its uid."""
    entry = rules.Entry(
        uuid4(), day, clock,
        rules.Medication(world.staff(medication).uid, (rules.Line(world.PATCH, 2),)) if medication else None,
        rules.Counselling(world.staff(counselling).uid) if counselling else None,
        **values,
    )  # fmt: skip
    moment = at or datetime.combine(day, time(12), TAIPEI)
    (outcome,) = record_visits([(world.case(name, code), entry)], by=world.actor(by), recorded_at=[moment])
    assert outcome.problems == []
    return entry.uid


def void(uid: UUID) -> None:
    Visit.objects.filter(uid=uid).update(in_force=False, version=2)


def found(query: VisitQuery, by: Actor, **paging: int) -> list[UUID]:
    return [row.uid for row in search(query, by=by, **paging)]


# --- how timely ----------------------------------------------------------------------------------------------------------


def recorded_at(visit_on: date, visit_time: time | None, until: datetime, edge: str, seconds: float) -> datetime:
    """A moment at or beside an edge of the window."""
    window = rules.recording_window(visit_on, visit_time, closes_at=until)
    return {"prompt": window.prompt_until, "closes": until, "opens": window.opens_at}[edge] + timedelta(seconds=seconds)


beside = st.one_of(st.sampled_from([0, -1e-6, 1e-6, -1, 1]), st.floats(-1e6, 1e7).map(round))
made = st.tuples(
    st.dates(date(2024, 2, 1), date(2025, 4, 1)),
    st.one_of(st.none(), st.times(), st.sampled_from([time(), time(23, 59, 59, 999999)])),
    st.sampled_from(["prompt", "closes", "opens"]),
    beside,
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(visits=st.lists(made, min_size=1, max_size=30, unique_by=lambda visit: visit[0]), extended=st.booleans())
@example(
    visits=[(date(2025, 2, 1) + timedelta(days=3 * n), clock, edge, by)
            for n, (clock, edge, by) in enumerate((clock, edge, by) for clock in (None, time(), time(23, 59, 59, 999999))
                                                  for edge in ("prompt", "closes") for by in (-1e-6, 0, 1e-6))],
    extended=True,
)  # fmt: skip
def test_the_database_says_of_each_visit_what_the_rules_say(visits: list[Any], extended: bool, recorder: Actor) -> None:
    case = world.case()
    with undone():
        months = {rules.month_of(day) for day, *_ in visits}
        if extended:
            first = min(months)
            WindowExtension.objects.create(
                month=first, reach="all", closes_at=rules.month_closes_at(first) + timedelta(hours=36), reason="颱風停班",
                decided_by_id=world.actor("desk_supervisor").account_id,
            )  # fmt: skip
        for month in months:
            ServiceMonth.objects.create(
                institution_id=case.institution_id, month=month, closes_at=CLOSES, prompt_hours=0
            )
        expected = {}
        rows = []
        for day, clock, edge, seconds in visits:
            until = closes_at(case.institution_id, day)
            assert until is not None
            moment = recorded_at(day, clock, until, edge, seconds)
            visit = Visit(uid=uuid4(), case=case, person_id=case.person_id, institution_id=case.institution_id,
                          visit_on=day, visit_time=clock, recorded_at=moment, changed_at=moment)  # fmt: skip
            expected[visit.uid] = rules.timeliness(rules.recording_window(day, clock, closes_at=until), moment)
            rows.append(visit)
        Visit.objects.bulk_create(rows)
        assert {row.uid: row.timeliness for row in search(ALL, by=recorder)} == expected
        counted = totals(ALL, by=recorder).tags
        assert counted == {tag: sum(one is tag for one in expected.values()) for tag in Timeliness}
        for tag in Timeliness:
            listed = found(replace(ALL, tags=frozenset([tag])), recorder)
            assert set(listed) == {uid for uid, one in expected.items() if one is tag}


# --- what is found -------------------------------------------------------------------------------------------------------


@pytest.fixture
def visits(recorder: Actor) -> dict[str, UUID]:
    """Visits of two persons at the clinic and one at the pharmacy, by name."""
    return {
        "first": record(date(2025, 3, 13), at=datetime(2025, 3, 13, 9, tzinfo=TAIPEI)),
        "counselling": record(date(2025, 3, 20), medication=None, counselling="示範寅", co_ppm=0, cigarettes_per_day=0),
        "medication": record(date(2025, 3, 27), "示範乙", counselling=None, at=datetime(2025, 3, 31, tzinfo=TAIPEI)),
        "voided": record(date(2025, 3, 31), "示範丙", medication=None),
        "theirs": record(
            date(2025, 3, 20), "示範甲", world.PHARMACY, by="stranger", medication="示範卯", counselling=None
        ),
    }


@pytest.fixture
def voided(visits: dict[str, UUID]) -> dict[str, UUID]:
    void(visits["voided"])
    return visits


def names(query: VisitQuery, by: Actor, visits: dict[str, UUID]) -> set[str]:
    return {name for name, uid in visits.items() if uid in found(query, by)}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, {"first", "counselling", "medication"}),
        ({"with_voided": True}, {"first", "counselling", "medication", "voided"}),
        ({"first": date(2025, 3, 20)}, {"counselling", "medication"}),
        ({"first": date(2025, 3, 13), "last": date(2025, 3, 20)}, {"first", "counselling"}),
        ({"first": date(2025, 3, 14), "last": date(2025, 3, 19)}, set()),
        ({"kind": MEDICATION}, {"first", "medication"}),
        ({"kind": COUNSELLING}, {"first", "counselling"}),
        ({"kind": "massage"}, set()),
        ({"tags": frozenset([Timeliness.PROMPT])}, {"first", "counselling"}),
        ({"tags": frozenset([Timeliness.IN_WINDOW])}, {"medication"}),
        ({"tags": frozenset([Timeliness.LATE])}, set()),
        ({"tags": frozenset([Timeliness.LATE, Timeliness.IN_WINDOW])}, {"medication"}),
        ({"tags": frozenset()}, set()),
        ({"institution_code": world.PHARMACY}, {"first", "counselling", "medication"}),  # an institution cannot choose
    ],
)
def test_filters(asked: dict[str, Any], expected: set[str], voided: dict[str, UUID], recorder: Actor) -> None:
    assert names(replace(ALL, **asked), recorder, voided) == expected


def test_a_filter_by_person_and_one_by_staff_find_that_persons_visits(voided: dict[str, UUID], recorder: Actor) -> None:
    ours, theirs = world.case("示範甲").uid, world.case("示範甲", world.PHARMACY).uid
    assert names(replace(ALL, case_uids=(ours,)), recorder, voided) == {"first", "counselling"}
    assert names(replace(ALL, case_uids=(ours, world.case("示範乙").uid)), recorder, voided) == {
        "first", "counselling", "medication",
    }  # fmt: skip
    assert names(replace(ALL, case_uids=(theirs,)), recorder, voided) == set()
    assert names(replace(ALL, staff_uid=world.staff("示範寅").uid), recorder, voided) == {"counselling"}
    assert names(replace(ALL, staff_uid=world.staff("示範丑").uid), recorder, voided) == {"first", "medication"}
    assert names(replace(ALL, staff_uid=world.staff("示範卯").uid), recorder, voided) == set()


def test_the_desk_sees_all_and_can_narrow_to_an_institution(voided: dict[str, UUID]) -> None:
    desk = world.actor("desk_officer")
    assert names(ALL, desk, voided) == {"first", "counselling", "medication", "theirs"}
    assert names(replace(ALL, institution_code=world.PHARMACY), desk, voided) == {"theirs"}
    assert totals(replace(ALL, institution_code=world.PHARMACY), by=desk).visits == 1


@pytest.mark.parametrize("username", ["analyst", "administrator", "nowhere"])
def test_whoever_may_not_read_visits_is_refused(username: str, owned: Any) -> None:
    actor = world.actor(username)
    for asked in (
        lambda: totals(ALL, by=actor),
        lambda: list(search(ALL, by=actor)),
        lambda: visible_visit(uuid4(), by=actor),
    ):
        with pytest.raises(PermissionDenied):
            asked()


def test_a_row_says_what_was_recorded(voided: dict[str, UUID], recorder: Actor) -> None:
    rows: dict[UUID, VisitRow] = {row.uid: row for row in search(ALL, by=recorder)}
    first, counselling = rows[voided["first"]], rows[voided["counselling"]]
    assert (first.name, first.chart_no, first.masked_identity) == ("示範甲", "T-0001", "A00****018")
    assert [service.label for service in first.services] == ["用藥 2 週", "衛教"]
    assert [service.staff for service in first.services] == ["醫師 示範丑", "衛教師 示範子"]
    assert first.services[0].lines == (("尼古丁貼片（示範品項甲）", 2, 14),)
    assert (first.institution_name, first.recorded_by) == ("示範戒菸診所", "示範子")
    assert first.recorded_at == datetime(2025, 3, 13, 9, tzinfo=TAIPEI)
    assert first.closes_at == datetime(2025, 4, 21, tzinfo=TAIPEI)
    assert (counselling.cigarettes_per_day, counselling.co_ppm) == (0, 0)
    assert first.co_ppm is None


# --- totals, sorting, paging ---------------------------------------------------------------------------------------------


def test_totals_are_those_of_the_rows_and_a_visit_with_two_services_is_counted_once(
    voided: dict[str, UUID], recorder: Actor
) -> None:
    for asked in ({}, {"with_voided": True}, {"kind": MEDICATION}, {"last": date(2025, 3, 20)}, {"kind": "massage"}):
        query = replace(ALL, **asked)
        rows, counted = list(search(query, by=recorder)), totals(query, by=recorder)
        services = [service.kind for row in rows for service in row.services]
        assert counted.visits == len(rows) == sum(counted.tags.values())
        assert counted.tags == {tag: sum(row.timeliness is tag for row in rows) for tag in Timeliness}
        assert counted.kinds == {kind: services.count(kind) for kind in (MEDICATION, COUNSELLING)}


def test_pages_follow_each_other_without_gap_or_repetition_whatever_the_sorting(
    voided: dict[str, UUID], recorder: Actor
) -> None:
    moment = datetime(2025, 3, 31, 12, tzinfo=TAIPEI)
    Visit.objects.update(recorded_at=moment, changed_at=moment)  # all at once: something else must decide
    for sort in ("visit_on", "-visit_on", "recorded_at", "-recorded_at", "name", "-name", "no such column"):
        query = replace(ALL, sort=sort)
        whole = found(query, recorder)
        paged = [uid for offset in range(4) for uid in found(query, recorder, limit=1, offset=offset)]
        assert paged == whole
        assert len(set(whole)) == 3
        assert totals(query, by=recorder).visits == 3


def test_sorting(voided: dict[str, UUID], recorder: Actor) -> None:
    def order(sort: str) -> list[str]:
        by_uid = {uid: name for name, uid in voided.items()}
        return [by_uid[uid] for uid in found(replace(ALL, sort=sort), recorder)]

    assert order("visit_on") == ["first", "counselling", "medication"]
    assert order("-visit_on") == ["medication", "counselling", "first"]
    assert order("-recorded_at") == ["medication", "counselling", "first"]
    by_name = order("name")  # 甲 twice; which character comes first is the collation's matter
    assert by_name.index("medication") != 1
    assert order("-name") == by_name[::-1]


def test_nothing_found_is_counted_as_nothing(owned: Any, recorder: Actor) -> None:
    counted = totals(ALL, by=recorder)
    assert (counted.visits, counted.tags, counted.kinds) == (
        0, dict.fromkeys(Timeliness, 0), {MEDICATION: 0, COUNSELLING: 0},
    )  # fmt: skip


# --- one visit, one case, one month --------------------------------------------------------------------------------------


def test_one_visit_is_seen_by_its_institution_and_the_desk_voided_or_not(
    voided: dict[str, UUID], recorder: Actor
) -> None:
    for name in ("first", "voided"):
        seen = visible_visit(voided[name], by=recorder)
        assert seen is not None
        assert seen[0].uid == seen[1].uid == voided[name]
    assert visible_visit(voided["theirs"], by=recorder) is None
    assert visible_visit(uuid4(), by=recorder) is None
    assert visible_visit(voided["theirs"], by=world.actor("desk_officer")) is not None


def test_of_a_day_with_a_voided_visit_each_is_seen_as_itself(voided: dict[str, UUID], recorder: Actor) -> None:
    again = record(date(2025, 3, 31), "示範丙", medication=None)
    for uid, in_force in ((voided["voided"], False), (again, True)):
        seen = visible_visit(uid, by=recorder)
        assert seen is not None
        assert (seen[1].uid, seen[1].in_force) == (uid, in_force)


def test_the_last_visit_is_the_latest_in_force_of_this_case(voided: dict[str, UUID]) -> None:
    last = last_visit(world.case("示範甲"))
    assert last is not None
    assert last.uid == voided["counselling"]
    assert last_visit(world.case("示範丙")) is None
    assert last_visit(world.case("示範丁")) is None


def eligible(case: Any, day: date, **changes: Any) -> Any:
    return eligibility_on(case, day, course_facts(case), **changes)


def test_eligibility_is_that_of_the_day_by_what_this_institution_recorded(owned: Any) -> None:
    case = world.case("示範甲")
    assert eligible(case, world.TODAY).eligible
    assert [p.code for p in eligible(case, world.TODAY, pregnant=True).problems] == ["pregnant"]
    assert [p.code for p in eligible(world.case("示範丙"), world.TODAY).problems] == ["under-age"]
    assert eligible(world.case("示範丙"), date(2026, 4, 2)).problems[0].code == "baseline-too-old"  # 18 today
    assert [p.code for p in eligible(world.case("示範丁"), world.TODAY).problems] == ["baseline-missing"]
    validity = policy_on(world.TODAY, "baseline_validity_days")
    later = world.TODAY - timedelta(days=20) + timedelta(days=validity)
    assert eligible(case, later).eligible
    assert [p.code for p in eligible(case, later + timedelta(days=1)).problems] == ["baseline-too-old"]


def test_a_course_that_began_keeps_the_intake_it_began_with(visits: dict[str, UUID]) -> None:
    case, day = world.case("示範甲"), date(2025, 5, 20)
    assert not eligible(case, day).eligible  # given up for the pharmacy on 114/03/20: a new course, an old intake
    void(visits["theirs"])
    assert eligible(case, day).eligible  # the course of 114/03/13, its intake 114/03/12
    void(visits["first"])
    assert not eligible(case, day).eligible


def extend(month: date, until: datetime, reason: str, **reach: Any) -> None:
    WindowExtension.objects.create(
        month=month, closes_at=until, reason=reason, decided_by_id=world.actor("desk_supervisor").account_id,
        **{"reach": "all", **reach},
    )  # fmt: skip


def test_a_month_closes_by_policy_or_by_the_latest_extension_that_reaches_the_institution(owned: Any) -> None:
    month, clinic, pharmacy = date(2025, 2, 1), world.institution_id(), world.institution_id(world.PHARMACY)
    assert closes_at(clinic, date(2025, 2, 15)) == CLOSES
    assert closes_at(clinic, date(1999, 1, 1)) is None
    assert extension_reason(clinic, date(2025, 2, 15)) == ""
    extend(month, CLOSES + timedelta(days=1), "颱風停班", reach="county", county="臺北市")
    assert closes_at(clinic, date(2025, 2, 28)) == CLOSES + timedelta(days=1)
    assert closes_at(pharmacy, date(2025, 2, 28)) == CLOSES
    assert extension_reason(clinic, date(2025, 2, 1)) == "颱風停班"
    assert extension_reason(pharmacy, date(2025, 2, 1)) == ""
    extend(month, CLOSES + timedelta(days=2), "系統中斷", reach="institution", institution_id=pharmacy)
    assert (extension_reason(clinic, month), extension_reason(pharmacy, month)) == ("颱風停班", "系統中斷")
    extend(month, CLOSES + timedelta(days=3), "全國停電")
    assert extension_reason(clinic, month) == extension_reason(pharmacy, month) == "全國停電"
    assert closes_at(clinic, date(2025, 3, 1)) == CLOSES + timedelta(days=31)


def test_the_reason_told_is_that_of_an_extension_that_reaches_the_institution(owned: Any) -> None:
    month, until = date(2025, 2, 1), CLOSES + timedelta(days=1)
    for county, reason in (("臺北市", "颱風停班"), ("高雄市", "淹水")):
        extend(month, until, reason, reach="county", county=county)
    assert extension_reason(world.institution_id(), month) == "颱風停班"
    assert extension_reason(world.institution_id(world.PHARMACY), month) == "淹水"
