"""Backups of the embedded database: a physical copy with its anchor, restored anywhere, and proved to be the same.

A backup is a folder of its own, readable by its owner alone:

    backup.json    what it is: database, moment, the keys it needs, whether they were exported
    anchor.txt     the checkpoints, as the anchor had them
    base/          the cluster
    passwords.json the passwords of its roles, which the copy keeps

The keys are not in it: they are exported once, under a passphrase, and kept apart (`quitledger keys export`).
"""

import json
import shlex
import shutil
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import psycopg
from django.db import connection
from psycopg import sql

from quitledger.accounts.keys import KeysUnavailable, keys
from quitledger.audit.private_files import write_new
from quitledger.audit.signing import anchor_path, load_signer, signing_key_path

from .binaries import PostgresError
from .keys_export import exported_key_ids, needed_key_ids
from .postgres import Cluster

_LONGEST = 3600  # seconds that a recovery may take


@dataclass(frozen=True)
class Backup:
    """What backup.json says."""

    database: str
    purpose: str
    made_at: str  # ISO 8601
    postgresql: int
    key_ids: list[str]  # needed to read the identity numbers in it
    keys_exported: bool  # all of them; the backup is worth little without
    checkpoint_key: str  # the public key that proves it, PEM
    checkpoints: int

    @classmethod
    def of(cls, folder: Path) -> Self:
        """The backup in a folder. Raises PostgresError."""
        try:
            return cls(**json.loads((folder / "backup.json").read_text()))
        except (OSError, ValueError, TypeError):
            raise PostgresError(f"{folder} 不是完整的備份。", f"{folder} is not a whole backup.") from None


def make_backup(cluster: Cluster, folder: Path) -> Backup:
    """Copy the running database into `folder`, which must be new or empty. As the owner.

    backup.json is written last: a folder without it is no backup. Raises PostgresError, OSError.
    """
    if folder.exists() and any(folder.iterdir()):
        raise PostgresError(f"{folder} 不是空的資料夾。", f"{folder} is not empty.")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    with connection.cursor() as cursor:
        cursor.execute("SELECT uid::text, purpose FROM audit_database")
        database, purpose = cursor.fetchone()
        cursor.execute("SELECT count(*) FROM audit_checkpoint")
        checkpoints = cursor.fetchone()[0]
    needed = needed_key_ids()
    signer = load_signer(signing_key_path()) if checkpoints else None
    if signer:  # what the anchor says must be in the copy, which is made after it
        shutil.copyfile(anchor_path(), folder / "anchor.txt")
        (folder / "anchor.txt").chmod(0o600)
    cluster.base_backup(folder / "base")
    version = cluster.status().version
    assert version is not None
    made = Backup(
        database=database,
        purpose=purpose,
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        postgresql=version,
        key_ids=sorted(needed),
        keys_exported=needed | ({signer.key_id} if signer else set()) <= exported_key_ids(),
        checkpoint_key=signer.public_pem() if signer else "",
        checkpoints=checkpoints,
    )
    write_new(folder / "passwords.json", json.dumps(cluster.passwords()).encode())
    write_new(folder / "backup.json", json.dumps(asdict(made), indent=2).encode())
    return made


def restore(folder: Path, cluster: Cluster, *, archive: Path | None = None, until: datetime | None = None) -> Backup:
    """Make the backup in `folder` the database of an empty data folder, and start it.

    With `archive` (the folder of archived WAL) everything archived since is brought in, with `until` no more than what
    was committed before that moment. Raises PostgresError, KeysUnavailable (before anything is made).
    """
    made = Backup.of(folder)
    missing = sorted({*made.key_ids} - {*keys().ids})
    if missing:
        raise KeysUnavailable(
            f"金鑰檔缺少備份需要的金鑰 {'、'.join(missing)}。請先以 quitledger keys import 放回匯出的金鑰。"
        )
    cluster.check_copy(folder / "base", made.postgresql)
    recovery = {}
    if archive is not None:
        # The server's own user reads the archive: its files are given to it by the command that wrote them.
        recovery = {
            "restore_command": f"cp {shlex.quote(str(archive.resolve()))}/%f %p",
            "recovery_target_action": "promote",
        }
        if until is not None:
            recovery |= {"recovery_target_time": until.isoformat(), "recovery_target_inclusive": "off"}
    cluster.adopt(folder / "base", json.loads((folder / "passwords.json").read_text()), recovery=recovery)
    way_in = cluster.ensure_running(time_limit=_LONGEST)
    if recovery:
        _wait_for_the_end(way_in.url(), recovery)
    return made


def _wait_for_the_end(url: str, recovery: Iterable[str]) -> None:
    """Return when the server has brought everything in and is an ordinary one; its settings of recovery are undone."""
    deadline = time.monotonic() + _LONGEST
    with psycopg.connect(url, autocommit=True) as superuser:
        while superuser.execute("SELECT pg_is_in_recovery()").fetchone() == (True,):
            if time.monotonic() > deadline:
                raise PostgresError("封存的 WAL 一直沒有還原完。", "The recovery from archived WAL does not end.")
            time.sleep(0.1)
        for name in recovery:
            superuser.execute(sql.SQL("ALTER SYSTEM RESET {}").format(sql.Identifier(name)))
