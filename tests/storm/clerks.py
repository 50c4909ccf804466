"""People who record, change, void and bring back visits by the pages, and send a form again until it is answered."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date
from http.client import HTTPConnection, HTTPException
from http.cookies import SimpleCookie
from random import Random
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from tests import world

PAUSE = 0.02  # seconds between two forms of one clerk
BEFORE_AGAIN = 0.2  # seconds until a form without an answer is sent again
GIVES_UP = 0.2  # the part of forms cut off or answered by an error that are not sent again
TIME_LIMIT = 20.0  # seconds for an answer

Form = dict[str, Any]


class Browser:
    """Somebody's cookies. A connection of its own for each request, so that a kill breaks only what it breaks."""

    def __init__(self, port: int, cookies: dict[str, str] | None = None) -> None:
        self.port, self.cookies = port, dict(cookies or {})

    def ask(self, method: str, path: str, form: Form | None = None) -> tuple[int, str]:
        """Status and Location; keeps the cookies. Raises OSError and HTTPException where no answer comes."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=TIME_LIMIT)
        try:
            headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
            body = None
            if form:
                body = urlencode({**form, "csrfmiddlewaretoken": self.cookies["csrftoken"]}, doseq=True)
                headers["Content-Type"] = "application/x-www-form-urlencoded"
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            answer.read()
            for line in answer.headers.get_all("Set-Cookie") or []:
                self.cookies |= {name: one.value for name, one in SimpleCookie(line).items()}
            return answer.status, answer.headers.get("Location", "")
        finally:
            connection.close()

    def sign_in(self, username: str) -> None:
        """By password."""
        self.ask("GET", "/accounts/login")
        status, _ = self.ask("POST", "/accounts/login", {"login": username, "password": world.PASSWORD})
        assert status == 302, status


@dataclass(frozen=True)
class Write:
    """One form about a visit: what it does ("record", "change", "void", "restore"), and what tells it from others.

    `mark` stands in the version's reason; a record has none and is known by the visit's uid.
    """

    action: str
    mark: str
    kinds: tuple[str, ...]


@dataclass
class Told:
    """A visit as its clerk knows it: the writes that were answered, in order, and the one that never was."""

    uid: UUID
    case: UUID
    day: date
    answered: list[Write] = field(default_factory=list)
    given_up: Write | None = None

    @property
    def in_force(self) -> bool:
        """Whether it counts."""
        return self.answered[-1].action != "void"


class Clerk:
    """Works on the visits of people of his own, one after the other, until told to stop."""

    def __init__(
        self, name: str, browser: Browser, cases: Iterable[UUID], days: Iterable[date], staff: Form, seed: float
    ) -> None:
        self.name, self.browser, self.staff, self.rng = name, browser, staff, Random(seed)
        days = list(days)
        # The places for a visit: person, day, and the visit that is there.
        self.places: list[tuple[UUID, date]] = [(case, day) for case in cases for day in days]
        self.there: dict[tuple[UUID, date], Told] = {}
        self.told: list[Told] = []
        self.answered = 0
        self.sent_again: Counter[str] = Counter()  # what came instead of an answer
        self.fault = ""
        self.ended = threading.Event()

    def work(self) -> None:
        """One form after the other; an answer that is none of those expected ends it."""
        try:
            while not self.ended.is_set() and self.places and not self.fault:
                recorded = list(self.there)
                often = recorded if recorded and self.rng.random() < 0.5 else self.places
                self._write(self.rng.choice(often))
                time.sleep(PAUSE)
        except Exception as error:
            self.fault = repr(error)

    def _write(self, place: tuple[UUID, date]) -> None:
        case, day = place
        told = self.there.get(place)
        if told is None or (not told.in_force and self.rng.random() < 0.5):
            told = Told(UUID(int=self.rng.getrandbits(128), version=4), case, day)
            self.told.append(told)
            action = "record"
        elif told.in_force:
            action = "void" if self.rng.random() < 0.3 else "change"
        else:
            action = "restore"
        write = self._new(action, told)
        path = f"/cases/{case}/visits/new" if action == "record" else f"/visits/{told.uid}/{action}"
        if self._send(path, self._form(told, write), f"/visits/{told.uid}"):
            told.answered.append(write)
            self.there[place] = told
            self.answered += 1
        else:
            told.given_up = write
            self.places.remove(place)  # what stands there now is not known here
            self.there.pop(place, None)

    def _new(self, action: str, told: Told) -> Write:
        kinds = told.answered[-1].kinds if told.answered else ()
        if action in ("record", "change"):
            kinds = self.rng.choice([("counselling",), ("medication",), ("medication", "counselling")])
        return Write(action, f"{self.name}-{self.rng.getrandbits(48):x}", kinds)

    def _form(self, told: Told, write: Write) -> Form:
        form: Form = {"reason": write.mark, "version": len(told.answered)}
        if write.action in ("void", "restore"):
            return form
        if write.action == "record":
            form = {"uid": str(told.uid)}
        medicine = {"lines-0-medicine": world.PATCH, "lines-0-supply_weeks": "1"} if "medication" in write.kinds else {}
        return form | self.staff | medicine | {
            "visit_on": told.day.isoformat(), "services": write.kinds, "counselling_mode": "in_person", "co_ppm": "8",
            "cigarettes_per_day": "12", "note": write.mark, "lines-TOTAL_FORMS": "1", "lines-INITIAL_FORMS": "0",
        }  # fmt: skip

    def _send(self, path: str, form: Form, expected: str) -> bool:
        """Send a form until it is answered with the visit; False where it is given up unanswered."""
        patient = self.rng.random() > GIVES_UP
        while True:
            try:
                status, came = self.browser.ask("POST", path, form)
            except (OSError, HTTPException) as error:
                status, came = 0, type(error).__name__
            if status == 302 and came == expected:
                return True
            if 0 < status < 500 and status != 429:  # busy is no answer: the page says to send it again
                raise AssertionError(f"{path} {form}: {status} {came}")
            if self.ended.is_set() or (not patient and came != "ConnectionRefusedError"):
                return False
            self.sent_again[str(status or came)] += 1
            time.sleep(BEFORE_AGAIN)


def at_work(workers: Iterable[Callable[[], None]]) -> list[threading.Thread]:
    """A thread for each."""
    threads = [threading.Thread(target=worker, daemon=True) for worker in workers]
    for thread in threads:
        thread.start()
    return threads
