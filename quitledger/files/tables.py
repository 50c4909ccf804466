"""Tables that somebody sent, line by line: read by a program of its own (sheet_reading), so that none of them harms the site."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from io import BufferedReader
from itertools import chain, islice
from threading import RLock
from typing import Any

from quitledger.policy.problem import Problem, Refused
from quitledger.policy.sentences import Sentence, Words

from .sheet_reading import TITLES_WITHIN, Line

_ONE_AT_A_TIME = RLock()  # in each process: what one reading may take in memory is known
_MOST_SECONDS = 60  # of the processor

REFUSALS = {
    "empty": Words("這個檔案是空的，請重新選擇。"),
    "kind-unknown": Words("只收 CSV、XLSX、ODS 檔。這個檔案的內容不是其中一種（與檔名無關）。請用試算表程式開啟後另存成 XLSX 或 ODS。"),
    "encoding-unknown": Words("檔案第 {line} 行不是 UTF-8 也不是 Big5 的文字。請另存成 CSV（UTF-8）、XLSX 或 ODS。"),
    "line-unreadable": Words("檔案從第 {line} 列起讀不出來，可能是引號沒有成對。請更正該列，或用試算表程式開啟後另存成 XLSX 或 ODS。"),
    "unreadable": Words("這個檔案讀不出來，可能沒有存完整。請用試算表程式開啟後另存成 XLSX 或 ODS 再試一次。"),
    "too-much": Words("檔案展開後太大。請把要用的列複製到新的試算表，或另存成 CSV 再試一次。"),
    "too-many-rows": Words("檔案超過 {most} 列，請分成幾份。"),
}  # fmt: skip


class Table:
    """A table that is being read, once. `kind`: csv, xlsx or ods.

    A line is its number, counted from 1, and its cells; empty ones are left out. Whoever asks for lines may get Refused.
    """

    def __init__(self, kind: str, lines: Iterator[Line], most_rows: int | None) -> None:
        self.kind = kind
        self._lines = lines
        self._most_rows = most_rows

    @cached_property
    def first(self) -> list[Line]:
        """The lines of which one holds the titles."""
        return list(islice(self._lines, TITLES_WITHIN))

    def rows(self, titles: int) -> Iterator[Line]:
        """The lines below that of the titles."""
        below = chain((line for line in self.first if line[0] > titles), self._lines)
        if self._most_rows is None:
            return below
        return chain(islice(below, self._most_rows), self._too_many(below))

    def _too_many(self, left: Iterator[Line]) -> Iterator[Line]:
        for _line in left:
            raise _refused("too-many-rows", most=self._most_rows or 0)
        yield from ()


@contextmanager
def read_table(content: bytes | BufferedReader, *, most_rows: int | None) -> Iterator[Table]:
    """Read a file as a table of at most `most_rows` lines below its titles. Raises Refused, then or while it is read.

    `most_rows`: None for a file of whoever runs this machine, of as many rows as it has and for as long as it takes; given
    as an open file it may be longer than what fits into memory. Whoever takes the lines may take his time: the program
    waits for him, and its own time on the processor is limited.
    """
    limit = [] if most_rows is None else [str(_MOST_SECONDS)]
    with _ONE_AT_A_TIME, subprocess.Popen(  # noqa: S603 - our own program; the file is its input, never a word of the command
        [sys.executable, "-I", "-m", f"{__package__}.sheet_reading", *limit],
        stdin=subprocess.PIPE if isinstance(content, bytes) else content, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, env={},
    ) as reading:  # fmt: skip
        try:
            if isinstance(content, bytes):
                assert reading.stdin
                with suppress(BrokenPipeError):  # a limit ended it: it says no last word either
                    reading.stdin.write(content)
                    reading.stdin.close()
            yield _told(reading, most_rows)
        finally:
            reading.kill()


def _told(reading: "subprocess.Popen[bytes]", most_rows: int | None) -> Table:
    assert reading.stdout
    answers = map(json.loads, filter(lambda line: line.endswith(b"\n"), reading.stdout))
    first: dict[str, Any] = next(answers, {})
    if "kind" not in first:
        raise _refused(**first)

    def lines() -> Iterator[Line]:
        for answer in answers:
            if isinstance(answer, list):
                yield from ((number, cells) for number, cells in answer)
            elif "refused" in answer:
                raise _refused(**answer)
            else:
                return
        raise _refused()  # a limit ended it in the middle

    return Table(first["kind"], lines(), most_rows)


def _refused(refused: str = "too-much", **values: int) -> Refused:
    return Refused([Problem(f"file-{refused}", Sentence(REFUSALS[refused], **values), "file")])
