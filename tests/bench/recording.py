"""Visits recorded a second through HTTP, everything on, beside the bare insert view with the same clients and forms."""

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import psycopg

from .client import Rate, clients_sent
from .nation import OPEN_DAYS, RECORDERS, Nation, session
from .server import FLOOR, PRODUCT, serving

AIM = 0.25  # of the bare insert view, at the best number of clients
TURNS = 4  # of product and floor
WARM_UP = 640  # visits

# What a recorded visit leaves: a visit, two services, a line, a version of each, and one entry in the journal.
LEFT = {
    "visits_visit": 1, "visits_visit_history": 1, "visits_service": 2, "visits_service_history": 2,
    "visits_medicationline": 1, "visits_medicationline_history": 1,
    "audit_journal WHERE action = 'visit.record'": 1,
}  # fmt: skip

Form = dict[str, str]


def measure(nation: Nation, *, workers: int, plan: dict[int, int], tell: Callable[[str], None]) -> dict[str, Any]:
    """`plan`: number of clients → number of visits. Raises RuntimeError unless every visit is there, whole."""
    _make_bare_table()
    with (
        psycopg.connect(nation.superuser_url, autocommit=True) as connection,
        serving(PRODUCT, nation, workers) as product_port,
        serving(FLOOR, nation, workers) as floor_port,
    ):
        recorders = [(session(number), forms(connection, number)) for number in range(1, RECORDERS + 1)]
        _compare(connection, recorders, product_port, floor_port, WARM_UP)
        results = []
        for clients, visits in plan.items():
            results.append(_compare(connection, recorders[:clients], product_port, floor_port, visits))
            tell(f"{clients} clients: {results[-1]}")
    best = max(result["ratio"] for result in results)
    return {"by_clients": results, "best_ratio": best, "aim": f"best_ratio >= {AIM}", "met": best >= AIM}


def _compare(
    connection: psycopg.Connection,
    recorders: list[tuple[str, Iterator[Form]]],
    product_port: int,
    floor_port: int,
    visits: int,
) -> dict[str, Any]:
    """The product and the floor in turns, a part of the visits each time: whatever else the machine does hits both."""
    recorded, bare = Rate(), Rate()
    for _ in range(TURNS):
        jobs = [
            {"session": cookie, "requests": [next(given) for _ in range(visits // TURNS // len(recorders))]}
            for cookie, given in recorders
        ]
        bare.add(_sent(floor_port, jobs))
        before = _counts(connection)
        recorded.add(_sent(product_port, jobs))
        _check(before, _counts(connection), sum(len(job["requests"]) for job in jobs))
    ratio = round(recorded.a_second / bare.a_second, 3)
    return {"clients": len(recorders), "recorded": recorded.as_json(), "bare": bare.as_json(), "ratio": ratio}


def _make_bare_table() -> None:
    from django.db import connection as owner

    from quitledger.ops.postgres import APPLICATION

    from .bare import Bare

    with owner.schema_editor() as editor:
        editor.create_model(Bare)
        editor.execute(f"GRANT SELECT, INSERT ON bench_bare TO {APPLICATION}")
        editor.execute(f"GRANT USAGE ON SEQUENCE bench_bare_id_seq TO {APPLICATION}")


def forms(connection: psycopg.Connection, institution: int) -> Iterator[Form]:
    """The forms of an institution's people without a visit, as a browser sends them: both services, one medicine."""
    cases = connection.execute(
        "SELECT c.uid FROM cases_case c WHERE institution_id = %s"
        " AND NOT EXISTS (SELECT FROM visits_visit v WHERE v.case_id = c.id) ORDER BY id", [institution]
    ).fetchall()  # fmt: skip
    physician, counsellor = (
        connection.execute("SELECT uid FROM institutions_staffmember WHERE id = %s", [number]).fetchone()
        for number in (2 * institution, 2 * institution - 1)
    )
    for day, (case,) in product(OPEN_DAYS, cases):
        yield {
            "path": f"/cases/{case}/visits/new",
            "body": urlencode({
                "uid": uuid4(), "visit_on": f"{day.year - 1911}/{day.month}/{day.day}", "visit_time": "9:30",
                "services": ["medication", "counselling"], "medication_staff": physician[0],
                "lines-TOTAL_FORMS": 1, "lines-INITIAL_FORMS": 0, "lines-0-medicine": "DEMO000001",
                "lines-0-supply_weeks": 1, "lines-0-supply_days": 7, "counselling_staff": counsellor[0],
                "counselling_mode": "in_person", "cigarettes_per_day": 12, "co_ppm": 9, "note": "戒菸第 2 週，食慾增加。",
            }, doseq=True),
        }  # fmt: skip


def _sent(port: int, jobs: list[dict[str, Any]]) -> dict[str, Any]:
    """Send the forms; every answer must lead to the page of a visit."""
    sent = clients_sent(port, jobs)
    wrong = [one for one in sent["answers"] if one["status"] != 302 or not one["location"].startswith("/visits/")]
    if wrong:
        raise RuntimeError(f"{len(wrong)} visits were not recorded: {wrong[0]}")
    return sent


def _counts(connection: psycopg.Connection) -> dict[str, int]:
    columns = ", ".join(f"(SELECT count(*) FROM {what})" for what in LEFT)
    row = connection.execute(f"SELECT {columns}").fetchone()
    return dict(zip(LEFT, row, strict=True))


def _check(before: dict[str, int], after: dict[str, int], visits: int) -> None:
    for what, left in LEFT.items():
        if after[what] - before[what] != left * visits:
            raise RuntimeError(f"{visits} visits were acknowledged, {what} has {after[what] - before[what]} more rows")
