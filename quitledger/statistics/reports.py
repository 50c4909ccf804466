"""A report: the annual tables as they are published, compared and written to files; with what each number means. Pure.

It holds every word and figure itself, so that what was published reads the same whatever the programme says later. As text
it is JSON in the one form of RFC 8785 (keys sorted, no spaces, UTF-8; there are only texts, whole numbers and null): its
SHA-256 is the report's fingerprint, and anybody can compute it of the file.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any

from quitledger.institutions.models import Tier
from quitledger.policy import TAIPEI
from quitledger.policy.roc_formats import ROC_EPOCH
from quitledger.policy.sentences import Sentence, Text, Words

from .annual import AnnualTables
from .indicators import Indicator
from .measures import HIDDEN, Basis, Cell, Measured, Period
from .served import SERVED, WORKED

FORMAT = "quitledger-annual-1"
BASES = {Basis.ANY_DAY: Words("期間內任一日有合約者"), Basis.LAST_DAY: Words("期末當日有合約者")}
TOTAL = "total"
UNKNOWN = "unknown"


class Part(StrEnum):
    """What a column shows of its indicator."""

    NUMERATOR = "numerator"
    DENOMINATOR = "denominator"
    VALUE = "value"


@dataclass(frozen=True)
class Column:
    """A column of a table. `is_printed`: it stands in the printed table; the others are told in files."""

    name: str
    label: Words
    unit: Words
    indicator: str
    part: Part
    is_printed: bool = True

    @property
    def head(self) -> Text:
        """What stands above it: counts name their unit themselves."""
        return (
            Sentence("{label}（{unit}）", label=self.label, unit=self.unit) if self.part is Part.VALUE else self.label
        )


@dataclass(frozen=True)
class Figure:
    """One figure: as it is printed, and as a whole number where it is a count that is told."""

    said: str
    count: int | None = None


@dataclass(frozen=True)
class Row:
    """A row of a table: a figure for each column, in order. The last row is the total, which need not be the sum."""

    name: str
    label: Words
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class Table:
    """One of the printed tables."""

    name: str
    number: Words
    title: Words
    note: Words
    columns: tuple[Column, ...]
    rows: tuple[Row, ...] = ()

    @property
    def printed_columns(self) -> list[Column]:
        """The columns that are printed."""
        return [column for column in self.columns if column.is_printed]

    def printed(self, row: Row) -> list[Figure]:
        """The figures of a row that are printed."""
        return [figure for column, figure in zip(self.columns, row.figures, strict=True) if column.is_printed]

    @property
    def printed_rows(self) -> list[tuple[Row, list[Figure]]]:
        """Each row with its printed figures."""
        return [(row, self.printed(row)) for row in self.rows]


@dataclass(frozen=True)
class Definition:
    """An indicator as it was defined."""

    name: str
    title: str
    why: str
    numerator: str
    denominator: str | None
    grain: str
    measure: str
    unit: str
    source: str
    author: str
    reviewed: str
    statement: str

    @classmethod
    def of(cls, indicator: Indicator) -> "Definition":
        """As it is defined now."""
        return cls(
            indicator.name, indicator.title, indicator.why, indicator.numerator, indicator.denominator, indicator.grain,
            indicator.measure.value, indicator.unit, indicator.source, indicator.author, indicator.reviewed.isoformat(),
            SERVED + WORKED + indicator.statement,
        )  # fmt: skip

    @property
    def reviewed_on(self) -> date:
        """The day on which it was reviewed last."""
        return date.fromisoformat(self.reviewed)

    @property
    def statement_fingerprint(self) -> str:
        """SHA-256 of the statement that counts it."""
        return sha256(self.statement.encode()).hexdigest()


_COUNTED_IN_ITS_TIER = Words("執行：期間內至少提供 1 次服務。層級別以期末或合約最後一日為準。")
_INSTITUTIONS, _STAFF, _MEDICATION, _COUNSELLING, _PERSONS = (
    "institution_execution", "staff_execution", "medication_visits", "counselling_visits", "persons_served",
)  # fmt: skip
# The tables as the notice prints them (section 肆): numbers, titles, words, order.
LAYOUT = (
    Table("table_1_institutions", Words("表 1"), Words("特約機構各層級戒菸服務合約及執行概況"), _COUNTED_IN_ITS_TIER, (
        Column("contracted", Words("合約特約機構數"), Words("家"), _INSTITUTIONS, Part.DENOMINATOR),
        Column("executing", Words("執行特約機構數"), Words("家"), _INSTITUTIONS, Part.NUMERATOR),
        Column("execution_rate_percent", Words("執行率"), Words("％"), _INSTITUTIONS, Part.VALUE),
    )),
    Table("table_2_staff", Words("表 2"), Words("服務人員各層級戒菸服務合約及執行概況"),
          Words("同一人可在不同層級執業，合計為不重複人數，不等於各列相加。"), (
        Column("contracted", Words("合約服務人員數"), Words("人"), _STAFF, Part.DENOMINATOR),
        Column("executing", Words("執行服務人員數"), Words("人"), _STAFF, Part.NUMERATOR),
        Column("execution_rate_percent", Words("執行率"), Words("％"), _STAFF, Part.VALUE),
    )),
    Table("table_3_services", Words("表 3"), Words("各層級用藥與衛教服務概況"),
          Words("平均：人次除以該層級（合計：全國）不重複人數。層級別以就醫當日為準。"), (
        Column("medication_visits", Words("用藥人次"), Words("人次"), _MEDICATION, Part.NUMERATOR),
        Column("counselling_visits", Words("衛教人次"), Words("人次"), _COUNSELLING, Part.NUMERATOR),
        Column("mean_medication_visits_per_person", Words("平均每人給藥次數"), Words("診次/人"), _MEDICATION, Part.VALUE),
        Column("mean_counselling_visits_per_person", Words("平均每人衛教次數"), Words("診次/人"), _COUNSELLING, Part.VALUE),
        Column("medication_persons", Words("用藥人數"), Words("人"), _MEDICATION, Part.DENOMINATOR, False),
        Column("counselling_persons", Words("衛教人數"), Words("人"), _COUNSELLING, Part.DENOMINATOR, False),
    )),
    Table("persons_served", Words("服務人數"), Words("接受戒菸服務的人數"), Words("全國不重複人數。"), (
        Column("persons", Words("服務人數"), Words("人"), _PERSONS, Part.NUMERATOR),
    )),
)  # fmt: skip
_TOTALS = {"table_2_staff": Words("合計（不重複）")}


@dataclass(frozen=True)
class Report:
    """The tables of a period with their definitions and data moment.

    `data_at`: everything committed before this moment was counted. `number`, `previous` (number and fingerprint of the
    one before): of a publication; None of figures that are not published. `database`: production, demo or test.
    """

    roc_year: int
    first: date
    last: date
    basis: Basis
    data_at: datetime
    database: str
    tables: tuple[Table, ...]
    definitions: tuple[Definition, ...]
    number: int | None = None
    previous: tuple[int, str] | None = None

    @property
    def period(self) -> Period:
        """Its first and last day."""
        return Period(self.first, self.last)

    @property
    def is_whole(self) -> bool:
        """Whether it is of a whole year."""
        return self.period == Period.year(self.first.year)

    @property
    def text(self) -> str:
        """The whole of it as JSON, in the one form that is hashed."""
        return json.dumps(self._as_json(), ensure_ascii=False, sort_keys=True, separators=(",", ":"))

    @property
    def fingerprint(self) -> str:
        """SHA-256 of its text."""
        return sha256(self.text.encode()).hexdigest()

    @property
    def looked_at(self) -> str:
        """SHA-256 of all but the moment: whether it still says what somebody has looked at."""
        return sha256(replace(self, data_at=datetime.min.replace(tzinfo=TAIPEI)).text.encode()).hexdigest()

    def _as_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT, "database": self.database, "roc_year": self.roc_year, "number": self.number,
            "previous": self.previous and {"number": self.previous[0], "fingerprint": self.previous[1]},
            "first": self.first.isoformat(), "last": self.last.isoformat(), "basis": self.basis.value,
            "data_at": self.data_at.isoformat(timespec="microseconds"),
            "tables": [asdict(table) for table in self.tables],
            "definitions": [asdict(definition) for definition in self.definitions],
        }  # fmt: skip

    @classmethod
    def read(cls, text: str) -> "Report":
        """A report from its text."""
        said = json.loads(text)
        return cls(
            said["roc_year"], date.fromisoformat(said["first"]), date.fromisoformat(said["last"]), Basis(said["basis"]),
            datetime.fromisoformat(said["data_at"]), said["database"], tuple(map(_table, said["tables"])),
            tuple(Definition(**one) for one in said["definitions"]), said["number"],
            said["previous"] and (said["previous"]["number"], said["previous"]["fingerprint"]),
        )  # fmt: skip


def _table(said: Mapping[str, Any]) -> Table:
    words = {name: Words(said[name]) for name in ("number", "title", "note")}
    columns = tuple(
        Column(**one | {"label": Words(one["label"]), "unit": Words(one["unit"]), "part": Part(one["part"])})
        for one in said["columns"]
    )
    rows = tuple(
        Row(row["name"], Words(row["label"]), tuple(Figure(**one) for one in row["figures"])) for row in said["rows"]
    )
    return Table(said["name"], **words, columns=columns, rows=rows)


# --- Drawing one up ------------------------------------------------------------------------------------------------------


def draw_up(
    tables: AnnualTables, *, basis: Basis, data_at: datetime, database: str, number: int | None = None,
    previous: tuple[int, str] | None = None,
) -> Report:  # fmt: skip
    """The report of tables that were counted in one snapshot, at `data_at`."""
    of_all = (tables.institutions, tables.staff, tables.medication, tables.counselling, tables.persons)
    measured = {one.indicator.name: one for one in of_all}
    return Report(
        tables.period.first.year - ROC_EPOCH, tables.period.first, tables.period.last, basis,
        data_at.astimezone(TAIPEI), database,
        tuple(replace(table, rows=tuple(_rows(table, measured))) for table in LAYOUT),
        tuple(Definition.of(one.indicator) for one in of_all), number, previous,
    )  # fmt: skip


def _rows(table: Table, measured: Mapping[str, Measured]) -> Iterator[Row]:
    """The seven tiers in the printed order; what stands in none of them, where there is any; the total."""
    used = {column.indicator: measured[column.indicator] for column in table.columns}
    if _PERSONS not in used:
        for tier in Tier:
            yield _row(table, tier.value, Words(tier.label), {name: one.of(tier.value) for name, one in used.items()})
        if any(cell.group is None for one in used.values() for cell in one.cells):
            yield _row(table, UNKNOWN, Words("不明"), {name: one.of(None) for name, one in used.items()})
    total = _TOTALS.get(table.name, Words("合計"))
    yield _row(table, TOTAL, total, {name: one.total for name, one in used.items()})


def _row(table: Table, name: str, label: Words, cells: Mapping[str, Cell]) -> Row:
    return Row(name, label, tuple(_figure(cells[column.indicator], column.part) for column in table.columns))


def _figure(cell: Cell, part: Part) -> Figure:
    if part is Part.VALUE:
        return Figure(str(cell.said))
    count = cell.numerator if part is Part.NUMERATOR else cell.denominator
    return Figure(HIDDEN if count is None else f"{count:,}", count)


# --- Comparing two -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Difference:
    """A figure that two reports print differently; None where one of them has no such cell."""

    table: Words
    row: Words
    column: Words
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Comparison:
    """What differs between two reports: figures, titles of the indicators defined otherwise, the period or basis."""

    figures: tuple[Difference, ...]
    definitions: tuple[str, ...]
    is_other_period: bool

    @property
    def is_same(self) -> bool:
        """Whether nothing differs."""
        return not (self.figures or self.definitions or self.is_other_period)


def compare(before: Report, after: Report) -> Comparison:
    """`after` against `before`, cell by cell, in the order of `after`; cells that are gone come last."""
    was, now = dict(_cells(before.tables)), dict(_cells(after.tables))
    figures = tuple(
        Difference(
            *(now.get(key) or was[key])[0], was[key][1] if key in was else None, now[key][1] if key in now else None
        )
        for key in (*now, *(key for key in was if key not in now))
        if key not in was or key not in now or was[key][1] != now[key][1]
    )
    defined = {one.name: one for one in before.definitions}
    gone = [one.title for one in before.definitions if one.name not in {other.name for other in after.definitions}]
    changed = (one.title for one in after.definitions if defined.get(one.name) != one)
    other = (before.first, before.last, before.basis) != (after.first, after.last, after.basis)
    return Comparison(figures, (*changed, *gone), other)


_Key = tuple[str, str, str]
_Labels = tuple[Words, Words, Words]


def _cells(tables: Iterable[Table]) -> Iterator[tuple[_Key, tuple[_Labels, str]]]:
    """Every cell by the names of its table, row and column: their labels, and what is printed."""
    for table in tables:
        for row in table.rows:
            for column, figure in zip(table.columns, row.figures, strict=True):
                labels = (table.number, row.label, column.label)
                yield (table.name, row.name, column.name), (labels, figure.said)
