"""A database seven years later: everybody of the world but the minor has been kept for long enough."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, time
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from quitledger.accounts.actors import AGENCY, Actor
from quitledger.accounts.scope import scoped
from quitledger.audit.rewriting import rewriting
from quitledger.policy import TAIPEI
from quitledger.retention.models import Run
from quitledger.retention.services import Plan, confirm_run, empty_some, plan_run
from quitledger.visits.rules import Counselling, Entry
from quitledger.visits.services import change_visit, keep_draft, record_visit

from .. import world
from ..audit.conftest import Ledger
from ..conftest import Database, connect_django
from ..sql import one, set_clock

LATER = date(2032, 4, 2)  # the world's last records are of 2025-04-01
NOTE, REASON = "示範甲的備註", "示範甲的原因"
# What nobody may find anywhere afterwards, of 示範甲 at the clinic and at the pharmacy.
TEXTS = ("示範甲", "T-0001", "T-0006", NOTE, REASON)


# What tables of services count, by row.
STATISTICS = """
SELECT s.kind, count(*), count(DISTINCT s.person_id), min(s.visit_on), max(v.visit_time), array_agg(DISTINCT p.sex),
  array_agg(DISTINCT extract(year FROM p.birth_on)), array_agg(DISTINCT p.uid)
FROM visits_service s JOIN visits_visit v ON v.id = s.visit_id JOIN cases_person p ON p.id = s.person_id GROUP BY 1
"""


def agent(username: str) -> Actor:
    """An account as it acts at a command."""
    found = world.actor(username)
    return Actor(found.account_id, AGENCY, found.role, found.name)


class Retention:
    """Plans and runs in a committed database with checkpoints, as the owner."""

    def __init__(self, ledger: Ledger, owner: psycopg.Connection) -> None:
        self.ledger, self.owner = ledger, owner
        self.before, self.statistics = "", []

    def plan(self, *, by: str = "desk_supervisor", today: date = LATER) -> Plan | None:
        with self.ledger.database.as_owner(), scoped(actor := agent(by)):
            return plan_run(today=today, by=actor)

    def confirm(self, code: str, *, by: str = "administrator") -> Run:
        with self.ledger.database.as_owner(), scoped(actor := agent(by)):
            return confirm_run(code=code, by=actor)

    def empty(self, run: Run, *, limit: int = 100, by: str = "administrator", today: date = LATER) -> int:
        """One batch."""
        with self.ledger.database.as_owner(), self._writing(run, actor := agent(by)):
            return empty_some(run, today=today, limit=limit, by=actor)

    def done(self) -> Run:
        """A plan confirmed and run to its end."""
        made = self.plan()
        assert made is not None
        run = self.confirm(made.run.code)
        while self.empty(run):
            pass
        return run

    @contextmanager
    def _writing(self, run: Run, actor: Actor) -> Any:
        with scoped(actor), rewriting(self.ledger.signer, run=run.pk, kind="retention"):
            yield


def prepared(database: Database, owner: psycopg.Connection, folder: Path) -> Retention:
    """示範甲 has a visit, changed once, and a draft; then a checkpoint is made and the clock is set on."""
    recorder = world.actor("recorder")
    with scoped(recorder):
        case, staff = world.case(), world.staff("示範子").uid
        entry = Entry(uuid4(), world.TODAY, time(9, 0), counselling=Counselling(staff), note=NOTE)
        visit = record_visit(case=case, entry=entry, by=recorder)
        changed = Entry(visit.uid, world.TODAY, time(9, 5), counselling=Counselling(staff), note="")
        change_visit(visit=visit, version=1, entry=changed, reason=REASON, by=recorder)
        keep_draft(case=case, visit=None, contents={"note": [NOTE]}, by=recorder)
    ledger = Ledger(database, folder)
    ledger.checkpoint()
    set_clock(owner, datetime.combine(LATER, time(9, 0), TAIPEI))
    return Retention(ledger, owner)


@pytest.fixture
def kept(committed: Database, owner: psycopg.Connection, tmp_path: Path) -> Retention:
    """Seven years later, nothing planned yet."""
    return prepared(committed, owner, tmp_path)


@pytest.fixture(scope="module")
def once(template: Any, tmp_path_factory: Any) -> Iterator[Retention]:
    """A database after a run, for all tests that commit nothing. `before`: all that was said before the run."""
    database = Database(template, f"emptied_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}")
    connect_django(database.app_url)
    with database.owner() as owner:
        retention = prepared(database, owner, tmp_path_factory.mktemp("emptied"))
        retention.before, retention.statistics = everything_said(owner), owner.execute(STATISTICS).fetchall()
        retention.done()
        yield retention
    database.drop()


@pytest.fixture
def emptied(once: Retention) -> Retention:
    """After a run, to be looked at: nothing may be committed in it."""
    connect_django(once.ledger.database.app_url)
    return once


def everything_said(owner: psycopg.Connection) -> str:
    """The text of every row of every table that says anything of people, histories too; accounts are no patients."""
    tables = owner.execute(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        " AND relname !~ '^(institutions|accounts|django|procrastinate)_' ORDER BY 1"
    ).fetchall()
    return "\n".join(one(owner, f"SELECT coalesce(string_agg(t::text, '\n'), '') FROM {name} t") for (name,) in tables)
