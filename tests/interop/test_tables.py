"""Tables that somebody sent: what is read of them, and what no file does to the site."""

from datetime import date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quitledger.interop.sheet_reading import LONGEST_CELL, NotTaken, read
from quitledger.interop.tables import read_table
from quitledger.policy.problem import Refused

from ..batches import files

ROW = ("T-0001", "114/3/20")
TITLES = ("病歷號", "就醫日期")


def lines_of(content: bytes, most_rows: int = 100) -> list[tuple[int, list[str]]]:
    with read_table(content, most_rows=most_rows) as table:
        return [(line, cells) for line, cells in table]


def refusal_of(content: bytes, most_rows: int = 100) -> str:
    with pytest.raises(Refused) as refused:
        lines_of(content, most_rows)
    return refused.value.problems[0].code


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("csv", files.csv_of(ROW, titles=TITLES)),
        ("csv", files.csv_of(ROW, titles=TITLES, encoding="utf-8-sig")),
        ("csv", files.csv_of(ROW, titles=TITLES, encoding="cp950")),
        ("csv", files.csv_of(ROW, titles=TITLES).replace(b",", b"\t")),
        ("csv", files.csv_of(ROW, titles=TITLES).replace(b",", b";")),
        ("xlsx", files.xlsx_of(ROW, titles=TITLES)),
        ("ods", files.ods_of(ROW, titles=TITLES)),
    ],
)
def test_the_same_table_is_read_of_every_kind_whatever_its_name(kind, content):
    with read_table(content, most_rows=100) as table:
        assert table.kind == kind
        assert list(table) == [(1, list(TITLES)), (2, list(ROW))]


FAULTS = {
    "an empty file": (b"", "file-empty"),
    "another encoding": (files.csv_of(ROW, titles=TITLES, encoding="utf-16"), "file-encoding-unknown"),
    "bytes of no encoding": ("病歷號,就醫日期\r\n".encode() + b"\xff\xfe\xfa,1", "file-encoding-unknown"),
    "a PDF called .csv": (b"%PDF-1.7 ...", "file-kind-unknown"),
    "a workbook of old": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 512, "file-kind-unknown"),
    "an archive of something else": (files.zipped({"a.txt": b"x"}), "file-kind-unknown"),
    "half a workbook": (files.xlsx_of(ROW)[:-60], "file-unreadable"),
    "a quote that never ends": ('病歷號,就醫日期\r\n"T-0001,1\r\n'.encode(), "file-unreadable"),
    "a bomb": (files.bomb(), "file-too-much"),
    "two cells far apart": (files.far_apart(), "file-too-much"),
    "a thousand parts": (files.zipped({"content.xml": b"", **{f"{n}": b"" for n in range(1_001)}}), "file-too-much"),
    "too many rows": (files.csv_of(*[ROW] * 101, titles=TITLES), "file-too-many-rows"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_file_that_cannot_be_read_is_refused_in_words(fault):
    content, code = FAULTS[fault]
    assert refusal_of(content) == code


def test_a_sheet_that_repeats_an_empty_row_a_million_times_is_read():
    parts = files.parts_of(files.ods_of(ROW, titles=TITLES))
    tail = (
        b'<table:table-row table:number-rows-repeated="1048000"><table:table-cell table:number-columns-repeated="16384"/>'
        b"</table:table-row></table:table>"
    )
    parts["content.xml"] = parts["content.xml"].replace(b"</table:table>", tail)
    assert lines_of(files.zipped(parts)) == [(1, list(TITLES)), (2, list(ROW))]
    full = tail.replace(b'="16384"/>', b'="16384" office:value-type="string"><text:p>x</text:p></table:table-cell>')
    parts["content.xml"] = parts["content.xml"].replace(tail, full)
    assert refusal_of(files.zipped(parts)) in ("file-too-much", "file-unreadable", "file-too-many-rows")


def test_a_cell_of_a_megabyte_is_cut_behind_the_longest_that_is_kept():
    assert [len(cells[0]) for _line, cells in lines_of(files.csv_of(("x" * 1_000_000,), titles=("備註",)))] == [
        2, LONGEST_CELL + 1,
    ]  # fmt: skip


def test_of_merged_cells_the_first_has_the_text_and_a_formula_is_what_was_worked_out():
    body = (
        '<row r="2"><c r="A2" t="inlineStr"><is><t>T-0001</t></is></c></row>'
        '<row r="3"><c r="B3"><f>1+1</f><v>2</v></c></row><row r="4"><c r="B4" t="e"><f>1/0</f><v>#DIV/0!</v></c></row>'
    )
    content = files.with_sheet(body, '<mergeCells count="1"><mergeCell ref="A2:A4"/></mergeCells>')
    assert lines_of(content) == [(2, ["T-0001"]), (3, ["", "2"])]


def test_cells_are_read_as_they_would_be_typed():
    row = [date(2025, 3, 20), datetime(2025, 3, 20, 9, 20), 45736, 0.5, 3, "=1+1"]
    assert lines_of(files.ods_of(row, titles=["x"]))[1][1][:1] == ["2025-03-20"]
    assert lines_of(files.xlsx_of(row[2:], titles=["x"]))[1][1] == ["45736", "0.5", "3", "=1+1"]
    assert lines_of(b"x\r\n'=1+1,'abc\r\n")[1][1] == [
        "=1+1",
        "'abc",
    ]  # the sign that our downloads put before a formula


@settings(max_examples=60)
@given(content=st.binary(max_size=300) | st.binary(max_size=200).map(lambda tail: files.xlsx_of(ROW)[:300] + tail))
def test_whatever_the_bytes_are_they_are_lines_or_a_reason(content):
    def told() -> set[str]:
        try:
            _kind, lines = read(content)
            return {type(cell).__name__ for number, cells in lines for cell in cells if number >= 1} | {"str"}
        except NotTaken as reason:
            return {str(reason)}

    assert len(told()) == 1
    assert told() <= {"str", "empty", "kind-unknown", "encoding-unknown", "unreadable", "too-much"}
