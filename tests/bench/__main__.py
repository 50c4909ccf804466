"""Measure the whole stack on this machine and print one JSON document. Progress goes to the standard error output."""

import argparse
import json
import math
import os
import platform
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import psycopg

from . import courses, evening, files, growth, lists, proof, recording, replica, selfcheck, statistics, synthesis
from .nation import OPEN_DAYS, nation

PARTS = (  # of one nation; the others make their own
    "courses", "proof", "lists", "selfcheck", "recording", "files", "evening", "replica",
)  # fmt: skip
APART = ("growth", "statistics", "synthesis")


def main() -> None:
    """Ends with an error where an answer or what it left in the database was wrong; whether aims were met is told."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small nation and few requests: does it run at all?")
    parser.add_argument("--only", choices=[*PARTS, *APART], help="one part alone")
    quick, only = (asked := parser.parse_args()).quick, asked.only
    workers = os.cpu_count() or 1
    begin = time.perf_counter()
    result: dict[str, Any] = {"quick": quick, "machine": _machine(), "settings": _settings(workers)}
    parts = [part for part in PARTS if only in (None, part)]
    measured = _in_one_nation(parts, quick, workers, result) if parts else {}
    if only in (None, "synthesis"):
        measured["synthesis"] = synthesis.measure(quick=quick)
    if only in (None, "statistics"):
        measured["statistics"] = statistics.measure(quick=quick)
    if only in (None, "growth"):
        measured["growth"] = growth.measure(quick=quick, workers=workers, tell=tell)
    result |= measured
    result["seconds"] = round(time.perf_counter() - begin, 1)
    aims = [*(measured[name]["met"] for name in measured if name != "lists")]
    aims += [measured["lists"][kind]["met"] for kind in lists.AIMS if "lists" in measured]
    result["met"] = all(aims)
    json.dump(result, sys.stdout, ensure_ascii=False, indent=2)
    print()


def _in_one_nation(parts: list[str], quick: bool, workers: int, result: dict[str, Any]) -> dict[str, Any]:
    """Make the nation, say so in the result, and measure the parts one after the other."""
    plan = {1: 80, 4: 160, 16: 320} if quick else {1: 800, 4: 2400, 16: 4800}
    drilled = 80 if quick else 400
    # The first institution records in every round: warm-up, 1 client, 4 and 16, and both drills.
    most = sum(math.ceil(visits / clients) for clients, visits in [(16, recording.WARM_UP), *plan.items()])
    most += replica.most_forms(drilled)
    size = {"institutions": 200, "visits": 20_000} if quick else {"institutions": 2_776, "visits": 1_000_000}
    tell(f"making a nation of {size}")
    with nation(**size, cases=math.ceil(most / len(OPEN_DAYS)) + 1) as made:
        with psycopg.connect(made.superuser_url) as connection:
            result["machine"]["postgresql"] = connection.info.parameter_status("server_version")
        result["nation"] = size | {"seconds": made.seconds}
        measures: dict[str, Callable[[], dict[str, Any]]] = {
            "courses": lambda: courses.measure(made, tell=tell),
            "proof": lambda: proof.measure(made, tell=tell),
            "lists": lambda: lists.measure(made, workers=workers, requests=60 if quick else 240, tell=tell),
            "selfcheck": lambda: selfcheck.measure(made, workers=workers, requests=20 if quick else 100, tell=tell),
            "recording": lambda: recording.measure(made, workers=workers, plan=plan, tell=tell),
            "files": lambda: files.measure(made, rows=2_000 if quick else 100_000, tell=tell),
            "evening": lambda: evening.measure(made, workers=workers, seconds=10 if quick else 60, tell=tell),
            # The last one: the nation's server is killed in it.
            "replica": lambda: replica.measure(made, workers=workers, enough=drilled, tell=tell),
        }
        return {part: measures[part]() for part in parts}


def tell(line: str) -> None:
    """Progress."""
    print(line, file=sys.stderr, flush=True)


def _machine() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(), "load_before": round(os.getloadavg()[0], 2), "system": platform.platform(),
        "python": platform.python_version(), **{name: version(name) for name in ("Django", "granian", "psycopg")},
    }  # fmt: skip


def _settings(workers: int) -> dict[str, Any]:
    from quitledger.ops import web

    return {"workers": workers, "slots_a_worker": web.SLOTS, "fsync": "on", "clients": "on the same machine"}


if __name__ == "__main__":
    main()
