"""Every form of the site, filled in as is right: sent without being asked for, twice, twice at once, by nobody."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.cookies import SimpleCookie
from threading import Barrier
from typing import Any

import psycopg
import pytest
from django.db import connections
from django.urls import reverse

from quitledger.portal.permissions import Access

from ..conftest import Database, connect_django
from .conftest import Browser
from .filled_forms import ALWAYS, FORMS
from .test_url_walk import TABLE

NOT_SENT = {
    "home",
    "policy_list",
    "policy_show",
    "help_connection",
    "favicon",
    "healthz",
}  # take no form, whatever they answer


def taking_a_form() -> set[str]:
    """The addresses that answer a POST with something else than 405."""
    return {name for name, (_needs, _arguments, _get, post) in TABLE.items() if post != {405}} - NOT_SENT


def test_every_address_that_takes_a_form_has_one_filled_in() -> None:
    assert taking_a_form() == set(FORMS)


class Arena:
    """A database of all forms: what is in it, by table."""

    def __init__(self, database: Database) -> None:
        self.url = database.app_url
        self.owner: psycopg.Connection = database.owner()
        self.tables = [name for (name,) in self.owner.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
            " AND NOT relispartition AND relname NOT LIKE 'procrastinate%' ORDER BY relname"
        )]  # fmt: skip

    def enter(self) -> None:
        """Django's connections go here from now on."""
        if connections.settings["default"]["NAME"] != self.url.rpartition("/")[2]:
            connect_django(self.url)

    def rows(self) -> Counter[str]:
        """How many rows every table has."""
        counts = " UNION ALL ".join(f"SELECT '{table}', count(*) FROM {table}" for table in self.tables)
        return Counter(dict(self.owner.execute(counts).fetchall()))

    def grown(self, before: Counter[str], *, but: set[str] = frozenset()) -> dict[str, int]:  # type: ignore[assignment]
        """By how many rows which tables have grown since, those in `but` left out."""
        now = self.rows()
        return {name: now[name] - before[name] for name in now if now[name] != before[name] and name not in but}


def an_arena(database: Database) -> Iterator[Arena]:
    connect_django(database.app_url)
    arena = Arena(database)
    yield arena
    arena.owner.close()
    database.drop()


@pytest.fixture(scope="module")
def one_by_one(another: Callable[[], Database]) -> Iterator[Arena]:
    yield from an_arena(another())


@pytest.fixture(scope="module")
def at_once(another: Callable[[], Database]) -> Iterator[Arena]:
    yield from an_arena(another())


def given(name: str, browser: Browser) -> tuple[str, dict[str, Any]]:
    """What must be there for the form; its address and its fields."""
    arguments, fields = FORMS[name].given(browser)
    return reverse(name, kwargs=arguments), fields


def token_of(browser: Browser) -> str:
    """The token of the pages that a browser sees now."""
    browser.get("/policies/visit_spacing_days")
    return str(browser.cookies["csrftoken"].value)


def in_words(answer: Any) -> None:
    """A page in Chinese, where a page is answered."""
    assert answer.status_code < 500
    if answer["Content-Type"].startswith("text/html") and answer.status_code not in (301, 302):
        assert re.search(r'<html lang="(zh-Hant-TW|en)">', answer.text)
        assert re.search("<h1[^>]*>[^<]+</h1>", answer.text)


@pytest.mark.parametrize("name", FORMS)
def test_a_form_with_no_old_or_anothers_token_writes_nothing_and_sent_twice_it_is_sent_once(
    name: str, one_by_one: Arena
) -> None:
    one_by_one.enter()
    form, browser = FORMS[name], Browser(FORMS[name].username, raise_request_exception=False)
    url, fields = given(name, browser)
    old = token_of(Browser())
    browser.handler.enforce_csrf_checks = True
    right = token_of(browser)
    before = one_by_one.rows()

    for token in (None, "", "x" * 64, old, right[:-1]):
        answer = browser.send(url, fields if token is None else fields | {"csrfmiddlewaretoken": token})
        assert answer.status_code == 403
        assert "沒有存入" in answer.text
        assert '<html lang="zh-Hant-TW">' in answer.text
    answer = browser.send(url, fields | {"csrfmiddlewaretoken": right}, headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403
    if TABLE[name][0] is not Access.PUBLIC:
        answer = Browser().send(url, fields)
        assert answer.status_code == 403
        assert "這次送出的內容沒有存入" in answer.text
    assert one_by_one.grown(before) == {}, "not even an entry of the journal"

    answer = browser.send(url, fields | {"csrfmiddlewaretoken": right})
    in_words(answer)
    first = one_by_one.grown(before)
    assert (answer.status_code, {table: first.get(table, 0) for table in form.makes}) == (form.first, form.makes)
    before = one_by_one.rows()
    answer = browser.send(url, fields | {"csrfmiddlewaretoken": token_of(browser)})
    in_words(answer)
    assert (answer.status_code, one_by_one.grown(before, but=ALWAYS)) == (form.again, {})


@pytest.mark.parametrize("name", FORMS)
def test_a_form_sent_twice_at_once_is_sent_once(name: str, at_once: Arena) -> None:
    at_once.enter()
    form, browser = FORMS[name], Browser(FORMS[name].username, raise_request_exception=False)
    url, fields = given(name, browser)
    before, together = at_once.rows(), Barrier(2)

    def sent(_n: int) -> Any:
        one = Browser(raise_request_exception=False)
        one.cookies = SimpleCookie({name: morsel.value for name, morsel in browser.cookies.items()})
        together.wait()
        try:
            return one.send(url, fields)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(sent, range(2)))
    for answer in answers:
        in_words(answer)
    found = sorted(answer.status_code for answer in answers)
    grown = at_once.grown(before, but=ALWAYS)
    assert {table: grown.get(table, 0) for table in form.makes} == form.makes, found
    assert form.first in found
    assert set(found) <= {form.first, form.again, 302, 403, 409, 422}
