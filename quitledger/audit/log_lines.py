"""How a line of the log is written: when (UTC), how grave, by which part, what. One event is one line that nobody forges.

The log tells of faults, refusals and jobs, never what was typed or recorded. What the database says of a row it refused
(DETAIL: …) is left out: it holds the row's values. That the database is away is said in a few words each time: where in the
program it was missed tells nothing, and everybody misses it.
"""

import logging
import re
import time
import traceback
from types import TracebackType

from django.db import OperationalError

_FORMAT = "{asctime}.{msecs:03.0f}Z {levelname} {name} {message}"
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_CONTINUED = "\n  | "  # no line of ours begins so: what stands behind it belongs to the line above
_NEXT_ERROR = re.compile(r"^(?:The above exception|During handling|Traceback|  File )")
_AWAY = ("08", "57P")  # SQLSTATE: connection exception, operator intervention
_OF_A_ROW = re.compile(r"^(?:DETAIL|CONTEXT|HINT|QUERY|WHERE|STATEMENT|LINE \d+):")


class LineFormatter(logging.Formatter):
    """Times in UTC; signs that would begin another line or move the cursor are written as \\x0a and the like."""

    converter = time.gmtime  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__(_FORMAT, "%Y-%m-%dT%H:%M:%S", style="{")

    def formatMessage(self, record: logging.LogRecord) -> str:
        return _UNPRINTABLE.sub(lambda sign: f"\\x{ord(sign[0]):02x}", super().formatMessage(record))

    def formatException(  # type: ignore[override]
        self, ei: tuple[type[BaseException], BaseException, TracebackType | None]
    ) -> str:
        told, of_a_row = [""], False
        lines = traceback.format_exception_only(ei[1]) if _is_away(ei[1]) else traceback.format_exception(*ei)
        for line in "".join(lines).splitlines():
            of_a_row = bool(_OF_A_ROW.match(line)) or (of_a_row and not _NEXT_ERROR.match(line))
            if not of_a_row:
                told.append(line)
        return _CONTINUED.join(told).lstrip("\n")


def _is_away(error: BaseException) -> bool:
    """True where there is no way to the database, or none any longer. (InterfaceError is a fault of ours.)"""
    if not isinstance(error, OperationalError) or error.__cause__ is None:
        return False
    state: str | None = getattr(error.__cause__, "sqlstate", None)
    return state is None or state.startswith(_AWAY)
