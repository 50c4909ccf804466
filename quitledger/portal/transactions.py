"""One transaction a request, in the scope of whoever is signed in."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, cast
from uuid import uuid4

from django.contrib.messages.storage import default_storage
from django.core.exceptions import BadRequest
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse

from quitledger.accounts.actors import Actor
from quitledger.accounts.permissions import Role
from quitledger.accounts.scope import in_one_snapshot, try_twice
from quitledger.accounts.sessions import SessionStore
from quitledger.accounts.sign_in import ACCOUNT_FIELDS, found_with_session
from quitledger.audit import journal
from quitledger.policy import TAIPEI

SESSION_INSTITUTION = "institution"


@dataclass(frozen=True)
class Desk:
    """What a request stands on: who acts, at which institution, at what moment, in what kind of database."""

    actor: Actor
    moment: datetime
    purpose: str
    shifted: bool
    places: int = 0
    institution_code: str = ""
    institution_name: str = ""

    @property
    def today(self) -> date:
        """Today in Taipei."""
        return self.moment.astimezone(TAIPEI).date()


class Request(HttpRequest):
    """A request inside its transaction: it stands on a desk. What views are given."""

    desk: Desk


_ENTERED = 8  # columns of _DESK
_DESK = "e.moment, e.purpose, e.shifted, e.scope, e.role, e.places, e.institution_code, e.institution_name"
_ENTER = f"SELECT {_DESK} FROM institutions_enter(%s, %s) e"  # noqa: S608 - our own words
# Asked by every page: session, account and scope in one statement.
_ENTER_WITH_SESSION = f"""
SELECT {_DESK}, s.session_data, s.expire_date, {", ".join(f"u.{name}" for name in ACCOUNT_FIELDS)}
FROM (VALUES (%s)) asked (session_key)
LEFT JOIN accounts_session s ON s.session_key = asked.session_key AND s.expire_date > now()
LEFT JOIN accounts_user u ON u.id = s.account_id AND u.is_active
CROSS JOIN LATERAL institutions_enter(u.id, NULL) e
"""  # noqa: S608 - our own words


def enter(account_id: int | None, name: str = "", institution_id: int | None = None) -> Desk:
    """Begin a request: the database sets the scope from the account and its memberships and tells the time."""
    with connection.cursor() as cursor:
        cursor.execute(_ENTER, [account_id, institution_id])
        return _desk(account_id, name, cursor.fetchone())


def enter_for(request: HttpRequest) -> Desk:
    """Begin the request of whoever is signed in, at the institution chosen in the session."""
    session = cast(SessionStore, request.session)
    if session.session_key and not session.is_read:
        with connection.cursor() as cursor:
            cursor.execute(_ENTER_WITH_SESSION, [session.session_key])
            row = cursor.fetchone()
        entered, (data, ends, *account) = row[:_ENTERED], row[_ENTERED:]
        session.take(data, ends)
        with found_with_session(account):
            user = request.user
            desk = _desk(user.pk, getattr(user, "display_name", ""), entered)
        # A session of an older password is nobody's; and whoever works at two places has chosen one.
        if user.pk == account[0] and desk.places < 2:
            return desk
    return enter(request.user.pk, getattr(request.user, "display_name", ""), session.get(SESSION_INSTITUTION))


def _desk(account_id: int | None, name: str, entered: Sequence[Any]) -> Desk:
    moment, purpose, shifted, scope, role, places, code, title = entered
    actor = Actor(account_id=account_id, scope=scope, role=Role(role) if role else None, name=name)
    return Desk(actor, moment, purpose, shifted, places, code or "", title or "")


View = Callable[..., HttpResponse]


def one_snapshot(view: View) -> View:
    """The page's numbers belong together: all its statements see one state of the database."""
    view.in_one_snapshot = True  # type: ignore[attr-defined]
    return view


class TransactionMiddleware:
    """Runs each view in one transaction, sets `request.desk`, and tries once more what the database refused at commit.

    The answer is rendered inside the transaction; an answer of the server's own error rolls it back.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        # Browsers send UTF-8. Python knows encodings that make text which no page and no database can hold.
        if request.encoding and request.encoding.lower() not in ("utf-8", "utf8"):
            raise BadRequest("not in UTF-8")
        token = journal.request_uid.set(uuid4())
        try:
            return self.get_response(request)
        finally:
            journal.request_uid.reset(token)

    def process_view(
        self, request: HttpRequest, view: Callable[..., HttpResponse], args: Any, kwargs: Any
    ) -> HttpResponse:
        """Called by Django in place of the view."""
        try:
            return try_twice(lambda: self._run(request, view, args, kwargs))
        except BaseException:
            request._messages = default_storage(request)  # type: ignore[attr-defined]
            raise

    @staticmethod
    def _run(request: HttpRequest, view: Callable[..., HttpResponse], args: Any, kwargs: Any) -> HttpResponse:
        # What an earlier try meant to tell did not happen: 「已登錄」 is said only of what was committed.
        request._messages = default_storage(request)  # type: ignore[attr-defined]
        begins = not connection.in_atomic_block
        with transaction.atomic():
            if begins and getattr(view, "in_one_snapshot", False):
                in_one_snapshot()
            request.desk = enter_for(request)  # type: ignore[attr-defined]
            response = view(request, *args, **kwargs)
            if hasattr(response, "render") and callable(response.render):
                response = response.render()
            if response.status_code >= 500:
                transaction.set_rollback(True)
        return response
