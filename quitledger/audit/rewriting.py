"""Versions written anew in place, noted by the database and signed: a verification tells of them, and not as tampering."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.db import connection, transaction

from . import anchors
from .signing import Signer, is_signed


@dataclass(frozen=True)
class Rewritten:
    """One version written anew: the run of the command, its kind, and the leaves before and after."""

    run: int
    kind: str
    before: bytes
    after: bytes


def next_run() -> int:
    """A number for a run of a command that writes versions anew."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(max(run), 0) + 1 FROM audit_rewriting")
        return int(cursor.fetchone()[0])


@contextmanager
def rewriting(signer: Signer, *, run: int, kind: str) -> Iterator[None]:
    """A transaction in which the owner may UPDATE history tables. What was written anew is signed when it ends."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT nextval(pg_get_serial_sequence('audit_rewriting', 'number'))")
        number = cursor.fetchone()[0]
        cursor.execute("SELECT set_config('quitledger.rewriting', %s, true)", [str(number)])
        yield
        rows, digest = _digest(number)
        if rows:
            cursor.execute("SELECT uid::text FROM audit_database")
            payload = {
                "rewriting": number, "run": run, "kind": kind, "database": cursor.fetchone()[0], "key": signer.key_id,
                "rows": rows, "hash": digest,
            }  # fmt: skip
            cursor.execute(
                "INSERT INTO audit_rewriting (number, run, kind, signed) OVERRIDING SYSTEM VALUE VALUES (%s, %s, %s, %s)",
                [number, run, kind, anchors.signed(signer, payload)],
            )
        cursor.execute("SELECT set_config('quitledger.rewriting', '', true)")


def trusted_rewriting(
    trusted: Mapping[str, Ed25519PublicKey], database: str
) -> tuple[dict[str, dict[int, list[Rewritten]]], list[int]]:
    """Table → row → how it was written anew, in order, of what a trusted key signed; and the numbers of the rest."""
    found: dict[str, dict[int, list[Rewritten]]] = {}
    forged = []
    with connection.cursor() as cursor:
        cursor.execute("SELECT number, run, kind, signed FROM audit_rewriting ORDER BY number")
        for number, run, kind, text in cursor.fetchall():
            if not _is_what_was_signed(trusted, database, number, run, kind, text):
                forged.append(number)
                continue
            cursor.execute(
                "SELECT table_name, row_number, before, after FROM audit_rewritten WHERE number = %s ORDER BY id",
                [number],
            )
            for table, row, before, after in cursor.fetchall():
                found.setdefault(table, {}).setdefault(row, []).append(
                    Rewritten(run, kind, bytes(before), bytes(after))
                )
    return found, forged


def _is_what_was_signed(
    trusted: Mapping[str, Ed25519PublicKey], database: str, number: int, run: int, kind: str, text: str
) -> bool:
    line = anchors.parsed_any(text)
    if line is None:
        return False
    signature, payload, body = line
    public = trusted.get(str(payload.get("key")))
    rows, digest = _digest(number)
    said = {"rewriting": number, "run": run, "kind": kind, "database": database, "rows": rows, "hash": digest}
    return (
        public is not None and is_signed(public, signature, body) and {name: payload.get(name) for name in said} == said
    )


def _digest(number: int) -> tuple[int, str]:
    """How many rows were written anew under a number, and the hash over all of them."""
    whole = hashlib.sha256()
    rows = 0
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, row_number, before, after FROM audit_rewritten WHERE number = %s ORDER BY id", [number]
        )
        for table, row, before, after in cursor:
            whole.update(f"{table}:{row}:{bytes(before).hex()}:{bytes(after).hex()}\n".encode())
            rows += 1
    return rows, whole.hexdigest()
