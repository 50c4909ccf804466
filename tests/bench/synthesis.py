"""Synthesis: how long a whole nation of one year takes to plan, to write with every constraint on, and to count again.

As a program it is that nation, in a process of its own.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg

from quitledger.ops.postgres import Cluster
from quitledger.ops.synthesis_targets import KINDS, Target, target

from .processor import seconds_used

AIM = 90  # seconds
YEAR, TODAY = 2024, date(2025, 4, 1)
SEED = 113


def measure(*, quick: bool) -> dict[str, Any]:
    """A durable cluster of its own, removed afterwards. The rows are counted by plain SQL and compared with what is printed."""
    command = [sys.executable, "-m", "tests.bench.synthesis", *(["--quick"] if quick else [])]
    made: dict[str, Any] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return made


def _measure(quick: bool) -> dict[str, Any]:
    scale = Decimal("0.02") if quick else Decimal(1)
    steps: list[tuple[str, float]] = []

    def step(line: str) -> None:
        steps.append((line.split(" / ")[-1], time.perf_counter()))
        print(f"synthesis: {line}", file=sys.stderr, flush=True)

    with empty() as cluster:
        from quitledger.ops import synthesis

        processes = [os.getpid(), cluster.status().pid or 0]
        used = _used(processes)
        begin = time.perf_counter()
        loaded = synthesis.load([YEAR], seed=SEED, scale=scale, tell=step)
        end = time.perf_counter()
        used = _used(processes) - used
        with psycopg.connect(cluster.ensure_running().url("quitledger"), autocommit=True) as connection:
            wrong = _wrong(connection, target(YEAR, scale))
            size = connection.execute("SELECT pg_database_size(current_database())").fetchone()[0]  # type: ignore[index]
    if wrong:
        raise SystemExit(f"synthesis: the nation does not count to its numbers: {wrong}")
    ends = [moment for _, moment in steps[1:]] + [end]
    return {
        "scale": str(scale), "seconds": round(end - begin, 1), "aim_seconds": AIM, "met": end - begin <= AIM,
        "processor_seconds": round(used, 1),
        "steps": {name: round(until - since, 1) for (name, since), until in zip(steps, ends, strict=True)},
        "rows": vars(loaded), "database_megabytes": size // 10**6,
    }  # fmt: skip


def _used(processes: list[int]) -> float:
    """Processor seconds of these processes, of what they started, and of what this one started and has ended: the maker."""
    ended = os.times()
    return (seconds_used(processes) or 0.0) + ended.children_user + ended.children_system


@contextmanager
def empty() -> Iterator[Cluster]:
    """A cluster with a migrated demo database without data, Django set up as its owner."""
    for name in (
        "DATABASE_URL",
        "DATABASE_OWNER_URL",
        "QUITLEDGER_KEYS",
        "QUITLEDGER_KEYS_FILE",
        "QUITLEDGER_EMBEDDED",
    ):
        os.environ.pop(name, None)
    with TemporaryDirectory(prefix="quitledger-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # as root, PostgreSQL's user must be able to pass
        os.environ |= {"QUITLEDGER_DATA": name, "QUITLEDGER_SECRET_KEY": "for the bench"}
        from quitledger.ops.environment import prepare

        cluster = Cluster(folder)
        try:
            prepare("owner")
            from quitledger.ops.database import maintain, migrate, set_clock

            migrate(app_url=os.environ["DATABASE_URL"], purpose="demo")
            set_clock(TODAY)
            maintain()
            yield cluster
        finally:
            from django.db import connections

            connections.close_all()
            cluster.remove()


def _wrong(connection: psycopg.Connection, wanted: Target) -> list[str]:
    """What the rows count to otherwise than asked for."""
    of_tier = {
        tier: numbers
        for tier, *numbers in connection.execute(
            "SELECT d.tier, count(DISTINCT s.institution_id), count(DISTINCT s.staff_id),"
            " count(*) FILTER (WHERE s.kind = 'medication'), count(*) FILTER (WHERE s.kind = 'counselling'),"
            " count(DISTINCT s.person_id) FILTER (WHERE s.kind = 'medication'),"
            " count(DISTINCT s.person_id) FILTER (WHERE s.kind = 'counselling')"
            " FROM visits_service s JOIN institutions_institutiondetails d USING (institution_id) GROUP BY 1"
        )
    }
    found = []
    for tier, row in wanted.tiers.items():
        asked = [row.executing_institutions, row.executing_staff, *(row.visits[kind] for kind in KINDS)]
        if of_tier[tier][:4] != asked:
            found.append(f"{tier}: {of_tier[tier][:4]} instead of {asked}")
        for kind, people in zip(KINDS, of_tier[tier][4:], strict=True):
            if not wanted.mean_fits(row.visits[kind], people, row.means[kind]):
                found.append(f"{tier}: {row.visits[kind]} {kind} of {people} people")
    distinct = connection.execute(
        "SELECT count(DISTINCT person_id), count(DISTINCT staff_id) FROM visits_service"
    ).fetchone()
    if distinct != (wanted.people, wanted.executing_staff):
        found.append(f"people and staff: {distinct}")
    return found


if __name__ == "__main__":
    print(json.dumps(_measure("--quick" in sys.argv)))
