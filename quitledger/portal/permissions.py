"""Who may open a page. Every view says so with one of three decorators and carries the answer as `view.needs`."""

from collections.abc import Callable
from enum import StrEnum
from functools import wraps
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse

from quitledger.accounts.permissions import Permission

from .refusals import signed_out

View = Callable[..., HttpResponse]


class Access(StrEnum):
    """What a page needs where it is no permission."""

    PUBLIC = "public"
    SIGNED_IN = "signed_in"


def public(view: View) -> View:
    """Anybody may open the page."""
    view.needs = Access.PUBLIC  # type: ignore[attr-defined]
    return view


def signed_in(view: View) -> View:
    """Whoever is signed in may open the page, in whatever role, with or without a place."""
    return _checked(view, Access.SIGNED_IN)


def needs(permission: Permission) -> Callable[[View], View]:
    """Only a role that carries `permission` may open the page. Others get 403; nobody signed in: the sign-in page."""
    return lambda view: _checked(view, permission)


def _checked(view: View, what: Permission | Access) -> View:
    @wraps(view)
    def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        actor = request.desk.actor  # type: ignore[attr-defined]
        if actor.account_id is None:
            # What was sent cannot be kept over a sign-in: say so instead of dropping it in silence.
            safe = request.method in ("GET", "HEAD")
            return redirect_to_login(request.get_full_path()) if safe else signed_out(request)
        if isinstance(what, Permission) and not actor.may(what):
            raise PermissionDenied(what)
        return view(request, *args, **kwargs)

    checked.needs = what  # type: ignore[attr-defined]
    return checked
