"""The database itself: what it is for, and its clock."""

from datetime import datetime

from django.db import connection
from django.db.models import DateTimeField, Func


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
