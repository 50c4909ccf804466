"""What was counted, kept in memory for as long as it is right: a year that is over is counted once, and again where it changed.

Nothing is kept on time or trust: each question asks the database whether anything that was counted has changed since
(migrations/0002_unchanged.sql), and is counted anew where anything has.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from threading import Lock
from typing import Any

from django.db import connection

Row = tuple[Any, ...]
AT_MOST = 200  # statements' answers, of a few hundred rows each


@dataclass(frozen=True)
class Counted:
    """The rows of a statement, and the state of which database they are."""

    rows: Sequence[Row]
    place: str
    snapshot: str


class Kept:
    """The answers to statements asked last. Safe to share between threads."""

    def __init__(self) -> None:
        self._answers: OrderedDict[Any, Counted] = OrderedDict()
        self._lock = Lock()

    def rows(self, statement: str, values: Mapping[str, date], count: Callable[[str], Sequence[Row]]) -> Sequence[Row]:
        """What `statement` gives now with `values` (first, last: its period); kept, or counted by `count`.

        `count` executes a statement and gives its rows. Within a transaction in the agency's scope.
        """
        asked = (statement, *sorted(values.items()))
        with self._lock:
            kept = self._answers.get(asked)
        now = kept and _now_of(kept, values["first"], values["last"])
        if kept and now:
            self._keep(asked, replace(kept, snapshot=now))
            return kept.rows
        found = count(_WITH_STATE.format(statement=statement))
        rows = [row[3:] for row in found]
        if found and found[0][2]:
            self._keep(asked, Counted(rows, *found[0][:2]))
        return rows

    def _keep(self, asked: Any, counted: Counted) -> None:
        with self._lock:
            self._answers[asked] = counted
            self._answers.move_to_end(asked)
            while len(self._answers) > AT_MOST:
                self._answers.popitem(last=False)


# One statement, so that the snapshot is that in which it counts. Not kept: what this transaction wrote itself may be undone, and
# the snapshot of a replica does not say who is writing.
_WITH_STATE = """
SELECT statistics_place(), pg_current_snapshot()::text,
  pg_current_xact_id_if_assigned() IS NULL AND NOT pg_is_in_recovery(), counted.*
FROM ({statement}) counted
"""


def _now_of(kept: Counted, first: date, last: date) -> str | None:
    """The snapshot of now, where what is kept is right in it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT statistics_unchanged(%s, %s::pg_snapshot, %s, %s)::text", [kept.place, kept.snapshot, first, last]
        )
        now: str | None = cursor.fetchone()[0]
    return now
