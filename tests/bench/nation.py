"""The made-up nation that is measured: a throw-away cluster, a migrated database, a million visits (nation.sql)."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import LiteralString, cast

import psycopg
from psycopg import sql

from .processor import seconds_used

TODAY = date(2025, 4, 1)
FIRST = date(2023, 4, 1)
BASELINE_ON = date(2025, 3, 1)
# Days of the open month on which one person can be recorded: never nearer than the spacing rule allows.
OPEN_DAYS = [date(2025, 3, day) for day in (3, 8, 13, 18, 23, 28)]
RECORDERS = 16  # institutions, each with one account, that record at the same time
IDENTITIES = 20_000  # people with an identity number of their own
LARGE = [
    "cases_person", "cases_case", "cases_baseline", "visits_visit", "visits_service", "visits_medicationline",
]  # fmt: skip
SQL = Path(__file__).with_name("nation.sql")


@dataclass(frozen=True)
class Nation:
    """Where the nation lies. `superuser_url` goes past row-level security; the application never has it."""

    folder: Path
    superuser_url: str
    app_url: str
    institutions: int
    visits: int
    seconds: dict[str, float]

    def processor_seconds(self) -> float:
        """What database and web servers have used so far, and this process; 0 where the system does not tell."""
        from quitledger.ops.postgres import Cluster

        return seconds_used([os.getpid(), Cluster(self.folder).status().pid or 0]) or 0.0


@contextmanager
def nation(*, institutions: int, visits: int, cases: int, first: date = FIRST) -> Iterator[Nation]:
    """A durable cluster (fsync on) in a folder of its own with about `visits` visits since `first`, removed afterwards.

    Sets the environment and Django up as the owner. `cases` people at each of RECORDERS institutions have none yet.
    """
    for name in ("DATABASE_URL", "DATABASE_OWNER_URL", "QUITLEDGER_KEYS", "QUITLEDGER_KEYS_FILE", "QUITLEDGER_HTTPS"):
        os.environ.pop(name, None)
    with TemporaryDirectory(prefix="quitledger-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # as root, PostgreSQL's user must be able to pass
        os.environ |= {
            "QUITLEDGER_DATA": name,
            "QUITLEDGER_HOSTS": "127.0.0.1",
            "QUITLEDGER_SECRET_KEY": "for the bench",
        }
        from quitledger.ops.postgres import Cluster

        cluster = Cluster(folder)
        try:
            seconds = {"migrate": _timed(_migrate)}
            superuser_url = cluster.ensure_running().url("quitledger")
            people = visits // 4 + RECORDERS * cases
            seconds["load"] = _timed(lambda: _load(superuser_url, institutions, people, cases, first))
            yield Nation(folder, superuser_url, os.environ["DATABASE_URL"], institutions, visits // 4 * 4, seconds)
        finally:
            from django.db import connections

            connections.close_all()
            cluster.remove()


def _timed(work) -> float:  # type: ignore[no-untyped-def]
    begin = time.perf_counter()
    work()
    return round(time.perf_counter() - begin, 1)


def _migrate() -> None:
    """An empty database, as `quitledger` makes it, whose today is TODAY."""
    from quitledger.ops.environment import prepare

    prepare("owner")
    from django.core.management import call_command

    from quitledger.ops.database import migrate, set_clock

    migrate(app_url=os.environ["DATABASE_URL"], purpose="test")
    set_clock(TODAY)
    migrate(app_url=os.environ["DATABASE_URL"], purpose="test")  # the calendar of that day
    call_command("collectstatic", interactive=False, verbosity=0)


def _load(url: str, institutions: int, people: int, cases: int, first: date) -> None:
    from quitledger.accounts.keys import keys
    from quitledger.cases.services import identity_hashes
    from quitledger.policy.identity import make_up

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TEMP TABLE made_up (n integer, hash bytea, token bytea, key_id text)")
        with connection.cursor() as cursor, cursor.copy("COPY made_up FROM STDIN (FORMAT binary)") as copy:
            copy.set_types(["int4", "bytea", "bytea", "text"])
            for serial in range(1, min(people, IDENTITIES) + 1):
                number = make_up(serial)
                copy.write_row(
                    (serial, identity_hashes("national_id", number)[0], *keys().encrypt(number, about=b"identity"))
                )
        # Whoever comes after these has a hash that belongs to no number, and one of their tokens.
        connection.execute(
            "INSERT INTO made_up SELECT s, sha256(s::text::bytea), token, key_id"
            " FROM generate_series(%(first)s + 1, %(people)s) s JOIN made_up m ON m.n = 1 + s %% %(first)s",
            {"first": IDENTITIES, "people": people},
        )
        connection.execute("ANALYZE made_up")
        values = {
            "institutions": institutions, "recorders": RECORDERS, "cases": cases, "first": first, "today": TODAY,
            "baseline_on": BASELINE_ON, "highest": 10 * people,
        }  # fmt: skip
        script = sql.SQL(cast(LiteralString, SQL.read_text(encoding="utf-8")))
        with indexes_afterwards(connection, LARGE):
            connection.execute(script.format(**{k: sql.Literal(v) for k, v in values.items()}))
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")


@contextmanager
def indexes_afterwards(connection: psycopg.Connection, tables: list[str]) -> Iterator[None]:
    """Fill the tables first and make their indexes, which are what they were, at the end: ten times as fast for millions.

    An index that is not ready is not written to, and REINDEX makes it ready: of a throw-away cluster's superuser alone.
    REINDEX would look for each row among all others where rows exclude one another; the made-up ones do not.
    """
    of_tables = "indrelid = ANY(%s::regclass[])"
    connection.execute(f"UPDATE pg_index SET indisready = false, indisvalid = false WHERE {of_tables}", [tables])
    yield
    excluding = connection.execute(
        f"UPDATE pg_index SET indisexclusion = false WHERE indisexclusion AND {of_tables} RETURNING indexrelid",
        [tables],
    ).fetchall()
    for table in tables:
        connection.execute(sql.SQL("REINDEX TABLE {}").format(sql.Identifier(table)))
    connection.execute(
        "UPDATE pg_index SET indisexclusion = true WHERE indexrelid = ANY(%s)", [[index for (index,) in excluding]]
    )


def as_if_recorded(url: str, *, since: date | None = None) -> None:
    """The nation is loaded past the triggers: give every row the version, every visit the entry that it would have.

    Entries are of today, or where `since` is given of the moment of recording, in monthly partitions from that day on.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT set_config('quitledger.scope', '0', false)")
        connection.execute("SET enable_nestloop = off")  # a history is empty now, and not for long
        followed = connection.execute("SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname = 'keep_insert'")
        for (name,) in followed.fetchall():
            columns = connection.execute(
                "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
                [name],
            )
            connection.execute(
                sql.SQL(
                    "INSERT INTO {history} (history_change, {columns}) SELECT 'insert', {columns} FROM {table} t"
                    " WHERE NOT EXISTS (SELECT FROM {history} h WHERE h.id = t.id)"
                ).format(
                    history=sql.Identifier(f"{name}_history"), table=sql.Identifier(name),
                    columns=sql.SQL(", ").join(sql.Identifier(column) for (column,) in columns),
                )
            )  # fmt: skip
        if since:
            months = 12 * (TODAY.year - since.year) + TODAY.month - since.month
            connection.execute("SELECT audit_make_partitions(%s, %s)", [since, months])
        parts = connection.execute("SELECT relid::regclass::text FROM pg_partition_tree('audit_journal') WHERE isleaf")
        with indexes_afterwards(connection, [name for (name,) in parts]):
            connection.execute(
                "INSERT INTO audit_journal (at, action, record_type, record_uids, record_version, fields)"
                " SELECT CASE WHEN %s THEN recorded_at ELSE programme_now() END, 'visit.record', 'visit', ARRAY[uid], 1,"
                " '{visit_on,counselling}' FROM visits_visit ORDER BY id",
                [since is not None],
            )
        connection.execute("ANALYZE")


def session(account_id: int) -> str:
    """The session cookie of an account that is signed in (Django as owner)."""
    from quitledger.accounts.models import User

    from ..sessions import signed_in

    return signed_in(User.objects.get(pk=account_id))
