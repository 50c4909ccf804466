"""A form that was sent after the sign-in had ended, or with an old token, is kept: after signing in it is sent again.

Only forms that say whose they are (`{% keepable %}`, a signed field) are kept, for that account alone: nobody else who
signs in on the same machine sees what was typed, and nobody can leave something here from outside. What was typed lies
encrypted in the session.
"""

import json
import time
from typing import Any

from django.core import signing
from django.http import HttpRequest

from quitledger.accounts.keys import KeyMissing, Tampered, keys

FIELD = "kept_for"
_SALT = "quitledger.kept-form"
_SESSION = "kept_form"
_ABOUT = b"kept-form"
_MOST_BYTES = 32_768  # of one form; the longest of ours has a tenth of it
_OLDEST_FORM = 7 * 24 * 60 * 60  # seconds since the page was opened
_LONGEST = 60 * 60  # seconds that it is kept for

Pairs = list[tuple[str, str]]


def whose(account_id: int) -> str:
    """The value of the field that says whose form it is."""
    return signing.dumps(account_id, salt=_SALT)


def owner_of(request: HttpRequest) -> int | None:
    """The account whose form was sent, where the form says so and is not too old or too long."""
    try:
        account: int = signing.loads(request.POST.get(FIELD, ""), salt=_SALT, max_age=_OLDEST_FORM)
    except signing.BadSignature:
        return None
    return account if sum(len(value) for _, value in pairs_of(request)) <= _MOST_BYTES else None


def pairs_of(request: HttpRequest) -> Pairs:
    """What was sent, without the token."""
    return [(name, one) for name, many in request.POST.lists() for one in many if name != "csrfmiddlewaretoken"]


def keep(request: HttpRequest) -> bool:
    """Keep the form that was sent for the account it belongs to; False where it is none that is kept."""
    account = owner_of(request)
    if account is None:
        return False
    kept = {"account": account, "path": request.path, "pairs": pairs_of(request), "until": time.time() + _LONGEST}
    token, key_id = keys().encrypt(json.dumps(kept), about=_ABOUT)
    request.session[_SESSION] = [token.hex(), key_id]
    return True


def take(request: HttpRequest) -> tuple[str, Pairs] | None:
    """The form kept for whoever is signed in: its address and what was sent. It is kept no longer."""
    token, key_id = request.session.pop(_SESSION, ("", ""))
    try:
        kept: dict[str, Any] = json.loads(keys().decrypt(bytes.fromhex(token), key_id, about=_ABOUT))
    except (KeyMissing, Tampered):
        return None
    mine = kept["account"] == request.user.pk and kept["until"] > time.time()
    return (kept["path"], kept["pairs"]) if mine else None
