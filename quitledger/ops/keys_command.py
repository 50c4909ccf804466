"""`quitledger keys`: the keys that encrypt and find identity numbers."""

import sys
from pathlib import Path

import click

from quitledger.audit.private_files import sync_folder

from .environment import prepare, require_keys
from .faults import Fault, told

SHORTEST = 12  # characters of a passphrase, as of a password

passphrase_option = click.option(
    "--passphrase-stdin",
    is_flag=True,
    help="通行語由標準輸入的第一行讀取。 / Read the passphrase's line from standard input.",
)


@click.group("keys")
def keys_group() -> None:
    """\b
    加密與尋找證號的金鑰：匯出保存、放回、檢查。
    The keys that encrypt and find identity numbers: export, bring back, check.
    """


@keys_group.command("export")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@passphrase_option
def export(file: Path, passphrase_stdin: bool) -> None:
    """\b
    把金鑰與檢核點金鑰以通行語加密，寫到新的檔案 FILE。與備份分開保存。
    Write keys and checkpoint key, encrypted under a passphrase, into the new FILE. Keep it apart from the backups.
    """
    with told():
        prepare("owner")
        from .keys_export import export_keys

        try:
            ids = export_keys(file, _passphrase(passphrase_stdin, twice=True))
        except FileExistsError:
            raise Fault(f"{file} 已存在，沒有覆寫。", f"{file} exists and was not replaced.") from None
        sync_folder(file.resolve().parent)
        click.echo(f"已匯出金鑰 {'、'.join(ids)}。 / Exported keys {', '.join(ids)}.")


@keys_group.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@passphrase_option
def import_(file: Path, passphrase_stdin: bool) -> None:
    """\b
    把匯出的金鑰放回這台機器；已有的金鑰不會覆寫。不需要資料庫。
    Put exported keys in their places on this machine; keys that are there are not replaced. Needs no database.
    """
    with told():
        from .keys_export import import_keys

        written = import_keys(file, _passphrase(passphrase_stdin))
        for path in written:
            click.echo(f"已放回 {path}。 / Wrote {path}.")
        if not written:
            click.echo("金鑰已經都在，沒有變動。 / The keys are all there already.")


@keys_group.command()
def check() -> None:
    """\b
    檢查資料庫需要的金鑰是否都在。
    Check that every key this database needs is there.
    """
    with told():
        prepare("owner")
        ids = require_keys()
        click.echo(
            f"需要的金鑰都在：{'、'.join(sorted(ids)) or '（還沒有加密的資料）'}。 / Every key that is needed is there."
        )


def _passphrase(from_stdin: bool, *, twice: bool = False) -> str:
    if from_stdin:
        words = sys.stdin.readline().rstrip("\n")
    else:
        words = click.prompt("通行語 / Passphrase", hide_input=True, confirmation_prompt=twice)
    if twice and len(words) < SHORTEST:
        raise Fault(f"通行語至少 {SHORTEST} 字。", f"A passphrase has {SHORTEST} characters or more.")
    return str(words)
