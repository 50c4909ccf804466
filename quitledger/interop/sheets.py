"""A table as CSV, ODS or XLSX, built in memory. What may be read as a formula is written as text."""

import csv
import io
import re
import zipfile
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from xml.sax.saxutils import escape, quoteattr

from quitledger.policy import TAIPEI, format_roc

Cell = str | int | float | date | datetime | None

# What spreadsheet programs take for the start of a formula, or skip before one (OWASP, "CSV Injection").
_FORMULA_STARTS = (*"=+-@＝＋－＠", "\t", "\r", "\n")
_LINE_ENDS = re.compile(r"\r\n?")
# A reader of ODF takes a run of spaces for one and drops those at the ends of a paragraph (ODF 1.2 part 1, §6.1.2).
_SPACING = re.compile(r"\t|^ +| +$|(?<= ) +")
_UNWRITABLE = dict.fromkeys([*range(0x09), 0x0B, 0x0C, *range(0x0E, 0x20), 0xFFFE, 0xFFFF, *range(0xD800, 0xE000)], "�")


def csv_file(notes: Sequence[str], titles: Sequence[str], rows: Iterable[Sequence[Cell]]) -> bytes:
    """CSV in UTF-8 with BOM. `notes`: lines above the titles (made-up data say so in the first). Dates in ROC form."""
    text = io.StringIO()
    writer = csv.writer(text)
    for note in notes:
        writer.writerow([_plain(note)])
    writer.writerow([_plain(title) for title in titles])
    for row in rows:
        writer.writerow([_plain(cell) for cell in row])
    return text.getvalue().encode("utf-8-sig", errors="replace")


def _plain(cell: Cell) -> str | int | float:
    if isinstance(cell, datetime):
        local = cell.astimezone(TAIPEI)
        return f"{format_roc(local.date())} {local:%H:%M}"
    if isinstance(cell, date):
        return format_roc(cell)
    if isinstance(cell, str):
        return f"'{cell}" if cell.startswith(_FORMULA_STARTS) else cell
    return "" if cell is None else cell


def ods_file(sheet: str, notes: Sequence[str], titles: Sequence[str], rows: Iterable[Sequence[Cell]]) -> bytes:
    """An ODF 1.2 spreadsheet with one sheet named `sheet`. Text stays text, numbers numbers, dates dates (ROC shown)."""
    body = io.StringIO()
    body.write(_HEAD)
    body.write(f"<table:table table:name={quoteattr(_clean(sheet))}>")
    body.write(f'<table:table-column table:number-columns-repeated="{max(len(titles), 1)}"/>')
    for note in notes:
        _write_row(body, [note])
    _write_row(body, titles)
    for row in rows:
        _write_row(body, row)
    body.write("</table:table></office:spreadsheet></office:body></office:document-content>")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        # The type comes first and unpacked, so that it stands at a fixed place of the file.
        archive.writestr("mimetype", _TYPE, compress_type=zipfile.ZIP_STORED)
        archive.writestr("META-INF/manifest.xml", _MANIFEST)
        archive.writestr("content.xml", body.getvalue())
    return packed.getvalue()


def _write_row(body: io.StringIO, row: Sequence[Cell]) -> None:
    body.write("<table:table-row>")
    for cell in row:
        body.write(_ods_cell(cell))
    body.write("</table:table-row>")


def _ods_cell(cell: Cell) -> str:
    if cell is None or cell == "":
        return "<table:table-cell/>"
    if isinstance(cell, datetime):
        local = cell.astimezone(TAIPEI).replace(tzinfo=None, microsecond=0)
        return _typed("date", f'office:date-value="{local.isoformat()}" table:style-name="moment"', _plain(cell))
    if isinstance(cell, date):
        return _typed("date", f'office:date-value="{cell.isoformat()}" table:style-name="day"', _plain(cell))
    if isinstance(cell, int | float):
        return _typed("float", f'office:value="{cell}"', cell)
    lines = "".join(f"<text:p>{_SPACING.sub(_spacing, escape(line))}</text:p>" for line in _clean(cell).split("\n"))
    return f'<table:table-cell office:value-type="string">{lines}</table:table-cell>'


def _typed(kind: str, attributes: str, shown: object) -> str:
    return f'<table:table-cell office:value-type="{kind}" {attributes}><text:p>{shown}</text:p></table:table-cell>'


def _spacing(run: re.Match[str]) -> str:
    return "<text:tab/>" if run[0] == "\t" else f'<text:s text:c="{len(run[0])}"/>'


def _clean(text: str) -> str:
    """Without the characters that XML cannot hold, every line end as XML reads it."""
    return _LINE_ENDS.sub("\n", text).translate(_UNWRITABLE)


_TYPE = "application/vnd.oasis.opendocument.spreadsheet"
_MANIFEST = f"""<?xml version="1.0" encoding="UTF-8"?>
<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0" manifest:version="1.2">
<manifest:file-entry manifest:full-path="/" manifest:version="1.2" manifest:media-type="{_TYPE}"/>
<manifest:file-entry manifest:full-path="content.xml" manifest:media-type="text/xml"/>
</manifest:manifest>"""
_DAY = (
    '<number:year number:calendar="ROC" number:style="long"/><number:text>/</number:text>'
    '<number:month number:style="long"/><number:text>/</number:text><number:day number:style="long"/>'
)
_CLOCK = (
    '<number:text> </number:text><number:hours number:style="long"/><number:text>:</number:text>'
    '<number:minutes number:style="long"/>'
)
_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<office:document-content office:version="1.2"'
    ' xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"'
    ' xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"'
    ' xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"'
    ' xmlns:style="urn:oasis:names:tc:opendocument:xmlns:style:1.0"'
    ' xmlns:number="urn:oasis:names:tc:opendocument:xmlns:datastyle:1.0">'
    "<office:automatic-styles>"
    f'<number:date-style style:name="D" number:language="zh" number:country="TW">{_DAY}</number:date-style>'
    f'<number:date-style style:name="M" number:language="zh" number:country="TW">{_DAY}{_CLOCK}</number:date-style>'
    '<style:style style:name="day" style:family="table-cell" style:data-style-name="D"/>'
    '<style:style style:name="moment" style:family="table-cell" style:data-style-name="M"/>'
    "</office:automatic-styles><office:body><office:spreadsheet>"
)


# --- XLSX ------------------------------------------------------------------------------------------------------------


def xlsx_file(sheet: str, notes: Sequence[str], titles: Sequence[str], rows: Iterable[Sequence[Cell]]) -> bytes:
    """An XLSX spreadsheet (ECMA-376) with one sheet. Text stays text, numbers numbers; dates are texts in ROC form."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in _XLSX_PARTS.items():
            archive.writestr(name, part.replace("{sheet}", quoteattr(_clean(sheet)[:_LONGEST_SHEET])))
        with archive.open("xl/worksheets/sheet1.xml", "w") as body:
            body.write(f'{_XML}<worksheet xmlns="{_MAIN}"><sheetData>'.encode())
            for row in ([note] for note in notes):
                body.write(_xlsx_row(row))
            body.write(_xlsx_row(titles))
            for cells in rows:
                body.write(_xlsx_row(cells))
            body.write(b"</sheetData></worksheet>")
    return packed.getvalue()


def _xlsx_row(row: Sequence[Cell]) -> bytes:
    return f"<row>{''.join(map(_xlsx_cell, row))}</row>".encode()


def _xlsx_cell(cell: Cell) -> str:
    if cell is None or cell == "":
        return "<c/>"
    if isinstance(cell, int | float) and not isinstance(cell, bool):
        return f"<c><v>{cell}</v></c>"
    text = cell if isinstance(cell, str) else str(_plain(cell))
    return f'<c t="inlineStr"><is><t xml:space="preserve">{escape(_clean(text))}</t></is></c>'


_LONGEST_SHEET = 31  # characters of a sheet's name
_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_KIND = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_XLSX_PARTS = {
    "[Content_Types].xml": f'{_XML}<Types xmlns="{_PACKAGE}/content-types"><Default Extension="rels" ContentType='
    '"application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/>'
    f'<Override PartName="/xl/workbook.xml" ContentType="{_KIND}.sheet.main+xml"/>'
    f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{_KIND}.worksheet+xml"/></Types>',
    "_rels/.rels": f'{_XML}<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="r1" Type='
    f'"{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
    "xl/workbook.xml": f'{_XML}<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets><sheet name={{sheet}} sheetId="1"'
    ' r:id="r1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": f'{_XML}<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="r1" Type='
    f'"{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
}
