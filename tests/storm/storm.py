"""A storm: a real `quitledger run` on a durable cluster, killed part by part (kill -9) while clerks write.

kill -9 takes a process and everything that it had only in its memory; what it had given to the operating system stays.
The loss of a machine's power is something else, which fsync (on here) is for.
"""

import json
import os
import shutil
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import psycopg
from django.db import connections

from quitledger.accounts.scope import scoped
from quitledger.ops.database import migrate
from quitledger.ops.postgres import Cluster
from quitledger.visits.services import recompute_courses
from tests import world
from tests.browser import given
from tests.conftest import KEYS, connect_django
from tests.folders import new_folder
from tests.ops.commands import eventually, quitledger
from tests.ops.runs import Run, environment, free_port, is_alive, processes_below

from .clerks import Browser, Clerk, at_work
from .errands import Errands
from .proof import found_wrong, kept

CLERKS = 6
PEOPLE_OF_EACH = 8
DAYS = [world.TODAY - timedelta(days=5 * number) for number in range(5)]  # since the intakes; their window is open
WEB_WORKERS = 2
CALM_AGAIN = 15  # writes answered after a kill; the storm then goes on
HURRY = 0.25  # the part of kills that do not wait for that
PATIENCE = 120.0  # seconds


def _postmaster(run: Run) -> list[int]:
    pid = Cluster(run.data).status().pid
    return [pid] if pid else []


def _backends(run: Run) -> list[int]:
    return [pid for postmaster in _postmaster(run) for pid, _ in processes_below(postmaster)]


def _child(name: str) -> Callable[[Run, Random], list[int]]:
    return lambda run, rng: [pid for child, pid in run.children().items() if child == name]


def _one_of(pids: list[int], rng: Random) -> list[int]:
    return [rng.choice(pids)] if pids else []


# Who is killed: how often among the others, and the processes of it that there are now.
VICTIMS: dict[str, tuple[int, Callable[[Run, Random], list[int]]]] = {
    "web worker": (6, lambda run, rng: _one_of(run.web_workers(run.children().get("web")), rng)),
    "web server": (4, _child("web")),
    "worker": (4, _child("worker")),
    "checkpoints": (2, _child("keep")),
    "a process of PostgreSQL": (6, lambda run, rng: _one_of(_backends(run), rng)),
    "postmaster": (2, lambda run, rng: _postmaster(run)),
    "all of PostgreSQL": (4, lambda run, rng: [*_postmaster(run), *_backends(run)]),
    "run": (1, lambda run, rng: [run.process.pid]),
}


@dataclass
class Summary:
    """What a storm was."""

    seed: int
    kills: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    sent_again: Counter[str] = field(default_factory=Counter)
    given_up: Counter[str] = field(default_factory=Counter)
    errands: int = 0
    silences: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    seconds: dict[str, float] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        silences = {
            victim: f"{sorted(seconds)[len(seconds) // 2]:.1f} s, at most {max(seconds):.1f} s"
            for victim, seconds in self.silences.items()
        }
        return json.dumps(vars(self) | {"silences": silences}, indent=2, ensure_ascii=False)


class Storm:
    """So many kills, of victims drawn with `seed`, on a site in `data`."""

    def __init__(self, data: Path, kills: int, seed: int) -> None:
        self.data, self.rng, self.summary = data, Random(seed), Summary(seed)
        self.victims = _drawn(kills, self.rng)
        self.port = free_port()
        self.seen: set[int] = set()
        self.clerks: list[Clerk] = []
        app_url, self.cases, self.staff = _prepared(data, CLERKS * PEOPLE_OF_EACH)
        cluster = Cluster(data)  # not started by us: that is for `run` to do
        self.errands = Errands(
            lambda: psycopg.connect(app_url, port=cluster.status().port or 1, connect_timeout=5, autocommit=True)
        )
        self.run = self._serve()

    def begin(self) -> None:
        """Return when the site serves and the clerks have signed in."""
        eventually(self.run.serves, self._situation, PATIENCE)
        first = Browser(self.port)
        first.sign_in("recorder")
        for number in range(CLERKS):
            name, browser = f"{self.summary.seed}-{number}", Browser(self.port, first.cookies)
            self.clerks.append(Clerk(name, browser, self.cases[number::CLERKS], DAYS, self.staff, self.rng.random()))

    def rage(self) -> None:
        """Kill until all victims are dead; then let the clerks finish what they have begun, and the worker its jobs."""
        begin = time.monotonic()
        threads = at_work([*(clerk.work for clerk in self.clerks), self.errands.work])
        for victim in self.victims:
            self._strike(victim)
        self._wait_for_calm(self._answered())
        for one in (*self.clerks, self.errands):
            one.ended.set()
        for thread in threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()
        self.summary.seconds["storm"] = round(time.monotonic() - begin, 1)
        self._count()

    def stop(self) -> None:
        """Stop the site as its operator does."""
        assert self.run.stop() == 0, self.run.said()
        assert not [pid for pid in self.seen if is_alive(pid)]

    # --- One kill ----------------------------------------------------------------------------------------------------

    def _strike(self, victim: str) -> None:
        _, processes = VICTIMS[victim]
        before = self._answered()
        found: list[int] = []

        def there() -> bool:
            self._is_well()
            found[:] = processes(self.run, self.rng)
            return bool(found)

        eventually(there, self._situation, PATIENCE)
        self.seen |= {*found, *self.run.children().values()}
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue  # it went with another
        self.summary.kills[victim] += 1
        begin = time.monotonic()
        if victim == "run":
            self.run.process.wait()
            self.run = self._serve()
        if self.rng.random() < HURRY:
            time.sleep(self.rng.random() / 2)
            return
        self._wait_for_calm(before)
        self.summary.silences[victim].append(time.monotonic() - begin)
        time.sleep(self.rng.random() / 5)

    def _wait_for_calm(self, before: int) -> None:
        def calm() -> bool:
            self._is_well()
            return self._answered() >= before + CALM_AGAIN

        deadline = time.monotonic() + PATIENCE
        while not calm():
            assert time.monotonic() < deadline, self._situation()
            time.sleep(0.01)

    def _is_well(self) -> None:
        assert self.run.process.poll() is None, f"run ended by itself: {self._situation()}"
        assert not (faults := [clerk.fault for clerk in self.clerks if clerk.fault]), faults

    def _situation(self) -> str:
        """What the site and its database said last, and which processes there are."""
        processes = [processes_below(self.run.process.pid), *map(processes_below, _postmaster(self.run))]
        said = [self.run.said(), (self.data / "postgres.log").read_text(errors="replace")]
        return "\n".join([str(self.summary), *map(str, processes), *(text[-3000:] for text in said)])

    def _serve(self) -> Run:
        return Run(self.data, self.port, "--workers", str(WEB_WORKERS))

    def _answered(self) -> int:
        return sum(clerk.answered for clerk in self.clerks)

    # --- Afterwards --------------------------------------------------------------------------------------------------

    def _count(self) -> None:
        for clerk in self.clerks:
            self.summary.sent_again += clerk.sent_again
            for told in clerk.told:
                self.summary.answered += Counter(write.action for write in told.answered)
        self.summary.errands = len(self.errands.left)

    def wait_for_the_worker(self) -> None:
        """Return when every job that was left is done."""
        begin = time.monotonic()
        with psycopg.connect(Cluster(self.data).ensure_database().owner_url, autocommit=True) as owner:
            jobs = "SELECT status::text, count(*) FROM procrastinate_jobs GROUP BY 1"
            while left := dict(owner.execute(jobs).fetchall()):
                assert time.monotonic() < begin + PATIENCE, f"{left} {self._situation()}"
                time.sleep(0.2)
            assert not owner.execute(
                "SELECT session_key FROM accounts_session WHERE session_key LIKE 'storm-%'"
            ).fetchall()
        self.summary.seconds["jobs"] = round(time.monotonic() - begin, 1)

    def prove(self) -> list[str]:
        """Everything that is wrong: with visits, journal and history, with courses, with the chain of checkpoints."""
        begin = time.monotonic()
        outcome = quitledger("audit", "verify", "--json", **environment(self.data))
        report = json.loads(outcome.stdout)
        wrong = [f"audit verify: {finding}" for finding in report["findings"]]
        if outcome.returncode or not report["sound"] or report["not_covered"]:
            wrong.append(f"audit verify: {outcome}")
        told = [told for clerk in self.clerks for told in clerk.told]
        urls = Cluster(self.data).ensure_database()
        with psycopg.connect(urls.owner_url) as owner:
            assert owner.execute("SHOW fsync").fetchone() == ("on",)
            wrong += found_wrong(owner, told)
            versions = dict(owner.execute("SELECT uid, version FROM visits_visit").fetchall())
        for one in told:
            if one.given_up:
                made = len(kept(one, versions.get(one.uid, 0))) > len(one.answered)
                self.summary.given_up["made all the same" if made else "not made"] += 1
        connect_django(urls.owner_url)
        with scoped(world.SYSTEM):
            if differing := recompute_courses(by=world.SYSTEM):
                wrong.append(f"courses of {differing} persons")
        connections.close_all()
        self.summary.seconds["proof"] = round(time.monotonic() - begin, 1)
        self.summary.wrong = wrong
        return wrong


def _drawn(kills: int, rng: Random) -> list[str]:
    """Every victim once where there are kills enough, the others as often as their number says; in any order."""
    once = rng.sample(list(VICTIMS), min(kills, len(VICTIMS)))
    weights = [weight for weight, _ in VICTIMS.values()]
    drawn = once + rng.choices(list(VICTIMS), weights, k=kills - len(once))
    rng.shuffle(drawn)
    return drawn


def _prepared(data: Path, people: int) -> tuple[str, list[Any], dict[str, str]]:
    """A test database with the world and people in it: its address, their cases, and the fields that name the clinic's staff."""
    data.mkdir()
    data.chmod(0o711)
    shutil.copy(KEYS, data / "keys.json")
    cluster = Cluster(data)
    urls = cluster.ensure_database()
    connect_django(urls.owner_url)
    migrate(app_url=urls.app_url, purpose="test")
    world.set_clock()
    with scoped(world.SYSTEM):
        world.build()
        cases = [given.somebody(f"示範人{number}", 1000 + number).uid for number in range(people)]
        staff = {
            "medication_staff": str(world.staff("示範丑").uid),
            "counselling_staff": str(world.staff("示範子").uid),
        }
    connections.close_all()
    cluster.stop()
    return urls.app_url, cases, staff


@contextmanager
def folder() -> Iterator[Path]:
    """A data folder to be; its database is stopped and removed at the end."""
    top = new_folder("quitledger-storm-")
    try:
        yield top / "data"
    finally:
        connections.close_all()
        if (top / "data" / "postgres.json").exists():
            Cluster(top / "data").remove()
        shutil.rmtree(top)
