"""`quitledger institutions` and `quitledger medicines`: the agency's lists, imported from files."""

from typing import IO

import click

from .files import file_argument, good_rows_only_option, import_list


@click.group()
def institutions() -> None:
    """\b
    醫事機構與人員名單。範例檔在 docs/samples。
    Lists of institutions and staff; samples are in docs/samples.
    """


@institutions.command("import")
@file_argument
@good_rows_only_option
def import_institutions(file: IO[bytes], good_rows_only: bool) -> None:
    """\b
    由 CSV（UTF-8 或 Big5）、XLSX 或 ODS 匯入特約醫事機構。
    Import contracted institutions from CSV (UTF-8 or Big5), XLSX or ODS.
    """
    import_list(file, "quitledger.institutions.services.import_institutions", good_rows_only=good_rows_only)


@institutions.command("import-staff")
@file_argument
@good_rows_only_option
def import_staff(file: IO[bytes], good_rows_only: bool) -> None:
    """\b
    由 CSV（UTF-8 或 Big5）、XLSX 或 ODS 匯入醫事人員與人員合約。
    Import staff and their contracts from CSV (UTF-8 or Big5), XLSX or ODS.
    """
    import_list(file, "quitledger.institutions.services.import_staff", good_rows_only=good_rows_only)


@click.group()
def medicines() -> None:
    """\b
    補助藥品清單。範例檔在 docs/samples。
    The list of subsidised medicines; a sample is in docs/samples.
    """


@medicines.command("import")
@file_argument
@good_rows_only_option
def import_medicines(file: IO[bytes], good_rows_only: bool) -> None:
    """\b
    由 CSV（UTF-8 或 Big5）、XLSX 或 ODS 匯入補助藥品；已有的藥品代碼更新為檔案的內容。
    Import medicines from CSV (UTF-8 or Big5), XLSX or ODS; a known code is brought up to the file.
    """
    import_list(file, "quitledger.visits.services.import_medicines", good_rows_only=good_rows_only)
