"""A table as CSV, several as ODS or XLSX, built in memory. What may be read as a formula is written as text."""

import csv
import io
import re
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from xml.sax.saxutils import escape, quoteattr

from quitledger.files.sheet_reading import FORMULA_STARTS
from quitledger.policy import TAIPEI, format_roc

# What the files are (media types).
ODS = "application/vnd.oasis.opendocument.spreadsheet"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

Cell = str | int | float | Decimal | date | datetime | None  # a Decimal is shown with as many decimals as it has


@dataclass(frozen=True)
class Sheet:
    """One sheet of a spreadsheet: lines above the titles (`notes`), the titles, the rows; how wide its columns are, in
    Chinese characters (none: as the program likes)."""

    name: str
    titles: Sequence[str]
    rows: Iterable[Sequence[Cell]]
    notes: Sequence[str] = ()
    widths: Sequence[int] = ()


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


def _plain(cell: Cell) -> str | int | float | Decimal:
    if isinstance(cell, datetime):
        local = cell.astimezone(TAIPEI)
        return f"{format_roc(local.date())} {local:%H:%M}"
    if isinstance(cell, date):
        return format_roc(cell)
    if isinstance(cell, str):
        return f"'{cell}" if cell.startswith(FORMULA_STARTS) else cell
    return "" if cell is None else cell


def ods_file(sheet: str, notes: Sequence[str], titles: Sequence[str], rows: Iterable[Sequence[Cell]]) -> bytes:
    """An ODF 1.2 spreadsheet with one sheet named `sheet`. Text stays text, numbers numbers, dates dates (ROC shown)."""
    return ods_book([Sheet(sheet, titles, rows, notes)])


def ods_book(sheets: Sequence[Sheet]) -> bytes:
    """An ODF 1.2 spreadsheet with several sheets."""
    body = io.StringIO()
    body.write(_HEAD)
    body.write("".join(_ods_width(width) for width in sorted({width for sheet in sheets for width in sheet.widths})))
    body.write("</office:automatic-styles><office:body><office:spreadsheet>")
    for sheet in sheets:
        body.write(f"<table:table table:name={quoteattr(_clean(sheet.name))}>")
        for width in sheet.widths:
            body.write(f'<table:table-column table:style-name="w{width}"/>')
        if rest := max(len(sheet.titles), 1) - len(sheet.widths):
            body.write(f'<table:table-column table:number-columns-repeated="{rest}"/>')
        for row in ([note] for note in sheet.notes):
            _write_row(body, row)
        _write_row(body, sheet.titles)
        for cells in sheet.rows:
            _write_row(body, cells)
        body.write("</table:table>")
    body.write("</office:spreadsheet></office:body></office:document-content>")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        # The type comes first and unpacked, so that it stands at a fixed place of the file.
        archive.writestr("mimetype", ODS, compress_type=zipfile.ZIP_STORED)
        archive.writestr("META-INF/manifest.xml", _MANIFEST)
        archive.writestr("content.xml", body.getvalue())
    return packed.getvalue()


def _ods_width(width: int) -> str:
    return (
        f'<style:style style:name="w{width}" style:family="table-column">'
        f'<style:table-column-properties style:column-width="{width * _CHARACTER_MM}mm"/></style:style>'
    )


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
    if isinstance(cell, Decimal):
        return _typed("float", f'office:value="{cell}" table:style-name="d{_decimals(cell)}"', cell)
    if isinstance(cell, int | float):
        return _typed("float", f'office:value="{cell}"', cell)
    lines = "".join(f"<text:p>{_SPACING.sub(_spacing, escape(line))}</text:p>" for line in _clean(cell).split("\n"))
    return f'<table:table-cell office:value-type="string">{lines}</table:table-cell>'


def _typed(kind: str, attributes: str, shown: object) -> str:
    return f'<table:table-cell office:value-type="{kind}" {attributes}><text:p>{shown}</text:p></table:table-cell>'


def _spacing(run: re.Match[str]) -> str:
    return "<text:tab/>" if run[0] == "\t" else f'<text:s text:c="{len(run[0])}"/>'


def _decimals(number: Decimal) -> int:
    """How many decimals it has, as far as there is a format for them."""
    exponent = number.as_tuple().exponent
    return min(-exponent, _MOST_DECIMALS) if isinstance(exponent, int) and exponent < 0 else 0


def _clean(text: str) -> str:
    """Without the characters that XML cannot hold, every line end as XML reads it."""
    return _LINE_ENDS.sub("\n", text).translate(_UNWRITABLE)


_CHARACTER_MM = 4  # width of a Chinese character of 10 points, with some air
_MOST_DECIMALS = 4
_MANIFEST = f"""<?xml version="1.0" encoding="UTF-8"?>
<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0" manifest:version="1.2">
<manifest:file-entry manifest:full-path="/" manifest:version="1.2" manifest:media-type="{ODS}"/>
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
    + "".join(
        f'<number:number-style style:name="N{decimals}"><number:number number:min-integer-digits="1"'
        f' number:decimal-places="{decimals}"/></number:number-style>'
        f'<style:style style:name="d{decimals}" style:family="table-cell" style:data-style-name="N{decimals}"/>'
        for decimals in range(_MOST_DECIMALS + 1)
    )
)


# --- XLSX ------------------------------------------------------------------------------------------------------------


def xlsx_file(sheet: str, notes: Sequence[str], titles: Sequence[str], rows: Iterable[Sequence[Cell]]) -> bytes:
    """An XLSX spreadsheet (ECMA-376) with one sheet. Text stays text, numbers numbers; dates are texts in ROC form."""
    return xlsx_book([Sheet(sheet, titles, rows, notes)])


def xlsx_book(sheets: Sequence[Sheet]) -> bytes:
    """An XLSX spreadsheet with several sheets."""
    packed = io.BytesIO()
    numbers = range(1, len(sheets) + 1)
    parts = {
        "{overrides}": "".join(
            f'<Override PartName="/xl/worksheets/sheet{number}.xml" ContentType="{_KIND}.worksheet+xml"/>' for number in numbers
        ),
        "{sheets}": "".join(
            f'<sheet name={quoteattr(_clean(sheet.name)[:_LONGEST_SHEET])} sheetId="{number}" r:id="r{number}"/>'
            for number, sheet in enumerate(sheets, start=1)
        ),
        "{relations}": "".join(
            f'<Relationship Id="r{number}" Type="{_OFFICE}/worksheet" Target="worksheets/sheet{number}.xml"/>'
            for number in numbers
        ),
    }  # fmt: skip
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in _XLSX_PARTS.items():
            for place, content in parts.items():
                part = part.replace(place, content)
            archive.writestr(name, part)
        for number, sheet in enumerate(sheets, start=1):
            with archive.open(f"xl/worksheets/sheet{number}.xml", "w") as body:
                body.write(f'{_XML}<worksheet xmlns="{_MAIN}">{_xlsx_widths(sheet.widths)}<sheetData>'.encode())
                for row in ([note] for note in sheet.notes):
                    body.write(_xlsx_row(row))
                body.write(_xlsx_row(sheet.titles))
                for cells in sheet.rows:
                    body.write(_xlsx_row(cells))
                body.write(b"</sheetData></worksheet>")
    return packed.getvalue()


def _xlsx_widths(widths: Sequence[int]) -> str:
    """Widths are told in digits, of which a Chinese character takes two."""
    columns = (
        f'<col min="{place}" max="{place}" width="{2 * width}" customWidth="1"/>'
        for place, width in enumerate(widths, 1)
    )
    return f"<cols>{''.join(columns)}</cols>" if widths else ""


def _xlsx_row(row: Sequence[Cell]) -> bytes:
    return f"<row>{''.join(map(_xlsx_cell, row))}</row>".encode()


def _xlsx_cell(cell: Cell) -> str:
    if cell is None or cell == "":
        return "<c/>"
    if isinstance(cell, Decimal):
        return f'<c s="{_decimals(cell) + 1}"><v>{cell}</v></c>'
    if isinstance(cell, int | float) and not isinstance(cell, bool):
        return f"<c><v>{cell}</v></c>"
    text = cell if isinstance(cell, str) else str(_plain(cell))
    return f'<c t="inlineStr"><is><t xml:space="preserve">{escape(_clean(text))}</t></is></c>'


_LONGEST_SHEET = 31  # characters of a sheet's name
_PLAIN = 'numFmtId="0" fontId="0" fillId="0" borderId="0"'
_FIRST_FORMAT = 164  # numbers of formats below are the program's own (ECMA-376 part 1, §18.8.30)
_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_KIND = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_XLSX_PARTS = {
    "[Content_Types].xml": f'{_XML}<Types xmlns="{_PACKAGE}/content-types"><Default Extension="rels" ContentType='
    '"application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/>'
    f'<Override PartName="/xl/workbook.xml" ContentType="{_KIND}.sheet.main+xml"/>'
    f'<Override PartName="/xl/styles.xml" ContentType="{_KIND}.styles+xml"/>{{overrides}}</Types>',
    "_rels/.rels": f'{_XML}<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="r1" Type='
    f'"{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
    "xl/workbook.xml": f'{_XML}<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>{{sheets}}</sheets></workbook>',
    "xl/_rels/workbook.xml.rels": f'{_XML}<Relationships xmlns="{_PACKAGE}/relationships">{{relations}}'
    f'<Relationship Id="s" Type="{_OFFICE}/styles" Target="styles.xml"/></Relationships>',
    # Formats of cells: as the program likes, then numbers with no, one, two … decimals.
    "xl/styles.xml": f'{_XML}<styleSheet xmlns="{_MAIN}"><numFmts count="{_MOST_DECIMALS + 1}">'
    + "".join(
        f'<numFmt numFmtId="{_FIRST_FORMAT + decimals}" formatCode="0{"." if decimals else ""}{"0" * decimals}"/>'
        for decimals in range(_MOST_DECIMALS + 1)
    )
    + '</numFmts><fonts count="1"><font><sz val="11"/><name val="Calibri"/></font></fonts><fills count="2"><fill><patternFill'
    ' patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill></fills><borders count="1"><border><left/>'
    f'<right/><top/><bottom/><diagonal/></border></borders><cellStyleXfs count="1"><xf {_PLAIN}/></cellStyleXfs>'
    f'<cellXfs count="{_MOST_DECIMALS + 2}"><xf {_PLAIN} xfId="0"/>'
    + "".join(
        f'<xf numFmtId="{_FIRST_FORMAT + decimals}" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>'
        for decimals in range(_MOST_DECIMALS + 1)
    )
    + '</cellXfs><cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>',
}
