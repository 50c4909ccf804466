"""Batches in the world: sent, checked and recorded as page and worker do it."""

from typing import Any
from uuid import UUID, uuid4

from quitledger.accounts.actors import Actor
from quitledger.accounts.scope import scoped
from quitledger.batches.columns import Kind
from quitledger.batches.models import Batch, Row
from quitledger.batches.services import ask_recording, check_batch, open_row, record_batch, upload_batch
from tests import world


def sent(content: bytes, kind: Kind = Kind.VISITS, by: Actor | None = None, uid: UUID | None = None) -> Batch:
    """A file that was sent and checked."""
    by = by or world.actor("recorder")
    with scoped(by):
        batch = upload_batch(uid=uid or uuid4(), kind=kind, content=content, by=by)
    check_batch(uid=batch.uid, by=by)
    return again(batch, by)


def again(batch: Batch, by: Actor | None = None) -> Batch:
    """The batch as it is now."""
    with scoped(by or world.actor("recorder")):
        return Batch.objects.get(pk=batch.pk)


def record(batch: Batch, by: Actor | None = None, *, all_or_none: bool = False) -> Batch:
    """The batch, recorded."""
    by = by or world.actor("recorder")
    with scoped(by):
        ask_recording(batch=batch, all_or_none=all_or_none, by=by)
    record_batch(uid=batch.uid, by=by)
    return again(batch, by)


def rows_of(batch: Batch, by: Actor | None = None) -> dict[int, tuple[str, list[str]]]:
    """Of every row held: its line → its status and the codes of the reasons against it."""
    with scoped(by or world.actor("recorder")):
        rows = list(Row.objects.filter(batch=batch).order_by("line"))
        return {row.line: (row.status, [one.code for one in open_row(row, batch).problems]) for row in rows}


def count(table: str) -> int:
    """How many rows a table has."""
    from django.db import connection

    with scoped(world.SYSTEM), connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table}")
        found: Any = cursor.fetchone()
    return int(found[0])
