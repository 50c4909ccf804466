"""The journal of sign-ins and of what changes an account's means to sign in. Heard inside the request's transaction.

A failed sign-in with a name that is nobody's records no name, neither what was typed nor that it was unknown: one
entry without a uid.
"""

from typing import Any

from allauth.account.internal.userkit import get_user_by_username
from allauth.account.signals import password_changed, user_logged_in
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import authentication_failed
from django.contrib.auth.signals import user_logged_out, user_login_failed
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver
from django.http import HttpRequest

from quitledger.accounts.models import User
from quitledger.accounts.services import note_sign_in
from quitledger.audit import journal

SESSION_NOTICES = "notices"  # there are notices to be seen: said on every page until they are


def _record(action: str, user: User | None, *fields: str) -> None:
    journal.record(f"account.{action}", record_type="account", uids=[user.uid] if user else [], fields=fields)


@receiver(user_logged_in)
def signed_in(request: HttpRequest, user: User, **kwargs: Any) -> None:
    """Every step of the sign-in was passed."""
    if note_sign_in(user):
        request.session[SESSION_NOTICES] = True
    _record("sign_in", user)


@receiver(user_logged_out)
def signed_out(user: User | None, **kwargs: Any) -> None:
    """The person left. (A session that just ends leaves no entry.)"""
    if user is not None:
        _record("sign_out", user)


@receiver(user_login_failed)
def refused_password(credentials: dict[str, Any], **kwargs: Any) -> None:
    """A wrong password, at sign-in or when it was asked for once more."""
    _record("sign_in_refused", get_user_by_username(credentials.get("username", "")), "password")


@receiver(authentication_failed)
def refused_code(user: User, **kwargs: Any) -> None:
    """A wrong code."""
    _record("sign_in_refused", user, "code")


@receiver(password_changed)
def changed_password(user: User, **kwargs: Any) -> None:
    """The person changed the password."""
    _record("password_change", user, "password")


# allauth's own signals come after the commit, too late for an entry that must stand or fall with the change.
@receiver(post_save, sender=Authenticator)
def added_factor(instance: Authenticator, created: bool, **kwargs: Any) -> None:
    """An authenticator app, a passkey or recovery codes were added. (Later saves note its use or its name.)"""
    if created:
        _record("second_factor_add", instance.user, instance.type)


@receiver(post_delete, sender=Authenticator)
def removed_factor(instance: Authenticator, **kwargs: Any) -> None:
    """One of them was removed, by itself or to be replaced."""
    _record("second_factor_remove", instance.user, instance.type)
