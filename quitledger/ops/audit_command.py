"""`quitledger audit`: checkpoints over journal and history, and their verification. Runs as the owner role."""

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from quitledger.audit.signing import (
    SigningKeyUnavailable,
    anchor_path,
    create_signing_key,
    key_id_of,
    load_public_key,
    load_signer,
    signing_key_path,
)

from .environment import prepare
from .faults import Fault, told
from .orphans import leave_with_parent

if TYPE_CHECKING:
    from quitledger.audit.checkpoints import Made
    from quitledger.audit.signing import Signer
    from quitledger.audit.verification import Finding, Report

EVERY = 5 * 60  # seconds between two checkpoints
ENTRIES = 10_000  # of the journal; so many make one earlier
LOOK_EVERY = 5.0  # seconds

anchor_option = click.option(
    "--anchor",
    type=click.Path(dir_okay=False, path_type=Path),
    help="檢核點檔，預設為 QUITLEDGER_ANCHOR 或資料夾裡的 anchor.txt。 / The anchor; unless given QUITLEDGER_ANCHOR, or anchor.txt.",
)


@click.group()
def audit() -> None:
    """\b
    稽核紀錄的檢核點與查驗。
    Checkpoints over journal and history, and their verification.
    """


@audit.command()
def checkpoint() -> None:
    """\b
    立刻建立一個檢核點。
    Make a checkpoint now.
    """
    with told(), _explained():
        prepare("owner")
        made = _make()
        click.echo(
            f"新檢核點 {made.checkpoints} 個，涵蓋 {made.rows} 筆。 / {made.checkpoints} checkpoints over {made.rows} rows."
        )


@audit.command()
def keep() -> None:
    """\b
    每 5 分鐘或每 10,000 筆稽核紀錄建立檢核點，結束前再建立一個；quitledger run 已包含它。
    Make checkpoints every 5 minutes or 10,000 entries, and one at the end; quitledger run includes it.
    """
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with told():
        prepare("owner")
        leave_with_parent()
        due = time.monotonic()
        while not ended.is_set():
            if _try(_due if time.monotonic() < due else _always):
                due = time.monotonic() + EVERY
            ended.wait(LOOK_EVERY)
        _try(_always)


@audit.command()
@anchor_option
@click.option(
    "--key",
    "public_keys",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="公開金鑰（PEM），可重複；預設用本機的檢核點金鑰。 / A public key (PEM), repeatable; this machine's unless given.",
)
@click.option("--json", "as_json", is_flag=True, help="以 JSON 輸出。 / Print JSON.")
def verify(anchor: Path | None, public_keys: tuple[Path, ...], as_json: bool) -> None:
    """\b
    查驗稽核紀錄與版本紀錄有沒有被竄改；有問題時結束碼為 1。
    Find entries and versions changed, removed or inserted behind the database's back. Exits with 1 when there are any.
    """
    with told(), _explained():
        prepare("owner", reading=True)
        from quitledger.audit.verification import verify as verify_ledger

        publics = [load_public_key(path) for path in public_keys] or [load_signer(signing_key_path()).public]
        report = verify_ledger(anchor or anchor_path(), {key_id_of(public): public for public in publics})
    if as_json:
        click.echo(json.dumps(asdict(report) | {"sound": report.sound}, ensure_ascii=False, indent=2))
    else:
        tell(report)
    if not report.sound:
        raise SystemExit(1)


@audit.command("public-key")
def public_key() -> None:
    """\b
    印出查驗用的公開金鑰，交給稽核人員保管。
    Print the public key, for whoever verifies elsewhere.
    """
    with told(), _explained():
        prepare("owner")
        click.echo(signer().public_pem(), nl=False)


@audit.command("continue")
@anchor_option
@click.option("--reason", required=True, help="還原的原因，永久留存。 / Why it was restored; kept for ever.")
def continue_after(anchor: Path | None, reason: str) -> None:
    """\b
    由備份還原後，讓檢核點接續下去；還原時遺失的部分永久載明。
    Let checkpoints go on after a restore from a backup. What was lost is told by every verification.
    """
    with told(), _explained():
        prepare("owner")
        from quitledger.audit.checkpoints import continue_after_restore

        lost = continue_after_restore(signer(), anchor or anchor_path(), reason=reason)
        if lost:
            click.echo(
                f"已載明還原：{lost} 個檢核點之後的紀錄不在這個資料庫。 / Restored: {lost} checkpoints are not in this database."
            )
        else:
            click.echo("資料庫的檢核點與檢核點檔一致，不需要接續。 / Database and anchor agree; nothing to continue.")


# --- Making them -----------------------------------------------------------------------------------------------------


def signer() -> "Signer":
    """The key; made where nothing was ever signed."""
    from quitledger.audit.checkpoints import kept_lines

    path = signing_key_path()
    if not path.exists() and not anchor_path().exists() and next(kept_lines(), None) is None:
        create_signing_key(path)
        click.echo(f"已建立檢核點金鑰 {path}，請另行備份。 / Made the checkpoint key {path}: back it up.", err=True)
    return load_signer(path)


def make_checkpoint_now() -> None:
    """Make a checkpoint, as the owner. Raises Fault; another process at it is as good."""
    from quitledger.audit.checkpoints import AlreadyAtWork

    with _explained(), suppress(AlreadyAtWork):
        _make()


def _make() -> "Made":
    from quitledger.audit.checkpoints import make_checkpoint

    return make_checkpoint(signer(), anchor_path())


def _always() -> bool:
    return True


def _due() -> bool:
    from quitledger.audit.checkpoints import new_entries

    return new_entries() >= ENTRIES


def _try(is_due: Callable[[], bool]) -> bool:
    """Make a checkpoint if one is due; whether it was tried. What goes wrong is told, and tried again later."""
    import psycopg
    from django.db import DatabaseError, InterfaceError, connections

    try:
        if not is_due():
            return False
        with _explained():
            _make()
    except Fault as fault:
        click.echo(fault.message, err=True)
    except (DatabaseError, InterfaceError, psycopg.Error) as error:  # leaves are read past Django
        reason = (str(error).strip().splitlines() or [""])[0]
        click.echo(f"檢核點沒有建立：{reason} / No checkpoint was made: {reason}", err=True)
        connections.close_all()
    return True


@contextmanager
def _explained() -> Iterator[None]:
    """Say what hinders a checkpoint or a verification."""
    from quitledger.audit.checkpoints import AlreadyAtWork, AnchorBehind, AnotherAnchor
    from quitledger.audit.ledger import LedgerBusy

    try:
        yield
    except SigningKeyUnavailable as error:
        raise Fault(str(error), "The checkpoint key cannot be used.") from None
    except LedgerBusy:
        raise Fault(
            "稽核紀錄一直有人在寫，稍後再試。", "The ledger is being written all the time; try later."
        ) from None
    except AlreadyAtWork:
        raise Fault("另一個程序正在建立檢核點。", "Another process is making a checkpoint.") from None
    except AnchorBehind as found:
        raise Fault(
            f"檢核點檔有 {found.anchored} 個檢核點，資料庫只有 {found.kept} 個。請先執行 quitledger audit verify；"
            "由備份還原的，請執行 quitledger audit continue --reason 原因。",
            f"The anchor has {found.anchored} checkpoints, the database {found.kept}: run quitledger audit verify; after a "
            "restore from a backup, quitledger audit continue --reason WHY.",
        ) from None
    except AnotherAnchor:
        raise Fault(
            "檢核點檔與資料庫不符：不是這個資料庫的，或其中之一被改過。請執行 quitledger audit verify。",
            "The anchor and the database disagree: run quitledger audit verify.",
        ) from None
    except OSError as error:
        raise Fault(
            f"檢核點檔無法使用：{error.strerror}（{error.filename or anchor_path()}）。",
            f"The anchor cannot be used: {error.strerror} ({error.filename or anchor_path()}).",
        ) from None


# --- Telling ---------------------------------------------------------------------------------------------------------

_SAID = {
    "anchor-missing": ("找不到檢核點檔 {detail}", "the anchor {detail} is missing"),
    "line-unreadable": ("檢核點檔第 {number} 行無法辨識", "line {number} of the anchor cannot be read"),
    "line-forged": ("檢核點檔第 {number} 行的簽章不對", "line {number} of the anchor has no trusted signature"),
    "line-out-of-order": ("檢核點檔第 {number} 行與前一行不相連", "line {number} of the anchor does not follow the one before"),
    "line-of-another": ("檢核點檔第 {number} 行屬於別的資料庫", "line {number} of the anchor is another database's"),
    "checkpoint-removed": ("資料庫少了檢核點 {number}", "checkpoint {number} was removed from the database"),
    "checkpoint-altered": ("資料庫的檢核點 {number} 被改過", "checkpoint {number} was altered in the database"),
    "table-missing": ("資料表 {table} 不見了", "table {table} is missing"),
    "row-changed": ("{table} 的 {first} 號被改過（檢核點 {number}）", "{table} row {first} was changed (checkpoint {number})"),
    "row-removed": ("{table} 的 {first} 號被刪除（檢核點 {number}）", "{table} row {first} was removed (checkpoint {number})"),
    "row-inserted": ("{table} 的 {first} 號是後來插入的（檢核點 {number}）", "{table} row {first} was inserted (checkpoint {number})"),
    "block-changed": ("{table} 的 {first} 至 {last} 號之中有改動（檢核點 {number}）", "{table} rows {first} to {last}: changed (checkpoint {number})"),
    "not-proved": ("{table} 的 {first} 至 {last} 號無法證明（檢核點 {number} 之前）", "{table} rows {first} to {last} cannot be proved (before checkpoint {number})"),
    "rewriting-forged": ("改寫紀錄 {number} 的簽章不對", "rewriting {number} has no trusted signature"),
    "record-differs": ("{table} 的 {first} 號與最後一版不同（{detail}）", "{table} row {first} is not its last version ({detail})"),
}  # fmt: skip


_REWRITTEN = {
    "keys": ("在第 {run} 次改寫時換金鑰", "were written anew under run {run} (keys)"),
    "retention": ("依保存期限清除，第 {run} 次", "redacted under run {run}"),
}


def said(finding: "Finding") -> tuple[str, str]:
    """A finding in Chinese and in English."""
    chinese, english = _SAID[finding.fault.value]
    words = asdict(finding)
    return chinese.format(**words), english.format(**words)


def tell(report: "Report") -> None:
    """Print what a verification found."""
    for finding in report.findings:
        click.echo(" / ".join(said(finding)))
    for restored in report.restored:
        click.echo(
            f"{restored['at']} 由備份還原（{restored['reason']}），其後 {restored['checkpoints']} 個檢核點、{restored['rows']} 筆不在。"
            f" / Restored from a backup; {restored['checkpoints']} checkpoints with {restored['rows']} rows are lost."
        )
    for name, rows in report.rewritten.items():
        kind, _, run = name.partition(" ")
        chinese, english = _REWRITTEN[kind]
        click.echo(f"{rows} 版{chinese.format(run=run)}。 / {rows} versions {english.format(run=run)}.")
    if report.not_anchored:
        click.echo(
            f"{report.not_anchored} 個檢核點還沒寫到檢核點檔。 / {report.not_anchored} checkpoints are not in the anchor yet."
        )
    outside = sum(report.not_covered.values())
    click.echo(
        f"檢核點 {report.checkpoints} 個，查驗 {report.rows} 筆，最後一個在 {report.last_at or '—'}；其後 {outside} 筆尚未涵蓋。"
        f" / {report.checkpoints} checkpoints, {report.rows} rows verified, the last at {report.last_at or '—'}; {outside} rows not covered yet."
    )
    if report.sound:
        click.echo("沒有發現竄改。 / Nothing was tampered with.")
    else:
        click.echo(f"發現 {len(report.findings)} 處問題。 / {len(report.findings)} findings.")
