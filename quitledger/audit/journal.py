"""The journal: one entry for every write and for every request that reads personal data.

An entry says who, what and when, with the uids of the records and the names of the fields; never a value, a name or
an identity number. Who, when and the institution are filled in by the database itself from the running transaction's
scope, so that a caller can neither forget nor choose them.
"""

from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any
from uuid import UUID

from django.db import connection

# The request (or command) in whose course entries are written; None outside of one.
request_uid: ContextVar[UUID | None] = ContextVar("request_uid", default=None)


class OutsideTransaction(RuntimeError):
    """An entry may only be written in the transaction of the write or read that it tells of."""


# One entry. A write that is asked for often carries it in its own statement, with `entry` as its parameters.
INSERT = """
INSERT INTO audit_journal (action, record_type, record_uids, record_version, fields, request_uid)
VALUES (%s, %s, %s::uuid[], %s, %s::text[], %s)
"""


def record(
    action: str,
    *,
    record_type: str = "",
    uids: Sequence[UUID] = (),
    version: int | None = None,
    fields: Sequence[str] = (),
) -> None:
    """Write one entry.

    `action` is the permission's word ("visit.record", "case.read"), `uids` the records written or shown, `version`
    the version written, `fields` the names of the fields filled or changed.
    Raises OutsideTransaction when no transaction is open: the entry must stand or fall with what it tells of.
    """
    with connection.cursor() as cursor:
        cursor.execute(INSERT, entry(action, record_type=record_type, uids=uids, version=version, fields=fields))


def entry(
    action: str,
    *,
    record_type: str = "",
    uids: Sequence[UUID] = (),
    version: int | None = None,
    fields: Sequence[str] = (),
) -> list[Any]:
    """The parameters of INSERT for one entry, as of `record`. Raises OutsideTransaction."""
    if not connection.in_atomic_block:
        raise OutsideTransaction(action)
    return [action, record_type, f"{{{','.join(map(str, uids))}}}", version, list(fields), request_uid.get()]
