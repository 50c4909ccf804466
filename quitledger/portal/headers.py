"""What a browser is told beside Django's own headers: which of its powers no page here needs, and to keep no page."""

import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.messages.storage.cookie import CookieStorage
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.urls import Resolver404, resolve

from . import refusals

# Passkeys are the one power that pages use; they stay with our own origin.
_ALLOWED = ("publickey-credentials-get", "publickey-credentials-create")
_DENIED = (
    "accelerometer", "browsing-topics", "camera", "display-capture", "geolocation", "gyroscope", "hid", "magnetometer", "microphone",
    "midi", "payment", "serial", "usb", "xr-spatial-tracking",
)  # fmt: skip
PERMISSIONS_POLICY = ", ".join([*(f"{name}=(self)" for name in _ALLOWED), *(f"{name}=()" for name in _DENIED)])


MOST_BYTES = 5_000_000  # of a request; the longest of most brings a list as a file (registers.MOST_BYTES)

_LONGEST_SENDING = 10.0  # seconds that one who sends too much is listened to
_PIECE = 65_536  # bytes

View = Callable[..., HttpResponse]


def takes_files(most_bytes: int) -> Callable[[View], View]:
    """The outermost decorator of a view whose requests may be longer than others, and which says so when one is too long."""

    def marked(view: View) -> View:
        view.most_bytes = most_bytes  # type: ignore[attr-defined]
        return view

    return marked


class HeadersMiddleware:
    """Adds to every answer what browsers are told."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response["Permissions-Policy"] = PERMISSIONS_POLICY
        response["Cross-Origin-Resource-Policy"] = "same-origin"
        # Pages name people, and the computer of a counter has many users. (Static files are not answered here.)
        if "no-store" not in response.get("Cache-Control", ""):
            response["Cache-Control"] = "no-store"
        return response


class LengthMiddleware:
    """Refuses a request that says that it is longer than any of ours, before it is read or written to a disk."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        # Of a request that does not say how long it is, nothing is read (PEP 3333).
        length = request.META.get("CONTENT_LENGTH") or "0"
        if not length.isdecimal() or int(length) > MOST_BYTES:
            most = _most_bytes(request) if length.isdecimal() else None
            if most is None:
                raise RequestDataTooBig("longer than any request of ours")
            if int(length) > most:
                _let_finish(request)
                return refusals.too_large(request, most)
        return self.get_response(request)


def _let_finish(request: HttpRequest) -> None:
    """Hear a browser out, keeping nothing: one that is cut off while it sends shows no answer, but a broken connection."""
    until = time.monotonic() + _LONGEST_SENDING
    while time.monotonic() < until and request.read(_PIECE):
        pass


def _most_bytes(request: HttpRequest) -> int | None:
    """How long a request to this address may be, where it takes files."""
    try:
        view: Any = resolve(request.path_info).func
    except Resolver404:
        return None
    return getattr(view, "most_bytes", None)


class MessageStorage(CookieStorage):
    """Django's messages in a cookie of our name."""

    cookie_name = settings.MESSAGES_COOKIE_NAME
