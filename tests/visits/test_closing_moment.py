"""A thousand writers around 24:00 of the 20th: whoever begins to commit after it is refused, and nothing acknowledged is missing.

The database compares at the start of the commit, the last thing before the commit is written down. Between the two lies
a moment in which nothing of ours can run: a commit that began in time may be stamped by PostgreSQL a little after
closing. The test says how many did and by how much (pytest -s), and that each of them had begun in time.
"""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from queue import SimpleQueue
from threading import Event
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from django.db import connection, connections, transaction
from psycopg import errors

from quitledger.accounts.scope import scoped, try_twice
from quitledger.cases.models import Case
from quitledger.cases.services import Registration, register_case
from quitledger.policy import TAIPEI
from quitledger.policy.identity import make_up
from quitledger.policy.problem import Refused
from quitledger.portal.transactions import enter
from quitledger.visits import rules
from quitledger.visits.services import record_visit

from .. import world
from ..sql import Keys, acting, insert_service, insert_visit, keys, one, open_month, set_clock, set_scope

WRITERS = 1000
SLEEPERS = 8  # besides: they write before closing and ask for their commit after it
AT_ONCE = 32  # threads, which share as many connections by SQL and have one of Django's each
CLOSES_AT = datetime(2025, 3, 21, tzinfo=TAIPEI)
DAYS = [date(2025, 2, 1) + timedelta(days=5 * number) for number in range(6)]
NOW = "SELECT programme_now()"


@dataclass
class Writer:
    """One visit to be recorded, by the service or by SQL, and what came of it. All moments are the programme's."""

    way: str
    case_uid: UUID
    at: Keys
    day: date
    pause: Callable[[], object]  # between what it writes and its commit
    sleeps: bool = False
    uid: UUID = field(default_factory=uuid4)
    refused: str = ""
    commit_asked_at: datetime | None = None  # of the last try that came so far; read just before
    answered_at: datetime | None = None  # read just after


# What is written of each visit, all of it by one transaction; its commit as PostgreSQL stamped it (track_commit_timestamp).
KEPT = """
SELECT v.uid, v.recorded_at,
  (pg_xact_commit_timestamp(h.history_xid::xid) AT TIME ZONE 'UTC' + d.clock_offset) AT TIME ZONE 'UTC',
  (SELECT count(*) FROM visits_service s JOIN visits_service_history sh ON sh.id = s.id
   WHERE s.visit_id = v.id AND sh.history_xid = h.history_xid),
  (SELECT count(*) FROM audit_journal j
   WHERE j.action = 'visit.record' AND j.record_uids = ARRAY[v.uid] AND j.xid = h.history_xid)
FROM visits_visit v JOIN visits_visit_history h ON h.id = v.id, audit_database d
"""
LEFT = (
    "SELECT uid FROM visits_visit_history UNION ALL"
    " SELECT unnest(record_uids) FROM audit_journal WHERE action = 'visit.record'"
)


@pytest.fixture
def closed() -> Event:
    """Set once the window has closed."""
    return Event()


@pytest.fixture
def writers(committed: Any, owner: psycopg.Connection, closed: Event) -> list[Writer]:
    """All in any order, except that the sleepers, each with a person of his own, come early. No person is written in two ways."""
    rng, at = random.Random(), keys(owner)
    with acting(committed, at.institution) as connection_:
        open_month(connection_, at.institution, DAYS[0])
    sleepers, others = [], []
    for number, case in enumerate(_people(SLEEPERS + WRITERS // len(DAYS) + 1)):
        way = ("service", "sql")[number % 2]
        its = Keys(case.pk, case.person_id, at.institution, at.account, at.staff)
        if number < SLEEPERS:
            sleepers.append(Writer(way, case.uid, its, DAYS[0], partial(closed.wait, 60), sleeps=True))
            continue
        for day in DAYS:
            pause = rng.choice([0, 0, 0, rng.uniform(0, 0.3)])
            others.append(Writer(way, case.uid, its, day, partial(time.sleep, pause)))
    rng.shuffle(others)
    early = WRITERS // 6
    return [*others[:early], *sleepers, *others[early:WRITERS]]


def _people(number: int) -> list[Case]:
    recorder = world.actor("recorder")
    with scoped(recorder):
        return [
            register_case(
                Registration(uuid4(), "national_id", make_up(7000 + serial), "", date(1990, 1, 1), "male", "示範癸"),
                today=world.TODAY, made_up_allowed=True, by=recorder,
            )
            for serial in range(number)
        ]  # fmt: skip


@pytest.fixture
def by_sql(committed: Any) -> Iterator[Callable[[Writer], None]]:
    """Records as the application role without any service."""
    free: SimpleQueue[psycopg.Connection] = SimpleQueue()
    opened = [psycopg.connect(committed.app_url, autocommit=True) for _ in range(AT_ONCE)]
    for each in opened:
        free.put(each)

    def record(writer: Writer) -> None:
        mine = free.get()
        try:
            with mine.transaction():
                set_scope(mine, writer.at.institution, writer.at.account)
                visit = insert_visit(mine, writer.at, writer.day, uid=writer.uid)
                insert_service(mine, writer.at, visit, writer.day)
                writer.pause()
                writer.commit_asked_at = one(mine, NOW)
        except errors.CheckViolation as refused:
            writer.refused = str(refused.diag.constraint_name)
        writer.answered_at = one(mine, NOW)
        free.put(mine)

    yield record
    for each in opened:
        each.close()


@pytest.fixture
def by_service(committed: Any, owner: psycopg.Connection) -> Callable[[Writer], None]:
    """Records as a request does: two tries, each in a transaction of its own."""
    staff = one(owner, "SELECT uid FROM institutions_staffmember WHERE name = '示範子'")

    def now() -> datetime:
        with connection.cursor() as cursor:
            cursor.execute(NOW)
            return cursor.fetchone()[0]

    def record(writer: Writer) -> None:
        def request() -> None:
            with transaction.atomic():
                desk = enter(writer.at.account)
                case = Case.objects.select_related("person").get(uid=writer.case_uid)
                entry = rules.Entry(writer.uid, writer.day, counselling=rules.Counselling(staff))
                record_visit(case=case, entry=entry, by=desk.actor)
                writer.pause()
                writer.commit_asked_at = now()

        try:
            try_twice(request)
        except Refused as refused:
            writer.refused = ", ".join(problem.code for problem in refused.problems)
        writer.answered_at = now()

    return record


def test_a_thousand_writers_around_the_closing_moment(committed, owner, writers, closed, by_service, by_sql):
    set_clock(owner, CLOSES_AT - timedelta(hours=1))
    ways, nearly = {"service": by_service, "sql": by_sql}, CLOSES_AT - timedelta(seconds=0.5)
    with ThreadPoolExecutor(AT_ONCE) as threads:
        writing = [threads.submit(ways[writer.way], writer) for writer in writers]
        for number, _ in enumerate(as_completed(writing)):
            if number == WRITERS // 3:
                break
        set_clock(owner, nearly)
        while one(owner, NOW) < CLOSES_AT:
            time.sleep(0.01)
        closed.set()
        for done in writing:
            done.result()
        for _ in range(AT_ONCE):
            threads.submit(connections.close_all)

    refused, told = (
        [writer for writer in writers if writer.refused],
        [writer for writer in writers if not writer.refused],
    )
    kept = {uid: row for uid, *row in owner.execute(KEPT)}
    # Acknowledged is there, whole, and begun in time; refused has left nothing.
    assert kept.keys() == {writer.uid for writer in told}
    assert {uid for (uid,) in owner.execute(LEFT)} == kept.keys()
    for writer in told:
        recorded_at, committed_at, services, entries = kept[writer.uid]
        assert (services, entries) == (1, 1 if writer.way == "service" else 0)
        assert recorded_at < writer.commit_asked_at < CLOSES_AT
        if writer.answered_at > nearly:  # before, the clock was another
            assert recorded_at < committed_at < writer.answered_at
    # Nobody was refused too early, and everybody in the words of his way.
    assert all(writer.answered_at >= CLOSES_AT for writer in refused)
    words = {"service": "window-closed", "sql": "visits_window"}
    assert {(writer.way, writer.refused) for writer in refused} == set(words.items())
    assert sum(writer.sleeps for writer in refused) == SLEEPERS
    assert {writer.way for writer in told} == words.keys()

    late = [moment - CLOSES_AT for _, moment, *_ in kept.values() if moment >= CLOSES_AT]
    at_commit = sum(writer.commit_asked_at is not None for writer in refused)
    print(
        f"{Counter(writer.way for writer in told)} acknowledged, {len(refused)} refused, {at_commit} of them at commit;"
        f" stamped after closing: {len(late)}, at most by {max(late, default=timedelta())}"
    )
