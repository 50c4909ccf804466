"""Clients that record visits until the server is killed under them, and what must then be left of what they were told."""

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from itertools import count
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
from django.db import OperationalError, connections

from quitledger.accounts.actors import Actor
from quitledger.accounts.scope import scoped, try_twice
from quitledger.cases.models import Case
from quitledger.cases.services import Registration, register_case
from quitledger.ops.postgres import Cluster
from quitledger.policy.identity import make_up
from quitledger.visits import rules
from quitledger.visits.services import record_visit

from . import world

WRITERS = 4
MARCH = date(2025, 3, 1)

_serials = count(5000)


def acknowledged_until(end: Callable[[], None], *, enough: int) -> list[UUID]:
    """Let WRITERS clients of the database that Django is connected to record until `enough` visits are acknowledged.

    Then `end` must let no client go on. Returns the uids that were acknowledged.
    """
    recorder = world.actor("recorder")
    acknowledged: list[UUID] = []

    def write() -> None:
        try:
            while True:
                _register_and_record(recorder, next(_serials), acknowledged)
        except OperationalError:
            return  # the second try found no server either
        finally:
            connections.close_all()

    with ThreadPoolExecutor(WRITERS) as threads:
        writing = [threads.submit(write) for _ in range(WRITERS)]
        until = time.monotonic() + 30
        while len(acknowledged) < enough and time.monotonic() < until:
            time.sleep(0.005)
        end()
        for done in writing:
            done.result(30)
    connections.close_all()
    assert len(acknowledged) >= enough
    return acknowledged


def _register_and_record(recorder: Actor, serial: int, acknowledged: list[UUID]) -> None:
    entry = Registration(uuid4(), "national_id", make_up(serial), "", date(1990, 1, 1), "male", "示範癸")

    def register() -> Case:
        with scoped(recorder):
            return register_case(entry, today=world.TODAY, made_up_allowed=True, by=recorder)

    case = try_twice(register)
    for n in range(7):
        uid = uuid4()

        def record(day: date = MARCH + timedelta(days=5 * n), uid: UUID = uid) -> None:
            with scoped(recorder):
                known = Case.objects.select_related("person").get(pk=case.pk)
                given = rules.Counselling(world.staff("示範子").uid)
                record_visit(case=known, entry=rules.Entry(uid, day, counselling=given), by=recorder)

        try_twice(record)
        acknowledged.append(uid)


def kill(cluster: Cluster) -> None:
    """Kill the server and every process of it, none of which gets to say or write a word."""
    postmaster = cluster.status().pid
    assert postmaster is not None
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children")
    processes = [postmaster, *map(int, children.read_text().split())] if children.exists() else [postmaster]
    for process in processes:
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            continue  # it went with its parent


def whole_visits(owner_url: str) -> set[UUID]:
    """The visits that are there, none of which may be half: without a service, a version or its one entry."""
    with psycopg.connect(owner_url) as owner:
        rows = owner.execute(
            "SELECT v.uid, (SELECT count(*) FROM visits_service s WHERE s.visit_id = v.id),"
            " (SELECT count(*) FROM visits_visit_history h WHERE h.id = v.id),"
            " (SELECT count(*) FROM visits_service_history h WHERE h.visit_id = v.id),"
            " (SELECT count(*) FROM audit_journal j WHERE j.action = 'visit.record' AND v.uid = ANY (j.record_uids))"
            " FROM visits_visit v"
        ).fetchall()
        journaled = owner.execute("SELECT count(*) FROM audit_journal WHERE action = 'visit.record'").fetchone()
        orphans = owner.execute(
            "SELECT count(*) FROM visits_visit_history WHERE uid NOT IN (SELECT uid FROM visits_visit)"
        ).fetchone()
    assert {tuple(counts) for _, *counts in rows} <= {(1, 1, 1, 1)}, "no visit is half"
    assert journaled == (len(rows),)
    assert orphans == (0,)
    return {uid for uid, *_ in rows}
