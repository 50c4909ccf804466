"""`quitledger keys`: the keys that encrypt and find identity numbers."""

import os
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import click

from quitledger.accounts.keys import add_key, keys, keys_path, make_current
from quitledger.audit.private_files import sync_folder

from .environment import prepare, require_keys
from .faults import Fault, told

SETTLE = 60  # seconds: no transaction of the application lasts longer
BATCH = 500  # rows a transaction
BATCH_OF_FILES = 10  # files a transaction: all of them lie in memory
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


@keys_group.command()
def add() -> None:
    """\b
    在金鑰檔加入一把新金鑰，還不使用。多台機器時，先把金鑰檔複製到每一台，再執行 rotate。
    Add a new key to the keys file, not used yet. With several machines, copy the file to each before rotate.
    """
    with told():
        prepare("owner")
        _require_file()
        ids = keys().ids
        if ids[-1] != keys().current:
            raise Fault(f"金鑰 {ids[-1]} 已加入而還沒有使用。", f"Key {ids[-1]} was added and is not used yet.")
        key_id = add_key(keys_path())
        click.echo(
            f"已加入金鑰 {key_id}。請執行 quitledger keys export 另存，再執行 quitledger keys rotate。"
            f" / Added key {key_id}: export it (quitledger keys export), then quitledger keys rotate."
        )


@keys_group.command()
@click.option(
    "--settle",
    type=click.IntRange(0),
    default=SETTLE,
    show_default=True,
    help="新金鑰加入後，等執行中的要求都知道它的秒數。 / Seconds that running requests are given to know the new key.",
)
def rotate(settle: int) -> None:
    """\b
    改用最新的金鑰，並把所有證號（含歷次版本與更正申請）、證明文件與第二步驗證的祕密重新加密；網站可以繼續執行，中斷後再執行會接續。
    Use the newest key, and encrypt and hash everything anew under it, versions too. The site may run; goes on where it was cut off.
    """
    with told():
        prepare("owner")
        newest = keys().ids[-1]
        if newest != keys().current:
            _require_file()
            if newest not in _exported():
                raise Fault(
                    f"金鑰 {newest} 還沒有匯出保存，請先執行 quitledger keys export。",
                    f"Key {newest} was not exported yet: run quitledger keys export first.",
                )
            waited = time.time() - keys_path().stat().st_mtime
            time.sleep(max(0.0, settle - waited))
            make_current(keys_path(), newest)
        elif require_keys() <= {newest}:
            raise Fault(
                f"資料都已使用金鑰 {newest}。要換新的，請先執行 quitledger keys add。",
                f"Everything is under key {newest} already. To change it, quitledger keys add comes first.",
            )
        rows = _renew()
        click.echo(
            f"已改用金鑰 {newest}，重新加密 {rows} 筆。舊金鑰請留在匯出檔，還原舊備份時要用。"
            f" / Key {newest} is in use, {rows} rows were encrypted anew. Keep the old keys' export for old backups."
        )


def _renew() -> int:
    """Bring every row and every version under the current key, a few hundred a transaction; returns how many."""
    from quitledger.accounts.actors import SYSTEM
    from quitledger.accounts.scope import scoped
    from quitledger.accounts.services import renew_numbers, renew_second_factors
    from quitledger.audit.rewriting import next_run, rewriting
    from quitledger.batches.comparison_services import renew_comparisons
    from quitledger.batches.services import renew_batches
    from quitledger.cases.services import PERSON_NUMBERS
    from quitledger.corrections.evidence_services import renew_evidence
    from quitledger.corrections.services import renew_identities
    from quitledger.institutions.services import STAFF_NUMBERS

    from .audit_command import signer

    signs, run, rows = signer(), next_run(), 0
    for numbers in (PERSON_NUMBERS, STAFF_NUMBERS):
        # Rows first: renewing one leaves a version of it as it was under the new key.
        for history in (False, True):
            after, renewed = 0, 1
            while renewed:
                with scoped(SYSTEM), rewriting(signs, run=run, kind="keys") if history else nullcontext():
                    after, renewed = renew_numbers(numbers, history=history, after=after, limit=BATCH, by=SYSTEM)
                rows += renewed
    for renew, limit in ((renew_evidence, BATCH_OF_FILES), (renew_identities, BATCH)):
        after, renewed = 0, 1
        while renewed:
            with scoped(SYSTEM):
                after, renewed = renew(after=after, limit=limit, by=SYSTEM)
            rows += renewed
    with scoped(SYSTEM):
        return rows + renew_second_factors(by=SYSTEM) + renew_batches(by=SYSTEM) + renew_comparisons(by=SYSTEM)


def _exported() -> set[str]:
    from .keys_export import exported_key_ids

    return exported_key_ids()


def _require_file() -> None:
    if os.environ.get("QUITLEDGER_KEYS"):
        raise Fault(
            "金鑰在環境變數 QUITLEDGER_KEYS 裡，請改用金鑰檔（QUITLEDGER_KEYS_FILE）再換金鑰。",
            "The keys are in QUITLEDGER_KEYS: put them into a file (QUITLEDGER_KEYS_FILE) before changing them.",
        )


def _passphrase(from_stdin: bool, *, twice: bool = False) -> str:
    if from_stdin:
        words = sys.stdin.readline().rstrip("\n")
    else:
        words = click.prompt("通行語 / Passphrase", hide_input=True, confirmation_prompt=twice)
    if twice and len(words) < SHORTEST:
        raise Fault(f"通行語至少 {SHORTEST} 字。", f"A passphrase has {SHORTEST} characters or more.")
    return str(words)
