"""What a browser is told beside Django's own headers: which of its powers no page here needs."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

# Passkeys are the one power that pages use; they stay with our own origin.
_ALLOWED = ("publickey-credentials-get", "publickey-credentials-create")
_DENIED = (
    "accelerometer", "browsing-topics", "camera", "display-capture", "geolocation", "gyroscope", "hid", "magnetometer", "microphone",
    "midi", "payment", "serial", "usb", "xr-spatial-tracking",
)  # fmt: skip
PERMISSIONS_POLICY = ", ".join([*(f"{name}=(self)" for name in _ALLOWED), *(f"{name}=()" for name in _DENIED)])


class HeadersMiddleware:
    """Adds Permissions-Policy to every answer."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response["Permissions-Policy"] = PERMISSIONS_POLICY
        return response
