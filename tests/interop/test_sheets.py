"""A downloaded table, read back as a spreadsheet program reads it."""

import csv
import io
import re
import zipfile
from collections.abc import Sequence
from datetime import UTC, date, datetime
from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from quitledger.interop.sheets import Cell, csv_file, ods_file
from quitledger.policy import TAIPEI

OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
NUMBER = "{urn:oasis:names:tc:opendocument:xmlns:datastyle:1.0}"
STYLE = "{urn:oasis:names:tc:opendocument:xmlns:style:1.0}"
TITLES = ["甲", "乙"]

FORMULAS = [
    "=1+1",
    "+886",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "＝1+1",
    "＋1",
    "－1",
    "＠A1",
    "=cmd|' /C calc'!A0",
]
ODD = [
    "𠮷",
    '示範𠮷，"引號"\n第二行',
    "a,b;c",
    "'",
    "''",
    "\ufeff",
    "\u202e甲",
    " 前後 ",
    "兩  格",
    "一\t二",
    "&amp;<b>]]>",
    "\x00\x0b\x1f",
    "\ud800",
    "\uffff",
    "",
]
cells = st.one_of(
    st.none(), st.integers(-(2**53), 2**53), st.dates(date(1800, 1, 1), date(2910, 12, 31)),
    st.sampled_from([*FORMULAS, *ODD]), st.text(st.characters()), st.text(st.characters(categories=["Cc", "Cf", "Cs", "Co", "Cn"])),
    st.datetimes(datetime(1912, 1, 1), datetime(2900, 1, 1), timezones=st.just(UTC)),
)  # fmt: skip


# --- CSV -----------------------------------------------------------------------------------------------------------------


def read_csv(content: bytes) -> list[list[str]]:
    assert content.startswith(b"\xef\xbb\xbf")
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def test_csv_starts_with_the_mark_of_utf_8_and_has_the_notes_above_the_titles() -> None:
    assert read_csv(csv_file(["示範資料"], TITLES, [["一", 2]])) == [["示範資料"], TITLES, ["一", "2"]]


@pytest.mark.parametrize("text", FORMULAS)
def test_csv_makes_text_of_what_looks_like_a_formula_wherever_it_stands(text: str) -> None:
    rows = read_csv(csv_file([text], [text], [[text]]))
    assert rows == [[f"'{text}"]] * 3


@pytest.mark.parametrize(
    "text", ["𠮷", '示範，"引號"\n第二行\r\n第三行', "a,b;c", "'", " 前後 ", "一\t二", "甲=乙", "1-2"]
)
def test_csv_gives_other_text_back_as_it_was(text: str) -> None:
    assert read_csv(csv_file([], TITLES, [[text, "尾"]]))[1:] == [[text, "尾"]]


def test_csv_shows_days_and_moments_in_the_roc_calendar_and_leaves_nothing_for_none_and_0_for_0() -> None:
    row: list[Cell] = [date(2025, 4, 1), datetime(2025, 3, 31, 16, 5, tzinfo=UTC), None, 0, -3]
    assert read_csv(csv_file([], TITLES, [row]))[1] == ["114/04/01", "114/04/01 00:05", "", "0", "-3"]


def test_csv_without_rows_is_its_titles() -> None:
    assert read_csv(csv_file([], TITLES, [])) == [TITLES]


@given(st.lists(st.lists(cells, min_size=2, max_size=2), max_size=5))
def test_csv_of_anything_reads_back_with_every_row_and_cell_and_no_formula(rows: list[list[Cell]]) -> None:
    read = read_csv(csv_file([], TITLES, rows))
    assert [len(row) for row in read] == [2] * (len(rows) + 1)
    for typed, shown in zip(sum(rows, []), sum(read[1:], []), strict=True):
        assert not isinstance(typed, str) or not shown.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))


# --- ODS -----------------------------------------------------------------------------------------------------------------


def opened(content: bytes) -> ElementTree.Element:
    """The sheet of the file, as XML."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        return ElementTree.fromstring(archive.read("content.xml"))


def read_ods(content: bytes) -> list[list[ElementTree.Element]]:
    return [list(row) for row in opened(content).iter(f"{TABLE}table-row")]


def shown(cell: ElementTree.Element) -> str:
    """What a cell shows: a run of spaces is one, at the ends of a paragraph none; others ODF writes as elements."""
    lines = []
    for paragraph in cell.iter(f"{TEXT}p"):
        signs = ["\t" if one.tag == f"{TEXT}tab" else " " * int(one.get(f"{TEXT}c", "1")) for one in paragraph]
        written = "\0".join([paragraph.text or "", *(element.tail or "" for element in paragraph)])
        pieces = re.sub(" +", " ", written.strip(" ")).split("\0")
        lines.append("".join(piece + sign for piece, sign in zip(pieces, [*signs, ""], strict=True)))
    return "\n".join(lines)


def only_cell(value: Cell) -> ElementTree.Element:
    return read_ods(ods_file("就醫資料", [], [], [[value]]))[1][0]


def test_ods_begins_with_its_type_unpacked_so_that_it_is_known_by_its_first_bytes() -> None:
    content = ods_file("就醫資料", [], TITLES, [])
    kind = b"application/vnd.oasis.opendocument.spreadsheet"
    assert content[30 : 30 + len(b"mimetype" + kind)] == b"mimetype" + kind
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        first = archive.infolist()[0]
        assert (first.filename, first.compress_type, first.extra) == ("mimetype", zipfile.ZIP_STORED, b"")
        manifest = ElementTree.fromstring(archive.read("META-INF/manifest.xml"))
        listed = {entry.attrib[f"{manifest.tag[:-8]}full-path"] for entry in manifest}
        assert listed - {"/"} == {
            name for name in archive.namelist() if name not in ("mimetype", "META-INF/manifest.xml")
        }


def test_ods_has_the_notes_above_the_titles_and_names_its_sheet() -> None:
    content = ods_file('就醫 "資料" <1>', ["示範資料"], TITLES, [["一", 2]])
    assert [[shown(cell) for cell in row] for row in read_ods(content)] == [["示範資料"], TITLES, ["一", "2"]]
    (table,) = opened(content).iter(f"{TABLE}table")
    assert table.get(f"{TABLE}name") == '就醫 "資料" <1>'


@pytest.mark.parametrize("text", FORMULAS)
def test_ods_keeps_what_looks_like_a_formula_as_the_text_it_is(text: str) -> None:
    cell = only_cell(text)
    assert cell.get(f"{OFFICE}value-type") == "string"
    assert cell.get(f"{TABLE}formula") is None
    assert shown(cell) == text.replace("\r", "\n")


def test_ods_days_are_days_shown_in_the_roc_calendar() -> None:
    cell = only_cell(date(2025, 4, 1))
    assert cell.get(f"{OFFICE}value-type") == "date"
    assert cell.get(f"{OFFICE}date-value") == "2025-04-01"
    assert shown(cell) == "114/04/01"
    root = opened(ods_file("x", [], [], []))
    styles = {style.get(f"{STYLE}name"): style for style in root.iter(f"{STYLE}style")}
    formats = {style.get(f"{STYLE}name"): style for style in root.iter(f"{NUMBER}date-style")}
    used = formats[styles[cell.get(f"{TABLE}style-name")].get(f"{STYLE}data-style-name")]
    assert used.find(f"{NUMBER}year").get(f"{NUMBER}calendar") == "ROC"


def test_ods_moments_are_taipei_time_and_numbers_are_numbers() -> None:
    cell = only_cell(datetime(2025, 3, 31, 16, 5, 30, 9, tzinfo=UTC))
    assert (cell.get(f"{OFFICE}date-value"), shown(cell)) == ("2025-04-01T00:05:30", "114/04/01 00:05")
    cell = only_cell(datetime(2025, 4, 1, 9, 30, tzinfo=TAIPEI))
    assert cell.get(f"{OFFICE}date-value") == "2025-04-01T09:30:00"
    cell = only_cell(0)
    assert (cell.get(f"{OFFICE}value-type"), cell.get(f"{OFFICE}value"), shown(cell)) == ("float", "0", "0")


def test_ods_leaves_a_cell_empty_where_there_is_nothing() -> None:
    for nothing in (None, ""):
        cell = only_cell(nothing)
        assert (cell.get(f"{OFFICE}value-type"), list(cell)) == (None, [])


def storable(text: str) -> str:
    """What XML can hold of a text; line ends as XML reads them."""
    kept = "".join("�" if ord(c) < 32 and c not in "\t\n\r" or 0xD800 <= ord(c) < 0xE000 or c in "\ufffe\uffff" else c
                   for c in text)  # fmt: skip
    return kept.replace("\r\n", "\n").replace("\r", "\n")


@given(st.lists(st.lists(cells, min_size=1, max_size=3), max_size=5), st.text(st.characters()))
@example([[text] for text in [*FORMULAS, *ODD]], "x")
def test_ods_of_anything_is_well_formed_and_reads_back(rows: list[list[Cell]], note: str) -> None:
    first, titles, *read = read_ods(ods_file("就醫資料", [note], TITLES, rows))
    assert shown(first[0]) == storable(note)
    assert [shown(cell) for cell in titles] == TITLES
    assert len(read) == len(rows)
    for typed, row in zip(rows, read, strict=True):
        assert texts(row) == [storable(cell) for cell in typed if isinstance(cell, str) and cell]


def texts(row: Sequence[ElementTree.Element]) -> list[str]:
    return [shown(cell) for cell in row if cell.get(f"{OFFICE}value-type") == "string"]
