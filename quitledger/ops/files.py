"""Lists given to commands as files: their encoding, and the report of an import."""

from typing import IO

import click
from django.utils.module_loading import import_string

from quitledger.accounts.actors import SYSTEM
from quitledger.accounts.scope import scoped

from .environment import prepare
from .faults import sentences, told

good_rows_only_option = click.option(
    "--good-rows-only",
    is_flag=True,
    help="有錯的列略過，其餘照常匯入；否則一列有錯就全部不匯入。"
    " / Import the good rows; otherwise one bad row stops them all.",
)
file_argument = click.argument("file", metavar="FILE", type=click.File("rb"))


def import_list(file: IO[bytes], service: str, *, good_rows_only: bool) -> None:
    """Give a list to the importing service of that dotted name, as the owner role, and print its report.

    Exits with 1 where rows were refused.
    """
    with told():
        prepare("owner")
        with scoped(SYSTEM):
            report = import_string(service)(file.read(), good_rows_only=good_rows_only, by=SYSTEM)
    for line, problems in report.refused:
        for sentence in sentences(problems):
            click.echo(f"第 {line} 行 line {line}：{sentence}")
    click.echo(
        f"匯入 {report.recorded} 列，未匯入 {len(report.refused)} 列有錯的。"
        f" / {report.recorded} rows imported, {len(report.refused)} rows with faults not."
    )
    if report.refused:
        raise SystemExit(1)
