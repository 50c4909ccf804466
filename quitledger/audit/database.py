"""The database itself: what it is for, and its clock."""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal
from uuid import UUID

from django.db import connection
from django.db.models import DateTimeField, Func
from django.db.models.expressions import RawSQL


class ProgrammeNow(Func):
    """The database's programme clock."""

    function = "programme_now"
    output_field = DateTimeField()
    arity = 0


def programme_now() -> datetime:
    """The programme's moment. Within a transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT programme_now()")
        moment: datetime = cursor.fetchone()[0]
    return moment


def purpose() -> str:
    """production, demo or test: set once, when the database was created. Made-up people belong in the last two alone."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT purpose FROM audit_database")
        return str(cursor.fetchone()[0])


def among(values: Iterable[int | str | UUID], kind: Literal["bigint", "text", "uuid"]) -> RawSQL:
    """A thousand values as what a column's `__in` compares with: they are looked up in its index, one after the other.

    (A list in the statement is gone through for every row that another index finds: a thousand times a thousand.)
    """
    return RawSQL(f"SELECT unnest(%s::{kind}[])", [list(values)])  # noqa: S611 - our own words; the values are a parameter
