"""What the site answers when it cannot do what was asked: always in words, with the next step, never with a loss.

These views also run where no transaction was begun (unknown address, expired form). They then ask the database for the
desk, so that the strip of a demo database and the way on are there; where it does not answer, they do without.

Each refusal is one line of the log: status, account by its number, page by its name. Never an address or what was typed.
"""

import logging
import sys
from contextlib import suppress
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from allauth.account import app_settings as sign_in_settings
from allauth.core.internal.ratelimit import parse_rates
from allauth.mfa import app_settings as second_factor_settings
from django.contrib.sessions.exceptions import SessionInterrupted
from django.db import DatabaseError, IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import get_template

from .kept_forms import keep, owner_of, pairs_of
from .transactions import enter_for

log = logging.getLogger("quitledger.security")


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """400: the browser sent something no page of ours sends.

    Where another form, sent at the same moment, changed or ended the session (a second click on 登入), what was asked was
    done, but its answer belongs to a session that is no more: on to the first page, or to the sign-in.
    """
    if isinstance(exception, SessionInterrupted):
        return redirect("home")
    return _refusal(request, HTTPStatus.BAD_REQUEST, "400.html")


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """403: the role does not carry the permission."""
    return _refusal(request, HTTPStatus.FORBIDDEN, "403.html")


def signed_out(request: HttpRequest) -> HttpResponse:
    """403: a form was sent after the sign-in had ended. Where it is one that is kept, it goes on after signing in."""
    return _refusal(request, HTTPStatus.FORBIDDEN, "signed_out.html", kept=keep(request))


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """403: the form is older than the sign-in it was opened with (or came from elsewhere). Nothing was recorded.

    A form that says whose it is can only have come from a page of ours: it is shown again, ready to be sent.
    """
    account = owner_of(request)
    if account is not None and account == request.user.pk:
        context = {"path": request.path, "pairs": pairs_of(request)}
        return _refusal(request, HTTPStatus.FORBIDDEN, "kept_form.html", **context)
    if account is not None and keep(request):
        return _refusal(request, HTTPStatus.FORBIDDEN, "signed_out.html", kept=True)
    return _refusal(request, HTTPStatus.FORBIDDEN, "csrf_failure.html")


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """404: no such page, or a record that this institution does not have."""
    return _refusal(request, HTTPStatus.NOT_FOUND, "404.html")


def conflict(request: HttpRequest) -> HttpResponse:
    """409: somebody else changed the same record a moment ago. Nothing was recorded, nothing was lost."""
    return _refusal(request, HTTPStatus.CONFLICT, "409.html")


def too_large(request: HttpRequest, most_bytes: int) -> HttpResponse:
    """413: a file that is longer than any that is taken, refused before it was read. `most_bytes` of the request."""
    megabytes = most_bytes // 1_048_576
    return _refusal(request, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "413.html", megabytes=megabytes, path=request.path)


def too_many(request: HttpRequest) -> HttpResponse:
    """429: too many tries. Says how long to wait; nobody is locked out for good."""
    wait = longest_wait()
    answer = _refusal(request, HTTPStatus.TOO_MANY_REQUESTS, "429.html", minutes=minutes(wait))
    answer["Retry-After"] = str(int(wait.total_seconds()))
    return answer


def server_error(request: HttpRequest) -> HttpResponse:
    """500, from a template that needs neither database nor request; 409 where the database refused what two tries wrote."""
    if isinstance(sys.exception(), IntegrityError):
        return conflict(request)
    return HttpResponse(get_template("500.html").render(), status=HTTPStatus.INTERNAL_SERVER_ERROR)


def note_refusal(request: HttpRequest, status: int) -> None:
    """Tell the log who was refused what. A page that is not there is no refusal; a record that others have looks like one."""
    page, user = request.resolver_match, getattr(request, "user", None)
    if page is not None or status != HTTPStatus.NOT_FOUND:
        name = page.url_name if page else "-"
        log.warning("refused %d %s page=%s account=%s", status, request.method, name, getattr(user, "pk", None) or "-")


def _refusal(request: HttpRequest, status: HTTPStatus, template: str, **context: Any) -> HttpResponse:
    note_refusal(request, status)
    if not hasattr(request, "desk") and hasattr(request, "user"):
        with suppress(DatabaseError), transaction.atomic():
            request.desk = enter_for(request)  # type: ignore[attr-defined]
    return render(request, template, context, status=status)


def longest_wait() -> timedelta:
    """After this time every counter of tries has room again."""
    limits = [*sign_in_settings.RATE_LIMITS.values(), *second_factor_settings.RATE_LIMITS.values()]
    return timedelta(seconds=max(rate.duration for limit in limits for rate in parse_rates(limit)))


def minutes(wait: timedelta) -> int:
    """Whole minutes, rounded up."""
    return -(-wait // timedelta(minutes=1))
