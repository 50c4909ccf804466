"""Reads a table that somebody sent (CSV, XLSX, ODS): a program of its own, given the bytes and nothing else.

What unpacks strangers' files may loop, swell or fall over. So this runs apart from the site, with limits on memory and
time and without the site's environment (no key, no address of the database). What a file is, its content says; its name is
never asked. It answers in JSON: first the kind, then each line of the table that is not empty as its number and its cells,
some of them in each line of the answer.

    python -m quitledger.files.sheet_reading [MOST_SECONDS] < file > answer
"""

import codecs
import csv
import json
import resource
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from functools import partial
from io import BytesIO, TextIOWrapper
from itertools import islice
from typing import Any, BinaryIO, TextIO
from zipfile import BadZipFile, ZipFile

MOST_MEMORY = 1 << 30  # bytes of address space
MOST_UNPACKED = 400_000_000  # bytes of all parts of a spreadsheet, which is an archive
MOST_PARTS = 1_000
MOST_CELLS = 40_000_000  # of a sheet up to its last row and column: each is walked over, the empty ones, too
MOST_COLUMNS = 200  # cells of a line that are looked at
LONGEST_CELL = 2_000  # characters: what is longer is cut one behind it, so that whoever reads it sees that it was
TITLES_WITHIN = 10  # lines at the top of a table, of which one holds the titles; notes may stand above it
# What spreadsheet programs take for the start of a formula, or skip before one (OWASP, "CSV Injection").
FORMULA_STARTS = (*"=+-@＝＋－＠", "\t", "\r", "\n")
_GUARDED = tuple(f"'{start}" for start in FORMULA_STARTS)  # as our downloads have it (interop/sheets.py)
_TYPES = {"xl/workbook.xml": "xlsx", "content.xml": "ods"}  # a part → the spreadsheet that has it
_DELIMITERS = ",\t;"
_LONGEST_FIELD = 4_000_000  # characters: what goes on for longer is a quote that never ends
_AT_ONCE = 1 << 20  # bytes read
_TOLD_AT_ONCE = 20  # lines: each answer costs something, and must not be huge
_DIGITS = 15  # of a number, as many as spreadsheet programs keep and show
_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"
Line = tuple[int, list[str]]


class NotTaken(Exception):
    """Why a file is not read: a code of tables.REFUSALS, and the line, where it is one."""

    def __init__(self, code: str, line: int = 0) -> None:
        super().__init__(code)
        self.said: dict[str, Any] = {"refused": code} | ({"line": line} if line else {})


def read(file: BinaryIO) -> tuple[str, Iterator[Line]]:
    """The kind of a file (csv, xlsx, ods), and its lines. Raises NotTaken, also while they are read.

    A CSV file is never held as a whole, however long it is.
    """
    start = file.read(8)
    if not start:
        raise NotTaken("empty")
    if start.startswith(b"PK\x03\x04"):
        return _spreadsheet(file)
    if start.startswith((b"\xd0\xcf\x11\xe0", b"%PDF-", b"{\\rtf", b"\x89PNG", b"\xff\xd8\xff", b"\x1f\x8b")):
        raise NotTaken("kind-unknown")
    return "csv", _csv(file)


# --- CSV -------------------------------------------------------------------------------------------------------------


def _csv(file: BinaryIO) -> Iterator[Line]:
    csv.field_size_limit(_LONGEST_FIELD)
    encoding = _encoding(file)
    file.seek(0)
    with TextIOWrapper(file, encoding=encoding, newline="") as text:
        first = [text.readline(_AT_ONCE) for _ in range(TITLES_WITHIN)]
        text.seek(0)
        # Each line has what stands between cells; a note or a text has the other signs, too, now and then.
        delimiter = max(_DELIMITERS, key=lambda sign: sum(sign in line for line in first))
        yield from _lines(map(_texts, csv.reader(text, delimiter=delimiter, strict=True)))


def _encoding(file: BinaryIO) -> str:
    """UTF-8, with or without its mark, or Big5 as Windows has it. Where it is neither, NotTaken says where it ceases to be one."""
    lines = []
    for encoding in ("utf-8-sig", "cp950"):
        file.seek(0)
        decoder, line = codecs.getincrementaldecoder(encoding)(), 1
        try:
            for part in iter(partial(file.read, _AT_ONCE), b""):
                decoder.decode(part)
                line += part.count(b"\n")
            decoder.decode(b"", final=True)
            break
        except UnicodeDecodeError as error:
            lines.append(line + error.object[: error.start].count(b"\n"))
    else:
        raise NotTaken("encoding-unknown", max(lines))
    file.seek(0)
    if b"\x00" in file.readline(_AT_ONCE):  # UTF-16 without its mark
        raise NotTaken("encoding-unknown", 1)
    return encoding


# --- Spreadsheets ----------------------------------------------------------------------------------------------------


def _spreadsheet(file: BinaryIO) -> tuple[str, Iterator[Line]]:
    """The first sheet. A formula is read as the value that the spreadsheet program last worked out, of cells that are one
    the first has it."""
    try:
        with ZipFile(file) as archive:
            parts = archive.infolist()
            names = {part.filename for part in parts}
            kind = next((kind for name, kind in _TYPES.items() if name in names), None)
            if kind is None:
                raise NotTaken("kind-unknown")
            if len(parts) > MOST_PARTS or sum(part.file_size for part in parts) > MOST_UNPACKED:
                raise NotTaken("too-much")
            for part in parts:  # that is longer than its entry says, or broken, is an error here
                with archive.open(part) as opened:
                    while opened.read(_AT_ONCE):
                        pass
    except (BadZipFile, RuntimeError, ValueError, EOFError, OSError, zlib.error, NotImplementedError):
        raise NotTaken("unreadable") from None
    return kind, _sheet(file)


def _sheet(file: BinaryIO) -> Iterator[Line]:
    from python_calamine import CalamineError, load_workbook

    file.seek(0)
    try:
        sheet = load_workbook(file).get_sheet_by_index(0)
        if sheet.total_height * sheet.total_width > MOST_CELLS:
            raise NotTaken("too-much")
        yield from _lines([_text(cell) for cell in islice(row, MOST_COLUMNS)] for row in sheet.iter_rows())
    except (CalamineError, IndexError, ValueError):
        raise NotTaken("unreadable") from None


# --- Both ------------------------------------------------------------------------------------------------------------


def _lines(rows: Iterable[list[str]]) -> Iterator[Line]:
    """Every line that is not empty, numbered from 1, without the empty cells at its end."""
    number = 0
    try:
        for number, cells in enumerate(rows, start=1):
            while cells and not cells[-1]:
                cells.pop()
            if cells:
                yield number, cells
    except csv.Error:
        raise NotTaken("line-unreadable", number + 1) from None


def _texts(row: list[str]) -> list[str]:
    """The cells of a line of CSV as `_text` has them; most lines hold nothing to look at more closely."""
    line = "".join(row)
    if len(row) > MOST_COLUMNS or len(line) > LONGEST_CELL or "'" in line or _MARK in line:
        return [_text(cell) for cell in row[:MOST_COLUMNS]]
    return list(map(str.strip, row))


def _text(cell: Any) -> str:
    """A cell as it would be typed; a number stays its digits."""
    if isinstance(cell, str):
        text = cell[: LONGEST_CELL + 1].strip().lstrip(_MARK)
        return text[1:].lstrip() if text.startswith(_GUARDED) else text
    if isinstance(cell, bool):
        return "是" if cell else "否"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() else f"{cell:.{_DIGITS}g}"
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


def _told(file: BinaryIO, out: TextIO) -> None:
    kind, lines = read(file)
    out.write(json.dumps({"kind": kind}) + "\n")
    while part := list(islice(lines, _TOLD_AT_ONCE)):
        out.write(json.dumps(part) + "\n")


def main() -> None:
    """Read a file and tell its lines; the last one says that it was the last, or why no more are told."""
    limits = [(resource.RLIMIT_CORE, 0), (resource.RLIMIT_AS, MOST_MEMORY)]
    limits += [(resource.RLIMIT_CPU, int(seconds)) for seconds in sys.argv[1:]]
    for limit, most in limits:
        with suppress(ValueError, OSError):  # a system may know none
            resource.setrlimit(limit, (most, most))
    end: dict[str, Any] = {"end": True}
    try:
        file = sys.stdin.buffer
        _told(file if file.seekable() else BytesIO(file.read()), sys.stdout)
    except NotTaken as reason:
        end = reason.said
    except (MemoryError, RecursionError):
        end = {"refused": "too-much"}
    sys.stdout.write(json.dumps(end) + "\n")


if __name__ == "__main__":
    main()
