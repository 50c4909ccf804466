"""Replicas of the embedded database: permitted by the primary, made from it, followed, looked at, promoted.

A replica is a cluster of its own in another data folder, here or on another machine, that gets every change as it is
written (physical streaming). Nothing can be written there, so that nothing read there could be journaled: nobody but
the superuser and the owner may connect, and counts alone are printed from it (docs/adr/0019).
"""

import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import psycopg

from quitledger.accounts.keys import keys_path
from quitledger.audit.private_files import write_new
from quitledger.audit.signing import anchor_path, signing_key_path

from .binaries import PostgresError
from .postgres import HOST, REPLICATION, Cluster, Source

_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")  # PostgreSQL's rule for the name of a slot
_IN_FORCE_WITHIN = 10.0  # seconds


@dataclass(frozen=True)
class Invitation:
    """What a replica needs to come: its name, the primary's address and version, and the passwords of all roles.

    Whoever has it can copy the whole database, and write to the primary where he can reach it.
    """

    name: str
    host: str
    port: int
    version: int
    data_folder: str
    passwords: dict[str, str]

    @classmethod
    def read(cls, file: Path) -> Self:
        """The invitation in a file. Raises PostgresError."""
        try:
            return cls(**json.loads(file.read_text()))
        except (OSError, ValueError, TypeError):
            raise PostgresError(f"{file} 不是複本的邀請檔。", f"{file} is no invitation of a replica.") from None

    def write(self, file: Path) -> None:
        """Write it into a new file, readable by its owner alone. Raises FileExistsError."""
        write_new(file, json.dumps(asdict(self), indent=2).encode())


@dataclass(frozen=True)
class Standby:
    """A replica as its primary sees it. `lag_bytes`: WAL that it has not replayed; `lag_seconds`: how old that is.

    `kept`: whether the WAL that it lacks is still there ("lost": it must be made anew).
    """

    name: str
    streaming: bool
    lag_bytes: int | None
    lag_seconds: float | None
    kept: bool
    waited_for: bool


@dataclass(frozen=True)
class Reception:
    """How a replica gets on. `lag_bytes` is unknown while it is cut off; `lag_seconds` is then the age of its last change."""

    name: str
    primary: str
    streaming: bool
    lag_bytes: int | None
    lag_seconds: float | None


# --- At the primary --------------------------------------------------------------------------------------------------


def invite(cluster: Cluster, name: str) -> Invitation:
    """Permit a replica of that name: the role as which replicas come, and a slot that keeps the WAL it has not got yet.

    What the slot keeps is bounded (max_slot_wal_keep_size). Raises PostgresError, also while one of that name follows.
    """
    if not _NAME.fullmatch(name):
        raise PostgresError(
            f"複本的名稱 {name} 只能用小寫字母、數字與底線，以字母開頭。",
            f"The name {name} of a replica may have small letters, digits and underscores, a letter first.",
        )
    cluster.ensure_replication_role()
    known = cluster.status()
    assert known.port is not None
    assert known.version is not None
    with _superuser(cluster) as superuser:
        slot = superuser.execute("SELECT active FROM pg_replication_slots WHERE slot_name = %s", [name]).fetchone()
        if slot == (True,):
            raise PostgresError(
                f"複本 {name} 正在接收，請用別的名稱。", f"A replica {name} follows already; choose another name."
            )
        if slot:
            superuser.execute("SELECT pg_drop_replication_slot(%s)", [name])
        superuser.execute("SELECT pg_create_physical_replication_slot(%s)", [name])
    return Invitation(name, HOST, known.port, known.version, str(cluster.data_folder), cluster.passwords())


def standbys(cluster: Cluster) -> list[Standby]:
    """The replicas that the running primary knows, by name."""
    with _superuser(cluster) as superuser:
        rows = superuser.execute(
            "SELECT s.slot_name, coalesce(r.state = 'streaming', false),"
            " pg_wal_lsn_diff(pg_current_wal_lsn(), coalesce(r.replay_lsn, s.restart_lsn))::bigint,"
            " extract(epoch FROM r.replay_lag)::float, coalesce(s.wal_status <> 'lost', true)"
            " FROM pg_replication_slots s LEFT JOIN pg_stat_replication r ON r.pid = s.active_pid"
            " WHERE s.slot_type = 'physical' AND NOT s.temporary ORDER BY 1"
        ).fetchall()
    found = []
    for name, streaming, lag_bytes, lag_seconds, kept in rows:
        lag = (lag_seconds or 0.0) if streaming else None
        found.append(Standby(name, streaming, lag_bytes, lag, kept, waited_for=name == cluster.waits_for))
    return found


def waiting_commits(cluster: Cluster) -> int | None:
    """How many commits wait for a replica that is not there; None where none has to: it is there, or not waited for."""
    name = cluster.waits_for
    if name is None or any(standby.streaming for standby in standbys(cluster) if standby.name == name):
        return None
    with _superuser(cluster) as superuser:
        row = superuser.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'").fetchone()
    assert row
    return int(row[0])


def wait_for(cluster: Cluster, name: str | None) -> None:
    """Acknowledge commits only when the replica `name` has them on disk; None: when the primary has.

    Holds for every commit from our return on. Raises PostgresError, and changes nothing, unless that replica follows
    now: every commit would wait for it.
    """
    cluster.refuse_replica()
    if name is None:
        cluster.wait_for(None)
    elif not any(standby.streaming for standby in standbys(cluster) if standby.name == name):
        raise _not_there(name)
    else:
        before = cluster.waits_for
        cluster.wait_for(name)
        try:
            _until_in_force(cluster, name)
        except PostgresError:
            cluster.wait_for(before)
            raise


def _until_in_force(cluster: Cluster, name: str) -> None:
    """Return when the server waits for the replica `name`; it reads its settings in its own time."""
    deadline = time.monotonic() + _IN_FORCE_WITHIN
    with _superuser(cluster) as superuser:
        sync = "SELECT FROM pg_stat_replication WHERE application_name = %s AND sync_state = 'sync'"
        while superuser.execute(sync, [name]).fetchone() is None:
            if time.monotonic() > deadline:
                raise _not_there(name)
            time.sleep(0.02)
        # The process that tells all others whether to wait is the one that makes checkpoints: once it has made one
        # that was asked for now, it has read them, too.
        superuser.execute("CHECKPOINT")


def _not_there(name: str) -> PostgresError:
    return PostgresError(
        f"複本 {name} 沒有在接收，等它的話每筆寫入都會停住，因此沒有改變。",
        f"No replica {name} follows now: every write would wait for it, so nothing was changed.",
    )


def forget(cluster: Cluster, name: str) -> None:
    """Keep nothing for the replica `name` any longer, nor wait for it. Raises PostgresError while it follows."""
    cluster.refuse_replica()
    known = {standby.name: standby for standby in standbys(cluster)}
    if name not in known:
        raise PostgresError(f"沒有複本 {name}。", f"There is no replica {name}.")
    if known[name].streaming:
        raise PostgresError(f"複本 {name} 還在接收，請先停止它。", f"The replica {name} follows still; stop it first.")
    if cluster.waits_for == name:
        cluster.wait_for(None)
    with _superuser(cluster) as superuser:
        superuser.execute("SELECT pg_drop_replication_slot(%s)", [name])


# --- At the replica --------------------------------------------------------------------------------------------------


def join(cluster: Cluster, invitation: Invitation, *, host: str | None = None, port: int | None = None) -> None:
    """Make this empty data folder a replica, and start it. `host`, `port`: where the primary is reached from here.

    Raises PostgresError, and then leaves nothing.
    """
    same_machine = host is None and port is None and (Path(invitation.data_folder) / "postgres.json").exists()
    source = Source(
        invitation.name, host or invitation.host, port or invitation.port,
        invitation.data_folder if same_machine else None,
    )  # fmt: skip
    cluster.follow(source, invitation.passwords, invitation.version)
    cluster.ensure_running()


def reception(cluster: Cluster) -> Reception | None:
    """How the running replica gets on; None once it is promoted."""
    source = cluster.source
    if source is None:
        return None
    with _superuser(cluster) as superuser:
        row = superuser.execute(
            "SELECT coalesce(w.status = 'streaming', false),"
            " greatest(pg_wal_lsn_diff(w.latest_end_lsn, pg_last_wal_replay_lsn()), 0)::bigint,"
            " extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float"
            " FROM (SELECT) one LEFT JOIN pg_stat_wal_receiver w ON true"
        ).fetchone()
    assert row is not None
    streaming, lag_bytes, age = row
    return Reception(
        source.name, f"{source.host}:{source.port}", streaming,
        lag_bytes if streaming else None, 0.0 if streaming and lag_bytes == 0 else age,
    )  # fmt: skip


def keep_up(cluster: Cluster) -> None:
    """Follow a primary on this machine to the port at which it was started again."""
    source = cluster.source
    if source is not None and source.data_folder is not None:
        port = Cluster(Path(source.data_folder)).status().port
        if port is not None and port != source.port:
            cluster.follow_at(source.host, port)


def primary_answers(cluster: Cluster) -> bool:
    """Whether the primary of this replica takes connections now."""
    source = cluster.source
    assert source is not None
    password = cluster.passwords()["replication_password"]
    try:
        psycopg.connect(
            host=source.host, port=source.port, user=REPLICATION, password=password, replication="true",
            connect_timeout=5, autocommit=True,
        ).close()  # fmt: skip
    except psycopg.Error:
        return False
    return True


@dataclass(frozen=True)
class Promotion:
    """What a promotion came to. `fenced`: the old primary is kept from starting again; on another machine it is not."""

    timeline: int
    fenced: bool


def promote(cluster: Cluster) -> Promotion:
    """Make the replica a database of its own that is written to.

    The old primary, where its data folder is on this machine, is stopped and kept from starting again; a folder that
    cannot be written any more is no reason to wait. Raises PostgresError, also where the old primary will not stop.
    """
    source = cluster.source
    assert source is not None
    fenced = source.data_folder is not None and _fence(Cluster(Path(source.data_folder)), by=source.name)
    cluster.promote()
    with _superuser(cluster) as superuser:
        row = superuser.execute("SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8)").fetchone()
    assert row is not None
    return Promotion(int(row[0], 16), fenced)


def _fence(primary: Cluster, *, by: str) -> bool:
    """Retire the primary if its folder can still be used; whether that was done. Raises PostgresError while it runs."""
    try:
        if primary.status().version is None:
            return False
        primary.retire(by)
    except (PostgresError, OSError):
        if primary.status().running:
            raise
        return False
    return True


def lacking() -> list[Path]:
    """The files without which a promoted replica is not whole, and which are not here: keys, checkpoint key, anchor."""
    files = [signing_key_path(), anchor_path()] if os.environ.get("QUITLEDGER_KEYS") else []
    return [path for path in files or (keys_path(), signing_key_path(), anchor_path()) if not path.exists()]


@contextmanager
def _superuser(cluster: Cluster) -> Iterator[psycopg.Connection[Any]]:
    """A connection as the superuser, autocommit. Raises PostgresError."""
    url = cluster.ensure_running().url()
    try:
        with psycopg.connect(url, autocommit=True, options="-c synchronous_commit=local") as superuser:
            yield superuser
    except psycopg.Error as error:
        raise PostgresError(f"資料庫拒絕了：{error}", f"The database refused: {error}") from error
