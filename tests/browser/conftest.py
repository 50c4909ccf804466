"""A running site and a Chromium for each module, and pages that complain by themselves.

Every page a test opens is watched: an error in the console, a request to another host, a file that is missing, a
name or an identity number in an address make the test fail at its end, whatever it was about.
"""

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from quitledger.ops.postgres import Cluster
from tests.conftest import Database

from .find_browser import browser_path
from .reading import resize
from .served import Site
from .signing_in import sign_in
from .watched import Watch

ARGUMENTS = [
    "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
    "--js-flags=--no-opt --no-maglev",  # a page's scripts run for a moment: to compile them well takes longer
]  # fmt: skip
WIDE, NARROW = ViewportSize(width=1280, height=900), ViewportSize(width=360, height=740)

SignedInAs = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for a module; it has no profile, each page gets its own context.

    Not for the whole run: while Playwright is there its event loop runs in this thread, and nobody else's can.
    """
    path = browser_path()
    # Django, asked from the tests themselves, would take that for asynchronous code and refuse.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    with sync_playwright() as playwright:
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        chromium = playwright.chromium.launch(executable_path=path, args=[*ARGUMENTS, *sandbox])
        yield chromium
        chromium.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture(scope="module")
def site(template: Cluster, request: pytest.FixtureRequest) -> Iterator[Site]:
    """The site on a database of the module's own."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    database = Database(template, f"{request.module.__name__.rpartition('.')[2]}_{worker}")
    running = Site(database)
    yield running
    running.stop()
    database.drop()


@pytest.fixture
def watch(site: Site) -> Iterator[Watch]:
    """Whoever looks on; complains when the test is over."""
    watching = Watch(site.url)
    yield watching
    assert not watching.complaints


@pytest.fixture
def visitor(browser: Browser, site: Site, watch: Watch) -> Iterator[Callable[..., Page]]:
    """`visitor(**options)`: a page of somebody who is not signed in, in a context of its own."""
    contexts = []

    def open_page(**options: object) -> Page:
        context = browser.new_context(**{"base_url": site.url, "viewport": WIDE, "locale": "zh-TW", **options})
        context.set_default_timeout(10_000)
        watch.look_at(context)
        contexts.append(context)
        return context.new_page()

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def sessions() -> dict[str, object]:
    """Cookies of those who signed in in this module."""
    return {}


@pytest.fixture
def signed_in_as(visitor: Callable[..., Page], sessions: dict[str, object]) -> SignedInAs:
    """`signed_in_as(username, **options)`: a page of an account of the world; it signs in by the page once a module."""

    def open_page(username: str, **options: object) -> Page:
        if username not in sessions:
            page = visitor()
            sign_in(page, username)
            sessions[username] = page.context.storage_state()
            page.context.close()
        return visitor(storage_state=sessions[username], **options)

    return open_page


@pytest.fixture(scope="module")
def window(browser: Browser, site: Site) -> Iterator[Page]:
    """A page kept for the module: a new one (window, processes, nothing in the cache) takes longer than most pages of ours."""
    context = browser.new_context(base_url=site.url, viewport=WIDE, locale="zh-TW")
    context.set_default_timeout(10_000)
    yield context.new_page()
    context.close()


@pytest.fixture
def seen_by(window: Page, watch: Watch, sessions: dict[str, Any]) -> Iterator[SignedInAs]:
    """`seen_by(username)`: the page that is kept, as if it were new, of an account ("": of nobody), for one test.

    What a page of ours can leave in a browser is cookies; what a test can, routes and the width of the window.
    """

    def start(username: str) -> Page:
        context = window.context
        context.clear_cookies()
        if username:
            if username not in sessions:
                sign_in(window, username)
                sessions[username] = context.storage_state()
            assert not sessions[username]["origins"], "nothing is kept but cookies"
            context.clear_cookies()
            context.add_cookies(sessions[username]["cookies"])
        return window

    resize(window, WIDE)
    with watch.looking_at(window.context):
        yield start
        window.unroute_all()
        if window.evaluate("document.scripts.length > 1"):  # the one of all pages does nothing by itself
            window.goto("/healthz")  # of the same site, so that the browser keeps its process for the next
