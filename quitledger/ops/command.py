"""The `quitledger` command: grouped subcommands, help in Chinese and English. Groups are loaded only when asked for."""

import importlib
from typing import Any

import click

# name → where it is, and its line in the list of commands
COMMANDS = {
    "demo": ("quitledger.ops.demo_command:demo", "示範資料與示範網站 / Demo data and demo site"),
    "synthesize": ("quitledger.ops.synthesis_command:synthesize", "虛構的國家 / A made-up nation"),
    "run": ("quitledger.ops.server:run", "啟動網站、工作程序與資料庫 / Run web server, worker and database"),
    "worker": ("quitledger.ops.server:worker", "只啟動背景工作 / Run the worker alone"),
    "db": ("quitledger.ops.database_command:db", "資料庫 / The database"),
    "backup": ("quitledger.ops.backup_command:backup", "備份資料庫與檢核點檔 / Back up database and anchor"),
    "restore": ("quitledger.ops.backup_command:restore", "由備份還原與查驗 / Restore a backup and verify it"),
    "archive": ("quitledger.ops.backup_command:archive", "封存 WAL / Archive WAL"),
    "replica": (
        "quitledger.ops.replica_command:replica",
        "唯讀的複本，可接替主資料庫 / Read-only replicas, ready to take over",
    ),
    "keys": ("quitledger.ops.keys_command:keys_group", "金鑰 / Keys"),
    "retention": (
        "quitledger.ops.retention_command:retention",
        "保存期滿個人資料的清除 / Emptying personal data whose keeping time has ended",
    ),
    "audit": (
        "quitledger.ops.audit_command:audit",
        "稽核紀錄的檢核點與查驗 / Checkpoints of the journal, and their verification",
    ),
    "window": ("quitledger.visits.command:window", "某日就醫的登錄期限 / The recording window of a day"),
    "policy": ("quitledger.policy.command:policy", "規定值與來源 / Policy values and their sources"),
    "visits": ("quitledger.ops.visits_command:visits", "登錄就醫資料 / Record visits"),
    "institutions": ("quitledger.ops.institutions_command:institutions", "醫事機構 / Institutions"),
    "medicines": ("quitledger.ops.institutions_command:medicines", "補助藥品 / Subsidised medicines"),
    "statistics": ("quitledger.ops.statistics_command:statistics", "年度統計 / Annual statistics"),
    "transfer": ("quitledger.ops.transfer_command:transfer", "移轉舊系統的資料 / Take over the old system's records"),
    "accounts": ("quitledger.ops.accounts_command:accounts", "帳號 / Accounts"),
}


class Lazy(click.Group):
    """Imports a subcommand when it is called: `window` and `policy` then need neither Django nor a database."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name][0].split(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("指令 / Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


def programme_now() -> Any:
    """The database's programme clock (starts the embedded database where there is none)."""
    from quitledger.accounts.actors import ANYBODY
    from quitledger.accounts.scope import scoped

    from .environment import prepare

    prepare()
    from django.db import connection

    with scoped(ANYBODY), connection.cursor() as cursor:
        cursor.execute("SELECT programme_now()")
        return cursor.fetchone()[0]


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="quitledger", message="%(prog)s %(version)s", help="顯示版本。 / Show the version.")
@click.help_option("-h", "--help", help="顯示這份說明。 / Show this message.")
@click.pass_context
def main(ctx: click.Context) -> None:
    """\b
    Quitledger 戒菸登錄：戒菸服務登錄系統。
    Quitledger: the registry of a smoking-cessation programme.
    """
    ctx.obj = {"now": programme_now}


if __name__ == "__main__":
    main(prog_name="quitledger")
