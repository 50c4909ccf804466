"""How people sign in: django-allauth with our adapters."""

from allauth.account import auth_backends
from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa.adapter import DefaultMFAAdapter
from django.db import connection
from django.http import HttpRequest

from .keys import keys
from .models import User

_FIELDS = [field.attname for field in User._meta.concrete_fields]


class AuthenticationBackend(auth_backends.AuthenticationBackend):
    """allauth's. The account of a session is looked up at every request, so that it is read without the ORM."""

    def get_user(self, user_id: int) -> User | None:
        """The account, unless it was closed."""
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT {', '.join(_FIELDS)} FROM accounts_user WHERE id = %s AND is_active",  # noqa: S608 - our words
                [user_id],
            )
            row = cursor.fetchone()
        return User.from_db(None, _FIELDS, row) if row else None


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
