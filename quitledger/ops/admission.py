"""Admission: so many requests are worked on at once, so many more wait for that, and the rest are told so at once.

A WSGI application sees a request when a thread takes it; what the server keeps before that can neither be seen nor refused.
So there are more threads than are ever worked in: those that hold a slot work, those that wait for one cost nothing,
and there is always one left that says no (docs/adr/0020).
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from io import BytesIO
from queue import Empty, SimpleQueue
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
Refusal = Callable[[dict[str, Any]], tuple[str, list[tuple[str, str]], bytes]]

WATCHED = "/healthz"
MOST_READ_AHEAD = 65_536  # bytes of a form
_TELL_EVERY = 60.0  # seconds

log = logging.getLogger(__name__)


class Slots:
    """So many requests at once, each with a database connection that stays with its slot, whichever thread works in it.

    Who finds no slot free waits in one of two lines, of forms that were sent and of pages that were asked for, with
    `places` each. A slot that becomes free goes to the two in turn: whoever was let open a form is let send it.
    """

    def __init__(self, number: int, *, places: int, longest_wait: float) -> None:
        self._free = [_connection() for _ in range(number)]  # last in, first out: the warm one
        self._lines: tuple[deque[Any], deque[Any]] = (deque(), deque())
        self._turn = 0
        self._places, self._longest_wait = places, longest_wait
        self._lock = threading.Lock()

    def take(self, *, sends: bool) -> BaseDatabaseWrapper | None:
        """A slot's connection, at once or after waiting; None where the line is full or the wait was too long (seconds)."""
        with self._lock:
            if self._free:
                return self._free.pop()
            line = self._lines[sends]
            if len(line) >= self._places:
                return None
            handed: SimpleQueue[BaseDatabaseWrapper] = SimpleQueue()
            line.append(handed)
        try:
            return handed.get(timeout=self._longest_wait)
        except Empty:
            with self._lock:
                if handed in line:
                    line.remove(handed)
                    return None
            return handed.get()  # it was handed over in that very moment

    def give_back(self, connection: BaseDatabaseWrapper) -> None:
        """To whoever waits longest in the line whose turn it is, else to whoever comes."""
        with self._lock:
            self._turn = 1 - self._turn
            line = self._lines[self._turn] or self._lines[1 - self._turn]
            if not line:
                self._free.append(connection)
                return
            handed = line.popleft()
        handed.put(connection)


def _connection() -> BaseDatabaseWrapper:
    """A description of the connection; the database is asked for it when it is first used."""
    made = connections.create_connection(DEFAULT_DB_ALIAS)
    made.inc_thread_sharing()  # one thread after the other, never two at once
    return made


class Admission:
    """The application behind its slots, with one more for whoever watches the server: he is answered while it is full."""

    def __init__(self, application: Application, refusal: Refusal, *, slots: int, places: int, longest_wait: float):
        self._application, self._refusal = application, refusal
        self._slots = Slots(slots, places=places, longest_wait=longest_wait)
        self._watching = Slots(1, places=1, longest_wait=longest_wait)
        self._refused, self._tell_at = 0, 0.0
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        _read_ahead(environ)
        slots = self._watching if environ["PATH_INFO"] == WATCHED else self._slots
        connection = slots.take(sends=environ["REQUEST_METHOD"] == "POST")
        if connection is None:
            self._note()
            status, headers, body = self._refusal(environ)
            start_response(status, headers)
            return [body]
        try:
            connections[DEFAULT_DB_ALIAS] = connection
            answer: Any = self._application(environ, start_response)
            try:
                return [b"".join(answer)]
            finally:
                answer.close()
        finally:
            del connections[DEFAULT_DB_ALIAS]
            slots.give_back(connection)

    def _note(self) -> None:
        """Tell whoever runs the server, once a minute."""
        with self._lock:
            self._refused += 1
            if time.monotonic() < self._tell_at:
                return
            refused, self._refused, self._tell_at = self._refused, 0, time.monotonic() + _TELL_EVERY
        log.warning("too many requests at once: %d refused", refused)


def _read_ahead(environ: dict[str, Any]) -> None:
    """Read a form before it waits: a slow sender holds no slot, and a refused one has been read, so that it hears why."""
    length = environ.get("CONTENT_LENGTH", "")
    if length.isdigit() and 0 < int(length) <= MOST_READ_AHEAD:
        environ["wsgi.input"] = BytesIO(environ["wsgi.input"].read(int(length)))
