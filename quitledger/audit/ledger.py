"""The ledger: the journal and every history table, row by row, as checkpoints cover them."""

from collections.abc import Generator
from dataclasses import dataclass
from time import sleep

from django.db import OperationalError, connection, transaction
from psycopg import sql

_LOCK_TRIES = 40
# Shorter than deadlock_timeout (1 s): where a checkpoint and a writer wait for each other, it is the checkpoint that
# gives way, and no writer is refused.
_LOCK_WAIT = "400ms"
# How values are written in a leaf, whatever the session or the server would choose.
AS_TEXT = {"timezone": "UTC", "datestyle": "ISO, YMD", "bytea_output": "hex", "extra_float_digits": "1"}
_PAUSE = 0.05  # seconds, longer after every try


class LedgerBusy(Exception):
    """Writers did not leave the ledger alone for long enough to see where it ends."""


@dataclass(frozen=True)
class LedgerTable:
    """One table of the ledger, and the column that numbers its rows."""

    name: str
    key: str

    @property
    def followed(self) -> str | None:
        """The table whose versions these are; None for what is no history."""
        return self.name.removesuffix("_history") if self.key == "history_id" else None


def ledger_tables() -> list[LedgerTable]:
    """Every table of the ledger there is, in the order in which most transactions write them: the journal last."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tgrelid::regclass::text FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid"
            " WHERE tgname = 'append_only' AND relname LIKE %s ORDER BY tgrelid",
            [r"%\_history"],
        )
        histories = [LedgerTable(name, "history_id") for (name,) in cursor.fetchall()]
    return [*histories, LedgerTable("audit_rewritten", "id"), LedgerTable("audit_journal", "id")]


def where_it_ends(tables: list[LedgerTable]) -> dict[str, int]:
    """The last number of each table below which no row can appear any more (0: no rows).

    Numbers are given before a transaction commits, so a row may appear below one that is there already. Nobody writes
    while the tables are locked, for a few milliseconds; what is numbered then is committed. Raises LedgerBusy.
    """
    names = sql.SQL(", ").join(sql.Identifier(table.name) for table in tables)
    ends = sql.SQL(" UNION ALL ").join(
        sql.SQL("SELECT {name}, coalesce(max({key}), 0) FROM {table}").format(
            name=table.name, key=sql.Identifier(table.key), table=sql.Identifier(table.name)
        )
        for table in tables
    )
    for attempt in range(_LOCK_TRIES):
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SELECT set_config('lock_timeout', %s, true)", [_LOCK_WAIT])
                cursor.execute(sql.SQL("LOCK TABLE {} IN SHARE MODE").format(names).as_string(cursor.connection))
                cursor.execute(ends.as_string(cursor.connection))
                return dict(cursor.fetchall())
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", None) != "55P03":  # lock_not_available
                raise
        sleep(_PAUSE * (attempt + 1))
    raise LedgerBusy


def leaves(table: LedgerTable, *, after: int | None, to: int) -> Generator[tuple[int, bytes], None, None]:
    """Number and leaf (32 bytes) of each row numbered above `after` (None: from the lowest) up to `to`, in order.

    Inside a transaction. The leaf is what audit_leaf() makes of the row; that function itself is not asked, as a superuser
    can put another in its place.
    """
    statement = sql.SQL(
        "SELECT {key}, pg_catalog.sha256(pg_catalog.convert_to(pg_catalog.rtrim(t::text, ',)'), 'UTF8'))"
        " FROM {table} t WHERE {key} <= {to} AND {after} ORDER BY {key}"
    )
    key = sql.Identifier(table.key)
    above = sql.SQL("true") if after is None else sql.SQL("{} > {}").format(key, after)
    with connection.cursor() as cursor:
        for name, value in AS_TEXT.items():
            cursor.execute("SELECT set_config(%s, %s, true)", [name, value])
    assert connection.connection is not None
    with connection.connection.cursor("leaves", binary=True) as rows:
        rows.itersize = 10_000
        rows.execute(statement.format(key=key, table=sql.Identifier(table.name), to=to, after=above))
        yield from rows


_NOT_KEPT = {"password"}  # in no history


def differing_rows(table: LedgerTable) -> list[tuple[int, str]]:
    """The rows of a followed table that are not what their last version says: id, and changed, inserted or removed.

    A write always leaves its version; only somebody who switched the triggers off makes such a row.
    """
    followed = table.followed or ""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
            [followed],
        )
        names = [name for (name,) in cursor.fetchall() if name not in _NOT_KEPT]
        row, version = (sql.SQL(", ").join(sql.Identifier(of, name) for name in names) for of in ("t", "v"))
        statement = _DIFFERING.format(
            table=sql.Identifier(followed), history=sql.Identifier(table.name), row=row, version=version
        )
        cursor.execute(statement.as_string(cursor.connection))
        return list(cursor.fetchall())


_DIFFERING = sql.SQL("""
  SELECT coalesce(t.id, v.id), CASE WHEN t.id IS NULL THEN 'removed' WHEN v.id IS NULL THEN 'inserted' ELSE 'changed' END
  FROM {table} t FULL JOIN (
    SELECT h.* FROM (SELECT id AS row_id, max(history_id) AS last FROM {history} GROUP BY 1) latest
    JOIN {history} h ON h.history_id = latest.last AND h.id = row_id WHERE h.history_change <> 'delete') v ON v.id = t.id
  WHERE t.id IS NULL OR v.id IS NULL OR ({row}) IS DISTINCT FROM ({version}) ORDER BY 1""")
