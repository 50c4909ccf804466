"""Too many at once: so many are worked on, so many wait, the rest are refused at once, and then it works again."""

import re
import threading
from collections.abc import Callable
from html import unescape
from io import BytesIO
from typing import Any
from urllib.parse import parse_qsl, urlencode
from uuid import uuid4

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.db import connections

from quitledger.accounts.scope import scoped
from quitledger.ops.admission import MOST_READ_AHEAD, WATCHED, Admission
from quitledger.portal.busy import RETRY_AFTER, refusal
from quitledger.visits.models import Visit

from .. import world
from ..portal.conftest import Browser, visit_fields, visit_page
from .commands import PATIENCE


class Site:
    """An application that works until it is let go, behind its slots."""

    def __init__(self, *, slots: int = 1, places: int = 1, longest_wait: float = PATIENCE) -> None:
        self.works = threading.Semaphore(0)
        self.goes_on = threading.Semaphore(0)
        self.worked: list[str] = []
        self.connections: set[Any] = set()
        self.admission = Admission(
            self.work, refusal(), slots=slots, places=places, longest_wait=longest_wait
        )  # fmt: skip
        self.threads: list[threading.Thread] = []
        self.answers: dict[str, int] = {}

    def work(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        self.connections.add(connections["default"])
        self.works.release()
        assert self.goes_on.acquire(timeout=PATIENCE)
        self.worked.append(environ["PATH_INFO"])
        start_response("200 OK", [])
        return Body([environ["wsgi.input"].read()])

    def ask(self, path: str, method: str = "GET", body: bytes = b"") -> tuple[int, dict[str, str], bytes]:
        return asked(self.admission, path, method, body)

    def ask_aside(self, path: str, method: str = "GET") -> None:
        """In a thread of its own; `answers` has the status in the end."""

        def run() -> None:
            self.answers[path] = self.ask(path, method)[0]

        self.threads.append(threading.Thread(target=run))
        self.threads[-1].start()

    def let_go(self, number: int) -> None:
        for _ in range(number):
            self.goes_on.release()

    def wait_until_it_works(self) -> None:
        assert self.works.acquire(timeout=PATIENCE)

    def wait_for_all(self) -> None:
        for thread in self.threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()


class Body(list):
    closed = False

    def close(self) -> None:
        self.closed = True


def asked(
    application: Admission, path: str, method: str, body: bytes, **environ: str
) -> tuple[int, dict[str, str], bytes]:
    told: list[Any] = []
    answer = application(
        {
            "REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": "", "SERVER_NAME": "testserver", "SERVER_PORT": "80",
            "CONTENT_LENGTH": str(len(body)) if body else "", "CONTENT_TYPE": "application/x-www-form-urlencoded",
            "wsgi.input": BytesIO(body), "wsgi.url_scheme": "http", "wsgi.errors": BytesIO(), "HTTP_HOST": "testserver",
            **environ,
        },
        lambda status, headers: told.extend([status, headers]),
    )  # fmt: skip
    content = b"".join(answer)
    return int(told[0].split()[0]), dict(told[1]), content


@pytest.fixture
def full() -> Any:
    """A site whose only slot is taken and in whose lines there is no place left."""
    site = Site()
    site.ask_aside("/works")
    site.wait_until_it_works()
    site.ask_aside("/waits")
    site.ask_aside("/waits-to-send", "POST")
    while not all(map(len, site.admission._slots._lines)):
        threading.Event().wait(0.01)
    yield site
    site.let_go(9)
    site.wait_for_all()


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_whoever_finds_no_place_is_refused_at_once_and_nothing_is_worked_on(full, method):
    status, headers, _ = full.ask("/visits", method)
    assert status == 429
    assert headers["Retry-After"] == str(RETRY_AFTER)
    assert full.worked == []


def test_whoever_waited_is_answered_and_then_everybody_is(full):
    full.let_go(4)
    full.wait_for_all()
    assert set(full.answers.values()) == {200}
    assert full.ask("/later")[0] == 200


def test_whoever_watches_the_server_is_answered_while_it_is_full(full):
    full.let_go(1)
    assert full.ask(WATCHED)[0] == 200
    assert WATCHED in full.worked


def test_forms_and_pages_are_let_in_by_turns():
    site = Site(places=3)
    site.ask_aside("/works")
    site.wait_until_it_works()
    for number in range(3):
        for path, method in ((f"/page{number}", "GET"), (f"/form{number}", "POST")):
            waiting = sum(map(len, site.admission._slots._lines))
            site.ask_aside(path, method)
            while sum(map(len, site.admission._slots._lines)) == waiting:
                threading.Event().wait(0.01)
    site.let_go(7)
    site.wait_for_all()
    kinds = [path[1:5] for path in site.worked[1:]]
    assert sorted(kinds[:2]) == sorted(kinds[2:4]) == sorted(kinds[4:]) == ["form", "page"]
    assert [path for path in site.worked if path.startswith("/form")] == ["/form0", "/form1", "/form2"]


def test_whoever_waited_too_long_is_refused():
    site = Site(longest_wait=0.05)
    site.ask_aside("/works")
    site.wait_until_it_works()
    assert site.ask("/waits")[0] == 429
    assert site.ask("/waits", "POST")[0] == 429
    site.let_go(2)
    site.wait_for_all()
    assert site.ask("/later")[0] == 200


def test_there_are_as_many_connections_as_slots_whatever_the_threads():
    site = Site(slots=2, places=20)
    site.let_go(30)
    for number in range(30):
        site.ask_aside(f"/{number}")
    site.wait_for_all()
    assert set(site.answers.values()) == {200}
    assert 1 <= len(site.connections) <= 2


def test_a_slot_is_free_again_after_an_error():
    def broken(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        raise RuntimeError

    admission = Admission(broken, refusal(), slots=1, places=0, longest_wait=0.01)
    for _ in range(3):
        with pytest.raises(RuntimeError):
            asked(admission, "/", "GET", b"")


def test_a_form_is_read_before_it_waits_and_arrives_whole():
    site = Site()
    site.let_go(2)
    assert site.ask("/visits", "POST", b"note=1&note=2")[2] == b"note=1&note=2"
    assert site.ask("/visits", "POST", long := b"x" * (MOST_READ_AHEAD + 1))[2] == long


def test_a_refused_visit_is_not_recorded_and_the_answer_records_it_when_it_is_sent_again(committed):
    """The whole site: the page that refuses carries the form, byte for byte."""
    browser = Browser("recorder")
    page = browser.get(visit_page()).text
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    assert token
    fields = visit_fields(uuid4(), note='<b>"晚上" & 早上</b>') | {"csrfmiddlewaretoken": token[1]}
    cookies = "; ".join(f"{name}={cookie.value}" for name, cookie in browser.cookies.items())
    admission = Admission(WSGIHandler(), refusal(), slots=1, places=0, longest_wait=0.01)
    body = urlencode(fields, doseq=True)

    taken = admission._slots.take(sends=False)
    assert taken is not None
    status, _, refused = asked(admission, visit_page(), "POST", body.encode(), HTTP_COOKIE=cookies)
    assert status == 429
    with scoped(world.SYSTEM):
        assert not Visit.objects.exists()
    carried = [
        (unescape(name), unescape(value))
        for name, value in re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', refused.decode())
    ]
    assert carried == parse_qsl(body, keep_blank_values=True)

    admission._slots.give_back(taken)
    status, headers, _ = asked(admission, visit_page(), "POST", urlencode(carried).encode(), HTTP_COOKIE=cookies)
    assert (status, headers["Location"]) == (302, f"/visits/{fields['uid']}")
    with scoped(world.SYSTEM):
        assert Visit.objects.get().note == '<b>"晚上" & 早上</b>'
