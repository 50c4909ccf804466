"""Lists as files: every cell read by its column, every bad row reported with its line and its reasons."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from io import BufferedReader
from typing import Any, Protocol

from django.db import DataError, IntegrityError, transaction

from quitledger.accounts.actors import Actor
from quitledger.files import tables
from quitledger.policy import DateError, parse_date, parse_month
from quitledger.policy.problem import Problem, Refused
from quitledger.policy.sentences import Sentence, Several, Words

WORDS = {"是": True, "否": False, "Y": True, "N": False, "1": True, "0": False}
YES_NO = {"yes": Words("是"), "no": Words("否")}
_LONGEST_NUMBER = 9  # digits


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


def read_table(
    content: bytes | BufferedReader, columns: Sequence[Column], *, most_rows: int | None
) -> list[tuple[int, Cells]]:
    """The rows of a file with their lines, counted from 1; empty ones are left out. `content`, `most_rows`: as tables.read_table.

    Raises Refused where the file cannot be read or lacks a column.
    """
    needed = {column.title for column in columns if not column.optional}
    with tables.read_table(content, most_rows=most_rows) as table:
        head = next((head for head in table.first if needed <= set(head[1])), None)
        if head is None:
            best = max((cells for _line, cells in table.first), key=lambda cells: len(needed & set(cells)), default=[])
            missing = [column.title for column in columns if column.title in needed - set(best)]
            message = Sentence("檔案缺少欄位：{columns}。請對照範例檔。", columns=Several(missing))
            raise Refused([Problem("column-missing", message, "file")])
        line, titles = head
        twice = sorted({title for title in titles if title and titles.count(title) > 1})
        if twice:
            message = Sentence("欄位重複：{columns}。請只留一欄。", columns=Several(twice))
            raise Refused([Problem("column-twice", message, "file")])
        return [(number, dict(zip(titles, cells, strict=False))) for number, cells in table.rows(line)]


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
