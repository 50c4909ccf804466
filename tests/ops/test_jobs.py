"""The worker's jobs, begun by one worker and ended by another: whoever was killed, none is left undone or stuck."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.core.exceptions import PermissionDenied

from quitledger.accounts.scope import scoped
from quitledger.batches.columns import Kind
from quitledger.batches.services import ask_recording, upload_batch
from quitledger.ops.jobs import record_batch

from .. import world
from ..batches.files import counselling, csv_of
from ..batches.scene import sent
from .commands import PATIENCE, eventually

DEAD = "INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - interval '1 hour') RETURNING id"
BEGUN = (
    "INSERT INTO procrastinate_jobs (queue_name, task_name, args, status, queueing_lock, worker_id)"
    " VALUES ('default', 'quitledger:clear_expired', '{\"timestamp\": 0}', 'doing', %s, %s)"
)
WAITING = (
    "INSERT INTO procrastinate_jobs (queue_name, task_name, args, status, queueing_lock, scheduled_at)"
    " VALUES ('default', 'quitledger:clear_expired', '{\"timestamp\": 0}', 'todo', 'clear_expired', now() + interval '1 hour')"
)
SESSION = "INSERT INTO accounts_session (session_key, session_data, expire_date) VALUES ('ended', '', '2020-01-01')"
OURS = "SELECT status::text, count(*) FROM procrastinate_jobs WHERE task_name = 'quitledger:clear_expired' GROUP BY 1"

ENDED = (  # the connection of whoever waits to delete sessions
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE 'DELETE FROM accounts_session%'"
)


class Worker:
    """`quitledger worker` on a database, and what it said."""

    def __init__(self, database: Any) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "quitledger.ops.command", "worker"],
            env=os.environ | {"DATABASE_URL": database.app_url, "DATABASE_OWNER_URL": ""},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE)


@pytest.fixture
def work(committed: Any) -> Iterator[Any]:
    """`work()`: a worker on the test's database; it is stopped at the end."""
    workers = []

    def start() -> Worker:
        workers.append(Worker(committed))
        return workers[-1]

    yield start
    for worker in workers:
        worker.stop()


def left(owner: psycopg.Connection) -> dict[str, int]:
    """How many of our jobs there are, by their state."""
    return dict(owner.execute(OURS).fetchall())


@pytest.mark.parametrize("gone", ["killed", "left, its row removed"])
def test_a_job_whose_worker_was_killed_is_done_by_the_next_worker(committed, owner, work, gone):
    dead = owner.execute(DEAD).fetchone()[0]
    owner.execute(SESSION)
    owner.execute(BEGUN, [None, dead if gone == "killed" else None])
    work()
    eventually(lambda: not owner.execute("SELECT FROM accounts_session").fetchall())
    eventually(lambda: left(owner) == {})


def test_a_dead_workers_job_that_waits_once_more_already_is_dropped_and_hinders_no_other(committed, owner, work):
    dead = owner.execute(DEAD).fetchone()[0]
    owner.execute(SESSION)
    owner.execute(BEGUN, ["clear_expired", dead])
    owner.execute(BEGUN, [None, dead])
    owner.execute(WAITING)
    work()
    eventually(lambda: not owner.execute("SELECT FROM accounts_session").fetchall())
    eventually(lambda: left(owner) == {"todo": 1})


def test_a_job_whose_connection_was_lost_is_done_once_more(committed, owner, work):
    owner.execute(SESSION)
    with (
        psycopg.connect(committed.owner_url) as other,
        psycopg.connect(committed.cluster.ensure_running().url(committed.name), autocommit=True) as superuser,
    ):
        other.execute("LOCK accounts_session")
        owner.execute(BEGUN.replace("'doing'", "'todo'"), [None, None])
        work()
        eventually(lambda: superuser.execute(ENDED).rowcount)
    eventually(lambda: left(owner) == {})
    assert not owner.execute("SELECT FROM accounts_session").fetchall()


def test_a_file_is_checked_and_recorded_by_the_worker_on_behalf_of_whoever_sent_it(committed, owner, work):
    by = world.actor("recorder")
    with scoped(by):
        batch = upload_batch(uid=uuid4(), kind=Kind.VISITS, content=csv_of(counselling()), by=by)
    state = "SELECT state FROM batches_batch"
    assert owner.execute(state).fetchone() == ("reading",)
    work()
    eventually(lambda: owner.execute(state).fetchone() == ("checked",))
    with scoped(by):
        ask_recording(batch=batch, all_or_none=True, by=by)
    eventually(lambda: owner.execute(state).fetchone() == ("recorded",))
    recorded_by = "SELECT u.username FROM visits_visit v JOIN accounts_user u ON u.id = v.recorded_by_id"
    assert owner.execute(recorded_by).fetchall() == [("recorder",)]


def test_for_whoever_left_meanwhile_nothing_is_recorded_any_more(committed, owner):
    by = world.actor("recorder")
    batch = sent(csv_of(counselling()))
    with scoped(by):
        ask_recording(batch=batch, all_or_none=True, by=by)
    owner.execute(
        "UPDATE institutions_membership SET ends_on = '2025-03-31' WHERE user_id = %s",
        [by.account_id],
    )
    with pytest.raises(PermissionDenied):
        record_batch(str(batch.uid), by.account_id, by.institution_id)
    assert owner.execute("SELECT count(*) FROM visits_visit").fetchone() == (0,)
