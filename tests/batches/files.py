"""Files of rows, as institutions send them: one fault each, or none."""

import csv
import io
import zipfile
from collections.abc import Sequence
from datetime import date

from quitledger.interop.sheets import ods_file, xlsx_file
from quitledger.policy.identity import make_up
from tests import world

VISIT_TITLES = (
    "病歷號", "就醫日期", "就醫時間", "用藥人員", "藥品代碼", "週數", "天數", "衛教人員", "衛教方式", "懷孕", "平均每日支數", "一氧化碳", "備註",
)  # fmt: skip
PERSON_TITLES = ("身分證字號", "出生日期", "性別", "姓名", "病歷號", "電話")
INTAKE_TITLES = (
    "評估日期", *(f"成癮度第 {n} 題" for n in range(1, 7)), "平均每日支數", "一氧化碳", "體重", "懷孕", "健保在保",
)  # fmt: skip


def a_visit(chart_no: str = "T-0001", day: str = "114/3/20", **changes: str) -> tuple[str, ...]:
    """A row of both services, of a person of the world."""
    said = dict.fromkeys(VISIT_TITLES, "") | {
        "病歷號": chart_no, "就醫日期": day, "用藥人員": "示範丑", "藥品代碼": world.PATCH, "週數": "2", "衛教人員": "示範子",
    }  # fmt: skip
    return tuple((said | changes).values())


def counselling(chart_no: str = "T-0001", day: str = "114/3/20", **changes: str) -> tuple[str, ...]:
    """A row of counselling alone."""
    return a_visit(chart_no, day, **({"用藥人員": "", "藥品代碼": "", "週數": ""} | changes))


def a_person(serial: int = 500, **changes: str) -> tuple[str, ...]:
    """A row of a person whom nobody knows yet."""
    said = dict(
        zip(PERSON_TITLES, (make_up(serial), "69/2/3", "男", f"示範{serial}", f"N-{serial}", "02-1234"), strict=True)
    )
    return tuple((said | changes).values())


def with_intake(person: Sequence[str], day: str = "114/3/20", **changes: str) -> tuple[str, ...]:
    """The row of a person with an intake behind it, whole unless something is changed."""
    answers = ("5 分鐘以內", "是", "早上第一支", "11 到 20 支", "否", "否")
    said = dict(zip(INTAKE_TITLES, (day, *answers, "20", "24", "68.5", "否", "是"), strict=True))
    return (*person, *(said | changes).values())


def csv_of(
    *rows: Sequence[object], titles: Sequence[str] = VISIT_TITLES, encoding: str = "utf-8", delimiter: str = ","
) -> bytes:
    """A CSV file."""
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows([titles, *rows])
    return text.getvalue().encode(encoding)


def xlsx_of(*rows: Sequence[object], titles: Sequence[str] = VISIT_TITLES) -> bytes:
    """An XLSX file; numbers stay numbers."""
    return xlsx_file("名單", [], titles, rows)  # type: ignore[arg-type]


def ods_of(*rows: Sequence[object], titles: Sequence[str] = VISIT_TITLES) -> bytes:
    """An ODS file; days are days."""
    return ods_file("名單", [], titles, rows)  # type: ignore[arg-type]


def zipped(parts: dict[str, bytes]) -> bytes:
    """An archive of these parts."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    return packed.getvalue()


def parts_of(content: bytes) -> dict[str, bytes]:
    """The parts of an archive."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def with_sheet(body: str, merged: str = "") -> bytes:
    """An XLSX file whose sheet holds this XML, as a spreadsheet program would write it."""
    parts = parts_of(xlsx_of())
    sheet = (
        '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
        f"<sheetData>{body}</sheetData>{merged}</worksheet>"
    )
    return zipped(parts | {"xl/worksheets/sheet1.xml": sheet.encode()})


def bomb() -> bytes:
    """A small archive that unpacks to half a gigabyte."""
    parts = parts_of(xlsx_of())
    return zipped(parts | {"xl/worksheets/sheet1.xml": b" " * 500_000_000})


def lying() -> bytes:
    """A workbook of which one part is longer than its entry says."""
    parts = parts_of(xlsx_of())
    honest = zipped(parts | {"zeros": bytes(3_000_000)})
    return honest.replace((3_000_000).to_bytes(4, "little"), (1_000).to_bytes(4, "little"))


def far_apart() -> bytes:
    """Two cells, of which one is the last of the sheet: a reader that keeps all between them needs terabytes."""
    return with_sheet('<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>')


A_DAY = date(2025, 3, 20)
