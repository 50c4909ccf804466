"""The primary lost under load: visits recorded through HTTP, kill -9, the replica promoted, acknowledged visits counted."""

import dataclasses
import math
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import psycopg

from .client import clients_sent
from .nation import Nation, session
from .proof import command
from .recording import Form, forms
from .server import PRODUCT, serving

if TYPE_CHECKING:
    from quitledger.ops.postgres import Cluster

CLIENTS = 8
SURPLUS = 3  # so many times the visits after which the primary is killed are sent: it dies under load
PATIENCE = 60.0  # seconds

# What each recorded visit has: services, lines, a version of each and of itself, an entry in the journal.
_WHOLE = (2, 1, 1, 2, 1, 1)
_PARTS = """
SELECT v.uid::text,
  (SELECT count(*) FROM visits_service s WHERE s.visit_id = v.id),
  (SELECT count(*) FROM visits_medicationline l WHERE l.visit_id = v.id),
  (SELECT count(*) FROM visits_visit_history h WHERE h.id = v.id),
  (SELECT count(*) FROM visits_service_history h WHERE h.visit_id = v.id),
  (SELECT count(*) FROM visits_medicationline_history h WHERE h.visit_id = v.id),
  (SELECT count(*) FROM audit_journal j WHERE j.action = 'visit.record' AND j.record_uids @> ARRAY[v.uid])
FROM visits_visit v WHERE v.uid = ANY (%s::uuid[])
"""


def most_forms(enough: int) -> int:
    """How many forms one client needs for both drills."""
    return 2 * _forms_a_client(enough)


def measure(nation: Nation, *, workers: int, enough: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Both drills; the second one's primary is the replica promoted in the first. The nation's own server is lost.

    Raises RuntimeError where a visit is half, or where a synchronous replica lacks one that was acknowledged.
    """
    from quitledger.ops.postgres import Cluster

    with psycopg.connect(nation.superuser_url, autocommit=True) as connection:
        recorders = [(session(number), forms(connection, number)) for number in range(1, CLIENTS + 1)]
        for _, given in recorders:
            next(given)  # they are looked up now
    result: dict[str, Any] = {}
    primary = Cluster(nation.folder)
    with TemporaryDirectory(prefix="quitledger-bench-") as name:
        Path(name).chmod(0o711)
        try:
            for kind in ("asynchronous", "synchronous"):
                replica = Cluster(Path(name, kind))
                result[kind] = _drill(nation, primary, replica, kind, recorders, workers=workers, enough=enough)
                tell(f"replica, {kind}: {result[kind]}")
                primary = replica
        finally:
            for kind in ("asynchronous", "synchronous"):
                Cluster(Path(name, kind)).remove()
    if result["synchronous"]["lost"]:
        raise RuntimeError(f"{result['synchronous']['lost']} acknowledged visits are lost")
    return result | {"aim": "synchronous: none lost", "met": True}


def _drill(
    nation: Nation, primary: "Cluster", replica: "Cluster", kind: str, recorders: list[tuple[str, Iterator[Form]]],
    *, workers: int, enough: int,
) -> dict[str, Any]:  # fmt: skip
    from quitledger.ops import replication

    begin = time.perf_counter()
    replication.join(replica, replication.invite(primary, kind))
    _until(lambda: any(standby.streaming for standby in replication.standbys(primary) if standby.name == kind))
    copied = time.perf_counter() - begin
    if kind == "synchronous":
        replication.wait_for(primary, kind)
    jobs = [
        {"session": cookie, "requests": [next(given) for _ in range(_forms_a_client(enough))]}
        for cookie, given in recorders
    ]
    sent = [parse_qs(request["body"])["uid"][0] for job in jobs for request in job["requests"]]
    acknowledged, seconds = _recorded_until_killed(nation, primary, jobs, workers=workers, enough=enough)
    whole, said = command(replica.data_folder, "replica", "promote")
    promoted = float(re.search(r"已接替，([\d.]+) 秒", said)[1])  # type: ignore[index]
    with psycopg.connect(replica.ensure_running().url("quitledger")) as connection:
        parts = {uid: tuple(counts) for uid, *counts in connection.execute(_PARTS, [sent])}
    if half := [uid for uid, counts in parts.items() if counts != _WHOLE]:
        raise RuntimeError(f"{len(half)} visits are half: {parts[half[0]]}")
    return {
        "clients": CLIENTS, "acknowledged": len(acknowledged), "acknowledged_a_second": round(enough / seconds, 1),
        "lost": len(acknowledged - set(parts)), "kept_without_an_answer": len(set(parts) - acknowledged),
        "seconds": {"copy_and_follow": round(copied, 1), "promote": promoted, "promote_with_its_checks": whole},
    }  # fmt: skip


def _recorded_until_killed(
    nation: Nation, primary: "Cluster", jobs: list[dict[str, Any]], *, workers: int, enough: int
) -> tuple[set[str], float]:
    """The uids of the visits that were acknowledged until the primary was killed, and the seconds until `enough`."""
    from ..killing import kill

    url = primary.ensure_running().url("quitledger")
    reached = dataclasses.replace(nation, app_url=primary.urls().app_url)
    with (
        psycopg.connect(url, autocommit=True) as connection, serving(PRODUCT, reached, workers, quiet=True) as port,
        ThreadPoolExecutor(1) as clients,
    ):  # fmt: skip
        row = connection.execute("SELECT max(id) FROM audit_journal").fetchone()
        begin = time.perf_counter()
        sending = clients.submit(clients_sent, port, jobs)
        _until(
            lambda: (
                connection.execute(
                    "SELECT count(*) >= %s FROM audit_journal WHERE id > %s AND action = 'visit.record'", [enough, *row]
                ).fetchone()
                == (True,)
            )
        )
        seconds = time.perf_counter() - begin
        kill(primary)
        answers = sending.result()["answers"]
    recorded = [answer["location"] for answer in answers if answer["status"] == 302]
    if len(recorded) == len(answers):
        raise RuntimeError("everything was recorded before the primary was killed")
    return {location.split("/")[2] for location in recorded if location.startswith("/visits/")}, seconds


def _forms_a_client(enough: int) -> int:
    return math.ceil(SURPLUS * enough / CLIENTS) + 1


def _until(met: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not met():
        if time.monotonic() > deadline:
            raise RuntimeError("it does not come about")
        time.sleep(0.02)
