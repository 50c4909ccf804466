"""How people sign in: django-allauth with our adapters."""

from allauth.account import auth_backends
from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa.adapter import DefaultMFAAdapter
from django.http import HttpRequest

from .keys import keys
from .models import User


class AuthenticationBackend(auth_backends.AuthenticationBackend):
    """allauth's. The account of a session is looked up at every request, so that it is read without the ORM."""

    def get_user(self, user_id: int) -> User | None:
        """The account, unless it was closed."""
        found = User.objects.raw(
            "SELECT id, uid, username, display_name, password, agency_role, is_active, last_login, created_at"
            " FROM accounts_user WHERE id = %s AND is_active",
            [user_id],
        )
        return next(iter(found), None)


class AccountAdapter(DefaultAccountAdapter):
    """Accounts are given by a supervisor or the desk; nobody signs up by himself."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False


class SecondFactorAdapter(DefaultMFAAdapter):
    """Keeps the secrets of authenticator apps and recovery codes encrypted, as identity numbers are."""

    def encrypt(self, text: str) -> str:
        token, key_id = keys().encrypt(text, about=b"second-factor")
        return f"{key_id}:{token.hex()}"

    def decrypt(self, encrypted_text: str) -> str:
        key_id, token = encrypted_text.split(":", 1)
        return keys().decrypt(bytes.fromhex(token), key_id, about=b"second-factor")
