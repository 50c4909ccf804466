"""Many rows at once, and the work on them that goes on while the database has its own."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Self, TypeVar

from django.db import connection

Item = TypeVar("Item")
Result = TypeVar("Result")

_ESCAPED = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


def as_copied(rows: Iterable[Sequence[Any]]) -> bytes:
    """Rows as COPY reads them, in its text format: what copy_in() takes. Asks no connection, so that it can be made aside.

    Values: None, numbers, texts, bytes, uuids, days, times. Raises UnicodeEncodeError for a text that is none.
    """
    return "".join(["\t".join(map(_copied, row)) + "\n" for row in rows]).encode()


def _copied(value: Any) -> str:
    if value is None:
        return r"\N"
    if isinstance(value, str):
        return value.translate(_ESCAPED)
    return rf"\\x{value.hex()}" if isinstance(value, bytes) else str(value)


def copy_in(table: str, columns: Sequence[str], rows: bytes) -> None:
    """Insert rows of as_copied() into a table as whoever asks: its policies, triggers and history see one INSERT.

    PostgreSQL copies none past row-level security, so they are copied into a table of the transaction first.
    `columns` in the order of the values; the others get their defaults. Inside a transaction. Raises what the database refuses.
    """
    names = ", ".join(columns)
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TEMP TABLE IF NOT EXISTS staged_{table} ON COMMIT DROP AS SELECT {names} FROM {table} WITH NO DATA"  # noqa: S608 - our own words
        )
        cursor.execute(f"TRUNCATE staged_{table}")
        with connection.connection.cursor() as raw, raw.copy(f"COPY staged_{table} ({names}) FROM STDIN") as copy:
            copy.write(rows)
        cursor.execute(f"INSERT INTO {table} ({names}) SELECT {names} FROM staged_{table}")  # noqa: S608 - our own words


class Aside:
    """A thread for work that asks no database, done while this one waits for it: `with Aside() as aside`."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(cancel_futures=True)

    def ahead(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """What `work` makes of each item, in order: while one is used here, the next is worked on aside."""
        before: Future[Result] | None = None
        for item in items:
            begun = self._thread.submit(work, item)
            if before is not None:
                yield before.result()
            before = begun
        if before is not None:
            yield before.result()
