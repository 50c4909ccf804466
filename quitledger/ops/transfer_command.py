"""`quitledger transfer`: the records of the system before this one, rehearsed and taken over."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from quitledger.policy import format_roc_month, format_roc_year
from quitledger.policy.sentences import Words

from .environment import prepare
from .faults import Fault, told

if TYPE_CHECKING:
    from quitledger.interop.sheets import Cell
    from quitledger.transfer.services import Report, Told

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_report = click.option(
    "--report",
    "report_folder",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="寫報告的資料夾，預設是 DIR 裡的 report。 / Where the report is written; DIR/report unless given.",
)


@click.group()
def transfer() -> None:
    """\b
    移轉舊系統的資料：格式見 docs/transfer.md，範例在 docs/samples/transfer。
    Take over the records of the system before this one; see docs/transfer.md and docs/samples/transfer.
    """


@transfer.command()
@click.argument("folder", metavar="DIR", type=FOLDER)
@_report
def check(folder: Path, report_folder: Path | None) -> None:
    """\b
    試作一次再全部收回，寫出報告；不留下任何資料。以擁有者角色執行。
    Do all of it, take it back, and write the report. Runs as the owner role.
    """
    with told():
        prepare("owner")
        from quitledger.accounts.actors import SYSTEM
        from quitledger.transfer import services

        report = services.check(folder, by=SYSTEM, tell=click.echo)
        _tell(report, report_folder or folder / "report")


@transfer.command()
@click.argument("folder", metavar="DIR", type=FOLDER)
@_report
@click.option(
    "--desk", "username", metavar="USERNAME",
    help="登記未審核更正申請的窗口帳號；有 corrections.csv 時必填。"
    " / The desk's account that registers the open applications; needed with corrections.csv.",
)  # fmt: skip
def load(folder: Path, report_folder: Path | None, username: str | None) -> None:
    """\b
    移轉 DIR 裡的資料並寫出報告；中斷後再執行一次會接續，已有的不會重複。以擁有者角色執行。
    Take over what is in DIR and write the report; run again after a break it goes on, and nothing is there twice.
    """
    with told():
        prepare("owner")
        from quitledger.accounts.actors import SYSTEM
        from quitledger.transfer import services

        desk = _desk(username) if username or list(folder.glob("corrections*.csv")) else None
        report = services.load(folder, by=SYSTEM, tell=click.echo)
        if desk is not None:
            from .database import as_application

            with as_application(os.environ["DATABASE_URL"]):
                services.register_applications(folder, report, by=desk)
        _tell(report, report_folder or folder / "report")


def _desk(username: str | None):  # type: ignore[no-untyped-def]
    """The account of the desk as it acts. Raises Fault."""
    from quitledger.accounts.actors import AGENCY, SYSTEM, Actor
    from quitledger.accounts.models import User
    from quitledger.accounts.permissions import Permission, Role
    from quitledger.accounts.scope import scoped

    with scoped(SYSTEM):
        user = User.objects.filter(username=username or "", is_active=True).exclude(agency_role="").first()
    actor = Actor(user.pk, AGENCY, Role(user.agency_role), user.display_name) if user else None
    if actor is None or not actor.may(Permission.CORRECTION_REGISTER):
        raise Fault(
            "有未審核的更正申請：請以 --desk 指定一個窗口帳號。",
            "There are open applications: name an account of the desk with --desk.",
        )
    return actor


# --- The report ------------------------------------------------------------------------------------------------------


def _tell(report: "Report", folder: Path) -> None:
    """Write the report's files and say how many there were; exit status 1 where a row was refused."""
    from quitledger.transfer import formats

    for kind in (*formats.KINDS, formats.CORRECTIONS):
        refused = report.refused.get(kind.stem, [])
        columns = [column.title for column in kind.columns]
        _write(
            folder / f"refused-{kind.stem}.csv",
            ["檔案", "列", *columns, "原因"],
            (_told(one, columns) for one in refused),
        )
        numbers = report.recorded[kind.stem], report.known[kind.stem], len(refused)
        if any(numbers):
            click.echo(
                f"{kind.label}：收下 {numbers[0]}，先前已有 {numbers[1]}，未收 {numbers[2]}。"
                f" / {kind.stem}: {numbers[0]} recorded, {numbers[1]} known before, {numbers[2]} refused."
            )
    columns = [column.title for column in formats.VISITS.columns]
    _write(
        folder / "taken-over.csv", ["檔案", "列", *columns, "原因"], (_told(one, columns) for one in report.taken_over)
    )
    _write(
        folder / "courses.csv", ["檔案", "列", "服務", "舊系統", "本系統"],
        ([one.file, one.line, _LABELS[one.kind], _course(one.was), _course(one.ours)] for one in report.courses),
    )  # fmt: skip
    months = sorted(report.months.items())
    _write(
        folder / "months.csv", ["醫事機構代碼", "就醫月份", "檔案筆數", "收下筆數", "相差"],
        ([code, format_roc_month(month), n["file"], n["kept"], n["file"] - n["kept"]] for (code, month), n in months),
    )  # fmt: skip
    differing = sum(n["file"] != n["kept"] for _, n in months)
    click.echo(
        f"不符規定、依原樣保存 {len(report.taken_over)} 筆；療程次不同 {len(report.courses)} 筆；筆數不同的機構月份 {differing} 個。"
        f" / {len(report.taken_over)} kept though they break a rule; {len(report.courses)} courses counted otherwise;"
        f" {differing} months of institutions with other numbers."
    )
    click.echo(f"報告（含個人資料）：{folder} / Report (personal data): {folder}")
    if not report.is_clean:
        raise SystemExit(1)


_LABELS = {"medication": Words("用藥"), "counselling": Words("衛教")}


def _told(one: "Told", columns: Sequence[str]) -> "list[Cell]":
    reasons = "；".join(str(problem.message) for problem in one.problems)
    return [one.file, one.line, *(one.cells.get(title, "") for title in columns), reasons]


def _course(course: tuple[int, int]) -> str:
    return f"{format_roc_year(course[0])}-{course[1]}"


def _write(path: Path, titles: Sequence[str], rows: "Iterable[Sequence[Cell]]") -> None:
    """A CSV file that only its owner may read, in the place of one that was there."""
    from quitledger.audit.private_files import replace
    from quitledger.interop.sheets import csv_file

    path.parent.mkdir(parents=True, exist_ok=True)
    replace(path, csv_file([], titles, rows))
