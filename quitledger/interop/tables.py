"""Tables that somebody sent, line by line: read by a program of its own (sheet_reading), so that none of them harms the site."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Lock

from quitledger.policy.problem import Problem, Refused
from quitledger.policy.sentences import Sentence, Words

from .sheet_reading import LONGEST_CELL, Line

__all__ = ["LONGEST_CELL", "Line", "Table", "read_table"]

_ONE_AT_A_TIME = Lock()  # in each process: what one reading may take in memory is known

REFUSALS = {
    "empty": Words("這個檔案是空的，請重新選擇。"),
    "kind-unknown": Words("只收 CSV、XLSX、ODS 檔。這個檔案的內容不是其中一種（與檔名無關）。請用試算表程式開啟後另存成 XLSX 或 ODS。"),
    "encoding-unknown": Words("檔案不是 UTF-8 也不是 Big5 的文字。請另存成 CSV（UTF-8）、XLSX 或 ODS。"),
    "unreadable": Words("這個檔案讀不出來，可能沒有存完整。請用試算表程式開啟後另存成 XLSX 或 ODS 再試一次。"),
    "too-much": Words("檔案展開後太大。請把要用的列複製到新的試算表，或另存成 CSV 再試一次。"),
}  # fmt: skip


class Table:
    """A table that is being read: its kind (csv, xlsx, ods), and its lines, once."""

    def __init__(self, kind: str, lines: Iterator[Line]) -> None:
        self.kind = kind
        self._lines = lines

    def __iter__(self) -> Iterator[Line]:
        """Every line that is not empty: its number, counted from 1, and its cells. Raises Refused."""
        return self._lines


@contextmanager
def read_table(content: bytes, *, most_rows: int) -> Iterator[Table]:
    """Read a file as a table of at most `most_rows` lines besides its titles. Raises Refused, then or while it is read.

    Whoever takes the lines may take his time: the program waits for him, and its own time on the processor is limited.
    """
    with _ONE_AT_A_TIME, subprocess.Popen(  # noqa: S603 - our own program; the file is its input, never a word of the command
        [sys.executable, "-I", "-m", f"{__package__}.sheet_reading", str(most_rows)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={},
    ) as reading:  # fmt: skip
        try:
            assert reading.stdin
            with suppress(BrokenPipeError):  # a limit ended it: it says no last word either
                reading.stdin.write(content)
                reading.stdin.close()
            yield _told(reading, most_rows)
        finally:
            reading.kill()


def _told(reading: "subprocess.Popen[bytes]", most_rows: int) -> Table:
    assert reading.stdout
    answers = map(json.loads, filter(lambda line: line.endswith(b"\n"), reading.stdout))
    first = next(answers, None)
    if first is None or "kind" not in first:
        raise _refused((first or {}).get("refused", "too-much"), most_rows)

    def lines() -> Iterator[Line]:
        for answer in answers:
            if isinstance(answer, list):
                yield answer[0], answer[1]
            elif "refused" in answer:
                raise _refused(answer["refused"], most_rows)
            else:
                return
        raise _refused("too-much", most_rows)  # a limit ended it in the middle

    return Table(first["kind"], lines())


def _refused(code: str, most_rows: int) -> Refused:
    if code == "too-many-rows":
        message: str = Sentence("檔案超過 {most} 列，請分成幾份。", most=most_rows)
    else:
        message = REFUSALS[code]
    return Refused([Problem(f"file-{code}", message, "file")])
