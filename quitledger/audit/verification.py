"""Is the ledger what the checkpoints say? Finds what was changed, removed or inserted, and tells which row it was."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.db import connection, transaction

from . import anchors
from .checkpoints import Block, kept_lines, not_covered
from .ledger import LedgerTable, differing_rows, leaves, ledger_tables
from .rewriting import Rewritten, trusted_rewriting
from .signing import is_signed


class Fault(StrEnum):
    """What can be wrong."""

    ANCHOR_MISSING = "anchor-missing"  # the database has checkpoints, the file is not there
    LINE_UNREADABLE = "line-unreadable"
    LINE_FORGED = "line-forged"  # its signature is not a trusted key's
    LINE_OUT_OF_ORDER = "line-out-of-order"  # number or chain
    LINE_OF_ANOTHER = "line-of-another"  # another database's
    CHECKPOINT_REMOVED = "checkpoint-removed"  # from the database; the anchor has it
    CHECKPOINT_ALTERED = "checkpoint-altered"  # in the database
    TABLE_MISSING = "table-missing"
    ROW_CHANGED = "row-changed"
    ROW_REMOVED = "row-removed"
    ROW_INSERTED = "row-inserted"
    BLOCK_CHANGED = "block-changed"  # proved, but no single row can be named
    NOT_PROVED = "not-proved"  # the checkpoint that covered these rows cannot be trusted
    REWRITING_FORGED = "rewriting-forged"  # notes of versions written anew that no trusted key signed
    RECORD_DIFFERS = "record-differs"  # a current row is not what its last version says


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: where (`table`, rows `first` to `last`) or in which checkpoint (`number`)."""

    fault: Fault
    table: str = ""
    first: int = 0
    last: int = 0
    number: int = 0
    detail: str = ""


@dataclass
class Report:
    """What a verification found. `sound` when nothing is wrong."""

    findings: list[Finding] = field(default_factory=list)
    checkpoints: int = 0
    rows: int = 0
    last_at: str | None = None  # of the last anchored checkpoint, ISO 8601
    not_covered: dict[str, int] = field(default_factory=dict)
    not_anchored: int = 0  # checkpoints that only the database has
    rewritten: dict[str, int] = field(default_factory=dict)  # "kind run" → versions written anew under it
    restored: list[dict[str, object]] = field(default_factory=list)  # restores from a backup, told by the anchor

    @property
    def sound(self) -> bool:
        """True when nothing is wrong up to the last checkpoint."""
        return not self.findings


def verify(anchor: Path, trusted: Mapping[str, Ed25519PublicKey], *, current: bool = True) -> Report:
    """Compare journal, history and checkpoints with the anchor, and (`current`) every followed row with its last version.

    `trusted`: key id → public key. As the owner, outside a transaction; changes nothing.
    """
    report = Report()
    with ThreadPoolExecutor(1) as beside:
        # On a connection of its own: reading the ledger and comparing records keep a core busy each.
        differing = beside.submit(_differing) if current else None
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            blocks = _trusted_blocks(report, anchor, trusted)
            cursor.execute("SELECT uid::text FROM audit_database")
            rewritten, forged = trusted_rewriting(trusted, cursor.fetchone()[0])
            report.findings += [Finding(Fault.REWRITING_FORGED, number=number) for number in forged]
            tables = {table.name: table for table in ledger_tables()}
            for name, of_table in blocks.items():
                if name in tables:
                    report.findings += _check_table(report, tables[name], of_table, rewritten.get(name, {}))
                else:
                    report.findings.append(Finding(Fault.TABLE_MISSING, name))
            report.not_covered = not_covered(
                list(tables.values()), {name: of_table[-1][1].to for name, of_table in blocks.items()}
            )
        report.findings += differing.result() if differing else []
    return report


def _differing() -> list[Finding]:
    """Records that are not what their last version says."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            cursor.execute("SELECT set_config('work_mem', '64MB', true)")
            return [
                Finding(Fault.RECORD_DIFFERS, table.followed or "", row, row, detail=how)
                for table in ledger_tables()
                if table.followed
                for row, how in differing_rows(table)
            ]
    finally:
        connection.close()


# --- Lines -----------------------------------------------------------------------------------------------------------


def _trusted_blocks(
    report: Report, anchor: Path, trusted: Mapping[str, Ed25519PublicKey]
) -> dict[str, list[tuple[int, Block]]]:
    """Table → its blocks with the number of their checkpoint, of the lines that can be trusted."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT uid FROM audit_database")
        database = str(cursor.fetchone()[0])
        cursor.execute("SELECT number FROM audit_checkpoint ORDER BY number")
        kept = {number for (number,) in cursor.fetchall()}
    before: anchors.Line | None = None
    found: list[tuple[int, Block]] = []
    for line in _lines(report, anchor, kept):
        place = (before.number if before else 0) + 1
        faults = list(_faults(line, before, database, trusted))
        report.findings += [Finding(fault, number=place) for fault in faults]
        report.findings += _compared(line, place, kept)
        kept.discard(place)
        before = line if line.payload else before
        if line.payload is None or faults and faults != [Fault.LINE_OUT_OF_ORDER]:
            continue
        report.checkpoints += 1
        report.last_at = line.payload["at"]
        if line.payload["kind"] == "restored":
            to = line.payload["to"]
            lost = [block for number, block in found if number > to]
            found = [(number, block) for number, block in found if number <= to]
            report.restored.append({
                "at": line.payload["at"], "reason": line.payload.get("reason", ""), "checkpoints": line.number - 1 - to,
                "rows": sum(block.rows for block in lost),
            })  # fmt: skip
        found += [(line.number, Block(**block)) for block in line.payload["blocks"]]
    report.not_anchored = len(kept)
    by_table: dict[str, list[tuple[int, Block]]] = {}
    for number, block in found:
        by_table.setdefault(block.table, []).append((number, block))
    return by_table


def _lines(report: Report, anchor: Path, kept: set[int]) -> Iterator[anchors.Line]:
    """The anchor's; where there is no anchor the database's own, which prove less."""
    if anchor.exists():
        yield from anchors.read(anchor)
    elif kept:
        report.findings.append(Finding(Fault.ANCHOR_MISSING, detail=str(anchor)))
        yield from map(anchors.parsed, kept_lines())


def _faults(
    line: anchors.Line, before: anchors.Line | None, database: str, trusted: Mapping[str, Ed25519PublicKey]
) -> Iterator[Fault]:
    if line.payload is None:
        yield Fault.LINE_UNREADABLE
        return
    public = trusted.get(line.payload["key"])
    if public is None or not is_signed(public, line.signature, line.signed_part):
        yield Fault.LINE_FORGED
    if line.payload["database"] != database:
        yield Fault.LINE_OF_ANOTHER
    if line.number != (before.number if before else 0) + 1 or line.payload["previous"] != (
        before.hash if before else None
    ):
        yield Fault.LINE_OUT_OF_ORDER


def _compared(line: anchors.Line, place: int, kept: set[int]) -> Iterator[Finding]:
    """What the database says of this line of the anchor."""
    if place not in kept:
        yield Finding(Fault.CHECKPOINT_REMOVED, number=place)
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT sha256(convert_to(line, 'UTF8')) FROM audit_checkpoint WHERE number = %s", [place])
        if bytes(cursor.fetchone()[0]).hex() != line.hash:
            yield Finding(Fault.CHECKPOINT_ALTERED, number=place)


# --- Rows ------------------------------------------------------------------------------------------------------------


def _check_table(
    report: Report, table: LedgerTable, blocks: list[tuple[int, Block]], rewritten: Mapping[int, list[Rewritten]]
) -> Iterator[Finding]:
    """Walk over a table once, block by block."""
    with closing(leaves(table, after=None, to=blocks[-1][1].to)) as rows:
        row = next(rows, None)
        end: int | None = None
        for number, block in blocks:
            gap = []
            while row is not None and block.after is not None and row[0] <= block.after:
                gap.append(row[0])
                row = next(rows, None)
            if block.after != end:
                yield Finding(Fault.NOT_PROVED, table.name, (end or 0) + 1, block.after or 0, number)
            elif gap:
                yield from (Finding(Fault.ROW_INSERTED, table.name, one, one, number) for one in gap)
            part: list[tuple[int, bytes]] = []
            while row is not None and row[0] <= block.to:
                part.append(row)
                row = next(rows, None)
            end = block.to
            report.rows += len(part)
            if not _is_block(block, part) and rewritten:
                part = _as_it_was(report, block, part, rewritten)
            if not _is_block(block, part):
                yield from _located(table, number, block, part)


def _is_block(block: Block, part: list[tuple[int, bytes]]) -> bool:
    return hashlib.sha256(b"".join(leaf for _, leaf in part)).hexdigest() == block.hash


def _as_it_was(
    report: Report, block: Block, part: list[tuple[int, bytes]], rewritten: Mapping[int, list[Rewritten]]
) -> list[tuple[int, bytes]]:
    """The rows of a block with the leaves they had, where they were since written anew under a signed number."""
    was = block.by_number()
    found = []
    for row, leaf in part:
        steps = rewritten.get(row, [])
        if steps and steps[-1].after == leaf and not leaf.startswith(was.get(row, leaf)):
            step = next((step for step in steps if step.before.startswith(was[row])), None)
            if step is not None:
                leaf = step.before
                name = f"{steps[-1].kind} {steps[-1].run}"
                report.rewritten[name] = report.rewritten.get(name, 0) + 1
        found.append((row, leaf))
    return found


def _located(table: LedgerTable, number: int, block: Block, part: list[tuple[int, bytes]]) -> Iterator[Finding]:
    """Which rows of a block are not what they were."""
    was = block.by_number()
    now = Counter(row for row, _ in part)
    found = [Finding(Fault.ROW_REMOVED, table.name, row, row, number) for row in was if row not in now]
    for row, leaf in part:
        if row not in was:
            found.append(Finding(Fault.ROW_INSERTED, table.name, row, row, number))
        elif not leaf.startswith(was[row]):
            # Two rows of one number: one of them was put in.
            fault = Fault.ROW_CHANGED if now[row] == 1 else Fault.ROW_INSERTED
            found.append(Finding(fault, table.name, row, row, number))
    yield from found or [Finding(Fault.BLOCK_CHANGED, table.name, (block.after or 0) + 1, block.to, number)]
