"""What is said where too many ask at once: made ready at the start, said without database, session or template.

The form that was sent stands in the answer, to be sent again by a button; with JavaScript it is sent again by itself.
"""

import json
import re
from collections.abc import Callable
from html import escape
from io import BytesIO
from typing import Any
from urllib.parse import parse_qsl

from csp.middleware import CSPMiddleware
from django.http import HttpRequest, HttpResponse
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.security import SecurityMiddleware
from django.template.loader import get_template
from django.utils import translation
from django.utils.translation import gettext as _

from .headers import HeadersMiddleware
from .languages import COOKIE, ENGLISH

RETRY_AFTER = 10  # seconds
STATUS = "429 Too Many Requests"
_FORM = "application/x-www-form-urlencoded"
_TYPED = "<!--typed-->"  # where the fields of the form come
# Passwords and codes are sent to these: they are typed again, not put into a page.
_SECRET = ("/accounts/", "/invitation")
_IN_ENGLISH = re.compile(rf"(?:^|;\s*){COOKIE}={ENGLISH}(?:;|$)")

Answer = tuple[str, list[tuple[str, str]], bytes]


def refusal() -> Callable[[dict[str, Any]], Answer]:
    """The function that answers a request (its WSGI environment) with status, headers and body."""
    pages = {
        (english, again): _page(english, again).split(_TYPED)
        for english in (False, True)
        for again in ("get", "post", "")
    }
    texts = {english: _json(english) for english in (False, True)}
    of_page, of_json = _headers("text/html; charset=utf-8"), _headers("application/json")

    def answer(environ: dict[str, Any]) -> Answer:
        english = bool(_IN_ENGLISH.search(environ.get("HTTP_COOKIE", "")))
        if environ["PATH_INFO"].endswith(".json"):
            return STATUS, of_json, texts[english]
        again, typed = _typed(environ)
        return STATUS, of_page, _fields(typed).join(pages[english, again]).encode()

    return answer


def _typed(environ: dict[str, Any]) -> tuple[str, str]:
    """How the same is asked again (get, post, or not by a button), and what was typed, as it was sent."""
    if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
        return "get", environ.get("QUERY_STRING", "")
    body = environ["wsgi.input"]
    readable = environ.get("CONTENT_TYPE", "").startswith(_FORM) and isinstance(body, BytesIO)
    if not readable or environ["PATH_INFO"].startswith(_SECRET):
        return "", ""
    return "post", body.getvalue().decode(errors="replace")


def _fields(typed: str) -> str:
    pairs = parse_qsl(typed, keep_blank_values=True)
    return "".join(f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">' for name, value in pairs)


def _page(english: bool, again: str) -> str:
    with translation.override(ENGLISH if english else None):
        context = {"english": english, "again": again, "seconds": RETRY_AFTER, "typed": _TYPED}
        return get_template("busy.html").render(context)


def _json(english: bool) -> bytes:
    with translation.override(ENGLISH if english else None):
        words = _("同時使用的人太多，請稍後再試。").strip()
    return json.dumps({"error": words, "retry_after": RETRY_AFTER}, ensure_ascii=False).encode()


def _headers(content_type: str) -> list[tuple[str, str]]:
    """What every other page tells the browser, too, by the middleware that writes it."""
    request = HttpRequest()
    request.META["HTTP_X_FORWARDED_PROTO"] = "https"  # believed only where the site is served over https
    answer: Any = lambda request: HttpResponse(content_type=content_type)  # noqa: E731
    for middleware in (XFrameOptionsMiddleware, HeadersMiddleware, CSPMiddleware, SecurityMiddleware):
        answer = middleware(answer)
    response: HttpResponse = answer(request)
    response["Cache-Control"] = "no-store"
    response["Retry-After"] = str(RETRY_AFTER)
    response["Vary"] = "Cookie"
    return list(response.items())
