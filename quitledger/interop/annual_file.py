"""年度統計 as a file: the printed tables, every figure a line with what its columns mean, and what differs from the version
before. ODS, XLSX, CSV (with a dictionary beside it) and PDF say the same figures; JSON is the very text that was hashed.

In Chinese, whatever the language of the page: what is published is published once.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import groupby

from quitledger.policy import format_closing, format_roc
from quitledger.statistics.measures import Basis
from quitledger.statistics.reports import BASES, Column, Comparison, Figure, Part, Report, Row, Table

from .paper import pdf
from .sheets import ODS, XLSX, Cell, Sheet, csv_file, ods_book, xlsx_book

SOURCES = {"records": "戒菸登錄系統登錄的就醫資料", "claims": "健保申報資料"}
UNPUBLISHED = "未公布（即時）"
NOTHING = "—"
_NUMBER = re.compile(r"-?[0-9][0-9,]*(?:\.[0-9]+)?")

Pairs = list[tuple[str, str]]


@dataclass(frozen=True)
class AnnualFile:
    """A report on its way into a file. `warnings`: what every file says first (made-up data; a fingerprint that is not that
    of the content). Of a publication: `called` (113-2; "": it is none), its `text` and `fingerprint` as they were kept,
    `comparison` with the version before it (None: there is none)."""

    report: Report
    warnings: tuple[str, ...] = ()
    called: str = ""
    text: str = ""
    fingerprint: str = ""
    published_at: datetime | None = None
    note: str = ""
    comparison: Comparison | None = None
    previous: Report | None = None

    @property
    def title(self) -> str:
        """113 年戒菸服務統計."""
        return f"{self.report.roc_year} 年戒菸服務統計"

    @property
    def name(self) -> str:
        """Of the file, without its ending."""
        report = self.report
        part = "" if report.is_whole else f"-until-{report.last:%Y%m%d}"
        basis = "" if report.basis is Basis.ANY_DAY else "-last-day"
        version = f"-v{report.number}" if report.number else ""
        return f"annual-statistics-{report.roc_year}{version}{basis}{part}"


# --- What it is ----------------------------------------------------------------------------------------------------------


def _about(file: AnnualFile) -> Pairs:
    """What the figures are of, and of which moment."""
    report = file.report
    sources = sorted({definition.source for definition in report.definitions})
    published = file.published_at
    return [
        ("名稱", file.title),
        ("期間", f"就醫日期 {_period(report)}{'' if report.is_whole else '（非全年）'}"),
        ("合約機構與人員", str(BASES[report.basis])),
        ("資料來源", "、".join(SOURCES[source] for source in sources)),
        ("版本", file.called or UNPUBLISHED),
        ("公布時間", format_closing(published) if published else NOTHING),
        ("資料時點", f"{_second(report.data_at)}（此刻以前存入的紀錄都已計入）"),
        ("前一版", f"{report.roc_year}-{report.previous[0]}" if report.previous else NOTHING),
        ("公布說明", file.note or NOTHING),
        ("內容指紋（SHA-256）", file.fingerprint or NOTHING),
    ]  # fmt: skip


def _period(report: Report) -> str:
    return f"{format_roc(report.first)} 至 {format_roc(report.last)}"


def _second(moment: datetime) -> str:
    return f"{format_roc(moment.date())} {moment:%H:%M:%S}"


# --- Every figure a line -------------------------------------------------------------------------------------------------

_DATA: Mapping[str, str] = {
    "年度": "民國年",
    "期間": "就醫日期的起日與迄日，都包含在內",
    "版本": "年度與第幾次公布；即時數字為「未公布」",
    "資料時點": "此刻以前存入的紀錄都已計入（臺北時間）",
    "表": "印出的表號",
    "指標": "數字的名稱，定義見「指標」各列",
    "單位": "分子的單位",
    "層級別": "醫事機構層級別；合計不一定等於各列相加",
    "分子": "整數；定義見各指標。「＊」：人數太少，不公布",
    "分母": "整數；定義見各指標；沒有分母的指標為空白。「＊」同上",
    "數值": "印出的比率（％，小數 2 位）、平均（小數 1 位）或人數；四捨五入。「—」：分母為 0",
}
_BEFORE: Mapping[str, str] = {
    "前版分子": "前一版同一格的分子", "前版分母": "前一版同一格的分母", "前版數值": "前一版同一格的數值",
    "與前版不同": "是：分子、分母或數值任一與前一版不同",
}  # fmt: skip
_PARTS = (Part.NUMERATOR, Part.DENOMINATOR, Part.VALUE)


def _data_titles(file: AnnualFile) -> Mapping[str, str]:
    return {**_DATA, **(_BEFORE if file.previous else {})}


def _data(file: AnnualFile) -> Iterator[list[Cell]]:
    """A line for each indicator and tier; lines that only the version before has come last."""
    report, before = file.report, dict(_lines(file.previous)) if file.previous else {}
    now = dict(_lines(report))
    titles = {one.name: one for one in (*(file.previous.definitions if file.previous else ()), *report.definitions)}
    for key in (*now, *(key for key in before if key not in now)):
        (table, _row, indicator), was, cells = key, before.get(key), now.get(key)
        label = (cells or was or ("", {}))[0]
        line: list[Cell] = [
            report.roc_year, _period(report), file.called or UNPUBLISHED, _second(report.data_at), table,
            titles[indicator].title, titles[indicator].unit, label, *_three(cells),
        ]  # fmt: skip
        if file.previous:
            line += [*_three(was), "是" if _three(cells) != _three(was) else "否"]
        yield line


def _lines(report: Report) -> Iterator[tuple[tuple[str, str, str], tuple[str, dict[Part, Figure]]]]:
    """By table, row and indicator: the label of the row, and its figures by what they are."""
    for table in report.tables:
        for row in table.rows:
            pairs = sorted(zip(table.columns, row.figures, strict=True), key=lambda pair: pair[0].indicator)
            found = {name: {column.part: figure for column, figure in group}
                     for name, group in groupby(pairs, key=lambda pair: pair[0].indicator)}  # fmt: skip
            for indicator in dict.fromkeys(column.indicator for column in table.columns):
                yield (str(table.number), row.name, indicator), (str(row.label), found[indicator])


def _three(cells: tuple[str, dict[Part, Figure]] | None) -> list[Cell]:
    """Numerator, denominator and value; of a count its numerator is its value."""
    if cells is None:
        return [None, None, None]
    figures = cells[1]
    if Part.VALUE not in figures:
        figures = {**figures, Part.VALUE: figures[Part.NUMERATOR]}
    return [as_cell(figures[part]) if part in figures else None for part in _PARTS]


def as_cell(figure: Figure) -> Cell:
    """A figure as a spreadsheet holds it: a count, a number with its decimals, or a sign."""
    if figure.count is not None:
        return figure.count
    return Decimal(figure.said.replace(",", "")) if _NUMBER.fullmatch(figure.said) else figure.said


# --- What columns and figures mean ---------------------------------------------------------------------------------------

_DICTIONARY_TITLES = ("種類", "名稱", "說明")


def _dictionary(file: AnnualFile) -> Iterator[list[Cell]]:
    """What the columns of the lines mean, how each indicator is defined, and what the file is."""
    for name, meaning in _data_titles(file).items():
        yield ["欄位", name, meaning]
    for one in file.report.definitions:
        denominator = f"分母：{one.denominator}。" if one.denominator else ""
        yield [
            "指標", one.title,
            f"分子：{one.numerator}。{denominator}計數單位：{one.grain}。來源：{SOURCES[one.source]}。"
            f"訂定：{one.author}；審閱：{format_roc(one.reviewed_on)}。"
            f"計算式（SQL）的 SHA-256：{one.statement_fingerprint}",
        ]  # fmt: skip
    for name, said in _about(file):
        yield ["關於", name, said]


# --- Differences ---------------------------------------------------------------------------------------------------------

_DIFFERENCE_TITLES = ("表", "列", "欄", "前一版", "這一版")


def _differences(comparison: Comparison) -> list[list[str]]:
    """Every cell that differs, then the indicators that are defined otherwise."""
    cells = [
        [str(one.table), str(one.row), str(one.column), one.before or NOTHING, one.after or NOTHING]
        for one in comparison.figures
    ]
    return [*cells, *(["定義", title, "", "前一版的定義", "這一版的定義"] for title in comparison.definitions)]


def _said_of(comparison: Comparison) -> str:
    if comparison.is_same:
        return "與前一版完全相同。"
    parts = [f"與前一版有 {len(comparison.figures)} 格不同"] if comparison.figures else ["數字與前一版相同"]
    parts += [f"{len(comparison.definitions)} 項指標的定義不同"] * bool(comparison.definitions)
    parts += ["期間不同"] * comparison.is_other_period
    return f"{'；'.join(parts)}。"


# --- The formats ---------------------------------------------------------------------------------------------------------


def _sheets(file: AnnualFile) -> list[Sheet]:
    """The printed tables, a sheet each; all figures; what they mean; differences; what the file is."""
    above = list(file.warnings)
    version = f"{file.title}　版本 {file.called or UNPUBLISHED}　資料時點 {_second(file.report.data_at)}"
    sheets = [_printed(table, [*above, version]) for table in file.report.tables]
    titles = _data_titles(file)
    wide = [5, 13, 9, 11, 6, 15, 5, 8, *[7] * (len(titles) - 8)]
    sheets.append(Sheet("資料", list(titles), _data(file), above, wide))
    sheets.append(Sheet("欄位說明", _DICTIONARY_TITLES, _dictionary(file), above, [6, 16, 80]))
    if file.comparison:
        notes = [*above, _said_of(file.comparison)]
        sheets.append(
            Sheet("與前版差異", _DIFFERENCE_TITLES, _differences(file.comparison), notes, [10, 16, 16, 12, 12])
        )
    sheets.append(Sheet("關於", ("名稱", "內容"), _about(file), above, [16, 60]))
    return sheets


def _printed(table: Table, above: list[str]) -> Sheet:
    columns = table.printed_columns
    rows: list[list[Cell]] = [[str(row.label), *map(as_cell, table.printed(row))] for row in table.rows]
    heads = [str(column.head) for column in columns]
    notes = [*above, f"{_heading(table)}（{table.note}）"]
    return Sheet(str(table.number), ["層級別", *heads], rows, notes, [12, *[max(8, len(head) + 1) for head in heads]])


def _heading(table: Table) -> str:
    return f"{table.number}　{table.title}" if table.number.startswith("表") else str(table.title)


def _csv(file: AnnualFile) -> bytes:
    return csv_file(file.warnings, list(_data_titles(file)), _data(file))


def dictionary_file(file: AnnualFile) -> bytes:
    """欄位說明 of the CSV, as CSV."""
    return csv_file(file.warnings, _DICTIONARY_TITLES, _dictionary(file))


def _pdf(file: AnnualFile) -> bytes:
    report = file.report
    day = file.published_at or report.data_at
    version = f"版本 {file.called}" if file.called else UNPUBLISHED
    data = {
        "title": file.title, "made_up": "　".join(file.warnings), "size": 10,
        "made_by": f"{file.title}　{version}　資料時點", "printed_on": _second(report.data_at),
        "line": f"{_about(file)[1][1]}　{version}　資料時點 {_second(report.data_at)}",
        "about": _about(file)[1:], "tables": [_on_paper(table) for table in report.tables],
        "definitions": [
            [one.title, f"{one.numerator}" + (f"／{one.denominator}" if one.denominator else "") + f"。{one.grain}。"]
            for one in report.definitions
        ],
        "said": _said_of(file.comparison) if file.comparison else "",
        "differences": _differences(file.comparison) if file.comparison else [],
    }  # fmt: skip
    return pdf("annual_tables", data, day=day.date())


def _on_paper(table: Table) -> dict[str, object]:
    def cells(row: Row) -> list[str]:
        pairs = zip(table.printed_columns, table.printed(row), strict=True)
        return [str(row.label), *(_with_sign(column, figure) for column, figure in pairs)]

    return {
        "heading": _heading(table), "note": str(table.note), "is_table": len(table.rows) > 1,
        "heads": ["層級別", *(_paper_head(column) for column in table.printed_columns)],
        "rows": [cells(row) for row in table.rows],
    }  # fmt: skip


def _paper_head(column: Column) -> str:
    return str(column.label if column.unit == "％" else column.head)


def _with_sign(column: Column, figure: Figure) -> str:
    """Rates carry their sign, as the notice prints them."""
    is_rate = column.part is Part.VALUE and column.unit == "％" and _NUMBER.fullmatch(figure.said)
    return f"{figure.said}%" if is_rate else figure.said


# ending → what it is, and how it is made
FORMATS: Mapping[str, tuple[str, Callable[[AnnualFile], bytes]]] = {
    "ods": (ODS, lambda file: ods_book(_sheets(file))),
    "xlsx": (XLSX, lambda file: xlsx_book(_sheets(file))),
    "csv": ("text/csv; charset=utf-8", _csv),
    "pdf": ("application/pdf", _pdf),
    "json": ("application/json", lambda file: (file.text or file.report.text).encode()),
}
