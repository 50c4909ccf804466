"""Lists as files (CSV, XLSX): every cell read by its column, every bad row reported with its line and its reasons."""

import csv
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from io import BytesIO, StringIO
from typing import Any, Protocol
from zipfile import BadZipFile, ZipFile, is_zipfile

from django.db import DataError, IntegrityError, transaction
from python_calamine import CalamineError, load_workbook

from quitledger.accounts.actors import Actor
from quitledger.policy import DateError, parse_date, parse_month
from quitledger.policy.problem import Problem, Refused
from quitledger.policy.sentences import Sentence, Several, Words

WORDS = {"是": True, "否": False, "Y": True, "N": False, "1": True, "0": False}
YES_NO = {"yes": Words("是"), "no": Words("否")}
_TITLES_WITHIN = 10  # lines at the top of a file, of which one holds the titles; notes may stand above it
_LONGEST_NUMBER = 9  # digits
_MOST_PARTS = 1_000  # of a spreadsheet, which is an archive
_MOST_UNPACKED = 64_000_000  # bytes of all its parts
_MOST_CELLS = 5_000_000  # up to the last row and column: the reader keeps them all, the empty ones too
_OTHER_KINDS = {"content.xml", "xl/workbook.bin"}  # of spreadsheets, which have other ways to be large
_PLACE = re.compile(rb"""\br\s*=\s*["']([A-Za-z]*)(\d+)["']""")
_ROW, _CELL = re.compile(rb"<(?:\w+:)?row\b"), re.compile(rb"<(?:\w+:)?c\b")


class Unreadable(ValueError):
    """A cell does not hold what its column asks for; the message ends the sentence 「欄位」…。"""

    def __init__(self, sentence: Sentence) -> None:
        super().__init__(sentence)
        self.sentence = sentence


@dataclass(frozen=True)
class Column:
    """A column of a list: its title in the file, the value's name in the row, and how a cell is read.

    `read` is given the trimmed text, never an empty one, and raises Unreadable or DateError. How the column is typed
    into a form: `hint`, `choices` (word → label), `width` (s, m, l) or `grow`; `secret`: not shown again.
    """

    title: str
    name: str
    read: Callable[[str], object]
    optional: bool = False
    empty: object = None  # the value of an empty optional cell
    hint: str = ""
    choices: Mapping[str, str] | None = None
    width: str = ""
    grow: bool = False
    secret: bool = False


def text(longest: int) -> Callable[[str], str]:
    """Reads a text of at most `longest` characters."""

    def read(cell: str) -> str:
        if len(cell) > longest:
            raise Unreadable(Sentence("最多 {longest} 字。", longest=longest))
        if "\x00" in cell:
            raise Unreadable(Sentence("有無法儲存的字元。"))
        return cell

    return read


def code(cell: str) -> str:
    """Reads the code of an institution: ten digits. No check digit of it is public (domain.md §7)."""
    if not (len(cell) == 10 and cell.isascii() and cell.isdigit()):
        raise Unreadable(Sentence("應為 10 位數字。"))
    return cell


def parent_code(cell: str) -> str:
    """Reads the code of a parent, or the sign that there is none any longer."""
    return cell if cell == "-" else code(cell)


def day(cell: str) -> date:
    """Reads a date in ROC or ISO form."""
    return parse_date(cell)


def year(cell: str) -> int:
    """Reads a year, ROC or of four digits; its number is that of the common era."""
    try:
        return parse_month(f"{cell}-01" if len(cell) == len("2025") else f"{cell}/01").year
    except DateError:
        raise Unreadable(Sentence("應為民國年，例：114。")) from None


def whole_number(cell: str) -> int:
    """Reads a number of things."""
    if not (cell.isascii() and cell.isdigit() and len(cell) <= _LONGEST_NUMBER):
        raise Unreadable(Sentence("應為整數。"))
    return int(cell)


def yes_or_no(cell: str) -> bool:
    """Reads 是 or 否 (also Y, N, 1, 0)."""
    if cell.upper() not in WORDS:
        raise Unreadable(Sentence("應為「是」或「否」。"))
    return WORDS[cell.upper()]


def one_of(labels: Mapping[str, str]) -> Callable[[str], str]:
    """Reads the Chinese label of a closed set as its word; `labels`: word → label."""
    words = {label: word for word, label in labels.items()}

    def read(cell: str) -> str:
        if cell not in words:
            raise Unreadable(Sentence("應為{choices}之一。", choices=Several(map(Words, words))))
        return words[cell]

    return read


# --- Files -----------------------------------------------------------------------------------------------------------

Cells = dict[str, str]  # title → text


def read_table(content: bytes, columns: Sequence[Column]) -> list[tuple[int, Cells]]:
    """The rows of a CSV (UTF-8 or Big5) or XLSX file with their lines, counted from 1. Empty lines are left out.

    The titles stand in one of the first lines; notes may stand above them. Raises Refused where the file cannot be
    read or lacks a column.
    """
    lines = list(_xlsx(content) if is_zipfile(BytesIO(content)) else _csv(content))
    needed = [column.title for column in columns if not column.optional]
    head = next((n for n, cells in enumerate(lines[:_TITLES_WITHIN]) if set(needed) <= set(cells)), None)
    if head is None:
        best = max(lines[:_TITLES_WITHIN], key=lambda cells: len(set(needed) & set(cells)), default=[])
        missing = [title for title in needed if title not in best]
        message = Sentence("檔案缺少欄位：{columns}。請對照範例檔。", columns=Several(missing))
        raise Refused([Problem("column-missing", message, missing[0])])
    titles = lines[head]
    twice = sorted({title for title in titles if title and titles.count(title) > 1})
    if twice:
        message = Sentence("欄位重複：{columns}。請只留一欄。", columns=Several(twice))
        raise Refused([Problem("column-twice", message, twice[0])])
    rows = enumerate(lines[head + 1 :], start=head + 2)
    return [(line, dict(zip(titles, cells, strict=False))) for line, cells in rows if any(cells)]


def _csv(content: bytes) -> Iterator[list[str]]:
    reader = csv.reader(StringIO(_decoded(content), newline=""))
    try:
        for cells in reader:
            yield [_unguarded(cell.strip()) for cell in cells]
    except csv.Error:
        raise _unreadable(
            Sentence("第 {line} 行起無法讀取。請另存成 CSV 或 XLSX 再試一次。", line=reader.line_num)
        ) from None


def _decoded(content: bytes) -> str:
    for encoding in ("utf-8-sig", "cp950"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise _unreadable(Words("檔案不是 UTF-8 也不是 Big5 的文字。請另存成 CSV（UTF-8）或 XLSX。"))


def _xlsx(content: bytes) -> Iterator[list[str]]:
    """The first sheet. A formula is read as the value that the spreadsheet program last worked out."""
    _require_modest(content)
    try:
        sheet = load_workbook(BytesIO(content)).get_sheet_by_index(0).to_python(skip_empty_area=False)
    except (CalamineError, IndexError, ValueError):
        raise _unreadable_sheet() from None
    return ([_text(cell) for cell in cells] for cells in sheet)


def _require_modest(content: bytes) -> None:
    """Raises Refused for a spreadsheet that is small and becomes huge where it is read: two cells far apart are enough."""
    try:
        with ZipFile(BytesIO(content)) as archive:
            parts = archive.infolist()
            if len(parts) > _MOST_PARTS or sum(part.file_size for part in parts) > _MOST_UNPACKED:
                raise _too_large()
            if _OTHER_KINDS & set(archive.namelist()):
                raise ValueError
            # A part that is longer than its entry says is an error here.
            if any(_most_cells(archive.read(part)) > _MOST_CELLS for part in parts):
                raise _too_large()
    except (BadZipFile, RuntimeError, ValueError, EOFError, OSError, zlib.error):
        raise _unreadable_sheet() from None


def _most_cells(part: bytes) -> int:
    """How many cells a part of a spreadsheet can span at most, wherever they say that they stand."""
    places = set(_PLACE.findall(part))
    rows = max((int(row) for _column, row in places), default=0) + len(_ROW.findall(part))
    columns = max((_number(column) for column, _row in places), default=0)
    return rows * (columns + max(len(_CELL.findall(row)) for row in _ROW.split(part)))


def _number(column: bytes) -> int:
    """Of a column by its letters: A is 1, AA is 27."""
    number = 0
    for letter in column.upper():
        number = number * 26 + letter - ord("A") + 1
    return number


def _text(cell: object) -> str:
    """A cell as it would be typed."""
    if isinstance(cell, bool):
        return Words("是") if cell else Words("否")
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() else str(cell)
    if isinstance(cell, datetime):
        return cell.date().isoformat()
    return _unguarded(str(cell).strip())


def _unguarded(cell: str) -> str:
    """Without the sign that our downloads put before what a spreadsheet program would take for a formula."""
    return cell[1:] if len(cell) > 1 and cell[0] == "'" and cell[1] in "=+-@" else cell


def _unreadable(message: str) -> Refused:
    return Refused([Problem("file-unreadable", message)])


def _unreadable_sheet() -> Refused:
    return _unreadable(Words("試算表無法讀取。請用試算表程式開啟後另存成 XLSX 再試一次。"))


def _too_large() -> Refused:
    words = Words("試算表展開後太大。請把要匯入的列複製到新的試算表，或另存成 CSV 再試一次。")
    return Refused([Problem("file-too-large", words)])


# --- Rows ------------------------------------------------------------------------------------------------------------

NEW, CHANGED, SAME = "new", "changed", "same"
OUTCOMES = {NEW: Words("新增"), CHANGED: Words("修改"), SAME: Words("相同")}


@dataclass(frozen=True)
class Recorded:
    """A record as it now is, and what that took: NEW, CHANGED or SAME."""

    record: Any
    did: str


class Writer(Protocol):
    """A service that writes one row: as a new record, as a change of the one it finds, or of the one that is given."""

    def __call__(self, row: Any, /, *, by: Actor, of: Any = None) -> Recorded: ...


@dataclass(frozen=True)
class RowOutcome:
    """What became of one row, or would: its line, its cells, what was done, or all its problems."""

    line: int
    cells: Cells
    did: str = ""
    problems: tuple[Problem, ...] = ()

    @property
    def label(self) -> str:
        """What was done, in Chinese."""
        return OUTCOMES.get(self.did, Words("有錯"))


@dataclass
class ImportReport:
    """What an import did, or would do, row by row."""

    rows: list[RowOutcome] = field(default_factory=list)
    kept: bool = False  # whether the good rows were recorded

    @property
    def recorded(self) -> int:
        """Rows that were recorded, those that said what was known among them."""
        return sum(not row.problems for row in self.rows) if self.kept else 0

    @property
    def refused(self) -> list[tuple[int, list[Problem]]]:
        """For each bad row its line and its problems."""
        return [(row.line, list(row.problems)) for row in self.rows if row.problems]

    def count(self, did: str) -> int:
        """Good rows of which this was done."""
        return sum(row.did == did for row in self.rows)


def import_rows(
    rows: Sequence[tuple[int, Cells]],
    columns: Sequence[Column],
    make: Callable[..., Any],
    record: Writer,
    *,
    good_rows_only: bool,
    trial: bool = False,
    by: Actor,
) -> ImportReport:
    """Record every row of a file (read_table): all of them or, where chosen, the good ones only. `trial`: none, and tell.

    `make` builds a row from the values by name; `record(row, by=…)` is the service that writes it.
    """
    report = ImportReport()
    with transaction.atomic():
        for line, cells in rows:
            values, problems = read_cells(cells, columns)
            did = ""
            if not problems:
                recorded, problems = attempt(record, make(**values), by=by)
                did = recorded.did if recorded else ""
            report.rows.append(RowOutcome(line, cells, did, tuple(problems)))
        report.kept = not trial and (good_rows_only or not report.refused)
        if not report.kept:
            transaction.set_rollback(True)
    return report


def attempt(record: Writer, row: Any, *, by: Actor, of: Any = None) -> tuple[Recorded | None, list[Problem]]:
    """Record one row; what the rules or the database refuse leaves no trace and is answered as problems."""
    try:
        with transaction.atomic():
            return record(row, by=by, of=of), []
    except Refused as refused:
        return None, refused.problems
    except (DataError, IntegrityError) as error:
        return None, [_conflict(error)]


def read_cells(cells: Mapping[str, str], columns: Sequence[Column]) -> tuple[dict[str, object], list[Problem]]:
    """One row's values by name, and its problems."""
    values: dict[str, object] = {}
    problems: list[Problem] = []
    for column in columns:
        cell = cells.get(column.title, "").strip()
        if not cell:
            values[column.name] = column.empty
            if not column.optional:
                problems.append(
                    Problem("value-missing", Sentence("「{column}」沒有填。", column=Words(column.title)), column.name)
                )
            continue
        try:
            values[column.name] = column.read(cell)
        except (Unreadable, DateError) as fault:
            problems.append(
                Problem(
                    "value-unreadable",
                    Sentence("「{column}」{fault}", column=Words(column.title), fault=fault.sentence),
                    column.name,
                )
            )
    return values, problems


def _conflict(error: DataError | IntegrityError) -> Problem:
    """What the database refused, in words: its own message would repeat values of the row."""
    diagnosis = getattr(error.__cause__, "diag", None)
    constraint = (diagnosis and diagnosis.constraint_name) or ""
    if constraint.endswith("_period"):
        return Problem("period-reversed", "迄日早於起日。", "ends_on")
    if constraint.endswith("_one_a_day"):
        return Problem("period-overlaps", "期間與已登錄的另一段期間重疊。", "starts_on")
    rule = constraint or type(error).__name__
    return Problem("row-conflicts", Sentence("與已登錄的資料衝突（{rule}）。", rule=rule))
