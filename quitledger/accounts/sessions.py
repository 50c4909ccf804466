"""Sessions in the database, as Django keeps them. Every request reads one, so that it is read without the ORM."""

from typing import Any

from django.contrib.sessions.backends import db
from django.db import connection


class SessionStore(db.SessionStore):
    """Django's, with a cheaper look-up."""

    def load(self) -> dict[str, Any]:
        """What the session holds; a session that is not there or has expired is empty and loses its key."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT session_data FROM django_session WHERE session_key = %s AND expire_date > now()",
                [self.session_key],
            )
            row = cursor.fetchone()
        if row is None:
            self._session_key = None
            return {}
        data: dict[str, Any] = self.decode(row[0])
        return data
