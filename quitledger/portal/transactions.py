"""One transaction a request, in the scope of whoever is signed in."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import uuid4

from django.contrib.messages.storage import default_storage
from django.core.exceptions import BadRequest
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse

from quitledger.accounts.actors import Actor
from quitledger.accounts.permissions import Role
from quitledger.accounts.scope import try_twice
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


def enter(account_id: int | None, name: str = "", institution_id: int | None = None) -> Desk:
    """Begin a request: the database sets the scope from the account and its memberships and tells the time."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT moment, purpose, shifted, scope, role, places, institution_code, institution_name"
            " FROM institutions_enter(%s, %s)",
            [account_id, institution_id],
        )
        moment, purpose, shifted, scope, role, places, code, title = cursor.fetchone()
    actor = Actor(account_id=account_id, scope=scope, role=Role(role) if role else None, name=name)
    return Desk(actor, moment, purpose, shifted, places, code or "", title or "")


def enter_for(request: HttpRequest) -> Desk:
    """Begin the request of whoever is signed in, at the institution chosen in the session."""
    user = request.user
    return enter(user.pk, getattr(user, "display_name", ""), request.session.get(SESSION_INSTITUTION))


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
        with transaction.atomic():
            request.desk = enter_for(request)  # type: ignore[attr-defined]
            response = view(request, *args, **kwargs)
            if hasattr(response, "render") and callable(response.render):
                response = response.render()
            if response.status_code >= 500:
                transaction.set_rollback(True)
        return response
