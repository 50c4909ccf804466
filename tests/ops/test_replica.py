"""Replicas: one database with the made-up world, followed, killed and replaced; real clusters in folders of their own."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest
from click.testing import CliRunner, Result
from django.db import connections

from quitledger.accounts.scope import scoped
from quitledger.audit.checkpoints import make_checkpoint
from quitledger.audit.signing import create_signing_key, load_signer
from quitledger.ops import replication
from quitledger.ops.command import main
from quitledger.ops.database import migrate
from quitledger.ops.postgres import APPLICATION, Cluster, DatabaseUrls, Engine
from quitledger.ops.server import tell_waiting
from quitledger.visits import rules
from quitledger.visits.services import record_visit

from .. import sql, world
from ..conftest import connect_django
from ..folders import new_folder
from ..killing import acknowledged_until, kill, whole_visits
from .commands import PATIENCE, assert_told, eventually, quitledger
from .runs import processes
from .test_server import environment

ENOUGH = 30  # visits acknowledged before the primary is killed


def cluster_in(data: Path, engine: Engine | None = None) -> Cluster:
    """Not safe from a power cut, but from being killed: what is committed is with the operating system."""
    return Cluster(data, engine, durable=False, settings={"synchronous_commit": "on"})


@pytest.fixture(scope="module")
def top() -> Iterator[Path]:
    """A folder that the database's own user can pass through, for several machines."""
    folder = new_folder()
    yield folder
    connections.close_all()
    for data in folder.glob("*/postgres.json"):
        Cluster(data.parent).remove()
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def made(top: Path) -> Cluster:
    """The primary of all tests here, with the world in it."""
    cluster = cluster_in(top / "primary")
    urls = cluster.ensure_database()
    connect_django(urls.owner_url)
    migrate(app_url=urls.app_url, purpose="test")
    world.set_clock()
    with scoped(world.SYSTEM):
        world.build()
    connections.close_all()
    shutil.copy(os.environ["QUITLEDGER_KEYS_FILE"], top / "primary" / "keys.json")
    return cluster


def is_alive(cluster: Cluster) -> bool:
    return cluster.status().running and cluster.is_replica


@pytest.fixture
def primary(made: Cluster, top: Path) -> Cluster:
    """The primary, running again whatever became of it, waiting for nobody; Django is its application."""
    made.reinstate()
    made.wait_for(None)
    connect_django(made.ensure_database().app_url)
    for standby in replication.standbys(made):
        if not (standby.name == "reports" and is_alive(Cluster(top / "replica"))):
            eventually(lambda name=standby.name: not follows(made, name))
            replication.forget(made, standby.name)
    return made


def follows(primary: Cluster, name: str) -> bool:
    return any(standby.streaming for standby in replication.standbys(primary) if standby.name == name)


def has_everything(primary: Cluster) -> bool:
    return [standby.lag_bytes for standby in replication.standbys(primary)] == [0]


@pytest.fixture
def replica(primary: Cluster, top: Path) -> Cluster:
    """A replica that follows: the last test's where it still is one, else a new one."""
    cluster = cluster_in(top / "replica")
    if not is_alive(cluster):
        if (cluster.data_folder / "postgres.json").exists():
            cluster.remove()
        replication.join(cluster, replication.invite(primary, "reports"))
    eventually(lambda: follows(primary, "reports"))
    return cluster


def here(cluster: Cluster) -> dict[str, str]:
    return environment(cluster.data_folder)


def command(cluster: Cluster, *words: str) -> Result:
    """The outcome of a command that needs no Django, in this process."""
    return CliRunner().invoke(main, words, env=here(cluster))


def done(cluster: Cluster, *words: str) -> str:
    outcome = command(cluster, *words)
    assert outcome.exit_code == 0, outcome.output
    return outcome.stdout


def refused(cluster: Cluster, *words: str) -> str:
    outcome = command(cluster, *words)
    assert outcome.exit_code == 1, outcome.output
    return outcome.output


def done_apart(cluster: Cluster, *words: str) -> str:
    """What a command of another process said."""
    outcome = quitledger(*words, **here(cluster))
    assert outcome.returncode == 0, outcome
    return outcome.stdout


class Run:
    """A `quitledger replica run` in a data folder, and what it said."""

    def __init__(self, data: Path, *words: str) -> None:
        self.log = data.parent / f"{data.name}.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "quitledger.ops.command", "replica", "run", *words],
                env=os.environ | environment(data), stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            )  # fmt: skip

    def said(self) -> str:
        return self.log.read_text()

    def says(self, words: str) -> None:
        eventually(lambda: words in self.said(), self.said)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


@pytest.fixture
def run(top: Path) -> Iterator[Callable[..., Run]]:
    """Starts `quitledger replica run`; it is ended at the latest with the test, its data folder removed."""
    running: list[tuple[Run, Path]] = []

    def start(data: Path, *words: str) -> Run:
        running.append((Run(data, *words), data))
        return running[-1][0]

    yield start
    for process, _ in running:
        if process.process.poll() is None:
            process.stop()
    for data in {data for _, data in running if data.name not in ("primary", "replica")}:
        Cluster(data).remove()


def checkpoint(cluster: Cluster) -> None:
    """A checkpoint, as `quitledger audit checkpoint` makes it."""
    key = cluster.data_folder / "checkpoint-key.pem"
    if not key.exists():
        create_signing_key(key)
    urls = cluster.ensure_database()
    connect_django(urls.owner_url)
    make_checkpoint(load_signer(key), cluster.data_folder / "anchor.txt")
    connect_django(urls.app_url)


# --- The drill: the primary is lost under load ---------------------------------------------------------------------


def lost(acknowledged: list[UUID], urls: DatabaseUrls) -> set[UUID]:
    """What was acknowledged and is not there; what is there is whole."""
    return set(acknowledged) - whole_visits(urls.owner_url)


def test_a_synchronous_replica_has_every_acknowledged_visit_when_the_primary_is_lost(primary, replica):
    replication.wait_for(primary, "reports")
    acknowledged = acknowledged_until(lambda: kill(primary), enough=ENOUGH)
    assert replication.promote(replica).timeline == 2
    assert lost(acknowledged, replica.ensure_database()) == set()


def test_what_an_asynchronous_replica_has_is_whole_when_the_primary_is_lost(primary, replica, capsys):
    acknowledged = acknowledged_until(lambda: kill(primary), enough=ENOUGH)
    replication.promote(replica)
    missing = lost(acknowledged, replica.ensure_database())
    with capsys.disabled():
        print(f" [asynchronous: {len(missing)} of {len(acknowledged)} acknowledged visits lost] ", end="")
    assert len(missing) < len(acknowledged), "it did follow"


def test_visits_that_the_replica_never_got_are_counted_as_lost_and_the_anchor_knows_of_them(primary, replica, top):
    checkpoint(primary)
    eventually(lambda: has_everything(primary))
    replica.stop()
    acknowledged = acknowledged_until(lambda: refuse_clients(primary), enough=5)
    with psycopg.connect(primary.ensure_running().url(), autocommit=True) as superuser:
        superuser.execute(f"ALTER ROLE {APPLICATION} LOGIN")
    checkpoint(primary)
    kill(primary)
    for name in ("keys.json", "checkpoint-key.pem", "anchor.txt"):
        shutil.copy(primary.data_folder / name, replica.data_folder)
    said = done_apart(replica, "replica", "promote")
    assert "時間線 2" in said
    assert "舊的主資料庫已標明不再啟動" in said
    assert "需要的金鑰都在" in said
    assert lost(acknowledged, replica.ensure_database()) == set(acknowledged)

    assert_told(quitledger("audit", "verify", **here(replica)), "資料庫少了檢核點")
    assert "已載明還原：1 個檢核點" in done_apart(replica, "audit", "continue", "--reason", "主機毀損")
    assert "新檢核點 1 個" in done_apart(replica, "audit", "checkpoint")
    verified = done_apart(replica, "audit", "verify")
    assert "主機毀損" in verified
    assert "沒有發現竄改" in verified
    with psycopg.connect(replica.ensure_database().owner_url) as owner:
        assert sql.one(owner, "SELECT count(*) FROM audit_journal WHERE action = 'database.promote'") == 1

    for words in (("db", "start"), ("run",)):
        assert "已由複本 reports 接替" in refused(primary, *words)
    assert "沒有資料庫" in refused(Cluster(top / "nowhere"), "replica", "asynchronous")
    assert "可以再啟動" in done(primary, "replica", "retire", "--undo")
    assert lost(acknowledged, primary.ensure_database()) == set(), "the old one has them still"


def refuse_clients(primary: Cluster) -> None:
    """Let every client of the application go, and none come, without losing the server."""
    with psycopg.connect(primary.ensure_running().url(), autocommit=True) as superuser:
        superuser.execute(f"ALTER ROLE {APPLICATION} NOLOGIN")
        ending = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = %s"
        superuser.execute(ending, [APPLICATION])


# --- Commands --------------------------------------------------------------------------------------------------------


def test_a_replica_is_started_looked_at_and_promoted_by_commands(primary, top, run):
    data = top / "second"
    following = run(data, "--of", str(primary.data_folder), "--name", "second", "--synchronous")
    following.says("每筆寫入都等這個複本")
    replica = Cluster(data)

    seen = json.loads(done(primary, "replica", "status", "--json"))
    standby = next(one for one in seen["replicas"] if one["name"] == "second")
    assert (seen["waits_for"], seen["waiting"]) == ("second", None)
    assert standby["streaming"]
    assert standby["waited_for"]
    assert "second\t接收中 follows\t同步 synchronous" in done(primary, "replica", "status")
    own = json.loads(done(replica, "replica", "status", "--json"))
    assert (own["role"], own["streaming"], own["lag_bytes"]) == ("replica", True, 0)
    assert [Path(path).name for path in own["lacking"]] == ["keys.json", "checkpoint-key.pem", "anchor.txt"]

    assert "唯讀的複本" in done(replica, "db", "status")
    assert "主資料庫還在回應" in refused(replica, "replica", "promote")
    assert "複本已在執行" in refused(replica, "replica", "run")
    done(primary, "replica", "retire", "--for", "second")
    assert "已由複本 second 接替" in refused(primary, "db", "start")
    assert "已由 second 接替" in command(primary, "db", "status").stdout
    said = done_apart(replica, "replica", "promote")
    assert f"缺 {data}/keys.json" in said
    following.says("複本已升為主資料庫")
    assert following.process.wait(PATIENCE) == 0
    with psycopg.connect(replica.ensure_database().app_url) as app:
        assert sql.one(app, "SELECT pg_is_in_recovery()") is False
        assert sql.one(app, "SHOW synchronous_standby_names") == "", "what the primary waited for is not inherited"
    assert "這裡沒有複本" in refused(replica, "replica", "promote")
    # A retired primary is not overwritten without being told to.
    assert "--anew" in refused(primary, "replica", "run", "--of", str(data))
    assert "說明主資料庫在哪裡" in refused(primary, "replica", "run", "--anew")
    assert "沒有資料庫" in refused(primary, "replica", "run", "--anew", "--of", str(top))
    assert primary.status().version, "nothing was removed"


def test_when_the_replica_that_is_waited_for_dies_writes_stop_until_told_not_to_wait(primary, replica):
    assert "每筆寫入都等複本 reports" in done(primary, "replica", "synchronous", "reports")
    kill(replica)
    eventually(lambda: not follows(primary, "reports"))
    told: list[str] = []

    def write() -> None:
        with psycopg.connect(primary.urls().app_url) as app:
            sql.set_scope(app, 0)
            app.execute("INSERT INTO audit_journal (action) VALUES ('test.waits')")
        told.append("acknowledged")

    writing = threading.Thread(target=write)
    writing.start()
    eventually(lambda: replication.waiting_commits(primary) == 1)
    seen = command(primary, "replica", "status")
    assert seen.exit_code == 3
    assert "寫入停住：要等的複本 reports 沒有在接收，1 筆在等" in seen.stdout
    assert told == []

    assert "寫入不等複本" in done(primary, "replica", "asynchronous")
    writing.join(PATIENCE)
    assert told == ["acknowledged"]
    assert "沒有在接收" in refused(primary, "replica", "synchronous", "reports")
    assert "不再保留" in done(primary, "replica", "forget", "reports")
    assert "沒有複本 reports" in refused(primary, "replica", "forget", "reports")


def test_the_site_says_that_writes_wait_for_a_replica(primary, replica, capsys):
    assert tell_waiting(primary) is False
    replication.wait_for(primary, "reports")
    assert tell_waiting(primary) is False
    replica.stop()
    eventually(lambda: not follows(primary, "reports"))
    assert tell_waiting(primary)
    assert tell_waiting(primary, said=True), "said once"
    replication.wait_for(primary, None)
    assert tell_waiting(primary, said=True) is False
    assert capsys.readouterr().err.count("寫入") == 2


def test_a_replica_that_was_away_too_long_does_not_fill_the_primarys_disk(primary, replica):
    replica.stop()
    with psycopg.connect(primary.ensure_running().url(), autocommit=True) as superuser:
        assert sql.one(superuser, "SHOW max_slot_wal_keep_size") == "4GB"
        superuser.execute("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'")
        superuser.execute("SELECT pg_reload_conf()")
        try:
            for _ in range(3):
                superuser.execute("SELECT pg_logical_emit_message(false, 'test', repeat('x', 1000))")
                superuser.execute("SELECT pg_switch_wal()")
            superuser.execute("CHECKPOINT")
            seen = command(primary, "replica", "status")
        finally:
            superuser.execute("ALTER SYSTEM RESET max_slot_wal_keep_size")
            superuser.execute("SELECT pg_reload_conf()")
    assert seen.exit_code == 3
    assert "複本 reports 離開太久" in seen.stdout
    assert "不再保留" in done(primary, "replica", "forget", "reports")
    replica.remove()


@pytest.mark.engine
def test_on_every_postgresql_a_replica_follows_and_takes_over(folder, engine):
    primary, replica = cluster_in(folder, engine), cluster_in(folder.with_name("replica"), engine)
    with psycopg.connect(primary.ensure_database().owner_url, autocommit=True) as owner:
        owner.execute("CREATE TABLE kept (n integer)")
        try:
            replication.join(replica, replication.invite(primary, "one"))
            eventually(lambda: follows(primary, "one"))
            replication.wait_for(primary, "one")
            owner.execute("INSERT INTO kept VALUES (41)")
            kill(primary)
            eventually(lambda: not replication.primary_answers(replica))
            assert replication.promote(replica).fenced
            with psycopg.connect(replica.ensure_database().owner_url) as successor:
                successor.execute("INSERT INTO kept VALUES (42)")
                assert successor.execute("SELECT n FROM kept ORDER BY n").fetchall() == [(41,), (42,)]
        finally:
            replica.remove()


# --- What a replica gives away ---------------------------------------------------------------------------------------


def test_nobody_reads_people_at_a_replica_but_counts_are_printed(primary, replica):
    url = replica.urls()
    with pytest.raises(psycopg.OperationalError, match="no pg_hba.conf entry"):
        psycopg.connect(url.app_url)
    with (
        psycopg.connect(url.owner_url) as owner,
        pytest.raises(psycopg.errors.ReadOnlySqlTransaction),
    ):
        owner.execute("INSERT INTO audit_journal (action) VALUES ('test')")
    for words in (("db", "url"), ("db", "start"), ("run",)):
        assert "唯讀的複本" in refused(replica, *words)
    assert_told(quitledger("accounts", "list", **here(replica)), "唯讀的複本")

    recorder = world.actor("recorder")
    with scoped(recorder):
        given = rules.Counselling(world.staff("示範子").uid)
        record_visit(case=world.case(), entry=rules.Entry(uuid4(), world.TODAY, counselling=given), by=recorder)
    eventually(lambda: has_everything(primary))
    lines = done_apart(replica, "replica", "report", "--first", "114/3/15", "--last", "114/4/1").splitlines()
    assert [line.split("\t")[0] for line in lines[1:]] == ["114/03", "114/04"]
    assert lines[2] == "114/04\t1\t1\t0\t0\t0\t1"


def test_row_level_security_holds_at_a_replica_too(primary, replica):
    with psycopg.connect(replica.ensure_running().url("quitledger")) as connection:
        connection.execute(f"SET ROLE {APPLICATION}")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="no scope was set"):
            connection.execute("SELECT FROM cases_case")
        connection.rollback()
        connection.execute(f"SET ROLE {APPLICATION}")
        for code in (world.CLINIC, world.PHARMACY):
            institution = sql.one(
                connection, "SELECT institution_id FROM institutions_institutiondetails WHERE code = %s", [code]
            )
            sql.set_scope(connection, institution)
            seen = connection.execute("SELECT DISTINCT institution_id FROM cases_case").fetchall()
            assert seen == [(institution,)]


def test_the_ledger_is_verified_at_a_replica_as_well(primary, replica):
    checkpoint(primary)
    for name in ("checkpoint-key.pem", "anchor.txt"):
        shutil.copy(primary.data_folder / name, replica.data_folder)
    eventually(lambda: has_everything(primary))
    assert "沒有發現竄改" in done_apart(replica, "audit", "verify")


# --- Another machine -------------------------------------------------------------------------------------------------


def test_a_replica_of_another_machine_comes_by_invitation(primary, top, run):
    file = top / "invitation"
    done(primary, "replica", "invite", "far", str(file))
    assert file.stat().st_mode & 0o777 == 0o600
    assert "沒有覆寫" in refused(primary, "replica", "invite", "far", str(file))
    assert "小寫字母" in refused(primary, "replica", "invite", "Far!", str(top / "x"))
    password = json.loads(file.read_text())["passwords"]["replication_password"]
    port = primary.status().port

    data = top / "far"
    assert "複製失敗" in refused(Cluster(data), "replica", "run", "--invitation", str(file), "--at", "127.0.0.1:1")
    assert not (data / "postgres.json").exists(), "nothing is left of what did not come"
    following = run(data, "--invitation", str(file), "--at", f"127.0.0.1:{port}")
    following.says(f"複本 far 正在接收 127.0.0.1:{port} 的變動")
    replica = Cluster(data)
    assert replica.source.data_folder is None
    listing = "".join(command for _, _, command in processes())
    assert password not in listing + (replica.cluster_folder / "quitledger.conf").read_text() + following.said()
    assert (replica.cluster_folder / "replica.pgpass").stat().st_mode & 0o777 == 0o600

    for database in ("quitledger", "postgres", "template1"):
        with pytest.raises(psycopg.OperationalError, match="permission denied"):
            psycopg.connect(f"postgresql://quitledger_replica:{password}@127.0.0.1:{port}/{database}")
    with psycopg.connect(primary.ensure_running().url()) as superuser:
        rights = "rolreplication, rolsuper, rolcreatedb, rolcreaterole, rolbypassrls"
        row = superuser.execute(f"SELECT {rights} FROM pg_roles WHERE rolname = 'quitledger_replica'").fetchone()
    assert row == (True, False, False, False, False)

    kill(primary)
    following.says("連不到")
    assert command(replica, "replica", "status").exit_code == 3
    assert "它若回來" in done_apart(replica, "replica", "promote")
    assert not (replica.cluster_folder / "replica.pgpass").exists()
    assert primary.ensure_database(), "of another machine nothing is known here"


def test_a_retired_primary_becomes_a_replica_of_its_successor(primary, replica, top, run):
    replication.promote(replica)
    next_one = cluster_in(top / "next")
    replication.join(next_one, replication.invite(replica, "next"))
    done(replica, "replica", "retire")
    replication.promote(next_one)
    returning = run(replica.data_folder, "--of", str(next_one.data_folder), "--name", "old", "--anew")
    returning.says("正在接收")
    assert follows(next_one, "old")
    assert returning.stop() == 0
    assert not replica.status().running
    assert replica.is_replica
