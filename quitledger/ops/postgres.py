"""The PostgreSQL that Quitledger keeps for itself: one cluster in the data folder, made, started, stopped, recovered.

What a data folder holds (all of it private to us):

    postgres.json    passwords, port, where the cluster is, whom it follows or waits for          mode 0600
    postgres.lock    held while somebody makes, starts or stops the cluster
    postgres.log     what the server says; statements and the values in them are never logged     mode 0600
    postgres/        the cluster, owned by the system user the server runs as                     mode 0700

An ordinary user runs the server as himself. For root, whom PostgreSQL refuses, it runs as `postgres`, else `nobody`.
That user must be able to pass through the data folder to its cluster; below a closed folder such as /root he cannot,
and then the cluster lies in a folder of its own below /var/lib/quitledger. `Cluster.status()` tells where.

The server is nobody's child: it outlives the process that started it, and the next process finds it again.
"""

import errno
import fcntl
import json
import os
import pwd
import re
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import quote

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from quitledger.audit.private_files import sync_folder
from quitledger.ops.binaries import (
    Engine,
    PostgresError,
    ServerUser,
    best_engine,
    found_engines,
    programs_for,
    server_users,
)

__all__ = [
    "Cluster",
    "Connection",
    "DatabaseUrls",
    "Engine",
    "PostgresError",
    "Source",
    "Status",
    "data_folder",
    "found_engines",
]

HOST = "127.0.0.1"
SUPERUSER = "postgres"
OWNER = "quitledger_owner"
APPLICATION = "quitledger_app"
REPLICATION = "quitledger_replica"  # may copy and follow the cluster, and connect to no database
HOMES_FOR_ROOT = (Path("/var/lib"), Path("/var/db"))  # Linux, macOS; never /var/tmp, which is swept after 30 days
ARCHIVE_EVERY = "60s"  # what is written is archived after that at the latest
NO_PROCESS = 999_999_999  # above every system's largest process id
LOG_TURNS_AT = 10_000_000  # bytes
STOP_SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}

# For 2 cores and a few GB; a larger machine overrides them in postgres/local.conf.
SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",  # a socket's path may have 107 bytes, a data folder's more
    "max_connections": "100",
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "random_page_cost": "1.1",
    "max_wal_size": "2GB",
    "wal_level": "replica",
    "max_slot_wal_keep_size": "4GB",  # a replica that is away for longer is made anew; it must not fill the disk
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",  # compiled in by Debian, not in the wheel: the same plans everywhere
    # Messages at ERROR repeat values ("invalid input syntax for type date: …"), their details whole keys: both are
    # told to the client alone. LOG, FATAL and PANIC stay.
    "log_statement": "none",
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_checkpoints": "off",
}
DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
THROWAWAY = dict.fromkeys(DURABLE, "off")

# Reasons that pass: backends of a killed server take a moment to notice; somebody else was given the port meanwhile.
PASSING = re.compile(
    r"pre-existing shared memory block|lock file \S+ already exists|Address already in use|could not create any TCP/IP"
)


def data_folder() -> Path:
    """Where this installation keeps its data: QUITLEDGER_DATA, else `.data` beside the package (the checkout)."""
    return Path(os.environ.get("QUITLEDGER_DATA") or Path(__file__).resolve().parents[2] / ".data")


@dataclass(frozen=True)
class Connection:
    """The way into a running cluster as its superuser."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)

    def url(self, database: str = "postgres") -> str:
        """`postgresql://user:password@host:port/database`; holds the password."""
        return _url(self.user, self.password, self.port, database)


class DatabaseUrls(NamedTuple):
    """The two ways into one database, both with passwords: the application's and the owner's that migrates."""

    app_url: str
    owner_url: str


@dataclass(frozen=True)
class Status:
    """What is known about a cluster without touching it. `version` is the major version of its data."""

    running: bool
    pid: int | None
    port: int | None
    version: int | None
    system_user: str | None
    data_folder: Path
    cluster_folder: Path
    log_file: Path


@dataclass(frozen=True)
class Source:
    """The primary that a replica follows. `name` is the replica's own: the primary knows it and its slot by it.

    `data_folder`: the primary's, where it is on the same machine.
    """

    name: str
    host: str
    port: int
    data_folder: str | None = None


class _PidFile(NamedTuple):
    pid: int
    port: int


class Cluster:
    """One PostgreSQL cluster in one data folder.

    `engine` is chosen by itself when not given: the one that made the data, else the first of found_engines().
    `durable=False` gives up safety for speed (fsync off) and is for tests alone. `settings` go over SETTINGS.
    Every method raises PostgresError with what its operator must know.
    """

    def __init__(
        self,
        data_folder: Path,
        engine: Engine | None = None,
        *,
        durable: bool = True,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.data_folder = Path(data_folder).resolve()
        self.engine = engine
        self.durable = durable
        self.settings = SETTINGS | (DURABLE if durable else THROWAWAY) | dict(settings or {})
        self.log_file = self.data_folder / "postgres.log"
        self._lock_file = self.data_folder / "postgres.lock"
        self._secret_file = self.data_folder / "postgres.json"

    @property
    def cluster_folder(self) -> Path:
        """PostgreSQL's own data directory; raises PostgresError when the data folder is not ours to read."""
        return Path(self._secret().get("home") or self.data_folder) / "postgres"

    # --- the server -------------------------------------------------------------------------------------------------

    def ensure_running(self, *, time_limit: float = 60) -> Connection:
        """Make the cluster where there is none, start it where it does not run, and return once it answers.

        A server that an earlier process left running is taken over. Safe to call at any time and from several
        processes at once. `time_limit` in seconds covers waiting for leftovers of a killed server and crash recovery.
        """
        with self._locked():
            return self._ensure_running(time.monotonic() + time_limit)

    def stop(self, mode: Literal["smart", "fast", "immediate"] = "fast", *, time_limit: float = 60) -> None:
        """Stop the server, if it runs. As in pg_ctl: smart waits for clients, fast ends them, immediate crashes."""
        if not self._secret():
            return
        with self._locked():
            self._stop(mode, time_limit)

    def status(self) -> Status:
        """What is known now; changes nothing, needs no lock, and makes no folder."""
        with self._plainly():
            secret, folder = self._secret(), self.cluster_folder
            if not secret or not folder.exists():
                return Status(False, None, None, None, None, self.data_folder, folder, self.log_file)
            found = self._running_server()
            return Status(
                running=found is not None,
                pid=found.pid if found else None,
                port=found.port if found else None,
                version=self._data_version(),
                system_user=_name_of(folder.stat().st_uid),
                data_folder=self.data_folder,
                cluster_folder=folder,
                log_file=self.log_file,
            )

    def remove(self) -> None:
        """Stop the server and delete the cluster with everything of ours in the data folder: for tests.

        Refuses a folder that we did not make. Other files in the data folder stay.
        """
        if not self.data_folder.exists():
            return
        folder, secret = self.cluster_folder, self._secret()
        made_by_us = secret.get("made_by") == "quitledger"
        if not made_by_us or (folder.exists() and not (folder / "quitledger.conf").exists()):
            raise PostgresError(
                f"{self.data_folder} 不像是 Quitledger 建立的資料庫，因此沒有刪除。",
                f"{self.data_folder} does not look like a database made by Quitledger and was not removed.",
            )
        with self._locked():
            self._stop("immediate", 60)
            home = folder.parent
            leftovers = [path for kind in ("engine-*", "initialising-*", "copying-*") for path in home.glob(kind)]
            for path in (folder, *leftovers):
                if path.exists():
                    shutil.rmtree(path)
            if home != self.data_folder:
                home.rmdir()
            for file in (*self.data_folder.glob("postgres.log*"), self._secret_file, self._lock_file):
                file.unlink(missing_ok=True)
        if not any(self.data_folder.iterdir()):
            self.data_folder.rmdir()

    # --- copies -----------------------------------------------------------------------------------------------------

    def base_backup(self, into: Path) -> None:
        """A physical copy of the running cluster in `into` (new or empty), with the WAL that makes it consistent.

        Its files are ours, mode 0700. Verified against its own manifest before we return.
        """
        with self._plainly():
            into.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._copy(self.ensure_running(), into, self._data_version())

    def _copy(self, source: Connection, into: Path, version: int | None, slot: str | None = None) -> None:
        """Copy the cluster that answers there into an empty folder; with `slot`, its WAL is kept for us from then on."""
        programs = (self.engine or best_engine(version)).bin_dir
        with tempfile.NamedTemporaryFile("w", prefix="quitledger-") as passwords:  # mode 0600; not in a process list
            passwords.write(_password_line(source.user, source.password))
            passwords.flush()
            command = [
                *(programs / "pg_basebackup", "-h", source.host, "-p", source.port, "-U", source.user, "-w"),
                *("-D", into, "-X", "stream", "--checkpoint=fast", "--manifest-checksums=CRC32C"),
                *(("-S", slot) if slot else ()),
                *(() if self.durable else ("--no-sync",)),
            ]
            self._checked(command, PGPASSFILE=passwords.name)
        self.check_copy(into, version)
        (into / "postmaster.pid").unlink(missing_ok=True)

    def check_copy(self, copy: Path, version: int | None) -> None:
        """Raise PostgresError unless the copy is, file by file, what its manifest says."""
        programs = (self.engine or best_engine(version)).bin_dir
        self._checked([programs / "pg_verifybackup", "-q", "-n", copy])

    def passwords(self) -> dict[str, str]:
        """The passwords of the cluster's roles, which a copy of it keeps."""
        return {name: value for name, value in self._secret().items() if name.endswith("_password")}

    def adopt(self, base: Path, passwords: Mapping[str, str], *, recovery: Mapping[str, str] | None = None) -> None:
        """Take a copy made by base_backup() as this data folder's cluster; it must have none yet.

        `recovery`: settings of a recovery from archived WAL that ends in an ordinary server.
        """
        with self._new_cluster(passwords) as work:
            shutil.copytree(base, work, symlinks=True)
            if recovery:
                settings = [_setting(name, value) for name, value in recovery.items()]
                with (work / "postgresql.auto.conf").open("a") as conf:
                    conf.write("\n".join(settings) + "\n")
                (work / "recovery.signal").touch()

    @contextmanager
    def _new_cluster(self, passwords: Mapping[str, str]) -> Iterator[Path]:
        """A folder to make and fill, which then becomes this data folder's cluster. Where that fails nothing is left."""
        with self._locked():
            if self._secret() or (self.data_folder / "postgres").exists():
                raise PostgresError(
                    f"{self.data_folder} 已有資料庫，複製來的只能放進空的資料夾。",
                    f"{self.data_folder} holds a database already; a copy goes into an empty folder.",
                )
            self._remember(made_by="quitledger", id=secrets.token_hex(6), **passwords)
            try:
                user = self._server_user()
                self._remember(home=str(self._choose_home(user)), data_folder=str(self.data_folder))
                folder = self.cluster_folder
                folder.parent.mkdir(exist_ok=True, parents=True)
                work = folder.parent / f"initialising-{secrets.token_hex(6)}"
                try:
                    yield work
                    for path in (work, *work.rglob("*")):
                        _give(path, user)
                    work.chmod(0o700)
                    os.rename(work, folder)
                    sync_folder(folder.parent)
                finally:
                    shutil.rmtree(work, ignore_errors=True)
            except BaseException:
                home = self.cluster_folder.parent
                self._secret_file.unlink()  # else the next start would make an empty database here
                if home != self.data_folder:
                    with suppress(OSError):
                        home.rmdir()
                raise
            self._remember(complete=True)

    def archive_into(self, folder: Path | None) -> None:
        """Archive every finished WAL file into `folder` from the next start on; None: no longer."""
        with self._locked():
            if not self._secret():
                raise PostgresError("資料庫還沒有建立。", "The database has not been made yet.")
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
                user = self._server_user()
                if user is not None and not user.can(("-w", folder), ("-x", folder)):
                    _give(folder, user)
                if user is not None and not user.can(("-w", folder), ("-x", folder)):
                    raise PostgresError(
                        f"系統使用者 {user.name} 不能寫入 {folder}。",
                        f"The system user {user.name} cannot write to {folder}.",
                    )
            self._remember(archive=str(folder) if folder else None)

    @property
    def archive(self) -> Path | None:
        """The folder into which WAL is archived."""
        kept = self._secret().get("archive")
        return Path(kept) if kept else None

    def _checked(self, command: list[Any], **environment: str) -> None:
        outcome = _run(command, None, environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if outcome.returncode == 0:
            return
        if _says_disk_full(outcome.stdout):
            raise self._disk_full()
        said = (outcome.stdout.strip().splitlines() or ["?"])[-1]
        raise PostgresError(f"複製失敗或損壞：{said}", f"The copy failed or is damaged: {said}")

    # --- replicas ---------------------------------------------------------------------------------------------------

    @property
    def is_replica(self) -> bool:
        """Whether the cluster follows a primary: PostgreSQL itself takes the mark away when it is promoted."""
        return (self.cluster_folder / "standby.signal").exists()

    @property
    def source(self) -> Source | None:
        """Whom this cluster follows; kept until its promotion is finished."""
        kept = self._secret().get("source")
        return Source(**kept) if kept else None

    @property
    def waits_for(self) -> str | None:
        """The replica that has to have every commit before it is acknowledged."""
        name = self._secret().get("waits_for")
        return str(name) if name else None

    @property
    def successor(self) -> str | None:
        """Which replica took this primary's place."""
        kept = self._secret().get("successor")
        return str(kept) if kept else None

    def ensure_replication_role(self) -> None:
        """The role as which replicas come: it may copy and follow the cluster, and that is all."""
        with self._locked(), self._connected() as connection:
            password = self._secret().get("replication_password") or secrets.token_urlsafe(24)
            verifier = connection.pgconn.encrypt_password(password.encode(), REPLICATION.encode(), b"scram-sha-256")
            exists = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [REPLICATION]).fetchone()
            verb = "ALTER" if exists is not None else "CREATE"
            statement = sql.SQL("{} ROLE {} LOGIN REPLICATION NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD {}")
            connection.execute(statement.format(sql.SQL(verb), sql.Identifier(REPLICATION), verifier.decode()))
            self._remember(replication_password=password)

    def follow(self, source: Source, passwords: Mapping[str, str], version: int) -> None:
        """Copy the primary, of that major version, into this data folder, which must hold no database, as its replica.

        While it follows, nobody may connect but the superuser and the owner: what the application's role reads would
        be in no journal.
        """
        came = Connection(source.host, source.port, REPLICATION, passwords["replication_password"])
        with self._new_cluster(passwords) as work:
            self._remember(source=asdict(source))
            self._copy(came, work, version, slot=source.name)
            (work / "standby.signal").touch()
            self._write(work / "replica.pgpass", _password_line(came.user, came.password), owner=None)
            allowed = [f"host all {role} {HOST}/32 scram-sha-256\n" for role in (SUPERUSER, OWNER)]
            self._write(work / "replica_hba.conf", "".join(allowed), owner=None)

    def follow_at(self, host: str, port: int) -> None:
        """Follow the primary at another address from now on."""
        with self._locked():
            assert self.source is not None
            self._remember(source=asdict(self.source) | {"host": host, "port": port})
            self._reconfigure()

    def wait_for(self, replica: str | None) -> None:
        """Acknowledge a commit only when that replica has it on disk, from now on; None: when this server has it."""
        with self._locked():
            self._remember(waits_for=replica)
            self._reconfigure()

    def promote(self) -> None:
        """Make this replica an ordinary cluster that is written to. Goes on where an earlier call was cut off."""
        with self._locked():
            port = self._ensure_running(time.monotonic() + 60).port
            if self.is_replica:
                with self._administering(port) as superuser:
                    if superuser.execute("SELECT pg_promote(true, 60)").fetchone() != (True,):
                        raise PostgresError("複本沒有升為主資料庫。", "The replica was not promoted.")
            folder = self.cluster_folder
            # The file that is in use goes on being read until the next start: it lets everybody in again.
            ordinary = (folder / "pg_hba.conf").read_text()
            self._write(folder / "replica_hba.conf", ordinary, self._server_user())
            (folder / "replica.pgpass").unlink(missing_ok=True)
            self._remember(source=None)
            self._reconfigure()

    def retire(self, successor: str) -> None:
        """Stop this primary, whose place a replica takes, and let it never start by mistake. What it has, it sends."""
        with self._locked():
            self._remember(successor=successor)
            self._stop("fast", 60)

    def reinstate(self) -> None:
        """Let a retired primary start again."""
        with self._locked():
            self._remember(successor=None)

    def _reconfigure(self) -> None:
        """Write the settings anew and let the server, if it runs, read them."""
        found = self._running_server()
        if found is None:
            return
        self._configure(found.port)
        with self._administering(found.port) as superuser:
            superuser.execute("SELECT pg_reload_conf()")

    def _replicating(self) -> dict[str, str]:
        """Whom a replica follows, and whom a primary waits for: kept in postgres.json, so that no copy inherits it."""
        source, folder = self.source, self.cluster_folder
        if self.is_replica and source is not None:
            way = make_conninfo(
                host=source.host, port=source.port, user=REPLICATION, passfile=str(folder / "replica.pgpass"),
                application_name=source.name, connect_timeout=5,
            )  # fmt: skip
            return {
                "primary_conninfo": way,
                "primary_slot_name": source.name,
                "hba_file": str(folder / "replica_hba.conf"),
                "wal_retrieve_retry_interval": "1s",
            }
        return {"synchronous_standby_names": f'FIRST 1 ("{self.waits_for}")'} if self.waits_for else {}

    # --- databases --------------------------------------------------------------------------------------------------

    def ensure_database(self, name: str = "quitledger") -> DatabaseUrls:
        """The database `name` with its owner and application roles, made where absent; starts the server if needed.

        The owner role owns the database and may create in it; the application role owns nothing, may connect, make
        temporary tables, and use what the owner grants it.
        """
        with self._locked(), self._connected() as connection:
            exists = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone()
            return self._database(connection, name, template=None, create=not exists)

    def create_database(self, name: str, template: str | None = None) -> DatabaseUrls:
        """A new database, empty or a copy of `template` (to which nobody may be connected)."""
        with self._locked(), self._connected() as connection:
            return self._database(connection, name, template=template, create=True)

    def drop_database(self, name: str) -> None:
        """Drop the database `name`, if it is there, ending its connections."""
        if name in ("postgres", "template0", "template1"):
            raise PostgresError(
                f"{name} 屬於 PostgreSQL 本身，不能刪除。", f"{name} belongs to PostgreSQL itself and is not dropped."
            )
        with self._locked(), self._connected() as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _database(
        self, connection: psycopg.Connection, name: str, *, template: str | None, create: bool
    ) -> DatabaseUrls:
        secret = self._secret()
        words = {
            "database": sql.Identifier(name),
            "template": sql.Identifier(template or "template0"),
            "owner": sql.Identifier(OWNER),
            "app": sql.Identifier(APPLICATION),
        }
        present = {row[0] for row in connection.execute("SELECT rolname FROM pg_roles")}
        statements: list[sql.Composed] = []
        for role, password in ((OWNER, secret["owner_password"]), (APPLICATION, secret["app_password"])):
            if role not in present:
                # The server is sent a verifier, not the password, so that it cannot show up in any log or view.
                verifier = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256")
                create_role = "CREATE ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD {}"
                statements.append(sql.SQL(create_role).format(sql.Identifier(role), verifier.decode()))
        if create:
            creation = "CREATE DATABASE {database} OWNER {owner} TEMPLATE {template} ENCODING 'UTF8' LOCALE 'C'"
            statements.append(sql.SQL(creation).format(**words))
        for lasting in (
            "ALTER ROLE {app} SET statement_timeout = '30s'",
            "ALTER ROLE {app} SET idle_in_transaction_session_timeout = '60s'",
            "ALTER ROLE {app} SET lock_timeout = '10s'",
            "REVOKE ALL ON DATABASE postgres, template1, {database} FROM PUBLIC",
            "GRANT CONNECT, TEMPORARY ON DATABASE {database} TO {app}",
        ):
            statements.append(sql.SQL(lasting).format(**words))
        for statement in statements:
            connection.execute(statement)
        return self._urls(connection.info.port, name)

    def urls(self, name: str = "quitledger") -> DatabaseUrls:
        """The ways into a database of the running cluster, whether or not anything can be written there."""
        return self._urls(self.ensure_running().port, name)

    def _urls(self, port: int, name: str) -> DatabaseUrls:
        secret = self._secret()
        return DatabaseUrls(
            _url(APPLICATION, secret["app_password"], port, name), _url(OWNER, secret["owner_password"], port, name)
        )

    def refuse_replica(self) -> None:
        """Raise PostgresError where the cluster is a replica, which can only be read."""
        if self.is_replica:
            raise PostgresError(
                "這是唯讀的複本：報表用 quitledger replica report；接替主資料庫用 quitledger replica promote。",
                "This is a replica, which can only be read: quitledger replica report prints figures from it, "
                "quitledger replica promote lets it take the primary's place.",
            )

    @contextmanager
    def _connected(self) -> Iterator[psycopg.Connection]:
        self.refuse_replica()
        found = self._ensure_running(time.monotonic() + 60)
        with self._administering(found.port) as connection:
            yield connection

    @contextmanager
    def _administering(self, port: int) -> Iterator[psycopg.Connection]:
        """A connection of our server as its superuser; what it refuses is said to the operator."""
        try:
            with _connect(port, self._secret()["superuser_password"]) as connection:
                yield connection
        except psycopg.errors.DiskFull as error:
            raise self._disk_full() from error
        except psycopg.Error as error:
            raise PostgresError(f"資料庫拒絕了：{error}", f"The database refused: {error}") from error

    # --- starting ---------------------------------------------------------------------------------------------------

    def _ensure_running(self, deadline: float) -> Connection:
        secret = self._secret() or self._new_secret()
        self._check_place(secret)
        if self.successor:
            raise PostgresError(
                f"這個資料庫已由複本 {self.successor} 接替，不再啟動，以免兩邊各寫各的。"
                "確定要再用它，請執行 quitledger replica retire --undo。",
                f"The replica {self.successor} took this database's place, so it is not started: both would be written. "
                "If you mean to use it all the same: quitledger replica retire --undo.",
            )
        if not self.cluster_folder.exists():
            if secret.get("complete"):
                raise PostgresError(
                    f"找不到資料庫的資料夾 {self.cluster_folder}，請還原它，或刪除 {self._secret_file} 重新開始。",
                    f"The database's folder {self.cluster_folder} is missing; restore it, or delete "
                    f"{self._secret_file} to start anew.",
                )
            self._initialise()
        self._check_data()
        self._remember(complete=True)
        reason = ""
        while True:
            pid_file = self._pid_file()
            refusal = self._refusal(pid_file)
            if pid_file and not refusal:
                try:
                    return self._adopt(pid_file, secret["superuser_password"])
                except psycopg.Error as error:
                    refusal = str(error)  # it has ended since it answered
            if pid_file and self._is_our_postmaster(pid_file.pid):
                if "password authentication failed" in refusal:
                    raise PostgresError(
                        f"資料庫不接受 {self._secret_file} 裡的密碼，請還原這個檔案。",
                        f"The database does not accept the password kept in {self._secret_file}; restore that file.",
                    )
                reason = refusal  # it starts up, recovers or shuts down: wait
            else:
                self._retire_pid_file()
                reason = self._start(deadline)
                if _says_disk_full(reason):
                    raise self._disk_full()
                if reason and not PASSING.search(reason) and not self._is_starting():
                    raise self._no_start(reason)
                if "Address already in use" in reason:
                    self._remember(port=None)
            if time.monotonic() > deadline:
                raise self._no_start(reason)
            if reason:
                time.sleep(0.05)

    def _adopt(self, found: _PidFile, password: str) -> Connection:
        """Take a server that answers as it is, except that an unsafe one is not kept where safety is asked for."""
        if self.durable:
            with _connect(found.port, password) as connection:
                if connection.execute("SHOW fsync").fetchone() != ("on",):
                    self._configure(found.port)
                    connection.execute("SELECT pg_reload_conf()")
        self._remember(port=found.port)
        return Connection(HOST, found.port, SUPERUSER, password)

    def _start(self, deadline: float) -> str:
        """Start the server once; what it says when it does not come up, else nothing."""
        folder, user = self.cluster_folder, self._server_user()
        programs = programs_for(self.engine or best_engine(self._data_version()), user, folder.parent)
        self._configure(_free_port(self._secret().get("port")))
        if self.log_file.exists() and self.log_file.stat().st_size > LOG_TURNS_AT:
            self.log_file.replace(self.log_file.with_name("postgres.log.1"))
        log = os.open(self.log_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            begin = os.fstat(log).st_size
            seconds = str(max(1, int(deadline - time.monotonic())))
            # pg_ctl, not postgres itself: its child belongs to nobody, so a killed server leaves no zombie with us.
            command = [programs / "pg_ctl", "start", "-s", "-w", "-t", seconds, "-D", folder]
            outcome = _run(command, user, stdout=log, stderr=log)
            if outcome.returncode == 0:
                return ""
            said = self.log_file.read_bytes()[begin:].decode("utf-8", "replace")
            return said.strip() or f"pg_ctl: {outcome.returncode}"
        finally:
            os.close(log)

    def _configure(self, port: int) -> None:
        """Write our settings, which initdb's postgresql.conf includes; the operator's local.conf comes last."""
        lines = ["# Written by Quitledger at every start. Your own settings belong in local.conf."]
        wanted = {**self.settings, **self._archiving(), **self._replicating(), "port": str(port)}
        lines += [_setting(name, value) for name, value in wanted.items()]
        lines.append("include_if_exists = 'local.conf'")
        self._write(self.cluster_folder / "quitledger.conf", "\n".join(lines) + "\n", self._server_user())

    def _archiving(self) -> dict[str, str]:
        """A WAL file is there under its name only when it is whole; one that is there already is not replaced."""
        if self.archive is None:
            return {}
        to = shlex.quote(str(self.archive)).replace("%", "%%")
        command = f"test ! -f {to}/%f && cp %p {to}/.%f && mv {to}/.%f {to}/%f"
        return {"archive_mode": "on", "archive_command": command, "archive_timeout": ARCHIVE_EVERY}

    def _initialise(self) -> None:
        """Make the cluster under a passing name and give it its own only when it is whole."""
        secret = self._secret()
        user = self._server_user()
        if secret.get("home") is None:
            secret = self._remember(home=str(self._choose_home(user)), data_folder=str(self.data_folder))
        folder = self.cluster_folder
        home = folder.parent
        home.mkdir(exist_ok=True, parents=True)
        for leftover in home.glob("initialising-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        programs = programs_for(self.engine or best_engine(), user, home)
        work = Path(tempfile.mkdtemp(prefix="initialising-", dir=home))
        try:
            _give(work, user)
            self._write(work / "password", secret["superuser_password"], user)
            command = [
                *(programs / "initdb", "-D", work / "cluster", "-U", SUPERUSER, "--pwfile", work / "password"),
                *("--auth-host=scram-sha-256", "--auth-local=scram-sha-256", "--data-checksums"),
                *("--encoding=UTF8", "--locale=C", "--no-instructions"),
                *(() if self.durable else ("--no-sync",)),
            ]
            outcome = _run(command, user, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            if outcome.returncode != 0:
                if _says_disk_full(outcome.stdout):
                    raise self._disk_full()
                raise self._no_start(outcome.stdout)
            with (work / "cluster" / "postgresql.conf").open("a") as conf:
                conf.write("\ninclude = 'quitledger.conf'\n")
            self._write(work / "cluster" / "quitledger.conf", "", user)
            os.rename(work / "cluster", folder)
            sync_folder(home)
        finally:
            shutil.rmtree(work, ignore_errors=True)

    # --- stopping ---------------------------------------------------------------------------------------------------

    def _stop(self, mode: str, time_limit: float) -> None:
        deadline = time.monotonic() + time_limit
        found = self._running_server() if self.cluster_folder.exists() else None
        if found is None:
            return
        os.kill(found.pid, STOP_SIGNALS[mode])
        while self._is_our_postmaster(found.pid):
            if time.monotonic() > deadline:
                raise PostgresError(
                    f"資料庫在 {time_limit:.0f} 秒內沒有停下來，請再試一次，或看 {self.log_file}。",
                    f"The database did not stop within {time_limit:.0f} seconds; try again or see {self.log_file}.",
                )
            time.sleep(0.02)

    # --- is it running, and is it ours? -----------------------------------------------------------------------------

    def _pid_file(self) -> _PidFile | None:
        """Process and port that postmaster.pid names, whether or not they still mean our server."""
        try:
            lines = (self.cluster_folder / "postmaster.pid").read_text().splitlines()
            return _PidFile(int(lines[0]), int(lines[3]) if len(lines) > 3 else 0)
        except (FileNotFoundError, ValueError, IndexError):
            return None

    def _running_server(self) -> _PidFile | None:
        pid_file = self._pid_file()
        if pid_file and (self._is_our_postmaster(pid_file.pid) or not self._refusal(pid_file)):
            return pid_file
        return None

    def _is_starting(self) -> bool:
        pid_file = self._pid_file()
        return pid_file is not None and self._is_our_postmaster(pid_file.pid)

    def _refusal(self, pid_file: _PidFile | None) -> str:
        """Why the server at that port is not ours or not ready; empty when it takes our password and has our data."""
        if pid_file is None or not pid_file.port:
            return "not running"
        try:
            with _connect(pid_file.port, self._secret()["superuser_password"]) as connection:
                row = connection.execute("SHOW data_directory").fetchone()
                return "" if row and Path(row[0]) == self.cluster_folder else "another server"
        except psycopg.Error as error:
            return str(error)

    def _is_our_postmaster(self, pid: int) -> bool:
        """Whether that process is a PostgreSQL server on our cluster, ready or not (a zombie or another one is not)."""
        command = _command_line(pid)
        if not command or Path(command[0]).name not in ("postgres", "postmaster"):
            return False
        if str(self.cluster_folder) in command:
            return True
        try:
            return os.path.samefile(f"/proc/{pid}/cwd", self.cluster_folder)  # started by hand by another spelling
        except OSError:
            return False

    def _retire_pid_file(self) -> None:
        """Let postmaster.pid, whose process is not our server, name no process at all.

        PostgreSQL refuses to start while the process named is alive, whatever it is. The file is not deleted: it also
        names the shared memory by which PostgreSQL itself sees backends left behind by a killed server, and deleting
        it would let a new server write beside them.
        """
        path = self.cluster_folder / "postmaster.pid"
        try:
            lines = path.read_text().splitlines(keepends=True)
        except FileNotFoundError:
            return
        if lines and lines[0].strip() != str(NO_PROCESS):
            self._write(path, "".join([f"{NO_PROCESS}\n", *lines[1:]]), self._server_user())

    # --- folders, users, checks -------------------------------------------------------------------------------------

    def _server_user(self) -> ServerUser | None:
        """Who runs the server: for root the owner of the cluster if he may, else the first choice; else ourselves."""
        users = server_users()
        if not users:
            if os.geteuid() == 0:
                raise PostgresError(
                    "PostgreSQL 不能以 root 執行，而這台機器沒有系統使用者 postgres 或 nobody。",
                    "PostgreSQL does not run as root, and this machine has neither the user postgres nor nobody.",
                )
            return None
        folder = self.cluster_folder
        owner = folder.stat().st_uid if folder.exists() else None
        return next((user for user in users if user.uid == owner), users[0])

    def _choose_home(self, user: ServerUser | None) -> Path:
        """The folder that holds the cluster: the data folder where the server's user can pass through it."""
        if user is None or user.can(("-x", self.data_folder)):
            return self.data_folder
        for parent in HOMES_FOR_ROOT:
            if not parent.is_dir() or not os.access(parent, os.W_OK):
                continue
            home = parent / "quitledger" / str(self._secret()["id"])
            for folder in (home.parent, home):
                if not folder.exists():
                    folder.mkdir()
                    folder.chmod(0o711)
            if user.can(("-x", home)):
                return home
        raise PostgresError(
            f"系統使用者 {user.name} 到不了 {self.data_folder}，請以 QUITLEDGER_DATA 指定它到得了的資料夾。",
            f"The system user {user.name} cannot reach {self.data_folder}; name a folder it can reach in "
            "QUITLEDGER_DATA.",
        )

    def _check_place(self, secret: dict[str, Any]) -> None:
        """Refuse a copied or moved data folder whose cluster lies elsewhere: two folders must not share one cluster."""
        made_for, home = secret.get("data_folder"), secret.get("home")
        if home is None or Path(home) == self.data_folder or made_for == str(self.data_folder):
            return
        if Path(home) == Path(made_for or ""):  # the cluster lay inside and moved along
            self._remember(home=str(self.data_folder), data_folder=str(self.data_folder))
            return
        raise PostgresError(
            f"{self.data_folder} 是從 {made_for} 移來或複製來的，它的資料庫在 {home}，請放回原處，"
            "或刪除 postgres.json 重新開始。",
            f"{self.data_folder} was moved or copied from {made_for}, and its database is in {home}; put it back, or "
            "delete postgres.json to start anew.",
        )

    def _check_data(self) -> None:
        folder = self.cluster_folder
        owner, expected = folder.stat().st_uid, (user.uid if (user := self._server_user()) else os.geteuid())
        if owner != expected:
            raise PostgresError(
                f"{folder} 屬於系統使用者 {_name_of(owner)}，請以該使用者執行，或以 QUITLEDGER_DATA 指定別的資料夾。",
                f"{folder} belongs to the system user {_name_of(owner)}; run as that user, or name another folder in "
                "QUITLEDGER_DATA.",
            )
        version = self._data_version()
        if version is None:
            raise PostgresError(
                f"{folder} 不是 PostgreSQL 的資料夾，請移走它再試一次。",
                f"{folder} is not a PostgreSQL data directory; move it away and try again.",
            )
        if self.engine and self.engine.version_major != version:
            matching = [str(engine.bin_dir) for engine in found_engines() if engine.version_major == version]
            place = matching[0] if matching else "?"
            raise PostgresError(
                f"資料庫由 PostgreSQL {version} 建立，不能用 {self.engine.version_major} 開啟，"
                f"請用 PostgreSQL {version}（{place if matching else '這台機器上沒有'}）。",
                f"The database was made by PostgreSQL {version} and cannot be opened by {self.engine.version_major}; "
                f"use PostgreSQL {version} ({place if matching else 'not found on this machine'}).",
            )

    def _data_version(self) -> int | None:
        try:
            return int((self.cluster_folder / "PG_VERSION").read_text())
        except (FileNotFoundError, NotADirectoryError, PermissionError, ValueError):
            return None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the data folder's lock, so that of two starts at once the second finds the first one's server."""
        with self._plainly():
            if not self.data_folder.exists():
                self.data_folder.mkdir(parents=True)
                # For root the server's user passes through, without being able to look around.
                self.data_folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
            while True:
                lock = os.open(self._lock_file, os.O_RDWR | os.O_CREAT, 0o600)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX)
                    if not self._lock_file.exists() or os.fstat(lock).st_ino != self._lock_file.stat().st_ino:
                        continue  # removed while we waited
                    yield
                    return
                finally:
                    os.close(lock)

    @contextmanager
    def _plainly(self) -> Iterator[None]:
        """Turn what the file system refuses into a sentence for the operator."""
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise self._disk_full() from error
            if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
                path = error.filename or self.data_folder
                raise PostgresError(
                    f"沒有權限使用 {path}，請以它的擁有者執行，或以 QUITLEDGER_DATA 指定自己的資料夾。",
                    f"No permission to use {path}; run as its owner, or name a folder of your own in QUITLEDGER_DATA.",
                ) from error
            raise

    def _disk_full(self) -> PostgresError:
        return PostgresError(
            f"磁碟已滿，資料庫無法寫入 {self.data_folder}，請清出空間後再試一次。",
            f"The disk is full and the database cannot write to {self.data_folder}; free some space and try again.",
        )

    def _no_start(self, output: str) -> PostgresError:
        lines = [line.strip() for line in output.splitlines() if re.search(r"FATAL|PANIC|ERROR|error:", line)]
        reason = (lines or output.strip().splitlines() or ["?"])[-1]
        return PostgresError(
            f"資料庫無法啟動，請看 {self.log_file}：{reason}",
            f"The database could not be started, see {self.log_file}: {reason}",
        )

    # --- the file of secrets ----------------------------------------------------------------------------------------

    def _secret(self) -> dict[str, Any]:
        """What postgres.json keeps; empty when there is none."""
        with self._plainly():
            try:
                secret: dict[str, Any] = json.loads(self._secret_file.read_text())
                return secret
            except FileNotFoundError:
                return {}
            except ValueError as error:
                raise PostgresError(
                    f"{self._secret_file} 已損壞，請由備份還原。",
                    f"{self._secret_file} is damaged; restore it from a backup.",
                ) from error

    def _new_secret(self) -> dict[str, Any]:
        if (self.data_folder / "postgres").exists():
            raise PostgresError(
                f"找不到資料庫的密碼檔 {self._secret_file}，請還原它，或移走 postgres 資料夾重新開始。",
                f"The database's passwords in {self._secret_file} are missing; restore that file, or move the folder "
                "postgres away to start anew.",
            )
        passwords = {
            f"{role}_password": secrets.token_urlsafe(24)  # no character a URL would have to quote
            for role in ("superuser", "owner", "app")
        }
        return self._remember(made_by="quitledger", id=secrets.token_hex(6), **passwords)

    def _remember(self, **facts: Any) -> dict[str, Any]:
        secret = self._secret()
        if secret | facts != secret:
            secret |= facts
            self._write(self._secret_file, json.dumps(secret, indent=2) + "\n", owner=None)
        return secret

    def _write(self, path: Path, text: str, owner: ServerUser | None) -> None:
        """Replace a file as a whole or not at all, readable by its owner alone, and on disk when we return."""
        handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)  # mode 0600
        try:
            with os.fdopen(handle, "w") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            _give(Path(name), owner)
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def _url(user: str, password: str, port: int, database: str) -> str:
    return f"postgresql://{user}:{quote(password, safe='')}@{HOST}:{port}/{quote(database, safe='')}"


def _connect(port: int, password: str) -> psycopg.Connection:
    return psycopg.connect(
        host=HOST,
        port=port,
        user=SUPERUSER,
        password=password,
        dbname="postgres",
        sslmode="disable",  # never leaves this machine
        connect_timeout=5,
        autocommit=True,
        options="-c synchronous_commit=local",  # what is set up here waits for no replica
    )


def _setting(name: str, value: str) -> str:
    """A line of a configuration file."""
    quoted = value.replace("\\", "\\\\").replace("'", "''")
    return f"{name} = '{quoted}'"


def _password_line(user: str, password: str) -> str:
    """A line of a password file, for whatever address."""
    return f"*:*:*:{user}:{password}\n"


def _run(
    command: list[Any], user: ServerUser | None, environment: Mapping[str, str] | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run a PostgreSQL program, knowing nothing of our environment (which holds keys), messages in English."""
    kept = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")
    return subprocess.run(  # noqa: S603 - programs of an engine found, arguments ours
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        text=True,
        check=False,
        cwd="/",
        umask=0o077,
        start_new_session=True,  # Ctrl-C in our terminal is not for the server
        env={name: os.environ[name] for name in kept if name in os.environ} | {"LC_ALL": "C", **(environment or {})},
        **(user.popen_options() if user else {}),
        **options,
    )


def _command_line(pid: int) -> list[str]:
    """Program and arguments of a process; empty when there is none or it is a zombie."""
    if os.path.exists("/proc/self/cmdline"):
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
        except OSError:
            return []
    ps = ["/bin/ps", "-ww", "-p", str(pid), "-o", "args="]
    answer = subprocess.run(ps, capture_output=True, text=True, check=False)  # noqa: S603 - pid is a number
    program, _, folder = answer.stdout.strip().partition(" -D ")  # macOS; a path may hold blanks
    return [program, "-D", folder] if folder else answer.stdout.split()


def _free_port(wanted: int | None) -> int:
    """The port wanted if nobody listens there, else one that is free now."""
    for port in (wanted or 0, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as PostgreSQL does
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise PostgresError("這台機器沒有可用的連接埠。", "This machine has no free port.")


def _says_disk_full(output: str) -> bool:
    """Whether PostgreSQL met a full disk; a full /dev/shm, told in the same words, is something else."""
    told = [line for line in output.splitlines() if re.search(r"No space left on device|Disk quota exceeded", line)]
    return any("shared memory" not in line for line in told)


def _give(path: Path, user: ServerUser | None) -> None:
    if user is not None:
        os.chown(path, user.uid, user.gid)


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
