"""A published annual table, looked at on its own: which totals disagree with their rows, which rates with their counts. Pure.

Source: domain.md §5: totals of institutions and of visits are sums of their rows; totals of staff are distinct people, who may
work in several tiers; rates have two decimals, rounded half up. A table that disagrees is told of, never made to agree.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from quitledger.policy.rounding import rounded
from quitledger.policy.sentences import Sentence, Several, Words

RATE = "execution_rate_percent"
# table → what it is called
TABLES: Mapping[str, Words] = {
    "table_1_institutions": Words("表 1"),
    "table_2_staff": Words("表 2"),
    "table_3_services": Words("表 3"),
}
COLUMNS: Mapping[str, Words] = {
    "contracted": Words("合約"),
    "executing": Words("執行"),
    "medication_visits": Words("用藥人次"),
    "counselling_visits": Words("衛教人次"),
    RATE: Words("執行率"),
}
SUMS = {
    "table_1_institutions": ("contracted", "executing"),
    "table_3_services": ("medication_visits", "counselling_visits"),
}
DISTINCT = {"table_2_staff": ("contracted", "executing")}
RATES = ("table_1_institutions", "table_2_staff")


@dataclass(frozen=True)
class Finding:
    """What disagrees: where (table, row, column), what was published, what it should be or lie between."""

    code: str
    table: str
    row: str
    column: str
    published: str
    expected: str

    @property
    def message(self) -> Sentence:
        """In Chinese, with the difference where there is one."""
        return Sentence(
            "{table}「{row}」{column}：公布 {published}，{expected}。",
            table=TABLES.get(self.table, Words(self.table)), row=self.row, column=COLUMNS.get(self.column, Words(self.column)),
            published=self.published, expected=self.expected,
        )  # fmt: skip


class NoTable(ValueError):
    """The file is not of the shape of a published table; the message says where."""


def rate_percent(executing: int, contracted: int) -> str:
    """The rate as it is printed: two decimals; "—" where nothing was contracted."""
    return str(rounded(Decimal(100 * executing) / contracted, 2)) if contracted else "—"


def findings(published: Any) -> list[Finding]:
    """Everything that disagrees in the tables that are there, by table and row. Raises NoTable."""
    if not isinstance(published, Mapping) or not any(table in published for table in TABLES):
        raise NoTable(Sentence("沒有 {tables} 任何一張表", tables=Several(TABLES)))
    found: list[Finding] = []
    for table in TABLES:
        if table not in published:
            continue
        rows, total = _read(table, published[table])
        found += _totals(table, rows, total)
        if table in RATES:
            for row in (*rows, total):
                found += _rates(table, row)
    return found


@dataclass(frozen=True)
class _Row:
    label: str
    counts: Mapping[str, int]
    rate: str | None


def _read(table: str, given: Any) -> tuple[list[_Row], _Row]:
    if not isinstance(given, Mapping) or not isinstance(given.get("rows"), list) or not given["rows"]:
        raise NoTable(Sentence("{table} 沒有 rows", table=table))
    totals = [name for name in ("total", "total_as_printed") if isinstance(given.get(name), Mapping)]
    if len(totals) != 1:
        raise NoTable(Sentence("{table} 應有一列 total 或 total_as_printed", table=table))
    rows = [_row(table, row, number) for number, row in enumerate(given["rows"], start=1)]
    return rows, _row(table, given[totals[0]], Words("合計"))


def _row(table: str, given: Any, name: int | str) -> _Row:
    where = Sentence("{table} 第 {row} 列", table=table, row=name) if isinstance(name, int) else f"{table} {name}"
    if not isinstance(given, Mapping):
        raise NoTable(Sentence("{where} 不是一列", where=where))
    counts = {}
    for column in (*SUMS.get(table, ()), *DISTINCT.get(table, ())):
        value = given.get(column)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise NoTable(Sentence("{where} 的 {column} 不是 0 以上的整數", where=where, column=column))
        counts[column] = value
    rate = given.get(RATE)
    if table in RATES and not isinstance(rate, str):
        raise NoTable(Sentence("{where} 的 {column} 不是文字", where=where, column=RATE))
    label = name if isinstance(name, str) else str(given.get("tier_zh") or given.get("tier") or name)
    return _Row(label, counts, rate)


def _totals(table: str, rows: list[_Row], total: _Row) -> Iterator[Finding]:
    for column, value in total.counts.items():
        values = [row.counts[column] for row in rows]
        if column in SUMS.get(table, ()) and value != sum(values):
            expected = Sentence(
                "各列相加為 {sum}，相差 {by}", sum=f"{sum(values):,}", by=f"{abs(value - sum(values)):,}"
            )
            yield Finding("total-not-sum", table, total.label, column, f"{value:,}", expected)
        elif column in DISTINCT.get(table, ()) and not max(values) <= value <= sum(values):
            expected = Sentence(
                "不重複人數應在最大一列 {least} 與各列相加 {most} 之間",
                least=f"{max(values):,}",
                most=f"{sum(values):,}",
            )
            yield Finding("total-not-distinct", table, total.label, column, f"{value:,}", expected)


def _rates(table: str, row: _Row) -> Iterator[Finding]:
    executing, contracted = row.counts["executing"], row.counts["contracted"]
    if executing > contracted:
        expected = Sentence("不會多於合約 {contracted}", contracted=f"{contracted:,}")
        yield Finding("executing-more-than-contracted", table, row.label, "executing", f"{executing:,}", expected)
    expected_rate = rate_percent(executing, contracted)
    if not _same(row.rate or "", expected_rate):
        expected = Sentence("依家數或人數應為 {rate}", rate=expected_rate)
        yield Finding("rate-not-of-counts", table, row.label, RATE, row.rate or "", expected)


def _same(published: str, expected: str) -> bool:
    """The same number with as many decimals."""
    try:
        return published == expected or (str(Decimal(published)) == expected)
    except InvalidOperation:
        return False
