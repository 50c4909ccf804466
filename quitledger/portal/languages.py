"""Chinese and English pages. Chinese unless the reader chose otherwise: offices of Taiwan have English browsers.

The catalogue (locale/en, made by `make messages`) is asked for our texts by their Chinese. Texts of the rooms below
(policy.sentences) say themselves in templates through `say`, which a request in English sets; where a text becomes part
of another one, `said` says it at once. Days and moments are written in ISO form in English.
"""

from collections.abc import Callable
from datetime import date, datetime, time
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import translation
from django.utils.functional import Promise
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from quitledger.policy import format_closing, format_roc, format_roc_month, format_roc_weekday, format_roc_year
from quitledger.policy.roc_formats import said_clock
from quitledger.policy.sentences import Month, Sentence, Several, Text, Value, Year, in_chinese, speaker

from .permissions import public

COOKIE = settings.LANGUAGE_COOKIE_NAME
ENGLISH = "en"
_YEAR = 365 * 24 * 60 * 60  # seconds


def is_english() -> bool:
    """Whether the page being made is an English one."""
    return speaker.get() is not None


def said(text: Any) -> str:
    """A text of ours (a plain or a lazy one, too), a day or a month in the language of the page; no data."""
    if isinstance(text, Promise) or text is None:
        return str(text or "")
    if not is_english():
        return str(in_chinese(text))
    return say(text) if isinstance(text, Text) or not isinstance(text, str) else gettext(text)


def say(value: Value) -> str:
    """A value of a sentence in English. A plain str is data and stays as it is."""
    if isinstance(value, Sentence):
        return value.said(gettext(value.template), say)
    if isinstance(value, Several):
        return (", " if value.separator == "、" else "; ").join(map(say, value.parts))
    if isinstance(value, Text):
        return gettext(str(value))
    if isinstance(value, Month):
        return f"{value.day:%Y-%m}"
    if isinstance(value, Year):
        return str(value.number)
    if isinstance(value, datetime):
        day, clock = said_clock(value)
        return f"{day} {clock}"
    if isinstance(value, date):
        return str(value)
    return f"{value:%H:%M}" if isinstance(value, time) else str(value)


def day_said(day: date) -> str:
    """114/04/01 or 2025-04-01."""
    return str(day) if is_english() else format_roc(day)


def weekday_said(day: date) -> str:
    """114/04/01（二） or Tue 2025-04-01."""
    return f"{day:%a} {day}" if is_english() else format_roc_weekday(day)


def month_said(day: date) -> str:
    """114 年 4 月 or 2025-04."""
    return f"{day:%Y-%m}" if is_english() else format_roc_month(day)


def year_said(year: int) -> str:
    """114 or 2025."""
    return str(year) if is_english() else format_roc_year(year)


def moment_said(at: datetime) -> str:
    """114/03/20 24:00 or 2025-03-20 24:00."""
    return say(at) if is_english() else format_closing(at)


class LanguageMiddleware:
    """Makes the pages of a request in the language of its cookie."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.COOKIES.get(COOKIE) != ENGLISH:
            return self.get_response(request)
        token = speaker.set(say)
        try:
            with translation.override(ENGLISH):
                return self.get_response(request)
        finally:
            speaker.reset(token)


@public
@require_POST
def switch_language(request: HttpRequest) -> HttpResponse:
    """From now on in the other language; back to the page where that was chosen."""
    back = request.POST.get("next", "")
    safe = back.startswith("/") and url_has_allowed_host_and_scheme(back, {request.get_host()}, request.is_secure())
    answer = redirect(back if safe else "home")
    if request.POST.get("language") == ENGLISH:
        answer.set_cookie(COOKIE, ENGLISH, max_age=_YEAR, samesite="Lax", secure=request.is_secure(), httponly=True)
    else:
        answer.delete_cookie(COOKIE, samesite="Lax")
    return answer
