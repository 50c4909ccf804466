"""A line of the log: one a line, in UTC, with no value of a row."""

import logging
import re
import sys

import psycopg
import pytest
from django.db import IntegrityError, OperationalError, connection

from quitledger.accounts.scope import scoped
from quitledger.audit.log_lines import LineFormatter

from .. import world


def line_of(message: str, *values: object, error: bool = False) -> str:
    """What the log says of an event; `error`: while one is handled."""
    record = logging.LogRecord(
        "quitledger.test", logging.WARNING, __file__, 1, message, values, sys.exc_info() if error else None
    )
    record.created, record.msecs = 1743469200.0, 7.0
    return LineFormatter().format(record)


def test_a_line_says_when_in_utc_how_grave_who_and_what() -> None:
    assert line_of("refused %d", 403) == "2025-04-01T01:00:00.007Z WARNING quitledger.test refused 403"


@pytest.mark.parametrize(
    "forged", ["a\n2025-04-01T01:00:00Z INFO x", "a\r\nb", "a\x1b[2Jb", "a\u2028b", "a\x00b", "a\x85b"]
)
def test_what_was_sent_begins_no_line_of_its_own(forged: str) -> None:
    line = line_of("asked for %s", forged)
    assert len(line.splitlines()) == 1
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]", line)


def test_every_line_of_a_fault_but_the_first_is_marked() -> None:
    try:
        raise ValueError("first\n2025-04-01T01:00:00.000Z INFO quitledger.security signed in")
    except ValueError:
        lines = line_of("went wrong", error=True).splitlines()
    assert lines[0].endswith("went wrong")
    assert len(lines) > 3
    assert all(line.startswith("  | ") for line in lines[1:])


def test_what_the_database_says_of_a_row_that_it_refused_stays_out(db: object) -> None:
    """The message names table and rule; its detail would be the whole row."""
    with pytest.raises(IntegrityError) as refused, scoped(world.SYSTEM), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO accounts_onetimecode (user_id, code_hash, issued_at, expires_at)"
            " SELECT id, 'secret-in-a-row', now(), now() FROM accounts_user LIMIT 1"
        )
    assert "Failing row contains" in str(refused.value), "the driver tells it"
    try:
        raise RuntimeError("while recording") from refused.value
    except RuntimeError:
        line = line_of("went wrong", error=True)
    assert "accounts_onetimecode_period" in line
    assert "while recording" in line
    assert "Failing row" not in line
    assert "7365637265742d696e2d612d726f77" not in line


@pytest.mark.parametrize(
    ("cause", "few"),
    [
        (psycopg.OperationalError("connection refused"), True),
        (psycopg.errors.AdminShutdown("terminating connection"), True),
        (psycopg.errors.ConnectionFailure("gone"), True),
        (psycopg.errors.LockNotAvailable("lock timeout"), False),
        (None, False),  # ours
    ],
)
def test_that_the_database_is_away_takes_few_words(cause: Exception | None, few: bool) -> None:
    try:
        raise OperationalError(str(cause)) from cause
    except OperationalError:
        lines = line_of("went wrong", error=True).splitlines()
    assert str(cause) in lines[-1]
    assert (len(lines) == 2) == few
