"""Lists of the agency as CSV: every cell read by its column, every bad row reported with its line and its reasons."""

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, TextIO

from django.db import DataError, IntegrityError, transaction

from quitledger.accounts.actors import Actor
from quitledger.policy import DateError, parse_date
from quitledger.policy.problem import Problem, Refused
from quitledger.policy.sentences import Sentence, Several

WORDS = {"是": True, "否": False, "Y": True, "N": False, "1": True, "0": False}


class Unreadable(ValueError):
    """A cell does not hold what its column asks for; `sentence`, which is also the message, ends 「欄位」…。"""

    def __init__(self, sentence: Sentence) -> None:
        super().__init__(sentence)
        self.sentence = sentence


@dataclass(frozen=True)
class Column:
    """A column of a list: its title in the file, the value's name in the row, and how a cell is read.

    `read` is given the trimmed text, never an empty one, and raises Unreadable or DateError.
    """

    title: str
    name: str
    read: Callable[[str], object]
    optional: bool = False
    empty: object = None  # the value of an empty optional cell


def text(longest: int) -> Callable[[str], str]:
    """Reads a text of at most `longest` characters."""

    def read(cell: str) -> str:
        if len(cell) > longest:
            raise Unreadable(Sentence("最多 {most} 字。", most=longest))
        if "\x00" in cell:
            raise Unreadable(Sentence("有無法儲存的字元。"))
        return cell

    return read


def code(cell: str) -> str:
    """Reads the code of an institution: ten digits. No check digit of it is public (domain.md §7)."""
    if not (len(cell) == 10 and cell.isascii() and cell.isdigit()):
        raise Unreadable(Sentence("應為 10 位數字。"))
    return cell


def day(cell: str) -> date:
    """Reads a date in ROC or ISO form."""
    return parse_date(cell)


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
            raise Unreadable(Sentence("應為{labels}之一。", labels=Several(words)))
        return words[cell]

    return read


@dataclass
class ImportReport:
    """What an import did: rows recorded, and for each bad row its line in the file and its problems."""

    recorded: int = 0
    refused: list[tuple[int, list[Problem]]] = field(default_factory=list)


def import_rows(
    file: TextIO,
    columns: Sequence[Column],
    make: Callable[..., Any],
    record: Callable[..., object],
    *,
    good_rows_only: bool,
    by: Actor,
) -> ImportReport:
    """Record every row of a CSV file with a line of titles: all of them or, where chosen, the good ones only.

    `make` builds a row from the values by name; `record(row, by=…)` is the service that writes it. Raises Refused where
    the file as a whole cannot be read.
    """
    report = ImportReport()
    rows = []
    for line, cells in _lines(file, columns):
        values, problems = _read(cells, columns)
        if problems:
            report.refused.append((line, problems))
        else:
            rows.append((line, make(**values)))
    with transaction.atomic():
        for line, row in rows:
            try:
                with transaction.atomic():
                    record(row, by=by)
                report.recorded += 1
            except Refused as refused:
                report.refused.append((line, refused.problems))
            except (DataError, IntegrityError) as error:
                report.refused.append((line, [_conflict(error)]))
        if report.refused and not good_rows_only:
            transaction.set_rollback(True)
            report.recorded = 0
    report.refused.sort(key=lambda refused: refused[0])
    return report


def _lines(file: TextIO, columns: Sequence[Column]) -> Iterable[tuple[int, Mapping[str, str | None]]]:
    reader = csv.DictReader(file)
    try:
        titles = [(title or "").strip() for title in reader.fieldnames or []]
        reader.fieldnames = titles
        missing = [column.title for column in columns if not column.optional and column.title not in titles]
        if missing:
            message = Sentence("檔案缺少欄位：{columns}。請對照範例檔。", columns=Several(missing))
            raise Refused([Problem("column-missing", message, missing[0])])
        for cells in reader:
            yield reader.line_num, cells
    except csv.Error:
        message = Sentence("第 {line} 行起無法讀取。請另存成 CSV 再試一次。", line=reader.line_num)
        raise Refused([Problem("file-unreadable", message)]) from None


def _read(cells: Mapping[str, str | None], columns: Sequence[Column]) -> tuple[dict[str, object], list[Problem]]:
    """One row's values by name, and its problems."""
    values: dict[str, object] = {}
    problems: list[Problem] = []
    for column in columns:
        cell = (cells.get(column.title) or "").strip()
        if not cell:
            values[column.name] = column.empty
            if not column.optional:
                message = Sentence("「{column}」沒有填。", column=column.title)
                problems.append(Problem("value-missing", message, column.title))
            continue
        try:
            values[column.name] = column.read(cell)
        except (Unreadable, DateError) as fault:
            message = Sentence("「{column}」{fault}", column=column.title, fault=fault.sentence)
            problems.append(Problem("value-unreadable", message, column.title))
    return values, problems


def _conflict(error: DataError | IntegrityError) -> Problem:
    """What the database refused, in words: its own message would repeat values of the row."""
    diagnosis = getattr(error.__cause__, "diag", None)
    constraint = (diagnosis and diagnosis.constraint_name) or ""
    if constraint.endswith("_period"):
        return Problem("period-reversed", "迄日早於起日。")
    if constraint.endswith("_one_a_day"):
        return Problem("period-overlaps", "期間與已登錄的另一段期間重疊。")
    rule = constraint or type(error).__name__
    return Problem("row-conflicts", Sentence("與已登錄的資料衝突（{rule}）。", rule=rule))
