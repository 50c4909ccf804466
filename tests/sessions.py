"""Being signed in without the page of it."""

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY

from quitledger.accounts.models import User
from quitledger.accounts.sessions import SessionStore


def signed_in(user: User) -> str:
    """The session cookie of an account that is signed in by its password: the row that signing in leaves."""
    store = SessionStore()
    store[SESSION_KEY] = str(user.pk)
    store[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    store[HASH_SESSION_KEY] = user.get_session_auth_hash()
    store.create()
    assert store.session_key
    return store.session_key
