"""Checkpoints: what the ledger held, hashed, chained, signed, and written down outside the cluster (the anchor).

A line of the anchor is `signature payload`; the payload is JSON:

    number, kind, at, database, key, previous     which checkpoint, of which database, signed with which key; `previous`
                                                  is the SHA-256 of the line before it
    covered                                       table → the number up to which it is covered now
    blocks                                        what is newly covered: table, after, to, rows, the SHA-256 of their
                                                  leaves, the ids present, and four bytes of each leaf (base64)

The hash of a block proves; ids and the four bytes of each row tell which one it was.
"""

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Self

from django.db import connection, transaction

from . import anchors
from .ledger import LedgerTable, leaves, ledger_tables, where_it_ends
from .signing import Signer

BLOCK_ROWS = 10_000
MOST_ROWS = 1_000_000  # of one checkpoint; more make several
MARK = 4  # bytes of a leaf that tell which row it was
_LOCK = 0x51554954  # advisory: one checkpoint at a time


class AnchorBehind(Exception):
    """The anchor knows checkpoints that the database has not: it was restored, or somebody took them out."""

    def __init__(self, anchored: int, kept: int) -> None:
        super().__init__(f"{anchored} > {kept}")
        self.anchored, self.kept = anchored, kept


class AnotherAnchor(Exception):
    """The anchor's lines are not what the database has: it is another one's, or somebody changed one of the two."""


class AlreadyAtWork(Exception):
    """Another process makes a checkpoint now."""


@dataclass(frozen=True)
class Block:
    """Rows of one table: those numbered above `after` (None: from the lowest) up to `to`."""

    table: str
    after: int | None
    to: int
    rows: int
    hash: str
    ids: str  # 1:40,42:99
    marks: str = field(repr=False)

    @classmethod
    def of(cls, table: str, after: int | None, to: int, rows: list[tuple[int, bytes]]) -> Self:
        """The block of these rows (number, leaf)."""
        whole = hashlib.sha256(b"".join(leaf for _, leaf in rows)).hexdigest()
        marks = base64.b64encode(b"".join(leaf[:MARK] for _, leaf in rows)).decode()
        return cls(table, after, to, len(rows), whole, _said(number for number, _ in rows), marks)

    def by_number(self) -> dict[int, bytes]:
        """The rows covered: number → the first bytes of its leaf."""
        marks = base64.b64decode(self.marks)
        numbers = (number for first, last in _ranges(self.ids) for number in range(first, last + 1))
        return {number: marks[MARK * place : MARK * (place + 1)] for place, number in enumerate(numbers)}


def _said(numbers: Iterable[int]) -> str:
    """Ascending numbers as ranges."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ",".join(f"{first}:{last}" for first, last in ranges)


def _ranges(said: str) -> Iterator[tuple[int, int]]:
    for part in filter(None, said.split(",")):
        first, _, last = part.partition(":")
        yield int(first), int(last)


@dataclass(frozen=True)
class Made:
    """What making checkpoints did: how many lines, and how many rows they cover anew."""

    checkpoints: int
    rows: int


def make_checkpoint(signer: Signer, anchor: Path) -> Made:
    """Cover everything written since the last checkpoint, and bring the anchor up to what the database knows.

    As the owner. Nothing new: no line. Raises LedgerBusy, AlreadyAtWork, AnchorBehind, AnotherAnchor, OSError (the
    anchor cannot be written; the checkpoint stands in the database and is appended the next time).
    """
    made = rows = 0
    with _only_one():
        _append_missing(anchor)
        tables = ledger_tables()
        ends = where_it_ends(tables)
        while True:
            last = _last_line()
            covered = last.covered if last else {}
            blocks = list(_new_blocks(tables, covered, ends))
            if not blocks:
                return Made(made, rows)
            covered |= {block.table: block.to for block in blocks}
            _write(signer, "checkpoint", last, {"covered": covered, "blocks": [asdict(block) for block in blocks]})
            _append_missing(anchor)
            made, rows = made + 1, rows + sum(block.rows for block in blocks)


def not_covered(tables: list[LedgerTable], covered: Mapping[str, int]) -> dict[str, int]:
    """How many rows of each table lie above `covered`; tables without any are left out."""
    counts = {}
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute(
                f"SELECT count(*) FROM {table.name} WHERE %s::bigint IS NULL OR {table.key} > %s",  # noqa: S608 - names of our tables
                [covered.get(table.name)] * 2,
            )
            counts[table.name] = cursor.fetchone()[0]
    return {name: count for name, count in counts.items() if count}


def new_entries() -> int:
    """About how many entries the journal has got since the last checkpoint: by its numbers, without counting."""
    last = _last_line()
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(max(id), 0) FROM audit_journal")
        return int(cursor.fetchone()[0]) - (last.covered.get("audit_journal", 0) if last else 0)


def continue_after_restore(signer: Signer, anchor: Path, *, reason: str) -> int:
    """Write into the anchor that this database was restored from a backup, so that checkpoints go on.

    The checkpoints that the restored database lacks are taken from the anchor, for the record; what they covered is
    lost and a verification says so, for ever. Returns how many they are. Raises AnotherAnchor, AlreadyAtWork.
    """
    with _only_one():
        last = _last_line()
        kept = last.number if last else 0
        lacking = []
        for line in anchors.read(anchor):
            if line.payload is None or line.payload["database"] != _database():
                raise AnotherAnchor
            if line.number == kept and last is not None and line.text != last.text:
                raise AnotherAnchor
            if line.number > kept:
                lacking.append(line)
        if not lacking:
            return 0
        with transaction.atomic():
            for line in lacking:
                _insert(line.number, line.text)
            covered = last.covered if last else {}
            _write(signer, "restored", lacking[-1], {"to": kept, "covered": covered, "blocks": [], "reason": reason})
        _append_missing(anchor)
        return len(lacking)


# --- In the database -------------------------------------------------------------------------------------------------


def _new_blocks(tables: list[LedgerTable], covered: dict[str, int], ends: dict[str, int]) -> Iterator[Block]:
    """What lies between `covered` and `ends`, at most MOST_ROWS of it."""
    budget = MOST_ROWS
    with transaction.atomic():
        for table in tables:
            after, end = covered.get(table.name), ends[table.name]
            if end <= (after or 0):
                continue
            with closing(leaves(table, after=after, to=end)) as rows:
                while budget > 0 and (part := list(islice(rows, min(BLOCK_ROWS, budget)))):
                    to = part[-1][0]
                    yield Block.of(table.name, after, to, part)
                    after, budget = to, budget - len(part)


def _write(signer: Signer, kind: str, last: anchors.Line | None, content: dict[str, Any]) -> None:
    payload = {
        "number": (last.number if last else 0) + 1,
        "kind": kind,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "database": _database(),
        "key": signer.key_id,
        "previous": last.hash if last else None,
        **content,
    }
    _insert(payload["number"], anchors.signed(signer, payload))


def _insert(number: int, text: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO audit_checkpoint (number, line) VALUES (%s, %s)", [number, text])


def _last_line() -> anchors.Line | None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT line FROM audit_checkpoint ORDER BY number DESC LIMIT 1")
        row = cursor.fetchone()
    line = anchors.parsed(row[0]) if row else None
    if line is not None and line.payload is None:
        raise AnotherAnchor
    return line


def kept_lines(after: int = 0) -> Iterator[str]:
    """The lines that the database has, above a number."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT number FROM audit_checkpoint WHERE number > %s ORDER BY number", [after])
        for (number,) in cursor.fetchall():
            cursor.execute("SELECT line FROM audit_checkpoint WHERE number = %s", [number])
            yield cursor.fetchone()[0]


def _database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT uid FROM audit_database")
        return str(cursor.fetchone()[0])


def _append_missing(anchor: Path) -> None:
    """Append to the anchor the lines that only the database has. Raises AnchorBehind, AnotherAnchor."""
    written = anchors.last(anchor)
    kept = _last_line()
    if written is not None:
        if written.payload is None or written.payload["database"] != _database():
            raise AnotherAnchor
        if written.number > (kept.number if kept else 0):
            raise AnchorBehind(written.number, kept.number if kept else 0)
        with connection.cursor() as cursor:
            cursor.execute("SELECT line FROM audit_checkpoint WHERE number = %s", [written.number])
            row = cursor.fetchone()
        if row is None or row[0] != written.text:
            raise AnotherAnchor
    anchors.append(anchor, kept_lines(written.number if written else 0))


@contextmanager
def _only_one() -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK])
        if not cursor.fetchone()[0]:
            raise AlreadyAtWork
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])
