"""Many at once: on a database of the test's own, every client a thread with its own connection."""

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from threading import Barrier
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from django.db import IntegrityError, connection, connections

from quitledger.accounts.actors import Actor
from quitledger.accounts.scope import scoped, try_twice
from quitledger.cases.models import Case
from quitledger.cases.services import Registration, register_case
from quitledger.ops.database import migrate
from quitledger.ops.postgres import Cluster
from quitledger.policy.identity import make_up
from quitledger.policy.problem import Refused
from quitledger.visits import rules
from quitledger.visits.services import Outcome, record_visits

from .. import world
from ..conftest import ENGINES, PRIMARY, connect_django
from ..killing import WRITERS, acknowledged_until, kill, whole_visits
from ..sql import keys, one

CLIENTS = 50
MARCH = date(2025, 3, 1)


def at_once(work: Sequence[Callable[[], Any]]) -> list[Any]:
    """What each piece of work came to, all begun at the same moment: its result, or why it was refused (a tuple)."""
    start = Barrier(len(work))

    def run(piece: Callable[[], Any]) -> Any:
        try:
            with connection.cursor() as cursor:  # connected before the start
                cursor.execute("SELECT 1")
            start.wait(30)
            return try_twice(piece)
        except Refused as refused:
            return tuple(problem.code for problem in refused.problems)
        except IntegrityError as error:
            return (type(error).__name__,)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(work)) as threads:
        return list(threads.map(run, work))


def counselling(day: date = world.TODAY, uid: UUID | None = None) -> rules.Entry:
    """A visit with counselling."""
    return rules.Entry(uid or uuid4(), day, counselling=rules.Counselling(world.staff("示範子").uid))


def recording(actor: Actor, *entries: tuple[str, rules.Entry]) -> Callable[[], list[Outcome]]:
    """A request that records entries of the clinic's persons, named; raises Refused where the first one is."""

    def work() -> list[Outcome]:
        with scoped(actor):
            outcomes = record_visits([(world.case(name), entry) for name, entry in entries], by=actor)
            if outcomes[0].problems:
                raise Refused(outcomes[0].problems)
            return outcomes

    return work


@pytest.fixture
def recorder(committed: Any) -> Actor:
    """The clinic's recorder."""
    return world.actor("recorder")


@pytest.fixture
def staff(recorder: Actor) -> dict[str, UUID]:
    """The clinic's staff members by name."""
    with scoped(recorder):
        return {name: world.staff(name).uid for name in ("示範丑", "示範子")}


def test_fifty_clients_record_the_same_visit_and_one_does(committed, owner, recorder, staff):
    given = rules.Counselling(staff["示範子"])
    work = [
        recording(recorder, ("示範甲", rules.Entry(uuid4(), world.TODAY, counselling=given))) for _ in range(CLIENTS)
    ]
    results = at_once(work)
    recorded = [result for result in results if isinstance(result, list)]
    assert len(recorded) == 1
    assert Counter(result for result in results if result not in recorded) == {("visit-exists",): CLIENTS - 1}
    assert one(owner, "SELECT count(*) FROM visits_visit") == 1
    assert one(owner, "SELECT count(*) FROM audit_journal WHERE action = 'visit.record'") == 1
    _no_deadlock(owner)


def test_fifty_clients_that_send_the_same_form_are_all_answered_with_the_visit(committed, owner, recorder, staff):
    entry = rules.Entry(uuid4(), world.TODAY, counselling=rules.Counselling(staff["示範子"]))
    results = at_once([recording(recorder, ("示範甲", entry)) for _ in range(CLIENTS)])
    assert Counter(outcome.repeated for (outcome,) in results) == {True: CLIENTS - 1, False: 1}
    assert {outcome.visit.uid for (outcome,) in results} == {entry.uid}
    assert one(owner, "SELECT count(*) FROM visits_visit") == 1
    assert one(owner, "SELECT count(*) FROM visits_service_history") == 1
    _no_deadlock(owner)


def test_two_clients_who_enter_the_two_services_of_a_day_make_one_visit(committed, owner, recorder, staff):
    medication = rules.Medication(staff["示範丑"], (rules.Line(world.PATCH, 2),))
    for days in range(4):  # whichever comes first
        day = world.TODAY - timedelta(days=5 * days)
        (first,), (second,) = at_once(
            [
                recording(recorder, ("示範甲", rules.Entry(uuid4(), day, medication=medication))),
                recording(
                    recorder, ("示範甲", rules.Entry(uuid4(), day, counselling=rules.Counselling(staff["示範子"])))
                ),
            ]
        )
        assert first.visit.pk == second.visit.pk
    visits = owner.execute(
        "SELECT version, (SELECT count(*) FROM visits_service WHERE visit_id = v.id) FROM visits_visit v"
    )
    assert visits.fetchall() == [(2, 2)] * 4


def test_visits_of_one_person_that_keep_their_distance_are_all_recorded(committed, owner, recorder, staff):
    days = [MARCH + timedelta(days=5 * n) for n in range(7)]
    given = rules.Counselling(staff["示範子"])
    work = [recording(recorder, ("示範甲", rules.Entry(uuid4(), day, counselling=given))) for day in days]
    near = [
        recording(recorder, ("示範甲", rules.Entry(uuid4(), day + timedelta(days=2), counselling=given)))
        for day in days[:-1]
    ]
    results = at_once(work)
    assert all(isinstance(result, list) for result in results)
    assert set(at_once(near)) == {("visit-too-near",)}
    assert one(owner, "SELECT count(*) FROM visits_visit") == len(days)


def test_near_visits_entered_at_once_leave_no_two_too_near(committed, owner, recorder, staff):
    given = rules.Counselling(staff["示範子"])
    days = [MARCH + timedelta(days=n) for n in range(30)]
    results = at_once([recording(recorder, ("示範甲", rules.Entry(uuid4(), day, counselling=given))) for day in days])
    recorded = sorted(day for (day,) in owner.execute("SELECT visit_on FROM visits_visit").fetchall())
    assert all((later - earlier).days >= 5 for earlier, later in zip(recorded, recorded[1:], strict=False))
    assert len(recorded) == sum(isinstance(result, list) for result in results) >= 3
    assert {result for result in results if isinstance(result, tuple)} == {("visit-too-near",)}


def test_batches_that_cross_do_not_lock_each_other_out(committed, owner, recorder, staff):
    """The same persons in opposite order, in months that nobody has opened yet."""
    names, given = ["示範甲", "示範乙", "示範丙", "示範丁"], rules.Counselling(staff["示範子"])
    work = []
    for number in range(8):
        order = names if number % 2 else names[::-1]
        days = [MARCH, world.TODAY] if number % 2 else [world.TODAY, MARCH]
        entries = [(name, rules.Entry(uuid4(), day, counselling=given)) for day in days for name in order]
        work.append(recording(recorder, *entries))
    results = at_once(work)
    assert sum(isinstance(result, list) for result in results) == 1
    assert one(owner, "SELECT count(*) FROM visits_visit") == 2 * len(names)
    _no_deadlock(owner)


def _no_deadlock(owner: psycopg.Connection) -> None:
    owner.execute("SELECT pg_stat_clear_snapshot()")
    assert one(owner, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == 0


def test_one_person_registered_everywhere_at_once_is_one_person_with_a_case_at_each_place(committed, owner):
    number, birth_on = make_up(4711), date(1985, 6, 7)
    here, there = world.actor("recorder"), world.actor("stranger")

    def registering(actor: Actor) -> Callable[[], Case]:
        entry = Registration(uuid4(), "national_id", number, "", birth_on, "female", "示範辛")

        def work() -> Case:
            with scoped(actor):
                return register_case(entry, today=world.TODAY, made_up_allowed=True, by=actor)

        return work

    results = at_once([registering(actor) for actor in (here, there) * 4])
    cases = [result for result in results if isinstance(result, Case)]
    assert {case.institution_id for case in cases} == {here.scope, there.scope}
    assert len(cases) == 2
    assert Counter(result for result in results if result not in cases) == {("case-exists",): 6}
    assert len({case.person_id for case in cases}) == 1
    assert one(owner, "SELECT count(*) FROM cases_person WHERE birth_on = %s", [birth_on]) == 1
    assert one(owner, "SELECT count(*) FROM cases_person_history WHERE birth_on = %s", [birth_on]) == 1


def test_one_registration_form_sent_many_times_is_one_case(committed, owner, recorder):
    entry = Registration(uuid4(), "national_id", make_up(4712), "", date(1985, 6, 7), "female", "示範壬", "T-4712")

    def work() -> Case:
        with scoped(recorder):
            return register_case(entry, today=world.TODAY, made_up_allowed=True, by=recorder)

    results = at_once([work] * 10)
    assert {case.uid for case in results} == {entry.uid}
    assert one(owner, "SELECT count(*) FROM cases_case WHERE uid = %s", [entry.uid]) == 1


def test_two_who_change_the_same_version_of_a_case_do_not_overwrite_each_other(committed, owner, recorder):
    case = keys(owner).case

    def changing(name: str) -> Callable[[], str]:
        def work() -> str:
            with scoped(recorder), connection.cursor() as cursor:
                cursor.execute("UPDATE cases_case SET name = %s, version = 2 WHERE id = %s", [name, case])
                return name

        return work

    results = at_once([changing("甲一"), changing("甲二")])
    (stands,) = [result for result in results if isinstance(result, str)]
    assert ("IntegrityError",) in results
    assert one(owner, "SELECT name FROM cases_case WHERE id = %s", [case]) == stands


# --- The server dies -------------------------------------------------------------------------------------------------

BEFORE_THE_END = 40  # visits acknowledged before the server is killed


def test_what_was_acknowledged_outlives_a_killed_server_and_nothing_is_half(request):
    """kill -9 of PostgreSQL, with all its processes, while clients record; on a safe cluster of its own."""
    top = Path(mkdtemp(prefix="quitledger-killed-"))
    top.chmod(0o711)
    cluster = Cluster(top / "data", ENGINES[PRIMARY], settings={"timezone": "America/St_Johns"})
    request.addfinalizer(lambda: (connections.close_all(), cluster.remove(), rmtree(top)))
    urls = cluster.ensure_database("killed")
    connect_django(urls.owner_url)
    migrate(app_url=urls.app_url, purpose="test")
    world.set_clock()
    with scoped(world.SYSTEM):
        world.build()
    connect_django(urls.app_url)

    acknowledged = acknowledged_until(lambda: kill(cluster), enough=BEFORE_THE_END)

    again = cluster.ensure_database("killed")
    with psycopg.connect(again.owner_url) as owner:
        assert one(owner, "SHOW timezone") == "America/St_Johns"
        assert one(owner, "SHOW fsync") == "on"
    whole = whole_visits(again.owner_url)
    assert set(acknowledged) <= whole
    # What the client was not told may have been kept all the same: sent again, it is the same visit.
    assert len(whole) - len(acknowledged) <= WRITERS
