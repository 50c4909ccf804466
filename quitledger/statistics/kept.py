"""What was counted, kept in memory for as long as it is right: a year that is over is counted once, and its months again where they changed.

Nothing is kept on time or trust: each question asks the database what has changed since (migrations/changes.sql), and
what that concerns is counted anew.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from threading import Lock
from typing import Any

from django.db import connection

Row = tuple[Any, ...]
Count = Callable[[str, Mapping[str, Any]], Sequence[Row]]
AT_MOST = 100  # answers: of a period a few hundred rows, of a month up to three megabytes (by institution)


def fetched(statement: str, values: Mapping[str, Any]) -> list[Row]:
    """The rows of a statement."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall()


@dataclass(frozen=True)
class Counted:
    """The rows of a statement; and in which database and snapshot they were right last."""

    rows: Sequence[Row]
    state: tuple[str, str]


@dataclass(frozen=True)
class Changes:
    """What has changed since a state: of which days services; `now`: the snapshot of now, None where anything may have."""

    now: str | None
    days: Sequence[date]

    def sparing(self, first: date, last: date) -> str | None:
        """The snapshot of now where what was counted of these days is right in it."""
        return None if any(first <= day <= last for day in self.days) else self.now


class Kept:
    """The answers to statements asked last. Safe to share between threads."""

    def __init__(self) -> None:
        self._answers: OrderedDict[Any, Counted] = OrderedDict()
        self._lock = Lock()

    def rows(self, statement: str, periods: Sequence[Mapping[str, Any]], count: Count) -> list[Sequence[Row]]:
        """What `statement` gives now with the values of each period (first, last: its days); kept, or counted by `count`.

        `count` gives the rows of a statement with its values, their first four columns as they are. Within a transaction in
        the agency's scope.
        """
        asked = [(statement, *sorted(values.items())) for values in periods]
        with self._lock:
            kept = [self._answers.get(key) for key in asked]
        changes = {state: _changes(*state) for state in {one.state for one in kept if one}}
        found = []
        for key, values, one in zip(asked, periods, kept, strict=True):
            now = changes[one.state].sparing(values["first"], values["last"]) if one else None
            if one and now:
                self._keep(key, Counted(one.rows, (one.state[0], now)))
                found.append(one.rows)
            else:
                found.append(self._counted(key, statement, values, count))
        return found

    def _counted(self, key: Any, statement: str, values: Mapping[str, Any], count: Count) -> Sequence[Row]:
        found = count(_WITH_STATE.format(statement=statement), values)
        rows = [row[4:] for row in found if row[3]]
        place, snapshot, may_be_kept = found[0][:3]
        if may_be_kept:
            self._keep(key, Counted(rows, (place, snapshot)))
        return rows

    def _keep(self, key: Any, counted: Counted) -> None:
        with self._lock:
            self._answers[key] = counted
            self._answers.move_to_end(key)
            while len(self._answers) > AT_MOST:
                self._answers.popitem(last=False)


# One statement, so that the snapshot is that in which it counts; a row of it even where nothing is counted. Not kept: what this
# transaction wrote itself may be undone, and the snapshot of a replica does not say who is writing.
_WITH_STATE = """
SELECT state.*, counted.* FROM (
  SELECT statistics_place(), pg_current_snapshot()::text,
    pg_current_xact_id_if_assigned() IS NULL AND NOT pg_is_in_recovery()) state
LEFT JOIN (SELECT true AS is_row, answer.* FROM ({statement}) answer) counted ON true
"""


def _changes(place: str, snapshot: str) -> Changes:
    (row,) = fetched(
        "SELECT now::text, coalesce(days, '{}') FROM statistics_changes(%(place)s, %(snapshot)s::pg_snapshot)",
        {"place": place, "snapshot": snapshot},
    )
    return Changes(*row)
