"""What a browser is told beside Django's own headers: which of its powers no page here needs, and to keep no page."""

from collections.abc import Callable

from django.conf import settings
from django.contrib.messages.storage.cookie import CookieStorage
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse

# Passkeys are the one power that pages use; they stay with our own origin.
_ALLOWED = ("publickey-credentials-get", "publickey-credentials-create")
_DENIED = (
    "accelerometer", "browsing-topics", "camera", "display-capture", "geolocation", "gyroscope", "hid", "magnetometer", "microphone",
    "midi", "payment", "serial", "usb", "xr-spatial-tracking",
)  # fmt: skip
PERMISSIONS_POLICY = ", ".join([*(f"{name}=(self)" for name in _ALLOWED), *(f"{name}=()" for name in _DENIED)])


MOST_BYTES = 5_000_000  # of a request; the longest of ours brings a list as a file (registers.MOST_BYTES)


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
            raise RequestDataTooBig("longer than any request of ours")
        return self.get_response(request)


class MessageStorage(CookieStorage):
    """Django's messages in a cookie of our name."""

    cookie_name = settings.MESSAGES_COOKIE_NAME
