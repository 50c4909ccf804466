"""A browser for each account of the world, what it can send, and what the journal says of it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import quote_plus
from uuid import UUID, uuid4

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.test import Client

from quitledger.accounts.models import User
from quitledger.accounts.scope import scoped

from .. import world
from ..sessions import signed_in

FORM = "application/x-www-form-urlencoded"
BOUNDARY = "a-boundary-of-the-tests"


class Browser(Client):
    """Signed in as an account of the world (nobody for "anonymous"); sends forms as a browser does, byte for byte."""

    def __init__(self, username: str = "anonymous", **options: Any) -> None:
        super().__init__(**options)
        self.username = username
        if username != "anonymous":
            self.cookies[settings.SESSION_COOKIE_NAME] = signed_in(User.objects.get(username=username))
        self._fresh = self.cookies.output()

    def send(self, url: str, fields: Mapping[str, Any], method: str = "POST", **options: Any) -> Any:
        """Send the fields (a list: the same name several times) as a form or, with GET, in the address.

        What no form can hold (half of a surrogate pair) is sent as the bytes it would be; bytes are a file.
        """
        if method == "POST" and any(isinstance(value, bytes) for value in fields.values()):
            body = b"".join(_part(name, value) for name, value in fields.items()) + f"--{BOUNDARY}--\r\n".encode()
            return self.generic("POST", url, body, content_type=f"multipart/form-data; boundary={BOUNDARY}", **options)
        pairs = [(name, one) for name, many in fields.items() for one in (many if isinstance(many, list) else [many])]
        body = "&".join(f"{_quoted(name)}={_quoted(str(value))}" for name, value in pairs)
        if method == "POST":
            return self.generic("POST", url, body, content_type=FORM, **options)
        return self.generic(method, url, QUERY_STRING=body, **options)

    @contextmanager
    def undone(self) -> Iterator[None]:
        """What is done inside leaves no trace, neither in the database nor in the cookies."""
        cookies = self.cookies
        self.cookies = SimpleCookie()
        self.cookies.load({name: morsel.value for name, morsel in cookies.items()})
        try:
            with transaction.atomic():
                yield
                transaction.set_rollback(True)
        finally:
            self.cookies = cookies


def _part(name: str, value: Any) -> bytes:
    """A field or a file of a form with files."""
    as_file, content = (
        ('; filename="a.pdf"', value) if isinstance(value, bytes) else ("", str(value).encode(errors="surrogatepass"))
    )
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{as_file}\r\n\r\n'
    return head.encode(errors="surrogatepass") + content + b"\r\n"


def _quoted(text: str) -> str:
    return quote_plus(text.encode(errors="surrogatepass"))


@pytest.fixture
def browse(db: Any) -> Callable[..., Browser]:
    """Browsers on the shared database; everything is rolled back."""
    return Browser


class Entry(dict):
    """A journal entry: action, record_type, uids, fields, username, institution_id."""

    def __getattr__(self, name: str) -> Any:
        return self[name]


def journal_since(last_id: int) -> list[Entry]:
    """The entries written after the one numbered `last_id`."""
    with scoped(world.SYSTEM), connection.cursor() as cursor:
        cursor.execute(
            "SELECT j.id, j.action, j.record_type, j.record_uids, j.record_version, j.fields, u.username,"
            " j.institution_id, j.request_uid, j::text FROM audit_journal j"
            " LEFT JOIN accounts_user u ON u.id = j.account_id WHERE j.id > %s ORDER BY j.id",
            [last_id],
        )
        names = ("id", "action", "record_type", "uids", "version", "fields", "username", "institution_id",
                 "request_uid", "text")  # fmt: skip
        return [Entry(zip(names, row, strict=True)) for row in cursor.fetchall()]


@contextmanager
def journaled() -> Iterator[list[Entry]]:
    """The entries written inside, in a list that is filled at the end."""
    before = journal_since(0)
    entries: list[Entry] = []
    yield entries
    entries += journal_since(before[-1].id if before else 0)


def staff_uids(*names: str) -> list[UUID]:
    """The uids of staff members, read in a scope that sees all."""
    with scoped(world.SYSTEM):
        return [world.staff(name).uid for name in names]


def visit_fields(
    form_uid: UUID | str, /, *, staff: tuple[str, str] = ("示範丑", "示範子"), **changes: Any
) -> dict[str, Any]:
    """The form of a visit as the page sends it: both services today; a change to None leaves the field out."""
    physician, counsellor = staff_uids(*staff)
    fields: dict[str, Any] = {
        "uid": form_uid, "visit_on": "114/4/1", "visit_time": "", "services": ["medication", "counselling"],
        "lines-TOTAL_FORMS": "1", "lines-INITIAL_FORMS": "0", "lines-MIN_NUM_FORMS": "1", "lines-MAX_NUM_FORMS": "6",
        "lines-0-medicine": world.PATCH, "lines-0-supply_weeks": "2", "lines-0-supply_days": "",
        "medication_staff": physician, "counselling_staff": counsellor, "counselling_mode": "in_person",
        "cigarettes_per_day": "6", "co_ppm": "8", "note": "",
    }  # fmt: skip
    return {name: value for name, value in (fields | changes).items() if value is not None}


def visit_page(name: str = "示範甲", institution_code: str = world.CLINIC) -> str:
    """The address at which a visit of a person is recorded."""
    return f"/cases/{world.uid(f'case {name} {institution_code}')}/visits/new"


def record(browser: Browser, name: str = "示範甲", institution_code: str = world.CLINIC, **changes: Any) -> UUID:
    """Record a visit of a person by the page; its uid."""
    uid = uuid4()
    answer = browser.send(visit_page(name, institution_code), visit_fields(uid, **changes))
    assert answer.status_code == 302, answer.text
    return uid
