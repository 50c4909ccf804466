"""Writes a made-up nation into an empty demo or test database, in one transaction.

COPY into the real tables as the owner: every constraint, trigger and history is on, foreign keys at the end, of all rows at
once. What is to be written is planned and made by a process of its own (synthesis_steps.py) while the database checks and
keeps what came before: a nation's year takes as long as the longer of the two. The accounts are the demo's.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from uuid import uuid4

from django.db import connection
from psycopg import sql

from quitledger.accounts.actors import SYSTEM
from quitledger.accounts.models import User
from quitledger.accounts.scope import scoped
from quitledger.audit import journal
from quitledger.institutions.models import Institution
from quitledger.policy import TAIPEI
from quitledger.visits.services import record_medicine

from . import demo_data, demo_story
from .synthesis_rows import first_day
from .synthesis_steps import Copy, Line, Loaded, Months, Registered, Step, making

ACTION = "nation.synthesize"
_NUMBERED = (
    "institutions_institution", "institutions_staffmember", "cases_person", "cases_case", "visits_visit", "visits_service",
)  # fmt: skip
_LARGE = (
    "cases_person", "cases_case", "cases_baseline", "visits_visit", "visits_service", "visits_medicationline", "visits_course",
)  # fmt: skip


def is_loaded() -> bool:
    """Whether a nation was synthesized in this database."""
    return bool(demo_data.one(f"SELECT EXISTS (SELECT FROM audit_journal WHERE action = '{ACTION}')"))  # noqa: S608 - ours


def load(
    years: Sequence[int], *, seed: int, scale: Decimal = Decimal(1), tell: Callable[[str], None] = lambda line: None
) -> Loaded:
    """Fill an empty database with a nation of `years` (AD, ascending, all past): all of it or nothing. As the owner.

    The same years, seed and scale give the same records. `tell` is given a line for each step. Raises PlanFails,
    PolicyGap, KeysUnavailable, and MakerEnds.
    """
    token = journal.request_uid.set(uuid4())
    try:
        with scoped(SYSTEM):
            loaded = _load(years, seed, scale, tell)
            journal.record(ACTION, record_type="database")
    finally:
        journal.request_uid.reset(token)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return loaded


def _load(years: Sequence[int], seed: int, scale: Decimal, tell: Callable[[str], None]) -> Loaded:
    tell("計畫 / planning")
    now = demo_data.one("SELECT programme_now()").astimezone(TAIPEI)
    with making(years, seed=seed, scale=scale, now=now) as steps:
        # While it plans: what needs none of it, and takes some seconds.
        _record_medicines(first_day(years))
        users = demo_data.add_accounts()
        keys = _set_keys_aside()
        loaded = _take(steps, users, now.date(), tell)
    tell("最後檢核與資料庫統計 / last checks, statistics for the planner")
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # a table with checks to come is not altered
        for statement in keys:
            cursor.execute(statement)
        for table in _NUMBERED:
            cursor.execute(
                sql.SQL("SELECT setval(pg_get_serial_sequence({}, 'id'), (SELECT max(id) FROM {}))")
                .format(sql.Literal(table), sql.Identifier(table))
                .as_string(cursor.connection)
            )
    return loaded


def _record_medicines(begin: date) -> None:
    """The demo's, as given from the first day on."""
    for medicine in demo_story.medicines(begin):
        if medicine.ends_on is None:
            record_medicine(replace(medicine, starts_on=begin), by=SYSTEM)


def _set_keys_aside() -> list[str]:
    """Drop the foreign keys of the largest tables; the statements that make them again, each asked of all rows at once.

    Row by row they would take a third of the time. Nobody else sees the tables without them: whoever looks waits for the end
    of the transaction.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT format('ALTER TABLE %%s DROP CONSTRAINT %%I', conrelid::regclass, conname),"
            " format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s', conrelid::regclass, conname, pg_get_constraintdef(oid))"
            " FROM pg_constraint WHERE contype = 'f' AND conrelid = ANY (%s::regclass[]) ORDER BY oid",
            [list(_LARGE)],
        )
        keys = cursor.fetchall()
        for drop, _ in keys:
            cursor.execute(drop)
    return [add for _, add in keys]


def _take(steps: Iterator[Step], users: dict[str, User], today: date, tell: Callable[[str], None]) -> Loaded:
    """Do what each step says."""
    database = connection.connection
    database.execute("SELECT set_config('work_mem', '64MB', true)")  # else a COPY's versions are put aside on disk
    for step in steps:
        match step:
            case Line(text):
                tell(text)
            case Copy(table, columns, rows):
                names = sql.SQL(", ").join(map(sql.Identifier, columns))
                statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), names)
                with database.cursor() as cursor, cursor.copy(statement) as copy:
                    copy.write(rows)
            case Months(institutions, first_days):
                query = "SELECT count(*) FROM visits_open_months(%s::bigint[], %s::date[])"
                database.execute(query, [institutions, first_days])
            case Registered():
                places = {code: Institution.objects.get(details__code=code) for code in demo_story.CODES.values()}
                demo_data.add_memberships(users, places, today)
            case Loaded():
                return step
    raise AssertionError("the last step is Loaded")
