"""What the database itself is for."""

from django.db import connection


def purpose() -> str:
    """production, demo or test: set once, when the database was created. Made-up people belong in the last two alone."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT purpose FROM audit_database")
        return str(cursor.fetchone()[0])
