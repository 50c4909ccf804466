"""`quitledger retention`: empties personal data whose keeping time has ended. Runs as the owner role, for two people."""

import sys
from datetime import date
from typing import TYPE_CHECKING

import click

from quitledger.accounts.permissions import Permission
from quitledger.policy import TAIPEI, format_roc
from quitledger.policy.roc_formats import ROC_EPOCH

from .environment import prepare
from .faults import Fault, told

if TYPE_CHECKING:
    from quitledger.accounts.actors import Actor
    from quitledger.retention.models import Run
    from quitledger.retention.services import Plan

BATCH = 200  # people a transaction
_LOCK = 0x51_7265_74  # of the one run that is at work

who_option = click.option("--by", "username", required=True, metavar="USERNAME", help="本人的帳號。 / Your account.")
stdin_option = click.option(
    "--password-stdin",
    is_flag=True,
    help="密碼（及第二步驗證碼）由標準輸入逐行讀取。 / Read password, and second factor, from lines of standard input.",
)


@click.group()
def retention() -> None:
    """\b
    清除保存期限已過的個人資料：一人擬定計畫，另一人確認並執行。
    Empty personal data whose keeping time has ended: one person plans, another confirms and runs.
    """


@retention.command()
@who_option
@stdin_option
def plan(username: str, password_stdin: bool) -> None:
    """\b
    找出保存期限已過的人，擬定清除計畫；什麼都還不清除。
    Find everybody whose keeping time has ended and make a plan. Nothing is emptied yet.
    """
    with told():
        prepare("owner")
        from quitledger.accounts.scope import scoped
        from quitledger.retention.services import plan_run

        actor = _proved(username, password_stdin, Permission.RETENTION_PLAN)
        with scoped(actor):
            made = plan_run(today=_today(), by=actor)
        if made is None:
            click.echo("沒有人的保存期限已過，沒有建立計畫。 / Nobody's keeping time has ended; no plan was made.")
            return
        _tell(made, actor.name)


@retention.command()
@click.argument("code")
@who_option
@stdin_option
def run(code: str, username: str, password_stdin: bool) -> None:
    """\b
    確認代碼為 CODE 的計畫並清除，歷次版本也清除；網站可以繼續執行，中斷後再執行會接續。
    Confirm the plan with this CODE and empty rows and versions. The site may run; goes on where it was cut off.
    """
    with told():
        prepare("owner")
        from quitledger.accounts.scope import scoped
        from quitledger.retention.services import clear_up, confirm_run

        from .audit_command import signer

        signs = signer()
        actor = _proved(username, password_stdin, Permission.RETENTION_RUN)
        with scoped(actor):
            confirmed = confirm_run(code=code, by=actor)
        if confirmed.finished_at is not None:
            click.echo(f"第 {confirmed.pk} 次清除先前已完成。 / Run {confirmed.pk} was finished before.")
        else:
            _empty(confirmed, actor, signs)
            clear_up()
        _tell_outcome(confirmed)


def _empty(confirmed: "Run", actor: "Actor", signs: object) -> None:
    """Batch by batch until nobody of the plan is left. Raises Fault where another process is at it."""
    from django.db import connection

    from quitledger.accounts.scope import scoped
    from quitledger.audit.rewriting import rewriting
    from quitledger.audit.signing import Signer
    from quitledger.retention.services import empty_some

    assert isinstance(signs, Signer)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK])
        if not cursor.fetchone()[0]:
            raise Fault("另一個程序正在清除。", "Another process is at it.")
    looked_at = BATCH
    while looked_at:
        with scoped(actor), rewriting(signs, run=confirmed.pk, kind="retention"):
            looked_at = empty_some(confirmed, today=_today(), limit=BATCH, by=actor)


def _tell(made: "Plan", name: str) -> None:
    from quitledger.retention.services import said

    planned = made.run
    click.echo(
        f"{planned.people} 人的保存期限在 {format_roc(planned.as_of)} 以前已過。"
        f" / The keeping time of {planned.people} people ended before {planned.as_of}."
    )
    years: dict[int, int] = {}
    for day, people in made.until.items():
        years[day.year] = years.get(day.year, 0) + people
    for year, people in sorted(years.items()):
        click.echo(f"  保存到 {year - ROC_EPOCH} 年 / kept until {year}：{people}")
    for number, people in sorted(made.institutions.items()):
        click.echo(f"  在 {number} 家機構有紀錄 / known to {number} institutions：{people}")
    first, last = min(made.until), max(made.until)
    click.echo(f"  最早 {format_roc(first)}，最晚 {format_roc(last)} / from {first} to {last}")
    click.echo(
        f"計畫第 {planned.pk} 號，擬定人 {name}，代碼 {said(planned.code)}。請另一人核對後執行 quitledger retention run"
        f" {said(planned.code)} --by 帳號。 / Plan {planned.pk}, made by {name}; another person confirms it with that command."
    )


def _tell_outcome(finished: "Run") -> None:
    from quitledger.retention.services import outcomes

    became = outcomes(finished)
    emptied, kept = became.get("emptied", 0), became.get("kept", 0)
    click.echo(
        f"第 {finished.pk} 次清除：已清除 {emptied} 人；{kept} 人在計畫後另有紀錄，保留。"
        f" / Run {finished.pk}: {emptied} people emptied, {kept} kept as they have newer records."
    )
    click.echo("先前的備份與封存的 WAL 仍有這些資料。 / Earlier backups and archived WAL still hold these data.")


def _proved(username: str, from_stdin: bool, permission: Permission) -> "Actor":
    """Whoever sits here, by password and second factor. Raises Refused."""
    from quitledger.accounts.sign_in import asks_second_factor, proved_account

    def asked(words: str) -> str:
        return sys.stdin.readline().rstrip("\r\n") if from_stdin else str(click.prompt(words, hide_input=True))

    password = asked(f"{username} 的密碼 / Password of {username}")
    code = ""
    if asks_second_factor(username):
        code = asked("驗證器 App 的驗證碼或復原代碼 / Code of the authenticator app, or a recovery code")
    return proved_account(username=username, password=password, code=code, permission=permission)


def _today() -> date:
    """The programme's today."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT programme_now()")
        return cursor.fetchone()[0].astimezone(TAIPEI).date()
