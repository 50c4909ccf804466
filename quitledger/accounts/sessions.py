"""Sessions in the database, as Django keeps them. Every request reads one, so that it is read without the ORM."""

from typing import Any, cast

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends import db
from django.db import connection

from .models import Session


class SessionStore(db.SessionStore):
    """Django's, with a cheaper look-up and the account in a column."""

    @classmethod
    def get_model_class(cls) -> type[Session]:
        return Session

    def create_model_instance(self, data: dict[str, Any]) -> Session:
        """The row of this session, with whoever is signed in."""
        session = cast(Session, super().create_model_instance(data))
        session.account_id = int(data[SESSION_KEY]) if SESSION_KEY in data else None
        return session

    def load(self) -> dict[str, Any]:
        """What the session holds; a session that is not there or has expired is empty and loses its key."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT session_data FROM accounts_session WHERE session_key = %s AND expire_date > now()",
                [self.session_key],
            )
            row = cursor.fetchone()
        return self._decoded(row and row[0])

    @property
    def is_read(self) -> bool:
        """Whether it is known what the session holds."""
        return hasattr(self, "_session_cache")

    def take(self, found: str | None) -> None:
        """Hold what the database has under the session's key (None: nothing), read by another statement than ours."""
        self._session_cache = self._decoded(found)

    def _decoded(self, found: str | None) -> dict[str, Any]:
        if found is None:
            self._session_key = None
            return {}
        data: dict[str, Any] = self.decode(found)
        return data
