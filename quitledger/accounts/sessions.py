"""Sessions in the database, as Django keeps them. Every request reads one, so that it is read without the ORM.

A session ends when it was not used for SESSION_COOKIE_AGE, and SESSION_LONGEST after the sign-in however much it was used.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends import db
from django.db import connection

from .models import Session, User

_BEGAN = "began"  # in what a session holds: when somebody signed in, in seconds since 1970
_NOTED_EVERY = timedelta(minutes=5)  # use is noted at most so often: a page that is read should not write each time


def _end(data: dict[str, Any]) -> datetime:
    """When a session that is used now will end."""
    idle = datetime.now(UTC) + timedelta(seconds=settings.SESSION_COOKIE_AGE)
    if _BEGAN not in data:
        return idle
    return min(idle, datetime.fromtimestamp(data[_BEGAN] + settings.SESSION_LONGEST, UTC))


class SessionStore(db.SessionStore):
    """Django's, with a cheaper look-up, the account in a column, and an end of its own."""

    @classmethod
    def get_model_class(cls) -> type[Session]:
        return Session

    def create_model_instance(self, data: dict[str, Any]) -> Session:
        """The row of this session, with whoever is signed in."""
        if SESSION_KEY in data:
            data.setdefault(_BEGAN, time.time())
        session = cast(Session, super().create_model_instance(data))
        session.account_id = int(data[SESSION_KEY]) if SESSION_KEY in data else None
        session.expire_date = _end(data)
        return session

    def load(self) -> dict[str, Any]:
        """What the session holds; a session that is not there or has expired is empty and loses its key."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT session_data, expire_date FROM accounts_session WHERE session_key = %s AND expire_date > now()",
                [self.session_key],
            )
            row = cursor.fetchone()
        return self._used(*(row or (None, None)))

    @property
    def is_read(self) -> bool:
        """Whether it is known what the session holds."""
        return hasattr(self, "_session_cache")

    def take(self, found: str | None, ends: datetime | None) -> None:
        """Hold what the database has under the session's key (None: nothing), read by another statement than ours."""
        self._session_cache = self._used(found, ends)

    def _used(self, found: str | None, ends: datetime | None) -> dict[str, Any]:
        """What a session holds that is used now, and note that it is."""
        if found is None or ends is None:
            self._session_key = None
            return {}
        data: dict[str, Any] = self.decode(found)
        if (end := _end(data)) - ends > _NOTED_EVERY:
            with connection.cursor() as cursor:
                cursor.execute(
                    "UPDATE accounts_session SET expire_date = %s WHERE session_key = %s", [end, self.session_key]
                )
        return data


@dataclass(frozen=True)
class SignIn:
    """A sign-in that goes on: when it began, when it was last used (to five minutes; in its last hour: at least), and whether it is this one."""

    began: datetime
    used: datetime
    here: bool


def sign_ins_of(user: User, here: str | None) -> list[SignIn]:
    """Where an account is signed in, this session (by its key) first, then the one used last."""
    found = []
    for session in Session.objects.filter(account=user, expire_date__gt=datetime.now(UTC)):
        began = SessionStore().decode(session.session_data).get(_BEGAN)
        if began is None:  # what it holds was signed with another key: it signs nobody in
            continue
        used = session.expire_date - timedelta(seconds=settings.SESSION_COOKIE_AGE)
        at = datetime.fromtimestamp(began, UTC)
        found.append(SignIn(at, max(used, at), session.session_key == here))
    return sorted(found, key=lambda one: (not one.here, -one.used.timestamp()))
