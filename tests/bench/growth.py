"""Growth: what a recording and a month page cost with 10^5, 10^6 and 10^7 visits, side by side in one run; sizes on disk.

The same institutions with as many visits a month, over more and more years. Each size is a nation of its own, in a process of its
own; all of them are asked in turns, so that whatever else the machine does hits all alike.

As a program it is one of these nations: reads its description, then makes a round for each line it reads.
"""

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from statistics import median
from typing import Any

import psycopg

from .client import clients_sent, percentiles
from .evening import LAST_DAY, MONTH, open_visits, take_out
from .nation import FIRST, TODAY, Nation, as_if_recorded, nation, session
from .server import PRODUCT, serving

SIZES, QUICK = (100_000, 1_000_000, 10_000_000), (5_000, 20_000, 50_000)
INSTITUTIONS, QUICK_INSTITUTIONS = 2_776, 200
AIM = 1.3  # times the cost of the smallest
ROUNDS, EACH = 8, 100  # rounds; recordings and month pages of each
VISITS_A_DAY = 1_000_000 / (TODAY - FIRST).days
BYTES_A_VISIT = 2_500  # on disk, with indexes, versions, journal and what loading needs beside
BYTES_BESIDE = 8 * 10**9  # WAL and sorting
SEED = 1140420
KINDS = ("recording", "month_page")

Round = dict[str, dict[str, Any]]


def measure(*, quick: bool, workers: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Sizes that the disk has no room for are left out and named."""
    sizes, left_out = _room_for(QUICK if quick else SIZES)
    with ExitStack() as stack:
        nations = {}
        for size in sizes:
            tell(f"growth: making a nation of {size:,} visits")
            nations[size] = stack.enter_context(_nation(size, quick, workers))
            tell(f"growth: {nations[size].facts}")
        rounds: dict[int, list[Any]] = {size: [] for size in sizes}
        for number in range(1 + (2 if quick else ROUNDS)):
            for size in sizes:
                made = nations[size].round()
                if number:  # the first one warms up
                    rounds[size].append(made)
        by_size = {size: nations[size].facts | _costs(rounds[size]) for size in sizes}
    ratios = {kind: _ratio(by_size, kind, "median_milliseconds") for kind in KINDS}
    of_processor = {kind: _ratio(by_size, kind, "processor_milliseconds") for kind in KINDS}
    result = {
        "meaning": "the same institutions, as many visits a month, more years; the costs of all sizes were measured in turns, one client",
        "sizes": by_size, "left_out": left_out, "ratio_last_to_first": ratios, "ratio_of_processor_time": of_processor,
        "aim": f"each ratio_last_to_first <= {AIM}",
        "met": not left_out and all(ratio is not None and ratio <= AIM for ratio in ratios.values()),
    }  # fmt: skip
    tell(f"growth: {result}")
    return result


def _room_for(sizes: tuple[int, ...]) -> tuple[list[int], list[str]]:
    """The sizes that the disk has room for together, and what is said of the others."""
    free = shutil.disk_usage(tempfile.gettempdir()).free
    needed, fitting, left_out = BYTES_BESIDE, [], []
    for size in sizes:
        needed += size * BYTES_A_VISIT
        if needed <= free:
            fitting.append(size)
        else:
            left_out.append(f"{size:,} visits need {needed / 1e9:.0f} GB in all, {free / 1e9:.0f} GB are free")
    return fitting, left_out


def _costs(rounds: list[Round]) -> dict[str, Any]:
    """Of each kind: milliseconds of all, and the medians of the rounds, which are compared."""
    costs: dict[str, Any] = {}
    for kind in KINDS:
        all_of_them = [one for made in rounds for one in made[kind]["milliseconds"]]
        costs[kind] = {
            "count": len(all_of_them), **percentiles(all_of_them),
            "median_milliseconds": round(median(median(made[kind]["milliseconds"]) for made in rounds), 2),
            "processor_milliseconds": round(median(made[kind]["processor"] for made in rounds), 2),
        }  # fmt: skip
    return costs


def _ratio(by_size: dict[int, dict[str, Any]], kind: str, of: str) -> float | None:
    first, last = (by_size[size][kind][of] for size in (min(by_size), max(by_size)))
    return round(last / first, 3) if first else None


# --- A nation in a process of its own ---------------------------------------------------------------------------------


class _Process:
    """What the parent has of it: asks for a round, hears what came of it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.facts = self._heard()

    def round(self) -> Round:
        """Recordings and month pages: milliseconds of each, and of the processor for one."""
        assert self._process.stdin
        self._process.stdin.write("round\n")
        self._process.stdin.flush()
        return self._heard()

    def _heard(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the nation's process ended")
        heard: dict[str, Any] = json.loads(line)
        return heard


@contextmanager
def _nation(size: int, quick: bool, workers: int) -> Iterator[_Process]:
    ours = ("DATABASE_", "QUITLEDGER_", "DJANGO_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, str(size), str(int(quick)), str(workers)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    try:
        yield _Process(process)
    finally:
        assert process.stdin
        process.stdin.close()  # it removes its cluster and ends
        process.wait()


def _be(size: int, quick: bool, workers: int) -> None:
    """Make the nation, tell how large it is, then a round for each line; removes it at the end."""
    institutions = QUICK_INSTITUTIONS if quick else INSTITUTIONS
    first = TODAY - timedelta(days=22 + round(size / VISITS_A_DAY / (institutions / INSTITUTIONS)))
    with nation(institutions=institutions, visits=size, cases=1, first=first) as made:
        as_if_recorded(made.superuser_url, since=first)
        with psycopg.connect(made.superuser_url, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")
            facts = {"since": str(first), "seconds": made.seconds, **_on_disk(connection, size)}
            rounds = _rounds(connection, made, workers)
            print(json.dumps(facts), flush=True)
            for _ in sys.stdin:
                print(json.dumps(next(rounds)), flush=True)


def _rounds(connection: psycopg.Connection, made: Nation, workers: int) -> Iterator[Round]:
    """The last month's visits are recorded, each anew; the month's page is opened by institutions of all sizes."""
    visits = open_visits(connection)
    random.Random(SEED).shuffle(visits)
    visits = visits[: (ROUNDS + 1) * EACH]
    take_out(connection, [visit.uid for visit in visits])
    sessions = {one.institution: session(one.institution) for one in visits}
    forms = [
        {"session": sessions[one.institution], "path": f"/cases/{one.case}/visits/new", "body": one.body()}
        for one in visits
    ]
    month = f"/visits?first={MONTH.year - 1911}/3/1&last={LAST_DAY.year - 1911}/3/31"
    pages = [{"session": sessions[one.institution], "path": month} for one in visits]
    with serving(PRODUCT, made, workers) as port:
        for start in range(0, len(visits), EACH):
            used = [made.processor_seconds()]
            recorded = _sent(port, forms[start : start + EACH], 302)
            used.append(made.processor_seconds())
            opened = _sent(port, pages[start : start + EACH], 200)
            used.append(made.processor_seconds())
            yield {
                "recording": {"milliseconds": recorded, "processor": (used[1] - used[0]) * 1000 / EACH},
                "month_page": {"milliseconds": opened, "processor": (used[2] - used[1]) * 1000 / EACH},
            }


def _sent(port: int, requests: list[dict[str, str]], status: int) -> list[float]:
    sent = clients_sent(port, [{"session": requests[0]["session"], "requests": requests}])
    if wrong := [answer for answer in sent["answers"] if answer["status"] != status]:
        raise RuntimeError(f"{len(wrong)} of {len(requests)} were not answered: {wrong[0]}")
    return [answer["milliseconds"] for answer in sent["answers"]]


_TABLES = """
SELECT regexp_replace(relname, '^audit_journal_.*', 'audit_journal') AS name,
  sum(pg_table_size(c.oid)) AS bytes, sum(pg_indexes_size(c.oid)) AS indexes
FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = 'public' AND relkind = 'r'
GROUP BY name ORDER BY sum(pg_total_relation_size(c.oid)) DESC LIMIT 14
"""


def _on_disk(connection: psycopg.Connection, size: int) -> dict[str, Any]:
    """Megabytes of the largest tables, and of their indexes; of the database; bytes for each visit."""
    tables = {
        name: {"rows": round(int(bytes_) / 1e6, 1), "indexes": round(int(indexes) / 1e6, 1)}
        for name, bytes_, indexes in connection.execute(_TABLES)
    }
    row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    assert row
    return {
        "megabytes": round(row[0] / 1e6), "bytes_a_visit": round(row[0] / size), "megabytes_of_tables": tables,
    }  # fmt: skip


if __name__ == "__main__":
    _be(int(sys.argv[1]), sys.argv[2] == "1", int(sys.argv[3]))
