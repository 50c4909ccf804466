"""Reads a table that somebody sent (CSV, XLSX, ODS): a program of its own, given the bytes and nothing else.

What unpacks strangers' files may loop, swell or fall over. So this runs apart from the site, with limits on memory and
time and without the site's environment (no key, no address of the database). What a file is, its content says; its name is
never asked. It answers line by line, in JSON: first the kind, then each line that is not empty as its number and its cells.

    python -m quitledger.interop.sheet_reading MOST_ROWS < file > answer
"""

import csv
import json
import resource
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from io import BytesIO, TextIOWrapper
from itertools import islice
from typing import Any, TextIO
from zipfile import BadZipFile, ZipFile

MOST_MEMORY = 1 << 30  # bytes of address space
MOST_SECONDS = 60  # of the processor
MOST_UNPACKED = 400_000_000  # bytes of all parts of a spreadsheet, which is an archive
MOST_PARTS = 1_000
MOST_COLUMNS = 200  # cells of a line that are looked at
LONGEST_CELL = 2_000  # characters: what is longer is cut one behind it, so that whoever reads it sees that it was
_TYPES = {"xl/workbook.xml": "xlsx", "content.xml": "ods"}  # a part → the spreadsheet that has it
_DELIMITERS = ",\t;"
_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"
Line = tuple[int, list[str]]


class NotTaken(Exception):
    """Why a file is not read: a code of tables.REFUSALS."""


def read(content: bytes) -> tuple[str, Iterator[Line]]:
    """The kind of a file (csv, xlsx, ods), and its lines. Raises NotTaken, also while they are read."""
    if not content:
        raise NotTaken("empty")
    if content.startswith(b"PK"):
        return _spreadsheet(content)
    if content.startswith((b"\xd0\xcf\x11\xe0", b"%PDF-", b"{\\rtf", b"\x89PNG", b"\xff\xd8\xff", b"\x1f\x8b")):
        raise NotTaken("kind-unknown")
    return "csv", _csv(content)


# --- CSV -------------------------------------------------------------------------------------------------------------


def _csv(content: bytes) -> Iterator[Line]:
    csv.field_size_limit(sys.maxsize)  # how long the whole file may be was asked before
    with TextIOWrapper(BytesIO(content), encoding=_encoding(content), newline="") as text:
        first = text.readline(1 << 16)
        while first and not first.strip():
            first = text.readline(1 << 16)
        text.seek(0)
        delimiter = max(_DELIMITERS, key=first.count)
        reader = csv.reader(text, delimiter=delimiter, strict=True)
        try:
            yield from _lines(reader)
        except csv.Error:
            raise NotTaken("unreadable") from None


def _encoding(content: bytes) -> str:
    """UTF-8, with or without its mark, or Big5 as Windows has it."""
    if b"\x00" in content:
        raise NotTaken("encoding-unknown")
    for encoding in ("utf-8-sig", "cp950"):
        with suppress(UnicodeDecodeError):
            content.decode(encoding)
            return encoding
    raise NotTaken("encoding-unknown")


# --- Spreadsheets ----------------------------------------------------------------------------------------------------


def _spreadsheet(content: bytes) -> tuple[str, Iterator[Line]]:
    """The first sheet. A formula is read as the value that the spreadsheet program last worked out, of cells that are one
    the first has it."""
    try:
        with ZipFile(BytesIO(content)) as archive:
            parts = archive.infolist()
            names = {part.filename for part in parts}
            kind = next((kind for name, kind in _TYPES.items() if name in names), None)
            if kind is None:
                raise NotTaken("kind-unknown")
            if len(parts) > MOST_PARTS or sum(part.file_size for part in parts) > MOST_UNPACKED:
                raise NotTaken("too-much")
            for part in parts:  # that is longer than its entry says, or broken, is an error here
                with archive.open(part) as opened:
                    while opened.read(1 << 20):
                        pass
    except (BadZipFile, RuntimeError, ValueError, EOFError, OSError, zlib.error, NotImplementedError):
        raise NotTaken("unreadable") from None
    return kind, _sheet(content)


def _sheet(content: bytes) -> Iterator[Line]:
    from python_calamine import CalamineError, load_workbook

    try:
        sheet = load_workbook(BytesIO(content)).get_sheet_by_index(0)
        yield from _lines(sheet.iter_rows())
    except (CalamineError, IndexError, ValueError):
        raise NotTaken("unreadable") from None


# --- Both ------------------------------------------------------------------------------------------------------------


def _lines(rows: Iterable[Iterable[Any]]) -> Iterator[Line]:
    """Every line that is not empty, numbered from 1, its cells as text without the empty ones at its end."""
    for number, row in enumerate(rows, start=1):
        cells = [_text(cell) for cell in islice(row, MOST_COLUMNS)]
        while cells and not cells[-1]:
            cells.pop()
        if cells:
            yield number, cells


def _text(cell: Any) -> str:
    """A cell as it would be typed; a number stays its digits."""
    if isinstance(cell, str):
        text = cell[: LONGEST_CELL + 1].strip().lstrip(_MARK)
        return (
            text[1:] if len(text) > 1 and text[0] == "'" and text[1] in "=+-@＝＋－＠" else text
        )  # our downloads' sign
    if isinstance(cell, bool):
        return "是" if cell else "否"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else repr(cell)
    if isinstance(cell, datetime):
        return cell.date().isoformat() if cell.time() == time() else f"{cell:%Y-%m-%d %H:%M}"
    if isinstance(cell, date):
        return cell.isoformat()
    if isinstance(cell, time):
        return f"{cell:%H:%M}"
    if isinstance(cell, timedelta):
        minutes = int(cell.total_seconds()) // 60
        return f"{minutes // 60:02}:{minutes % 60:02}"
    return "" if cell is None else str(cell)


# --- The program -----------------------------------------------------------------------------------------------------


def _told(out: TextIO, most_rows: int) -> None:
    kind, lines = read(sys.stdin.buffer.read())
    out.write(json.dumps({"kind": kind}) + "\n")
    for count, line in enumerate(lines):
        if count > most_rows:  # the titles stand in one of them
            raise NotTaken("too-many-rows")
        out.write(json.dumps(line, ensure_ascii=True) + "\n")


def main() -> None:
    """Read a file and tell its lines; the last one says that it was the last, or why no more are told."""
    for limit, most in ((resource.RLIMIT_CPU, MOST_SECONDS), (resource.RLIMIT_AS, MOST_MEMORY)):
        with suppress(ValueError, OSError):  # a system may know none
            resource.setrlimit(limit, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    end: dict[str, Any] = {"end": True}
    try:
        _told(sys.stdout, int(sys.argv[1]))
    except NotTaken as reason:
        end = {"refused": str(reason)}
    except (MemoryError, RecursionError):
        end = {"refused": "too-much"}
    sys.stdout.write(json.dumps(end) + "\n")


if __name__ == "__main__":
    main()
