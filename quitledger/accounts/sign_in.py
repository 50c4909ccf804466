"""How people sign in: django-allauth with our adapters."""

from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa.adapter import DefaultMFAAdapter
from django.http import HttpRequest

from .keys import keys


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
