"""Courses: of one person with forty services, and of the whole nation by the command that computes them anew."""

import time
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import psycopg

from .nation import Nation

AIMS = {"one_person": 0.005, "nation": 60.0}  # seconds
SERVICES = 40
REPEATED = 200


def measure(nation: Nation, *, tell: Callable[[str], None]) -> dict[str, Any]:
    """Django must be set up as the owner. Raises RuntimeError where a second computation finds anything to put right."""
    from quitledger.accounts.actors import SYSTEM
    from quitledger.accounts.scope import scoped
    from quitledger.visits.services import recompute_courses

    runs = []
    for _ in range(2):  # the first fills, as nothing is kept yet; the second compares
        begin = time.perf_counter()
        with scoped(SYSTEM):
            changed = recompute_courses(by=SYSTEM)
        runs.append((changed, time.perf_counter() - begin))
    if runs[1][0]:
        raise RuntimeError(f"{runs[1][0]} persons differed from what had just been computed")
    with psycopg.connect(nation.superuser_url, autocommit=True) as connection:
        connection.execute("ANALYZE visits_course")
        counted = connection.execute("SELECT count(*), count(DISTINCT person_id) FROM visits_course").fetchone()
    assert counted
    one = _one_person()
    seconds = [round(run, 2) for _, run in runs]
    result = {
        "one_person": {"services": SERVICES, "milliseconds": round(one * 1000, 3), "met": one <= AIMS["one_person"]},
        "nation": {"persons": counted[1], "courses": counted[0], "seconds_filling": seconds[0],
                   "seconds_comparing": seconds[1], "met": max(seconds) <= AIMS["nation"]},
        "aims_in_seconds": AIMS,
    }  # fmt: skip
    tell(f"courses: {result}")
    return result | {"met": result["one_person"]["met"] and result["nation"]["met"]}  # type: ignore[index]


def _one_person() -> float:
    """The median time of one computation, in seconds."""
    from quitledger.visits.courses import COUNSELLING, MEDICATION, CourseService, courses_of

    services = [
        CourseService(
            n, (MEDICATION, COUNSELLING)[n % 2], date(2024, 1, 3) + timedelta(days=7 * n), None, 1, n % 3, n % 3
        )
        for n in range(SERVICES)
    ]
    times = []
    for _ in range(REPEATED):
        begin = time.perf_counter()
        courses_of(services)
        times.append(time.perf_counter() - begin)
    return sorted(times)[REPEATED // 2]
