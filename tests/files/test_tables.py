"""Tables that somebody sent: what is read of them, and what no file does to the site."""

from datetime import date, datetime
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quitledger.files.sheet_reading import FORMULA_STARTS, LONGEST_CELL, NotTaken, read
from quitledger.files.tables import read_table
from quitledger.interop.sheets import csv_file
from quitledger.policy.problem import Problem, Refused

from ..batches import files

ROW = ("T-0001", "114/3/20")
TITLES = ("病歷號", "就醫日期")


def lines_of(content: bytes, most_rows: int = 100) -> list[tuple[int, list[str]]]:
    with read_table(content, most_rows=most_rows) as table:
        return list(table.rows(0))


def problem_of(content: bytes, most_rows: int = 100) -> Problem:
    with pytest.raises(Refused) as refused:
        lines_of(content, most_rows)
    return refused.value.problems[0]


def refusal_of(content: bytes, most_rows: int = 100) -> str:
    return problem_of(content, most_rows).code


def told_of(content: bytes, without: str = "no such text") -> str:
    """That a file is read, and holds no such text; or the code of its problem."""
    try:
        lines = lines_of(content)
    except Refused as refused:
        return refused.problems[0].code
    assert without not in str(lines)
    return "lines"


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
        assert table.first == [(1, list(TITLES)), (2, list(ROW))]
        assert list(table.rows(1)) == [(2, list(ROW))]


FAULTS = {
    "an empty file": (b"", "file-empty"),
    "another encoding": (files.csv_of(ROW, titles=TITLES, encoding="utf-16"), "file-encoding-unknown"),
    "bytes of no encoding": ("病歷號,就醫日期\r\n".encode() + b"\xff\xfe\xfa,1", "file-encoding-unknown"),
    "a PDF called .csv": (b"%PDF-1.7 ...", "file-kind-unknown"),
    "a workbook of old": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 512, "file-kind-unknown"),
    "an archive of something else": (files.zipped({"a.txt": b"x"}), "file-kind-unknown"),
    "half a workbook": (files.xlsx_of(ROW)[:-60], "file-unreadable"),
    "a workbook whose part is longer than it says": (files.lying(), "file-unreadable"),
    "a quote that never ends": ('病歷號,就醫日期\r\n"T-0001,1\r\n'.encode(), "file-line-unreadable"),
    "UTF-16 that does not say so": ("病歷號,就醫日期\r\n".encode("utf-16-le"), "file-encoding-unknown"),
    "two cells far apart": (files.far_apart(), "file-too-much"),
    "a thousand parts": (files.zipped({"content.xml": b"", **{f"{n}": b"" for n in range(1_001)}}), "file-too-much"),
    "too many rows": (files.csv_of(*[ROW] * 101, titles=TITLES), "file-too-many-rows"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_file_that_cannot_be_read_is_refused_in_words(fault):
    content, code = FAULTS[fault]
    assert refusal_of(content) == code


def test_a_bomb_is_refused_in_words():  # of its own: making it takes seconds
    assert refusal_of(files.bomb()) == "file-too-much"


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


@pytest.mark.parametrize(
    ("content", "code", "line"),
    [
        ("病歷號\n示範\n".encode() * 9 + b"\xff,\n", "file-encoding-unknown", 19),
        ("病歷號\n示範\n".encode("cp950") * 9 + b"\xff,\n", "file-encoding-unknown", 19),
        ("病歷號\n示範\n".encode() + "示".encode()[:2], "file-encoding-unknown", 3),
        ("病歷號\n\n".encode() + b'1,"a\nb"\n2,"c\nd\n' + b"3,e\n" * 200, "file-line-unreadable", 4),
        ("病歷號\n".encode() + b'"' + b"x\n" * 3_000_000, "file-line-unreadable", 2),
    ],
    ids=[
        "neither, mostly UTF-8",
        "neither, mostly Big5",
        "the last character cut",
        "a quote that never ends",
        "of a large file",
    ],
)
def test_where_a_file_ceases_to_be_readable_is_said(content, code, line):
    problem = problem_of(content)
    assert (problem.code, problem.field) == (code, "file")
    assert f"第 {line} " in problem.message


def test_notes_above_the_titles_are_no_rows_whatever_signs_they_hold():
    notes = ["示範資料：人員、機構與就醫紀錄皆為虛構。", "114; 115; 116"]
    content = "\r\n".join([*notes, "病歷號,就醫日期", *["T-0001,114/3/20"] * 100]).encode()
    with read_table(content, most_rows=100) as table:
        assert table.first[2] == (3, list(TITLES))
        assert list(table.rows(3)) == [(line, list(ROW)) for line in range(4, 104)]
    with read_table(content, most_rows=99) as table, pytest.raises(Refused) as refused:
        list(table.rows(3))
    assert refused.value.problems[0].message == "檔案超過 99 列，請分成幾份。"


def test_a_text_with_other_signs_in_it_changes_nothing_about_what_stands_between_cells():
    rows = [["T-0001", "1, 2, 3; 4"], ["T-0002", "5, 6, 7; 8"]]
    for sign in ("\t", ";"):
        content = files.csv_of(*rows, titles=TITLES, delimiter=sign)
        assert lines_of(content) == [(1, list(TITLES)), (2, rows[0]), (3, rows[1])]


def test_a_table_that_begins_with_the_letters_of_an_archive_is_a_table():
    assert lines_of(b"PK,PKZ\r\n1,2\r\n") == [(1, ["PK", "PKZ"]), (2, ["1", "2"])]


def test_an_open_file_is_read_as_its_content_is(tmp_path):
    path = tmp_path / "visits.csv"
    for content in (files.csv_of(*[ROW] * 5_000, titles=TITLES, encoding="cp950"), files.ods_of(ROW, titles=TITLES)):
        path.write_bytes(content)
        with path.open("rb") as file, read_table(file, most_rows=None) as table:
            assert list(table.rows(0)) == lines_of(content, 5_001)


def test_outside_entities_are_not_resolved(tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    parts = files.parts_of(files.ods_of(("T-0001",), titles=("x",)))
    outside = f'<!DOCTYPE x [<!ENTITY e SYSTEM "file://{secret}">]><office:document-content'.encode()
    parts["content.xml"] = parts["content.xml"].replace(b"<office:document-content", outside).replace(b"T-0001", b"&e;")
    assert b"&e;" in parts["content.xml"]
    assert told_of(files.zipped(parts), without="secret") in ("lines", "file-unreadable")


@pytest.mark.parametrize(
    "body",
    [
        '<row r="1048575"/><row>' + "<c><v>1</v></c>" * 16_384 + "</row>",
        "<row><c r = 'xfd1048576'><v>1</v></c></row>",
        '<row r="1"><c r="A1"><v>1</v></c></row>' + '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>' * 2,
    ],
    ids=["cells that do not say where they are", "written in another way", "two cells far apart"],
)
def test_a_small_file_that_becomes_huge_where_it_is_read_is_lines_or_a_reason(body):
    """Two cells in opposite corners are 1,800 bytes, and a reader that keeps all between them asks for 512 GiB."""
    content = files.with_sheet(body)
    assert len(content) < 200_000
    assert told_of(content) in ("lines", "file-too-much", "file-unreadable")


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
    row = [date(2025, 3, 20), datetime(2025, 3, 20, 9, 20), 45736, 0.5, 3, "=1+1", 1e15, 0.1 + 0.2, 9900000019.0]
    typed = ["45736", "0.5", "3", "=1+1", "1000000000000000", "0.3", "9900000019"]
    assert lines_of(files.ods_of(row, titles=["x"]))[1][1] == ["2025-03-20", "2025-03-20 09:20", *typed]
    assert lines_of(files.xlsx_of(row[2:], titles=["x"]))[1][1] == typed


@pytest.mark.parametrize("start", FORMULA_STARTS)
def test_what_our_download_kept_from_being_a_formula_is_read_as_it_was(start):
    content = csv_file([], ["x"], [[f"{start}1+1", "'abc"]])
    assert b"\n'" in content or b"\n\"'" in content
    assert lines_of(content)[1][1] == [f"{start}1+1".strip(), "'abc"]


@settings(max_examples=60)
@given(content=st.binary(max_size=300) | st.binary(max_size=200).map(lambda tail: files.xlsx_of(ROW)[:300] + tail))
def test_whatever_the_bytes_are_they_are_lines_or_a_reason(content):
    def told() -> set[str]:
        try:
            _kind, lines = read(BytesIO(content))
            return {type(cell).__name__ for number, cells in lines for cell in cells if number >= 1} | {"str"}
        except NotTaken as reason:
            return {str(reason)}

    assert len(told()) == 1
    assert told() <= {"str", "empty", "kind-unknown", "encoding-unknown", "unreadable", "line-unreadable", "too-much"}
