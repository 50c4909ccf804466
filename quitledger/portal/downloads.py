"""A table as a file to take away, built inside the request's transaction, never streamed after it."""

from collections.abc import Iterable, Sequence

from django.http import Http404, HttpResponse

from quitledger.interop.sheets import ODS, XLSX, Cell, csv_file, ods_file, xlsx_file

from .transactions import Request

MADE_UP = {  # purpose of the database → the first row of its files, as the strip of its pages says it
    "demo": "示範資料：人員、機構與就醫紀錄皆為虛構。",
    "test": "測試資料：本系統供測試，請勿登錄真實的戒菸者。",
}


def table_file(
    request: Request, sheet: str, titles: Sequence[str], rows: Iterable[Sequence[Cell]], name: str, file_format: str
) -> HttpResponse:
    """`rows` as `name`.csv, .ods or .xlsx; made-up data say so in the first line. Raises Http404 for any other format."""
    notes = [MADE_UP[request.desk.purpose]] if request.desk.purpose in MADE_UP else []
    if file_format == "ods":
        content, kind = ods_file(sheet, notes, titles, rows), ODS
    elif file_format == "xlsx":
        content, kind = xlsx_file(sheet, notes, titles, rows), XLSX
    elif file_format == "csv":
        content, kind = csv_file(notes, titles, rows), "text/csv; charset=utf-8"
    else:
        raise Http404
    return HttpResponse(content, content_type=kind, headers={
        "Content-Disposition": f'attachment; filename="{name}.{file_format}"'
    })  # fmt: skip
