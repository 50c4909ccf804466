"""Who may open a page. Every view says so with one of four decorators and carries the answer as `view.needs`."""

from collections.abc import Callable
from enum import StrEnum
from functools import wraps
from typing import Any

from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from quitledger.accounts.permissions import Permission

from .refusals import signed_out

View = Callable[..., HttpResponse]
_SECOND_FACTORS = ["totp", "webauthn"]


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


def signed_in_so_far(view: View) -> View:
    """As `signed_in`; also whoever has no second factor yet where one is demanded: here it is set up."""
    return _checked(view, Access.SIGNED_IN, second_factor=False)


def needs(permission: Permission) -> Callable[[View], View]:
    """Only a role that carries `permission` may open the page. Others get 403; nobody signed in: the sign-in page."""
    return lambda view: _checked(view, permission)


def _checked(view: View, what: Permission | Access, *, second_factor: bool = True) -> View:
    @wraps(view)
    def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        actor = request.desk.actor  # type: ignore[attr-defined]
        if actor.account_id is None:
            # What was sent cannot be kept over a sign-in: say so instead of dropping it in silence.
            safe = request.method in ("GET", "HEAD")
            return redirect_to_login(request.get_full_path()) if safe else signed_out(request)
        if second_factor and settings.SECOND_FACTOR_DEMANDED and not is_mfa_enabled(request.user, _SECOND_FACTORS):
            messages.warning(request, _("這個系統要求登入的第二步。請先啟用驗證器 App 或新增密碼金鑰，再繼續。"))
            return redirect("mfa_index")
        if isinstance(what, Permission) and not actor.may(what):
            raise PermissionDenied(what)
        return view(request, *args, **kwargs)

    checked.needs = what  # type: ignore[attr-defined]
    return checked
