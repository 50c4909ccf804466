"""The annual tables as files, each read back by another reader: ODS, XLSX, CSV and PDF say the same figures, every one."""

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from hashlib import sha256
from io import BytesIO
from typing import Any

import pytest
from pypdf import PdfReader
from python_calamine import CalamineWorkbook

from quitledger.interop.annual_file import FORMATS, AnnualFile, dictionary_file
from quitledger.policy import TAIPEI
from quitledger.statistics.measures import Basis
from quitledger.statistics.reports import Report, compare

from ..corrections.test_paper import fonts_of
from ..statistics.made import a_report, printed_tables, with_clinics

MADE_UP = "測試資料：本系統供測試，請勿登錄真實的戒菸者。"
FIRST = a_report()
SECOND = a_report(with_clinics(printed_tables(), 1_032, 1_400), number=2, previous=(1, FIRST.fingerprint))
AT = datetime(2025, 6, 15, 9, 40, tzinfo=TAIPEI)
Grid = list[list[Any]]


def of(report: Report, previous: Report | None = None, **said: Any) -> AnnualFile:
    """A publication on its way into a file."""
    comparison = compare(previous, report) if previous else None
    called = f"{report.roc_year}-{report.number}"
    return AnnualFile(
        report, (MADE_UP,), called, report.text, report.fingerprint, AT, "補送合約", comparison, previous, **said
    )


def made(file: AnnualFile, ending: str) -> bytes:
    _kind, make = FORMATS[ending]
    return make(file)


def sheets(content: bytes) -> dict[str, Grid]:
    """The sheets of a spreadsheet, as a program that is not ours reads them."""
    book = CalamineWorkbook.from_filelike(BytesIO(content))
    return {name: book.get_sheet_by_name(name).to_python() for name in book.sheet_names}


def csv_of(content: bytes) -> Grid:
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))


def figures(report: Report) -> Iterator[tuple[str, str, list[str]]]:
    """Each printed row: the table, the label, what is printed."""
    for table in report.tables:
        for row, cells in table.printed_rows:
            yield str(table.number), str(row.label), [cell.said for cell in cells]


def as_printed(cell: Any, like: str) -> str:
    """What a program shows of a number whose printed form is `like`: counts with commas, others with their decimals."""
    if not isinstance(cell, int | float):
        return str(cell)
    decimals = len(like.partition(".")[2])
    return f"{cell:.{decimals}f}" if decimals else f"{int(cell):,}"


@pytest.mark.parametrize("ending", ["ods", "xlsx"])
@pytest.mark.parametrize(
    "file", [of(FIRST), of(SECOND, FIRST), AnnualFile(FIRST, (MADE_UP,))], ids=["first", "second", "now"]
)
def test_every_printed_figure_reads_back_from_the_spreadsheet(ending: str, file: AnnualFile) -> None:
    read = sheets(made(file, ending))
    for number, label, printed in figures(file.report):
        (row,) = (row for row in read[number] if row[0] == label)
        assert [as_printed(cell, like) for cell, like in zip(row[1:], printed, strict=False)] == printed
    assert [len(grid) for grid in read.values()][:4] == [12, 12, 12, 5]
    assert all(grid[0][0] == MADE_UP for grid in read.values())
    assert all(isinstance(cell, int | float) for row in read["表 1"][4:] for cell in row[1:4])


def test_decimals_are_shown_as_printed_by_the_spreadsheet_program() -> None:
    """A number alone would lose them: 88.00 has a format of its own, in both."""
    import zipfile

    with zipfile.ZipFile(BytesIO(made(of(FIRST), "ods"))) as archive:
        content = archive.read("content.xml").decode()
    assert 'office:value="88.00" table:style-name="d2"><text:p>88.00<' in content
    assert '<style:style style:name="d2" style:family="table-cell" style:data-style-name="N2"/>' in content
    assert 'style:name="N2"><number:number number:min-integer-digits="1" number:decimal-places="2"/>' in content
    with zipfile.ZipFile(BytesIO(made(of(FIRST), "xlsx"))) as archive:
        cells, styles = archive.read("xl/worksheets/sheet1.xml").decode(), archive.read("xl/styles.xml").decode()
    (style,) = re.findall(r'<c s="(\d)"><v>88.00</v>', cells)
    used = re.findall(r'<xf numFmtId="(\d+)"', styles.partition("<cellXfs")[2])[int(style)]
    assert f'numFmtId="{used}" formatCode="0.00"' in styles


def lines(report: Report) -> Iterator[tuple[str, str, list[str]]]:
    """Each indicator and row: its title, the label, numerator, denominator and value as plain texts."""
    titles = {one.name: one.title for one in report.definitions}
    for table in report.tables:
        for indicator in dict.fromkeys(column.indicator for column in table.columns):
            for row in table.rows:
                parts = {c.part: f for c, f in zip(table.columns, row.figures, strict=True) if c.indicator == indicator}
                said = [
                    parts[p].said.replace(",", "") if p in parts else "" for p in ("numerator", "denominator", "value")
                ]  # type: ignore[index]
                yield titles[indicator], str(row.label), [*said[:2], said[2] or said[0]]


@pytest.mark.parametrize("file", [of(FIRST), of(SECOND, FIRST)], ids=["first", "second"])
def test_csv_ods_and_xlsx_have_every_numerator_denominator_and_value(file: AnnualFile) -> None:
    notes, titles, *rows = csv_of(made(file, "csv"))
    assert notes == [MADE_UP]
    found = {(row[5], row[7]): row[8:11] for row in rows}
    expected = {(title, label): said for title, label, said in lines(file.report)}
    assert found == expected
    assert len(rows) == len(found)
    for ending in ("ods", "xlsx"):
        grid = sheets(made(file, ending))["資料"]
        assert grid[1] == titles
        assert [_plain(row, like) for row, like in zip(grid[2:], rows, strict=True)] == rows


def _plain(row: list[Any], like: list[str]) -> list[str]:
    return [as_printed(cell, text).replace(",", "") for cell, text in zip(row, like, strict=True)]


def test_the_csv_of_a_new_version_has_the_figures_before_beside_its_own() -> None:
    _notes, titles, *rows = csv_of(made(of(SECOND, FIRST), "csv"))
    before = {(row[5], row[7]): row[11:14] for row in rows}
    assert before == {(title, label): said for title, label, said in lines(FIRST)}
    assert titles[11:] == ["前版分子", "前版分母", "前版數值", "與前版不同"]
    assert [(row[5], row[7]) for row in rows if row[14] == "是"] == [("戒菸服務醫事機構執行率", "西醫診所")]


def test_the_dictionary_says_what_every_column_and_every_indicator_is() -> None:
    file = of(SECOND, FIRST)
    notes, titles, *rows = csv_of(dictionary_file(file))
    assert (notes, titles) == ([MADE_UP], ["種類", "名稱", "說明"])
    assert [row[1] for row in rows if row[0] == "欄位"] == csv_of(made(file, "csv"))[1]
    indicators = {row[1]: row[2] for row in rows if row[0] == "指標"}
    for one in SECOND.definitions:
        assert one.numerator in indicators[one.title]
        assert sha256(one.statement.encode()).hexdigest() in indicators[one.title]
    about = {row[1]: row[2] for row in rows if row[0] == "關於"}
    assert about["版本"] == "113-2"
    assert about["內容指紋（SHA-256）"] == SECOND.fingerprint
    assert about["資料時點"].startswith("114/03/15 09:30:01")
    for ending in ("ods", "xlsx"):
        assert sheets(made(file, ending))["欄位說明"][2:] == rows


def words(content: bytes) -> str:
    return "".join("".join(page.extract_text().split()) for page in PdfReader(BytesIO(content)).pages)


@pytest.mark.parametrize(
    "file", [of(FIRST), of(SECOND, FIRST), AnnualFile(FIRST, (MADE_UP,))], ids=["first", "second", "now"]
)
def test_every_printed_figure_reads_back_from_the_pdf_row_by_row(file: AnnualFile) -> None:
    text = words(made(file, "pdf"))
    for number, label, printed in figures(file.report):
        if number == "服務人數":
            assert f"服務人數：{printed[0]}人" in text
            continue
        shown = [f"{one}%" if place == 2 and number != "表 3" else one for place, one in enumerate(printed)]
        assert "".join([label, *shown]).replace(" ", "") in text, (number, label)
    assert MADE_UP in text
    assert ("113-2" in text) == (file.report is SECOND)


def test_the_pdf_has_its_fonts_within_and_is_for_the_archive_and_for_screen_readers() -> None:
    content = made(of(FIRST), "pdf")
    reader = PdfReader(BytesIO(content))
    fonts = fonts_of(reader)
    assert any("NotoSansTC" in font["/BaseFont"] or "NotoSansCJKtc" in font["/BaseFont"] for font in fonts), fonts
    assert all({"/FontFile2", "/FontFile3"} & font["/FontDescriptor"].keys() for font in fonts)
    told = reader.trailer["/Root"]["/Metadata"].get_data().decode()  # type: ignore[index, union-attr]
    assert "<pdfaid:part>2</pdfaid:part>" in told
    assert "<pdfuaid:part>1</pdfuaid:part>" in told
    assert made(of(FIRST), "pdf") == content, "the same bytes again"


def test_differences_stand_in_the_spreadsheet_and_on_paper() -> None:
    file = of(SECOND, FIRST)
    expected = [
        ["表 1", "西醫診所", "合約特約機構數", "1,375", "1,400"], ["表 1", "西醫診所", "執行特約機構數", "1,031", "1,032"],
        ["表 1", "西醫診所", "執行率", "74.98", "73.71"],
    ]  # fmt: skip
    for ending in ("ods", "xlsx"):
        read = sheets(made(file, ending))
        assert read["與前版差異"][1][0] == "與前一版有 3 格不同。"
        assert read["與前版差異"][3:] == expected
        assert "與前版差異" not in sheets(made(of(FIRST), ending))
    text = words(made(file, "pdf"))
    assert all("".join(row).replace(" ", "") in text for row in expected)
    assert "與前一版的差異" not in words(made(of(FIRST), "pdf"))


def test_another_period_and_other_definitions_are_told_too() -> None:
    first, *rest = FIRST.definitions
    other = replace(FIRST, number=2, basis=Basis.LAST_DAY, definitions=(replace(first, grain="別的"), *rest))
    assert "數字與前一版相同；1項指標的定義不同；期間不同。" in words(made(of(other, FIRST), "pdf"))
    assert "與前一版完全相同。" in words(made(of(replace(FIRST, number=2), FIRST), "pdf"))
    assert ["定義", first.title, "", "前一版的定義", "這一版的定義"] in sheets(made(of(other, FIRST), "ods"))[
        "與前版差異"
    ]


def test_the_json_is_the_very_text_that_was_hashed() -> None:
    file = of(FIRST)
    content = made(file, "json")
    assert sha256(content).hexdigest() == file.fingerprint
    assert json.loads(content)["database"] == "test"
    kept = replace(file, text=FIRST.text + " ")
    assert made(kept, "json") == (FIRST.text + " ").encode(), "as it was kept, not as it would be written today"


def test_a_sign_where_nothing_can_be_said_stays_a_sign() -> None:
    report = a_report(with_clinics(printed_tables(), 0, 0))
    hidden = replace(
        report, tables=tuple(
            replace(table, rows=tuple(
                replace(row, figures=tuple(replace(one, said="＊", count=None) for one in row.figures)) if row.name == "pharmacy" else row
                for row in table.rows)) for table in report.tables
        ),
    )  # fmt: skip
    for ending in ("ods", "xlsx"):
        read = {row[0]: row[1:4] for row in sheets(made(of(hidden), ending))["表 1"]}
        assert read["西醫診所"] == [0, 0, "—"]
        assert read["藥局"] == ["＊", "＊", "＊"]
    text = words(made(of(hidden), "pdf"))
    assert "西醫診所00—" in text
    assert "藥局＊＊＊" in text


def test_a_fingerprint_that_does_not_match_is_said_first() -> None:
    file = replace(of(FIRST), warnings=(MADE_UP, "內容與指紋不符"))
    assert csv_of(made(file, "csv"))[:2] == [[MADE_UP], ["內容與指紋不符"]]
    assert "內容與指紋不符" in words(made(file, "pdf"))
    assert all(grid[1][0] == "內容與指紋不符" for grid in sheets(made(file, "xlsx")).values())


def test_files_are_called_by_year_version_basis_and_part() -> None:
    assert of(SECOND, FIRST).name == "annual-statistics-113-v2"
    assert AnnualFile(replace(FIRST, number=None, basis=Basis.LAST_DAY)).name == "annual-statistics-113-last-day"
    part = replace(FIRST, last=datetime(2024, 6, 30).date())
    assert of(part).name == "annual-statistics-113-v1-until-20240630"
