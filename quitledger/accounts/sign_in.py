"""How people sign in: django-allauth with our adapters; and how they prove who they are at a command."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from allauth.account import app_settings, auth_backends
from allauth.account.adapter import DefaultAccountAdapter
from allauth.core.internal.ratelimit import Rate, get_cache_key, parse_rates
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from django.core.cache import cache
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.http import HttpRequest

from quitledger.audit import journal
from quitledger.policy.problem import Problem, Refused
from quitledger.policy.sentences import Sentence

from .actors import AGENCY, SYSTEM, Actor
from .keys import keys
from .models import User
from .permissions import Permission, Role
from .scope import scoped

ACCOUNT_FIELDS = [field.attname for field in User._meta.concrete_fields]
_found: ContextVar[User | None] = ContextVar("found_account", default=None)


@contextmanager
def found_with_session(row: Sequence[Any]) -> Iterator[None]:
    """Within it, the session's account is the one of this row of ACCOUNT_FIELDS (all None: a closed one, or none)."""
    token = _found.set(User.from_db(None, ACCOUNT_FIELDS, row) if row[0] is not None else None)
    try:
        yield
    finally:
        _found.reset(token)


class AuthenticationBackend(auth_backends.AuthenticationBackend):
    """allauth's. The account of a session is looked up at every request, so that it is read without the ORM."""

    def get_user(self, user_id: int) -> User | None:
        """The account, unless it was closed."""
        found = _found.get()
        if found is not None and found.pk == user_id:
            return found
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT {', '.join(ACCOUNT_FIELDS)} FROM accounts_user WHERE id = %s AND is_active",  # noqa: S608 - our words
                [user_id],
            )
            row = cursor.fetchone()
        return User.from_db(None, ACCOUNT_FIELDS, row) if row else None


class AccountAdapter(DefaultAccountAdapter):
    """Accounts are given by a supervisor or the desk; nobody signs up by himself."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def get_client_ip(self, request: HttpRequest) -> str:
        """Where a request came from. What passed fewer proxies than there are (QUITLEDGER_PROXIES) came from its sender."""
        try:
            address: str = super().get_client_ip(request)
        except ImproperlyConfigured:
            address = request.META["REMOTE_ADDR"]
        return address

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        # allauth's own names the host as well, which whoever asks may write with any port.
        return tries_key(credentials.get("username", ""))


class SecondFactorAdapter(DefaultMFAAdapter):
    """Keeps the secrets of authenticator apps and recovery codes encrypted, as identity numbers are."""

    def encrypt(self, text: str) -> str:
        token, key_id = keys().encrypt(text, about=b"second-factor")
        return f"{key_id}:{token.hex()}"

    def decrypt(self, encrypted_text: str) -> str:
        key_id, token = encrypted_text.split(":", 1)
        return keys().decrypt(bytes.fromhex(token), key_id, about=b"second-factor")


# --- Who sits at a command -------------------------------------------------------------------------------------------


def asks_second_factor(username: str) -> bool:
    """Whether an account has a second factor, so that its password alone proves nothing. As the owner."""
    return Authenticator.objects.filter(user__username__iexact=username.strip()).exists()


def proved_account(*, username: str, password: str, code: str, permission: Permission) -> Actor:
    """The account as it acts at the agency, for a command that needs a person. As the owner, outside a transaction.

    Proved by its password and, where it has a second factor, by a `code` of its authenticator app or a recovery code, which
    is used up by that. A try that failed is journaled. Raises Refused: in one sentence whatever was wrong, or where the
    role does not carry the permission.
    """
    with scoped(SYSTEM):
        user = User.objects.filter(username__iexact=username.strip(), is_active=True).first()
        if user is None or not user.check_password(password) or not _passes_second_factor(user, code):
            journal.record("account.sign_in_refused", record_type="account", uids=[user.uid] if user else [])
            user = None
    if user is None:
        raise Refused([Problem("account-not-proved", "帳號、密碼或第二步驗證不正確。")])
    actor = Actor(user.pk, AGENCY, Role(user.agency_role) if user.agency_role else None, user.display_name)
    if not actor.may(permission):
        message = Sentence("帳號 {username} 的角色不能做這件事。", username=user.username)
        raise Refused([Problem("account-not-permitted", message)])
    return actor


def _passes_second_factor(user: User, code: str) -> bool:
    factors = Authenticator.objects.filter(user=user)
    kinds = {Authenticator.Type.TOTP: TOTP, Authenticator.Type.RECOVERY_CODES: RecoveryCodes}
    return not factors or any(
        kinds[factor.type](factor).validate_code(code) for factor in factors if factor.type in kinds
    )


# --- Tries that failed -----------------------------------------------------------------------------------------------

CODE_TRIES = "one_time_code"  # the action, in ACCOUNT_RATE_LIMITS, under which tries of one-time codes are counted


def tries_key(username: str) -> str:
    """By what the tries of an account are counted, however its name is written; a name that is nobody's by itself."""
    account = User.objects.filter(username__iexact=username.strip()).values_list("pk", flat=True).first()
    return f"account:{account}" if account else f"name:{username.strip().lower()}"


def counters_of(user: User) -> dict[str, Rate]:
    """Where the failed tries of one account are counted, and how many are too many: password, second factor, code.

    (The key of second factors is that of allauth's mfa flows.)
    """
    counted = [
        ("login_failed", f"account:{user.pk}"),
        ("login_failed", f"mfa-auth-user-{user.pk}"),
        (CODE_TRIES, f"account:{user.pk}"),
    ]
    return {
        get_cache_key(None, app="allauth.account", action=action, rate=rate, key=key): rate
        for action, key in counted
        for rate in parse_rates(app_settings.RATE_LIMITS[action])
        if rate.per == "key"
    }


def is_slowed_down(user: User) -> bool:
    """Whether so many tries of an account failed that it has to wait."""
    counters, now = counters_of(user), time.time()
    return any(
        sum(at > now - counters[counter].duration for at in tries) >= counters[counter].amount
        for counter, tries in cache.get_many(list(counters)).items()
    )
