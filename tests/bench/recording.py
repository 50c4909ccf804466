"""Visits recorded a second through HTTP, everything on, beside the bare insert view with the same clients and forms."""

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import psycopg

from .client import clients_sent, percentiles
from .nation import OPEN_DAYS, RECORDERS, Nation, session
from .server import FLOOR, PRODUCT, serving

AIM = 0.25  # of the bare insert view, at the best number of clients
WARM_UP = 160  # visits

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
        recorders = [(session(number), _forms(connection, number)) for number in range(1, RECORDERS + 1)]
        results = []
        for clients, visits in [(RECORDERS, WARM_UP), *plan.items()]:
            jobs = [
                {"session": cookie, "requests": [next(forms) for _ in range(visits // clients)]}
                for cookie, forms in recorders[:clients]
            ]
            floor = _sent(floor_port, jobs)
            before = _counts(connection)
            recorded = _sent(product_port, jobs)
            _check(before, _counts(connection), recorded["visits"])
            ratio = recorded["visits_a_second"] / floor["visits_a_second"]
            results.append({"clients": clients, "recorded": recorded, "bare": floor, "ratio": round(ratio, 3)})
            tell(f"{clients} clients: {recorded['visits_a_second']} visits/s, bare {floor['visits_a_second']}")
    best = max(result["ratio"] for result in results[1:])
    return {"by_clients": results[1:], "best_ratio": best, "aim": f"best_ratio >= {AIM}", "met": best >= AIM}


def _make_bare_table() -> None:
    from django.db import connection as owner

    from quitledger.ops.postgres import APPLICATION

    from .bare import Bare

    with owner.schema_editor() as editor:
        editor.create_model(Bare)
        editor.execute(f"GRANT SELECT, INSERT ON bench_bare TO {APPLICATION}")
        editor.execute(f"GRANT USAGE ON SEQUENCE bench_bare_id_seq TO {APPLICATION}")


def _forms(connection: psycopg.Connection, institution: int) -> Iterator[Form]:
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
    wrong = [answer for answer in sent["answers"] if answer["status"] != 302 or not answer["location"].startswith("/visits/")]
    if wrong:
        raise RuntimeError(f"{len(wrong)} visits were not recorded: {wrong[0]}")
    count = len(sent["answers"])
    return {
        "visits": count, "seconds": round(sent["seconds"], 2), "visits_a_second": round(count / sent["seconds"], 1),
        "milliseconds": percentiles([answer["milliseconds"] for answer in sent["answers"]]),
        "client_cpu_seconds": round(sent["client_cpu_seconds"], 2),
    }  # fmt: skip


def _counts(connection: psycopg.Connection) -> dict[str, int]:
    columns = ", ".join(f"(SELECT count(*) FROM {what})" for what in LEFT)
    row = connection.execute(f"SELECT {columns}").fetchone()
    return dict(zip(LEFT, row, strict=True))


def _check(before: dict[str, int], after: dict[str, int], visits: int) -> None:
    for what, left in LEFT.items():
        if after[what] - before[what] != left * visits:
            raise RuntimeError(f"{visits} visits were acknowledged, {what} has {after[what] - before[what]} more rows")
