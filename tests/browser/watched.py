"""What must not happen on any page, whatever the test is about."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote

from playwright.sync_api import BrowserContext, ConsoleMessage, Request, Response, WebError

from quitledger.policy.identity import make_up
from tests import world

IDENTITY_NUMBER = re.compile(r"\b[A-Z][0-9A-D][0-9]{8}\b", re.IGNORECASE)
_PERSONAL = {someone.name for someone in world.PEOPLE} | {make_up(someone.serial) for someone in world.PEOPLE}
_REFUSED = "Failed to load resource: the server responded with a status of 4"


class Watch:
    """Looks at contexts and collects complaints."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.complaints: list[str] = []
        self._ears: dict[Any, Callable[[Any], None]] = {
            "request": self._asked, "response": self._answered, "console": self._said, "weberror": self._failed,
        }  # fmt: skip

    def look_at(self, context: BrowserContext) -> None:
        """Hear everything the pages of the context ask for and say."""
        for event, hear in self._ears.items():
            context.on(event, hear)

    @contextmanager
    def looking_at(self, context: BrowserContext) -> Iterator[None]:
        """Look at a context that outlives the test."""
        self.look_at(context)
        yield
        for event, hear in self._ears.items():
            context.remove_listener(event, hear)

    def _asked(self, request: Request) -> None:
        url = unquote(request.url)
        if not url.startswith((f"{self.origin}/", "data:", "blob:")):
            self.complaints.append(f"asked elsewhere: {url}")
        if IDENTITY_NUMBER.search(url) or any(word in url for word in _PERSONAL):
            self.complaints.append(f"a person in the address: {url}")

    def _answered(self, response: Response) -> None:
        page = response.request.is_navigation_request()
        if response.status >= 500 or (response.status >= 400 and not page):
            self.complaints.append(f"{response.status} {response.url}")

    def _failed(self, error: WebError) -> None:
        self.complaints.append(f"script: {error.error}")

    def _said(self, message: ConsoleMessage) -> None:
        # A refused form is a 422 and a closed door a 403: the browser notes that down, nothing is wrong.
        of_page = message.page is not None and message.location["url"] == message.page.url
        if message.type in ("error", "warning") and not (of_page and message.text.startswith(_REFUSED)):
            self.complaints.append(f"console: {message.text}")
