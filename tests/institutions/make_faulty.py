"""The fixture files of tests/institutions/faulty: one fault a file, and what is said of it.

Run as a module it writes the files anew; a test compares them with what is written here.
"""

import io
import zipfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from xml.sax.saxutils import escape

FOLDER = Path(__file__).with_name("faulty")
Cell = str | int | date | bool


@dataclass(frozen=True)
class Faulty:
    """A file of one list with one fault. `code`: of the problem; `line` of it, None where the whole file is refused."""

    register: str
    lines: tuple[tuple[Cell, ...], ...]
    code: str
    line: int | None
    encoding: str = "utf-8"


INSTITUTIONS = ("醫事機構代碼", "機構名稱", "層級別", "縣市", "地址", "起日", "新代碼", "變更事由", "上級機構代碼")
CONTRACTS = ("醫事機構代碼", "合約起日", "合約迄日", "終止事由")
STAFF = ("醫事機構代碼", "身分證字號", "姓名", "職類", "合約起日", "合約迄日", "用藥", "衛教")
CERTIFICATES = ("身分證字號", "證明種類", "字號", "發證日", "到期日")
QUOTAS = ("醫事機構代碼", "年度", "服務", "人次上限")
EXTENSIONS = ("就醫月份", "適用對象", "縣市", "機構代碼", "延長至", "時間", "事由")
CLINIC, PHARMACY = "9900000019", "9900000028"
A_STAFF_NUMBER = "S100000009"


def _institution(**changes: Cell) -> tuple[Cell, ...]:
    good = dict(
        zip(INSTITUTIONS, ("9900200010", "示範新診所", "西醫診所", "臺中市", "", "114/1/1", "", "", ""), strict=True)
    )
    return tuple((good | changes).values())


FILES: dict[str, Faulty] = {
    # the file as a whole
    "empty.csv": Faulty("contracts", (), "file-empty", None),
    "titles_missing.csv": Faulty("contracts", ((CLINIC, "114/1/1", "", ""),), "column-missing", None),
    "column_missing.csv": Faulty("contracts", (("醫事機構代碼", "終止事由"), (CLINIC, "")), "column-missing", None),
    "column_twice.csv": Faulty("contracts", ((*CONTRACTS, "合約起日"), (CLINIC, "114/1/1", "", "", "")), "column-twice", None),
    "neither_utf8_nor_big5.csv": Faulty("contracts", (CONTRACTS, (PHARMACY, "114/1/1", "", "終止")), "file-encoding-unknown", None, "utf-16"),
    "column_missing.xlsx": Faulty("contracts", (("醫事機構代碼", "合約迄日"), (CLINIC, "")), "column-missing", None),
    # cells
    "code_of_nine_digits.csv": Faulty("contracts", (CONTRACTS, ("990000001", "114/1/1", "", "")), "value-unreadable", 2),
    "code_as_a_number.xlsx": Faulty("contracts", (CONTRACTS, (990000001, "114/1/1", "", "")), "value-unreadable", 2),
    "day_missing.xlsx": Faulty("contracts", (CONTRACTS, (CLINIC, "", "", "")), "value-missing", 2),
    "day_that_does_not_exist.csv": Faulty("contracts", (CONTRACTS, (CLINIC, "114/2/30", "", "")), "value-unreadable", 2),
    "reason_too_long.csv": Faulty("contracts", (CONTRACTS, (CLINIC, "113/1/1", "114/1/1", "長" * 201)), "value-unreadable", 2),
    "unknown_tier.csv": Faulty("institutions", (INSTITUTIONS, _institution(層級別="診療所")), "value-unreadable", 2),
    "unknown_change.csv": Faulty("institutions", (INSTITUTIONS, _institution(變更事由="搬家")), "value-unreadable", 2),
    "neither_yes_nor_no.csv": Faulty("staff", (STAFF, (CLINIC, A_STAFF_NUMBER, "示範申", "衛教師", "114/1/1", "", "也許", "是")), "value-unreadable", 2),
    "unknown_profession.csv": Faulty("staff", (STAFF, (CLINIC, A_STAFF_NUMBER, "示範申", "護理師", "114/1/1", "", "否", "是")), "value-unreadable", 2),
    "year_unreadable.csv": Faulty("quotas", (QUOTAS, (CLINIC, "今年", "用藥", "100")), "value-unreadable", 2),
    "limit_no_number.csv": Faulty("quotas", (QUOTAS, (CLINIC, "114", "用藥", "一百")), "value-unreadable", 2),
    "unknown_service.csv": Faulty("quotas", (QUOTAS, (CLINIC, "114", "針灸", "100")), "value-unreadable", 2),
    "last_day_missing.csv": Faulty("certificates", (CERTIFICATES, (A_STAFF_NUMBER, "訓練證明", "", "", "")), "value-missing", 2),
    "time_unreadable.csv": Faulty("extensions", (EXTENSIONS, ("114/3", "全國", "", "", "114/5/1", "25:00", "停電")), "value-unreadable", 2),
    # rules
    "unknown_institution.csv": Faulty("contracts", (CONTRACTS, ("1234567890", "114/1/1", "", "")), "institution-unknown", 2),
    "ends_before_it_starts.xlsx": Faulty("contracts", (CONTRACTS, (CLINIC, date(2024, 1, 1), date(2023, 12, 31), "")), "period-reversed", 2),
    "contracts_overlap.csv": Faulty("contracts", (CONTRACTS, (CLINIC, "114/1/1", "", "")), "period-overlaps", 2),
    "rows_overlap_each_other.csv": Faulty("contracts", (CONTRACTS, (PHARMACY, "113/1/1", "113/12/31", ""), (PHARMACY, "113/6/1", "", "")), "period-overlaps", 3),
    "code_of_another.csv": Faulty("institutions", (INSTITUTIONS, _institution(新代碼=PHARMACY)), "code-taken", 2),
    "unknown_parent.csv": Faulty("institutions", (INSTITUTIONS, _institution(上級機構代碼="1234567890")), "institution-unknown", 2),
    "own_parent.csv": Faulty("institutions", (INSTITUTIONS, _institution(醫事機構代碼=CLINIC, 上級機構代碼=CLINIC)), "parent-itself", 2),
    "identity_checksum.csv": Faulty("staff", (STAFF, (CLINIC, "A123456780", "示範申", "衛教師", "114/1/1", "", "否", "是")), "identity-checksum", 2),
    "identity_unreadable.xlsx": Faulty("staff", (STAFF, (CLINIC, "示範申", "示範申", "衛教師", "114/1/1", "", False, True)), "identity-unreadable", 2),
    "unknown_staff.csv": Faulty("certificates", (CERTIFICATES, ("A123456789", "訓練證明", "", "", "115/1/1")), "staff-unknown", 2),
    "certificate_reversed.csv": Faulty("certificates", (CERTIFICATES, ("A123456789", "訓練證明", "", "115/1/1", "114/1/1")), "period-reversed", 2),
    "extension_shortens.csv": Faulty("extensions", (EXTENSIONS, ("114/3", "全國", "", "", "114/4/10", "", "停電")), "extension-shortens", 2),
    "county_missing.csv": Faulty("extensions", (EXTENSIONS, ("114/3", "縣市", "", "", "114/5/1", "", "颱風")), "county-missing", 2),
    "extension_of_an_unknown_institution.csv": Faulty("extensions", (EXTENSIONS, ("114/3", "單一機構", "", "1234567890", "114/5/1", "", "火災")), "institution-unknown", 2),
}  # fmt: skip


def content_of(name: str) -> bytes:
    """What the file holds."""
    faulty = FILES[name]
    if name.endswith(".xlsx"):
        return xlsx(faulty.lines)
    lines = [",".join(str(cell) for cell in line) for line in faulty.lines]
    return "".join(f"{line}\r\n" for line in lines).encode(faulty.encoding)


def xlsx(lines: tuple[tuple[Cell, ...], ...], formulas: dict[str, str] | None = None) -> bytes:
    """A spreadsheet with one sheet. Texts as texts, numbers and days as numbers, as a spreadsheet program writes them.

    `formulas`: text of a cell → the formula that gives it.
    """
    rows = "".join(f"<row>{''.join(_cell(cell, formulas or {}) for cell in line)}</row>" for line in lines)
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types"><Default Extension="rels" ContentType='
        '"application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType='
        f'"application/xml"/><Override PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{kind}.worksheet+xml"/>'
        f'<Override PartName="/xl/styles.xml" ContentType="{kind}.styles+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" Type='
        f'"{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets><sheet name="1" sheetId="1" r:id="r1"/>'
        "</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" Type='
        f'"{office}/worksheet" Target="worksheets/sheet1.xml"/><Relationship Id="r2" Type="{office}/styles" Target='
        '"styles.xml"/></Relationships>',
        "xl/styles.xml": f'<styleSheet xmlns="{main}"><fonts><font/></fonts><fills><fill/></fills><borders><border/>'
        '</borders><cellXfs><xf numFmtId="0"/><xf numFmtId="14" applyNumberFormat="1"/></cellXfs></styleSheet>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{rows}</sheetData></worksheet>',
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(
                zipfile.ZipInfo(name, (2025, 4, 1, 0, 0, 0)), f'<?xml version="1.0" encoding="UTF-8"?>{text}'
            )
    return packed.getvalue()


def _cell(cell: Cell, formulas: dict[str, str]) -> str:
    if isinstance(cell, bool):
        return f'<c t="b"><v>{int(cell)}</v></c>'
    if isinstance(cell, date):
        return f'<c s="1"><v>{(cell - date(1899, 12, 30)).days}</v></c>'
    if isinstance(cell, int):
        return f"<c><v>{cell}</v></c>"
    if cell in formulas:
        return f'<c t="str"><f>{escape(formulas[cell])}</f><v>{escape(cell)}</v></c>'
    return f'<c t="inlineStr"><is><t>{escape(cell)}</t></is></c>' if cell else "<c/>"


if __name__ == "__main__":
    for file in FILES:
        (FOLDER / file).write_bytes(content_of(file))
