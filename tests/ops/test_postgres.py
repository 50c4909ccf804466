import itertools
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from click.testing import CliRunner

from quitledger.ops import binaries, database_command, postgres
from quitledger.ops.binaries import server_users
from quitledger.ops.postgres import Cluster, Engine, PostgresError, data_folder, found_engines

from ..folders import new_folder

ROOT = os.geteuid() == 0
CHECKOUT = Path(__file__).resolve().parents[2]
ENSURE = """
import sys
from pathlib import Path
from quitledger.ops.postgres import Cluster, Engine
cluster = Cluster(Path(sys.argv[1]), Engine("test", int(sys.argv[2]), Path(sys.argv[3])), durable=False)
cluster.ensure_running()
print(cluster.status().pid, flush=True)
"""


@pytest.fixture
def cluster(folder: Path, engine: Engine) -> Cluster:
    return Cluster(folder, engine, durable=False)


@pytest.fixture(scope="module")
def safe(engine: Engine) -> Iterator[Cluster]:
    """A running cluster as an operator has it; for tests that only look, or leave nothing behind."""
    top = new_folder()
    cluster = Cluster(top / "data", engine)
    cluster.ensure_database()
    yield cluster
    cluster.remove()
    shutil.rmtree(top)


def process(folder: Path, engine: Engine, *, then: str = "") -> subprocess.Popen[str]:
    """Another process of Quitledger that starts the cluster, prints the server's pid, and goes on with `then`."""
    command = [sys.executable, "-c", ENSURE + then, folder, str(engine.version_major), engine.bin_dir]
    return subprocess.Popen(
        [str(part) for part in command], cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def imitation(folder: Path, engine: Engine, **scripts: str) -> Engine:
    """An engine whose named programs are shell scripts and whose other programs are real."""
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    for program in binaries.PROGRAMS:
        (folder / program).symlink_to(engine.bin_dir / program)
    for program, script in scripts.items():
        (folder / program).unlink()
        (folder / program).write_text(f"#!/bin/sh\n{script}\n")
        (folder / program).chmod(0o755)
    return Engine("imitation", engine.version_major, folder, "0")


def query(url: str, statement: str) -> list[tuple]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def pid_of(cluster: Cluster) -> int:
    pid = cluster.status().pid
    assert pid is not None
    return pid


def is_alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# --- start, stop, start again ---------------------------------------------------------------------------------------


@pytest.mark.engine
def test_what_was_committed_before_a_stop_is_there_after_the_next_start(cluster: Cluster) -> None:
    _, owner = cluster.ensure_database()
    query(owner, "CREATE TABLE kept AS SELECT 41 + 1 AS answer")
    first = pid_of(cluster)
    assert cluster.ensure_running().port == cluster.status().port
    assert pid_of(cluster) == first

    cluster.stop()
    assert not cluster.status().running
    cluster.stop()

    assert cluster.ensure_database().owner_url == owner
    assert pid_of(cluster) != first
    assert query(owner, "SELECT answer FROM kept") == [(42,)]


@pytest.mark.engine
def test_the_engine_that_made_the_data_is_chosen_by_itself(cluster: Cluster, engine: Engine) -> None:
    cluster.ensure_running()
    cluster.stop()
    url = Cluster(cluster.data_folder, durable=False).ensure_running().url()
    assert query(url, "SHOW server_version")[0][0].startswith(engine.version)


@pytest.mark.engine
def test_two_clusters_run_side_by_side(folder: Path, engine: Engine) -> None:
    demo, test = (Cluster(folder / name, engine, durable=False) for name in ("demo", "test"))
    try:
        one, other = demo.ensure_database(), test.ensure_database()
        query(one.owner_url, "CREATE TABLE only_here ()")
        assert query(other.owner_url, "SELECT to_regclass('only_here')") == [(None,)]
        assert demo.status().port != test.status().port
    finally:
        demo.remove()
        test.remove()
    assert not any(folder.iterdir())


# --- recovery -------------------------------------------------------------------------------------------------------


@pytest.mark.engine
def test_a_killed_server_comes_back_with_every_committed_row(folder: Path, engine: Engine) -> None:
    cluster = Cluster(folder, engine)
    app, owner = cluster.ensure_database()
    query(owner, "CREATE TABLE kept (n integer); GRANT ALL ON kept TO quitledger_app")
    with psycopg.connect(app) as writer:
        for n in range(100):
            writer.execute("INSERT INTO kept VALUES (%s)", [n])
            writer.commit()
        killed = pid_of(cluster)
        os.kill(killed, signal.SIGKILL)
        cluster.ensure_running()
    assert pid_of(cluster) != killed
    assert query(owner, "SELECT count(*) FROM kept") == [(100,)]


@pytest.mark.engine
def test_a_new_server_waits_for_the_backends_of_a_killed_one(cluster: Cluster) -> None:
    app, _ = cluster.ensure_database()
    busy = psycopg.connect(app)
    # Computing, not sleeping: such a backend does not notice that its server is gone.
    computing = threading.Thread(
        target=busy.execute, args=["SELECT count(*) FROM generate_series(1, 4000) a, generate_series(1, 4000) b"]
    )
    computing.start()
    time.sleep(0.1)

    os.kill(pid_of(cluster), signal.SIGKILL)
    cluster.ensure_running()

    computing.join()
    assert not is_alive(busy.info.backend_pid)
    assert "pre-existing shared memory block" in cluster.log_file.read_text()


@pytest.mark.engine
def test_a_server_that_ends_just_after_it_has_answered_is_looked_for_again(
    safe: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect, tries = postgres._connect, itertools.count(1)

    def gone_at_the_second_try(port: int, password: str) -> psycopg.Connection:
        if next(tries) == 2:
            raise psycopg.OperationalError("terminating connection due to unexpected postmaster exit")
        return connect(port, password)

    monkeypatch.setattr(postgres, "_connect", gone_at_the_second_try)
    assert Cluster(safe.data_folder, safe.engine).ensure_running().port == safe.status().port
    assert next(tries) > 3


def test_a_server_whose_parent_was_killed_is_taken_over(folder: Path, engine: Engine, cluster: Cluster) -> None:
    with process(folder, engine, then="import time; time.sleep(60)") as parent:
        assert parent.stdout is not None
        server = int(parent.stdout.readline())
        parent.kill()
    cluster.ensure_running()
    assert pid_of(cluster) == server


@pytest.mark.engine
def test_a_stale_pid_that_now_means_another_program_is_seen_through(cluster: Cluster) -> None:
    cluster.ensure_running()
    os.kill(pid_of(cluster), signal.SIGKILL)
    as_server: dict = server_users()[0].popen_options() if ROOT else {}
    with subprocess.Popen(["sleep", "60"], cwd="/", **as_server) as other:
        pid_file = cluster.cluster_folder / "postmaster.pid"
        lines = pid_file.read_text().splitlines()
        pid_file.write_text("\n".join([str(other.pid), *lines[1:]]) + "\n")
        assert not cluster.status().running

        cluster.stop()
        assert other.poll() is None
        cluster.ensure_running()
        assert cluster.status().running
        assert other.poll() is None
        other.kill()


@pytest.mark.engine
def test_two_starts_at_once_make_one_server(folder: Path, engine: Engine) -> None:
    starts = [process(folder, engine) for _ in range(4)]
    answers = [start.communicate(timeout=60) for start in starts]
    assert {error for _, error in answers} == {""}
    assert len({pid for pid, _ in answers}) == 1
    on_it = [p for p in psutil.process_iter(["cmdline"]) if str(folder / "postgres") in (p.info["cmdline"] or [])]
    assert len(on_it) == 1


@pytest.mark.engine
def test_a_half_finished_initdb_is_begun_again(folder: Path, engine: Engine, cluster: Cluster) -> None:
    script = f'mkdir -p "$2/base"; echo {engine.version_major} > "$2/PG_VERSION"; exec sleep 5'
    with process(folder, imitation(folder.parent / "slow", engine, initdb=script)) as parent:
        while not list(folder.glob("initialising-*/cluster/PG_VERSION")):
            assert parent.poll() is None
            time.sleep(0.02)
        parent.kill()
    assert not (folder / "postgres").exists()

    cluster.ensure_running()
    assert not list(folder.glob("initialising-*"))


def test_a_port_that_was_taken_meanwhile_is_given_up(folder: Path) -> None:
    cluster = Cluster(folder, durable=False)
    before = cluster.ensure_running().port
    cluster.stop()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", before))
        other.listen()
        assert cluster.ensure_running().port != before
    after = cluster.status().port
    cluster.stop()
    assert cluster.ensure_running().port == after


def test_an_unsafe_server_is_made_safe_when_safety_is_asked_for(folder: Path) -> None:
    url = Cluster(folder, durable=False).ensure_running().url()
    assert query(url, "SHOW fsync") == [("off",)]
    Cluster(folder).ensure_running()
    time.sleep(0.2)  # the server reads its settings again on a signal
    assert [query(url, f"SHOW {name}") for name in ("fsync", "full_page_writes")] == [[("on",)]] * 2


def test_a_data_folder_that_was_moved_takes_its_cluster_along(folder: Path) -> None:
    first = Cluster(folder, durable=False)
    query(first.ensure_database().owner_url, "CREATE TABLE kept ()")
    first.stop()
    folder.rename(folder.with_name("elsewhere"))
    moved = Cluster(folder.with_name("elsewhere"), durable=False)
    try:
        assert query(moved.ensure_database().owner_url, "SELECT to_regclass('kept')") == [("kept",)]
    finally:
        moved.remove()


# --- refusals, each in a sentence -----------------------------------------------------------------------------------


@pytest.mark.engine
@pytest.mark.parametrize(
    "line",
    [
        'initdb: error: could not write file "/x/PG_VERSION": No space left on device',
        'FATAL:  could not extend file "base/1/1259": Disk quota exceeded',
    ],
)
def test_a_disk_too_full_to_make_the_cluster_is_said_plainly(
    folder: Path, engine: Engine, cluster: Cluster, line: str
) -> None:
    full = imitation(folder.parent / "full", engine, initdb=f"echo '{line}'; exit 1")
    with pytest.raises(PostgresError, match="磁碟已滿.*\n.*The disk is full"):
        Cluster(folder, full).ensure_running()
    assert not list(folder.glob("initialising-*"))
    cluster.ensure_running()


@pytest.mark.engine
def test_a_disk_too_full_to_start_is_said_plainly(folder: Path, engine: Engine, cluster: Cluster) -> None:
    cluster.ensure_running()
    cluster.stop()
    line = 'FATAL:  could not write lock file "postmaster.pid": No space left on device'
    full = imitation(folder.parent / "full", engine, pg_ctl=f"echo '{line}'; exit 1")
    with pytest.raises(PostgresError, match="磁碟已滿"):
        Cluster(folder, full).ensure_running()
    cluster.ensure_running()


def test_a_start_that_fails_otherwise_tells_the_servers_own_reason(folder: Path) -> None:
    line = 'FATAL:  could not resize shared memory segment "/PostgreSQL.1": No space left on device'
    bad = imitation(folder.parent / "bad", found_engines()[0], pg_ctl=f"echo '{line}'; exit 1")
    with pytest.raises(PostgresError, match="could not resize shared memory segment") as told:
        Cluster(folder, bad, durable=False).ensure_running()
    assert "磁碟已滿" not in str(told.value)


def test_leftovers_that_do_not_go_away_are_waited_for_no_longer_than_told(folder: Path) -> None:
    line = "FATAL:  pre-existing shared memory block (key 1, ID 2) is still in use"
    bad = imitation(folder.parent / "bad", found_engines()[0], pg_ctl=f"echo '{line}'; exit 1")
    begun = time.monotonic()
    with pytest.raises(PostgresError, match="still in use"):
        Cluster(folder, bad, durable=False).ensure_running(time_limit=2)
    assert 1 < time.monotonic() - begun < 20


@pytest.mark.engine
def test_data_of_another_major_version_is_not_touched(cluster: Cluster) -> None:
    cluster.ensure_running()
    cluster.stop()
    (cluster.cluster_folder / "PG_VERSION").write_text("14\n")
    with pytest.raises(PostgresError, match="PostgreSQL 14 建立，不能用"):
        cluster.ensure_running()
    with pytest.raises(PostgresError, match="made by PostgreSQL 14, but only"):
        Cluster(cluster.data_folder).ensure_running()


def test_data_of_another_system_user_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(folder, durable=False)
    cluster.ensure_running()
    with monkeypatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: 4242)
        with pytest.raises(PostgresError, match="屬於系統使用者"):
            cluster.ensure_running()


def test_a_data_folder_that_cannot_be_written_is_said_plainly(folder: Path) -> None:
    folder.mkdir(mode=0o555)
    assert "PostgresError: 沒有權限使用" in error_for_an_ordinary_user(folder)
    folder.chmod(0o000)
    assert "PostgresError: 沒有權限使用" in error_for_an_ordinary_user(folder)
    folder.chmod(0o755)


def error_for_an_ordinary_user(folder: Path) -> str:
    """The error of ensure_running() in a child that is no longer root (a fork, which needs no readable checkout)."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            if ROOT:
                user = server_users()[0]
                os.setgroups([])
                os.setgid(user.gid)
                os.setuid(user.uid)
            Cluster(folder).ensure_running()
        except BaseException as error:
            os.write(writer, f"{type(error).__name__}: {error}".encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader) as answer:
        return answer.read()


def test_lost_passwords_and_lost_data_are_not_replaced_in_silence(folder: Path) -> None:
    cluster = Cluster(folder, durable=False)
    cluster.ensure_running()
    secret = folder / "postgres.json"

    kept = secret.read_text()
    secret.write_text(kept.replace('"superuser_password": "', '"superuser_password": "not-'))
    with pytest.raises(PostgresError, match="不接受"):
        cluster.ensure_running()
    secret.write_text("{")
    with pytest.raises(PostgresError, match="已損壞"):
        cluster.ensure_running()
    secret.unlink()
    with pytest.raises(PostgresError, match="找不到資料庫的密碼檔"):
        cluster.ensure_running()

    secret.write_text(kept)
    cluster.stop()
    (folder / "postgres").rename(folder / "lost")
    with pytest.raises(PostgresError, match="找不到資料庫的資料夾"):
        cluster.ensure_running()
    (folder / "lost").rename(folder / "postgres")
    cluster.ensure_running()


def test_only_what_we_made_is_removed(folder: Path) -> None:
    (folder / "postgres").mkdir(parents=True)
    (folder / "postgres" / "PG_VERSION").write_text("15\n")
    with pytest.raises(PostgresError, match="沒有刪除"):
        Cluster(folder).remove()
    assert (folder / "postgres" / "PG_VERSION").exists()
    shutil.rmtree(folder / "postgres")

    (folder / "of somebody else").write_text("kept")
    cluster = Cluster(folder, durable=False)
    cluster.ensure_running()
    server = pid_of(cluster)
    cluster.remove()
    assert [path.name for path in folder.iterdir()] == ["of somebody else"]
    assert not is_alive(server)


# --- where it lies, and as whom it runs -----------------------------------------------------------------------------


def test_below_a_closed_folder_the_cluster_lies_where_its_user_can_reach_it(folder: Path) -> None:
    closed = folder.parent / "closed"
    closed.mkdir(mode=0o700)
    cluster = Cluster(closed / "data", durable=False)
    try:
        assert query(cluster.ensure_running().url(), "SELECT 1") == [(1,)]
        known = cluster.status()
        assert known.cluster_folder.is_relative_to(closed) is not ROOT
        assert mode(known.cluster_folder) == 0o700
        assert mode(closed) == 0o700

        cluster.stop()
        assert cluster.ensure_running()
        if ROOT:  # a copy would share the cluster outside
            (closed / "copy").mkdir()
            shutil.copy(closed / "data" / "postgres.json", closed / "copy")
            with pytest.raises(PostgresError, match="moved or copied from"):
                Cluster(closed / "copy").ensure_running()
    finally:
        cluster.remove()
    assert not known.cluster_folder.parent.exists()


def test_programs_in_a_closed_folder_are_copied_not_opened(folder: Path) -> None:
    engine = next(engine for engine in found_engines() if engine.name == "embedded")
    top = engine.bin_dir.parents[2]
    closed = folder.parent / "closed"
    closed.mkdir(mode=0o700)
    for part in (engine.bin_dir.parent, *top.glob(f"{engine.bin_dir.parents[1].name}.libs")):
        shutil.copytree(part, closed / part.relative_to(top), symlinks=True)
    cluster = Cluster(
        folder, Engine("embedded", engine.version_major, closed / engine.bin_dir.relative_to(top), engine.version)
    )
    for _ in range(2):
        assert query(cluster.ensure_running().url(), "SELECT 1") == [(1,)]
        cluster.stop()
    assert len(list(folder.glob("engine-*"))) == ROOT
    assert mode(closed) == 0o700


@pytest.mark.engine
def test_the_server_is_not_root_and_the_secrets_are_ours_alone(safe: Cluster) -> None:
    known = safe.status()
    assert known.running
    assert known.system_user == psutil.Process(known.pid).username() != "root"
    assert mode(safe.data_folder / "postgres.json") == mode(known.log_file) == 0o600
    assert mode(known.cluster_folder) == 0o700
    assert mode(safe.data_folder) == (0o711 if ROOT else 0o700)
    passwords = [word for word in (safe.data_folder / "postgres.json").read_text().split('"') if len(word) == 32]
    assert len(passwords) == 3
    shown = repr(safe.ensure_running()) + repr(known) + known.log_file.read_text()
    assert not any(password in shown for password in passwords)


# --- how it is set --------------------------------------------------------------------------------------------------


@pytest.mark.engine
def test_it_listens_on_loopback_alone_and_asks_for_a_password(safe: Cluster) -> None:
    known, url = safe.status(), safe.ensure_running().url()
    sockets = psutil.Process(known.pid).net_connections(kind="all")
    listening = [s.laddr for s in sockets if s.status == "LISTEN" or s.family == socket.AF_UNIX]
    assert [(address.ip, address.port) for address in listening] == [("127.0.0.1", known.port)]

    assert query(url, "SELECT DISTINCT auth_method FROM pg_hba_file_rules") == [("scram-sha-256",)]
    for wrong in ("postgres", "postgres:wrong"):
        with pytest.raises(psycopg.OperationalError, match="password"):
            query(f"postgresql://{wrong}@127.0.0.1:{known.port}/postgres", "SELECT 1")


@pytest.mark.engine
def test_it_is_safe_and_set_as_promised(safe: Cluster) -> None:
    expected = {
        "data_checksums": "on",
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "server_encoding": "UTF8",
        "TimeZone": "UTC",
        "max_connections": "100",
        "wal_level": "replica",
        "log_statement": "none",
    }
    url = safe.ensure_running().url()
    assert {name: query(url, f"SHOW {name}")[0][0] for name in expected} == expected
    assert query(url, "SELECT DISTINCT datcollate, datctype FROM pg_database") == [("C", "C")]


@pytest.mark.engine
def test_the_log_holds_no_value_of_a_failed_statement(safe: Cluster) -> None:
    app, owner = safe.ensure_database()
    query(owner, "CREATE TABLE person (number text PRIMARY KEY); GRANT ALL ON person TO quitledger_app")
    try:
        query(app, "INSERT INTO person VALUES ('A100000001')")
        with pytest.raises(psycopg.errors.UniqueViolation):
            query(app, "INSERT INTO person VALUES ('A100000001')")
        with pytest.raises(psycopg.errors.InvalidTextRepresentation):
            query(app, "SELECT 'A100000001'::integer")
    finally:
        query(owner, "DROP TABLE person")
    assert "A100000001" not in safe.log_file.read_text()


def test_the_operators_own_settings_come_last(folder: Path) -> None:
    cluster = Cluster(folder, durable=False, settings={"shared_buffers": "32MB"})
    url = cluster.ensure_running().url()
    assert query(url, "SHOW shared_buffers") == [("32MB",)]
    cluster.stop()
    local = cluster.cluster_folder / "local.conf"
    local.write_text("shared_buffers = 64MB\n")
    local.chmod(0o644)
    assert query(cluster.ensure_running().url(), "SHOW shared_buffers") == [("64MB",)]


# --- roles and databases --------------------------------------------------------------------------------------------


@pytest.mark.engine
def test_the_application_owns_nothing_and_cannot_create(safe: Cluster) -> None:
    app, owner = safe.ensure_database()
    owned = """
        SELECT relname FROM pg_class WHERE relowner = 'quitledger_app'::regrole
        UNION SELECT nspname FROM pg_namespace WHERE nspowner = 'quitledger_app'::regrole
        UNION SELECT datname FROM pg_database WHERE datdba = 'quitledger_app'::regrole
    """
    assert query(owner, owned) == []
    for refused in ("CREATE TABLE t ()", "CREATE SCHEMA s", "CREATE EXTENSION pg_trgm", "CREATE ROLE r"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            query(app, refused)
    query(app, "CREATE TEMPORARY TABLE t ()")
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        query(app.removesuffix("quitledger") + "postgres", "SELECT 1")
    limits = "SELECT current_setting('statement_timeout'), current_setting('lock_timeout'), \
        current_setting('idle_in_transaction_session_timeout')"
    assert query(app, limits) == [("30s", "10s", "1min")]


@pytest.mark.engine
def test_the_owner_owns_the_database_and_may_create_what_migrations_need(safe: Cluster) -> None:
    _, owner = safe.ensure_database()
    facts = "SELECT rolsuper, rolcreatedb, rolcreaterole, rolbypassrls FROM pg_roles WHERE rolname = current_user"
    assert query(owner, facts) == [(False, False, False, False)]
    assert query(
        owner, "SELECT datdba = current_user::regrole FROM pg_database WHERE datname = current_database()"
    ) == [(True,)]
    query(owner, "CREATE EXTENSION btree_gist; CREATE EXTENSION pg_trgm; CREATE SCHEMA s; CREATE TABLE t (n integer)")
    query(owner, "DROP EXTENSION btree_gist; DROP EXTENSION pg_trgm; DROP SCHEMA s; DROP TABLE t")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        query(owner, "CREATE DATABASE another")


@pytest.mark.engine
def test_a_database_is_copied_from_a_template_with_the_same_rights(safe: Cluster) -> None:
    template = safe.create_database("template-測試")
    query(template.owner_url, "CREATE TABLE kept AS SELECT 7 AS n; GRANT SELECT ON kept TO quitledger_app")
    copy = safe.create_database("copy", template="template-測試")
    assert query(copy.app_url, "SELECT n FROM kept") == [(7,)]
    rights = "SELECT datacl::text FROM pg_database WHERE datname IN ('copy', 'template-測試')"
    assert len(set(query(copy.app_url, rights))) == 1
    with pytest.raises(PostgresError, match="already exists"):
        safe.create_database("copy")
    with psycopg.connect(copy.app_url):  # ended, not waited for
        safe.drop_database("copy")
    safe.drop_database("copy")
    safe.drop_database("template-測試")
    with pytest.raises(PostgresError, match="屬於 PostgreSQL 本身"):
        safe.drop_database("template1")


# --- finding engines ------------------------------------------------------------------------------------------------


def test_engines_are_found_in_order_of_preference(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QUITLEDGER_POSTGRES_BIN", raising=False)
    usual = found_engines()
    assert usual[0].name == "embedded"
    system = [engine.version_major for engine in usual if engine.name == "system"]
    assert system == sorted(system, reverse=True)

    mine = imitation(folder.parent / "mine", usual[0], postgres="echo 'postgres (PostgreSQL) 17.4'")
    monkeypatch.setenv("QUITLEDGER_POSTGRES_BIN", str(mine.bin_dir))
    assert found_engines() == [Engine("setting", 17, mine.bin_dir, "17.4"), *usual]


@pytest.mark.parametrize("answer", ["echo 'postgres (PostgreSQL) 14.9'", "exit 1", "echo hello"])
def test_a_setting_without_a_usable_engine_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    bad = imitation(folder.parent / "bad", found_engines()[0], postgres=answer)
    monkeypatch.setenv("QUITLEDGER_POSTGRES_BIN", str(bad.bin_dir))
    with pytest.raises(PostgresError, match="QUITLEDGER_POSTGRES_BIN 所指的"):
        Cluster(folder).ensure_running()


def test_a_machine_without_postgresql_is_told_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "_candidates", lambda: iter(()))
    with pytest.raises(PostgresError, match="No PostgreSQL was found on this machine; install"):
        Cluster(folder).ensure_running()


# --- the command ----------------------------------------------------------------------------------------------------


def test_the_command_starts_tells_and_stops(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUITLEDGER_DATA", str(folder))
    for name in ("DATABASE_URL", "DATABASE_OWNER_URL"):
        monkeypatch.delenv(name, raising=False)

    def run(*words: str) -> tuple[int, str]:
        outcome = CliRunner().invoke(database_command.db, words)
        return outcome.exit_code, outcome.output

    assert run("status")[0] == 3
    assert not folder.exists()
    code, told = run("start")
    assert code == 0
    assert "執行中 running" in told
    assert run("status") == (0, told)
    assert query(run("url")[1].strip(), "SELECT current_user") == [("quitledger_app",)]
    assert query(run("url", "--owner")[1].strip(), "SELECT current_user") == [("quitledger_owner",)]
    assert "未執行 not running" in run("stop")[1]
    assert run("status")[0] == 3

    monkeypatch.setenv("DATABASE_URL", "postgresql://elsewhere/quitledger")
    assert run("url") == (0, "postgresql://elsewhere/quitledger\n")


def test_the_data_folder_is_set_or_beside_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUITLEDGER_DATA", "/somewhere/else")
    assert data_folder() == Path("/somewhere/else")
    monkeypatch.delenv("QUITLEDGER_DATA")
    assert data_folder() == CHECKOUT / ".data"
