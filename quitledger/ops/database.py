"""Brings a database to the state the code expects: tables, rights, calendar, partitions. Run as the owner."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

from django.core.management import call_command
from django.db import connection, connections, transaction
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from psycopg import sql

from quitledger.accounts.actors import SYSTEM
from quitledger.accounts.scope import scoped, try_twice
from quitledger.audit import journal
from quitledger.policy import parameter
from quitledger.settings import database as described_database
from quitledger.visits.services import fill_calendar

from .faults import Fault

RIGHTS = Path(__file__).with_name("rights.sql")
CALENDAR_AHEAD = timedelta(days=5 * 365)
PARTITIONS_AHEAD = 13


def migrate(*, app_url: str, purpose: str = "production") -> None:
    """Migrate, apply the rights of the application role in `app_url`, fill the calendar, make partitions ahead.

    `purpose` (production, demo, test) is kept by the first migration of an empty database for ever. Raises Fault.
    """
    refuse_half_way()
    with connection.cursor() as cursor:
        # Better an error that says so than waiting for ever behind somebody's open transaction.
        cursor.execute("SELECT set_config('lock_timeout', '20s', false)")
        cursor.execute("SELECT set_config('quitledger.purpose', %s, false)", [purpose])
    call_command("migrate", verbosity=0, interactive=False)
    apply_rights(unquote(urlsplit(app_url).username or ""))
    maintain()


def refuse_half_way() -> None:
    """Refuse a database that has some of what a migration of ours replaces and not all of it: nothing leads on from there.

    Django says so of some rooms, in its own words, and passes over those that no other room stands on.
    """
    applied = MigrationRecorder(connection).applied_migrations()
    loader = MigrationLoader(connection, load=False)
    loader.load_disk()
    for (room, _), migration in loader.disk_migrations.items():
        replaced = [one in applied for one in migration.replaces]
        if migration.__module__.startswith("quitledger.") and any(replaced) and not all(replaced):
            raise Fault(
                f"這個資料庫停在未發布的兩個版本之間（{room}），無法更新到這個版本，請重新建立；"
                "內嵌的示範資料庫可用 quitledger demo load --again。",
                f"This database stands between two versions that were not released ({room}); nothing leads on from there: make it"
                " anew, an embedded demo database by quitledger demo load --again.",
            )


def apply_rights(app_role: str) -> None:
    """Give the application role what rights.sql says, and nothing else.

    Once more where it met autovacuum, which notes down what it found of tables whose rights are changed here, and waits.
    """
    statement = sql.SQL(RIGHTS.read_text(encoding="utf-8")).format(app=sql.Identifier(app_role))

    def apply() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement.as_string(cursor.connection))

    try_twice(apply)


def maintain() -> dict[str, int]:
    """Fill the calendar of service months and make the journal's partitions ahead. Returns what was new."""
    with scoped(SYSTEM), connection.cursor() as cursor:
        cursor.execute("SELECT programme_today()")
        today = cursor.fetchone()[0]
        first = parameter("recording_window_last_day").values[0].starts_on
        made = {"months": fill_calendar(first, today + CALENDAR_AHEAD)}
        cursor.execute("SELECT audit_make_partitions(%s, %s)", [today, PARTITIONS_AHEAD])
        made["partitions"] = cursor.fetchone()[0]
        if any(made.values()):
            journal.record("database.maintain", record_type="database", fields=[k for k, v in made.items() if v])
    return made


def set_clock(today: date | None) -> None:
    """Shift the programme clock of a demo or test database so that it is `today` (a date) now; None: no shift."""
    with scoped(SYSTEM), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE audit_database SET clock_offset = coalesce(make_interval(days =>"
            " %s::date - (clock_timestamp() AT TIME ZONE 'Asia/Taipei')::date), '0')",
            [today],
        )
        journal.record("clock.set", record_type="database", fields=["clock_offset"])


@contextmanager
def as_application(url: str) -> Iterator[None]:
    """Django as the application role at `url`, and afterwards as it was."""
    described = connections.settings["default"]
    before = dict(described)
    connections.close_all()
    described.update(described_database(url))
    try:
        yield
    finally:
        connections.close_all()
        described.update(before)
