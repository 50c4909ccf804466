"""`quitledger backup`, `restore` and `archive`: copies of the embedded database, and the way back from them."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import click

from quitledger.accounts.keys import keys_path
from quitledger.audit.signing import anchor_path, key_id_of, load_public_key, load_signer, signing_key_path

from .environment import prepare, uses_own_server
from .faults import Fault, told
from .postgres import Cluster, data_folder
from .running import only_one

Moment = click.DateTime(["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%d %H:%M:%S%z"])


def embedded_only() -> None:
    """Raise Fault where a server of one's own is used, which has tools of its own for what is asked."""
    if uses_own_server():
        raise Fault(
            "這個指令只用於內嵌的資料庫；自己的伺服器請用它自己的備份與複寫工具（例如 pgBackRest），並另存檢核點檔與金鑰。",
            "This is for the embedded database; back up or replicate a server of your own with its tools, and keep anchor and keys.",
        )


@click.command(short_help="備份資料庫與檢核點檔 / Back up database and anchor")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def backup(folder: Path) -> None:
    """\b
    把資料庫與檢核點檔備份到新的資料夾 FOLDER；網站可以繼續執行。
    Copy database and anchor into the new folder FOLDER; the site may go on running.
    """
    with told():
        embedded_only()
        began = time.monotonic()
        prepare("owner")
        from .audit_command import make_checkpoint_now
        from .backup import make_backup

        make_checkpoint_now()
        made = make_backup(Cluster(data_folder()), folder)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        click.echo(
            f"已備份到 {folder}：{size / 1e6:,.0f} MB，{time.monotonic() - began:.1f} 秒，檢核點 {made.checkpoints} 個，"
            f"需要金鑰 {'、'.join(made.key_ids) or '（無）'}。"
            f" / Backed up: {size / 1e6:,.0f} MB, {made.checkpoints} checkpoints, needs keys {', '.join(made.key_ids) or 'none'}."
        )
        if not made.keys_exported:
            raise Fault(
                "備份還不完整：金鑰沒有匯出過，遺失金鑰就讀不到證號。請執行 quitledger keys export 檔案，另處保存，再備份一次。",
                "The backup is not complete: its keys were never exported. Run quitledger keys export FILE, keep it apart, back up again.",
            )


@click.command(short_help="由備份還原 / Restore a backup")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--archive",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="WAL 的封存資料夾：補上備份之後的變動。 / The folder of archived WAL: brings in what was written since.",
)
@click.option(
    "--until",
    type=Moment,
    help="只還原到這個時間之前（含時區，例：2025-04-01T09:30:00+08:00）。 / No more than before this moment, with its zone.",
)
@click.option(
    "--verify",
    is_flag=True,
    help="演練：還原到暫時的資料夾，查驗後刪除。 / A drill: restore into a passing folder, verify, remove it.",
)
def restore(folder: Path, archive: Path | None, until: datetime | None, verify: bool) -> None:
    """\b
    把 FOLDER 的備份還原到空的資料夾（QUITLEDGER_DATA）並查驗。金鑰先以 quitledger keys import 放回。
    Restore the backup in FOLDER into an empty data folder and verify it. Bring the keys back first: quitledger keys import.
    """
    if until and not archive:
        raise Fault("--until 要和 --archive 一起用。", "--until goes with --archive.")
    with told():
        embedded_only()
        began = time.monotonic()
        with _drill() if verify else only_one():
            from quitledger.accounts.actors import SYSTEM
            from quitledger.accounts.scope import scoped
            from quitledger.audit import journal

            from .backup import restore as restore_backup

            cluster = Cluster(data_folder())
            try:
                made = restore_backup(folder, cluster, archive=archive, until=until)
                click.echo(f"已還原，{time.monotonic() - began:.1f} 秒。 / Restored.")
                prepare("owner")
                with scoped(SYSTEM):
                    journal.record("database.restore", record_type="database")
                sound = _verified(folder, made.checkpoint_key)
            finally:
                if verify:
                    _forget(cluster)
        click.echo(f"共 {time.monotonic() - began:.1f} 秒。 / {time.monotonic() - began:.1f} seconds in all.")
        if not sound:
            raise SystemExit(1)


@click.command(short_help="封存 WAL，供還原到任一時間 / Archive WAL for recovery to any moment")
@click.argument("folder", required=False, type=click.Path(file_okay=False, path_type=Path))
@click.option("--off", is_flag=True, help="停止封存。 / Archive no longer.")
def archive(folder: Path | None, off: bool) -> None:
    """\b
    從下次啟動資料庫起，把每個 WAL 檔封存到 FOLDER；不給 FOLDER 時說明現況。
    Archive every WAL file into FOLDER from the database's next start on; without FOLDER, tell how it is.
    """
    if folder and off:
        raise Fault("FOLDER 與 --off 只能擇一。", "FOLDER or --off, not both.")
    with told():
        embedded_only()
        cluster = Cluster(data_folder())
        if folder or off:
            cluster.archive_into(folder.resolve() if folder else None)
            click.echo("下次啟動資料庫時生效。 / It takes effect when the database starts next.")
        click.echo(
            f"封存到 {cluster.archive}。 / Archived into {cluster.archive}."
            if cluster.archive
            else "沒有封存 WAL。 / WAL is not archived."
        )


@contextmanager
def _drill() -> Iterator[None]:
    """A passing data folder beside the real one, with the real one's keys."""
    real = data_folder()
    kept = {
        "QUITLEDGER_KEYS_FILE": str(keys_path()),
        "QUITLEDGER_CHECKPOINT_KEY": str(signing_key_path()),
    }
    real.parent.mkdir(parents=True, exist_ok=True)
    passing = Path(tempfile.mkdtemp(prefix=".quitledger-restore-", dir=real.parent))
    passing.chmod(0o711)
    os.environ.update(kept, QUITLEDGER_DATA=str(passing / "data"), QUITLEDGER_ANCHOR=str(passing / "anchor.txt"))
    try:
        yield
    finally:
        shutil.rmtree(passing, ignore_errors=True)


def _forget(cluster: Cluster) -> None:
    from django.db import connections

    connections.close_all()
    cluster.remove()


def _verified(folder: Path, public_pem: str) -> bool:
    """Compare what was restored with the backup's anchor, and put that in its place where there is none."""
    from quitledger.audit.verification import verify as verify_ledger

    from .audit_command import tell

    copy = folder / "anchor.txt"
    if not copy.exists():
        click.echo("備份時沒有檢核點，無從查驗。 / There were no checkpoints when it was made: nothing to verify with.")
        return True
    if signing_key_path().exists():
        public = load_signer(signing_key_path()).public
    else:
        click.echo("這台機器沒有檢核點金鑰，用備份裡的公開金鑰查驗。 / Verified with the public key inside the backup.")
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
            file.write(public_pem)
            file.flush()
            public = load_public_key(Path(file.name))
    if not anchor_path().exists():
        anchor_path().parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(copy, anchor_path())
        anchor_path().chmod(0o600)
    report = verify_ledger(copy, {key_id_of(public): public})
    tell(report)
    return report.sound
