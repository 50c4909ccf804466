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

from . import courses, lists, proof, recording, replica
from .nation import OPEN_DAYS, nation


def main() -> None:
    """Ends with an error where an answer or what it left in the database was wrong; whether aims were met is told."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small nation and few requests: does it run at all?")
    parser.add_argument("--only", choices=["courses", "proof", "lists", "recording", "replica"], help="one part alone")
    quick, only = (asked := parser.parse_args()).quick, asked.only
    plan = {1: 80, 4: 160, 16: 320} if quick else {1: 800, 4: 2400, 16: 4800}
    drilled = 80 if quick else 400
    # The first institution records in every round: warm-up, 1 client, 4 and 16, and both drills.
    most = sum(math.ceil(visits / clients) for clients, visits in [(16, recording.WARM_UP), *plan.items()])
    most += replica.most_forms(drilled)
    size = {"institutions": 200, "visits": 20_000} if quick else {"institutions": 2_776, "visits": 1_000_000}
    workers = os.cpu_count() or 1
    begin = time.perf_counter()
    tell(f"making a nation of {size}")
    with nation(**size, cases=math.ceil(most / len(OPEN_DAYS)) + 1) as made:
        result: dict[str, Any] = {
            "quick": quick, "machine": _machine(made.superuser_url), "settings": _settings(workers),
            "nation": size | {"seconds": made.seconds},
        }  # fmt: skip
        parts: dict[str, Callable[[], dict[str, Any]]] = {
            "courses": lambda: courses.measure(made, tell=tell),
            "proof": lambda: proof.measure(made, tell=tell),
            "lists": lambda: lists.measure(made, workers=workers, requests=60 if quick else 240, tell=tell),
            "recording": lambda: recording.measure(made, workers=workers, plan=plan, tell=tell),
            # The last one: the nation's server is killed in it.
            "replica": lambda: replica.measure(made, workers=workers, enough=drilled, tell=tell),
        }
        measured = {name: measure() for name, measure in parts.items() if only in (None, name)}
    result |= measured
    result["seconds"] = round(time.perf_counter() - begin, 1)
    aims = [*(measured[name]["met"] for name in measured if name != "lists")]
    aims += [measured["lists"][kind]["met"] for kind in lists.AIMS if "lists" in measured]
    result["met"] = all(aims)
    json.dump(result, sys.stdout, ensure_ascii=False, indent=2)
    print()


def tell(line: str) -> None:
    """Progress."""
    print(line, file=sys.stderr, flush=True)


def _machine(url: str) -> dict[str, Any]:
    with psycopg.connect(url) as connection:
        row = connection.execute("SHOW server_version").fetchone()
    return {
        "cores": os.cpu_count(), "load_before": round(os.getloadavg()[0], 2), "system": platform.platform(),
        "python": platform.python_version(), "postgresql": row and row[0],
        **{name: version(name) for name in ("Django", "granian", "psycopg")},
    }  # fmt: skip


def _settings(workers: int) -> dict[str, Any]:
    from quitledger.ops import web

    return {"workers": workers, "threads_a_worker": web.THREADS, "fsync": "on", "clients": "on the same machine"}


if __name__ == "__main__":
    main()
