"""`quitledger run` as a whole: real processes in a data folder of their own."""

import gc
import http.client
import json
import os
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from threading import Event

import psycopg
import pytest
from django.db import OperationalError

from quitledger.ops import server
from quitledger.ops.faults import Fault
from quitledger.ops.postgres import Cluster, DatabaseUrls, PostgresError

from ..folders import new_folder
from .commands import PATIENCE, assert_told, eventually, quitledger
from .runs import Run, environment, free_port, is_alive


class Kept:
    """The data folder of all tests here (making the database takes longest), and the site that was left running there."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.site: Run | None = None

    def stop(self) -> None:
        if self.site and self.site.process.poll() is None:
            self.site.stop()
        self.site = None


@pytest.fixture(scope="module")
def kept() -> Iterator[Kept]:
    top = new_folder()
    keeps = Kept(top / "data")
    yield keeps
    keeps.stop()
    if (keeps.data / "postgres.json").exists():
        Cluster(keeps.data).remove()
    shutil.rmtree(top)


@pytest.fixture
def data(kept: Kept) -> Path:
    """The data folder, where nobody serves."""
    kept.stop()
    return kept.data


@pytest.fixture
def new_run(kept: Kept, data: Path) -> Run:
    """A site that has just been started and answers."""
    kept.site = Run(data, free_port())
    eventually(kept.site.serves, kept.site.said, 3 * PATIENCE)  # the first one makes the database
    return kept.site


@pytest.fixture
def run(kept: Kept, request: pytest.FixtureRequest) -> Run:
    """A site that answers: the one that the test before left as it should be, else a new one. It says what it says from now on."""
    site = kept.site
    if not site or site.process.poll() is not None:
        return request.getfixturevalue("new_run")
    eventually(lambda: site.children().keys() == {"web", "worker", "web-worker", "keep"} and site.answers(), site.said)
    site.begin = len(site.log.read_text())
    return site


# Those that leave the site running come one after the other: each start takes seconds.


def test_one_process_starts_everything_and_leaves_nothing_behind(new_run):
    run = new_run
    assert f"http://localhost:{run.port}/" in run.said()
    children = run.children()
    assert set(children) == {"web", "worker", "web-worker", "keep"}
    assert Cluster(run.data).status().running
    assert run.stop() == 0
    assert not any(is_alive(pid) for pid in children.values())
    assert not Cluster(run.data).status().running
    assert "Traceback" not in run.said()


def test_the_static_files_are_served_with_names_that_change_with_their_contents(run):
    connection = http.client.HTTPConnection("127.0.0.1", run.port, timeout=5)
    names = [path for path in (run.data / "static").rglob("*.css") if len(path.suffixes) > 1]
    assert names
    connection.request("GET", f"/static/{names[0].relative_to(run.data / 'static')}")
    answer = connection.getresponse()
    assert answer.status == 200
    assert answer.read() == names[0].read_bytes()


def test_the_children_know_the_application_role_alone(run):
    web = Path(f"/proc/{run.children()['web']}/environ")
    if web.exists():  # Linux
        assert b"quitledger_app" in web.read_bytes()
        assert b"DATABASE_OWNER_URL" not in web.read_bytes()


def test_the_worker_does_its_jobs_as_the_application_role(run):
    with psycopg.connect(Cluster(run.data).ensure_database().app_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO accounts_session (session_key, session_data, expire_date) VALUES ('ended', '', '2020-01-01'), ('lasting', '', '2099-01-01')"
        )
        connection.execute(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, args)"
            """ VALUES ('default', 'quitledger:clear_expired', '{"timestamp": 0}')"""
        )

        def sessions() -> list[tuple[str]]:
            return connection.execute("SELECT session_key FROM accounts_session").fetchall()

        eventually(lambda: sessions() == [("lasting",)], run.said)


def test_a_second_one_in_the_same_folder_is_told_where_the_first_one_is(run):
    outcome = quitledger("run", **environment(run.data))
    assert_told(outcome, f"http://localhost:{run.port}/")
    assert run.answers()


@pytest.mark.parametrize("which", ["web", "web-worker", "worker", "keep"])
def test_a_child_that_was_killed_is_started_again(which, run):
    before = run.children()
    os.kill(before[which], signal.SIGKILL)
    eventually(lambda: run.children().get(which, before[which]) != before[which], run.said)
    eventually(run.answers, run.said)
    assert ("重新啟動" in run.said()) == (which != "web-worker"), "the web server sees to its own"
    if which == "web":
        eventually(lambda: not is_alive(before["web-worker"]), run.said)


def test_a_database_that_was_killed_is_started_again(run):
    os.kill(Cluster(run.data).status().pid, signal.SIGKILL)
    eventually(lambda: "資料庫已停止" in run.said(), run.said)
    eventually(lambda: Cluster(run.data).status().running, run.said)
    eventually(run.answers, run.said)


def test_after_run_itself_was_killed_nothing_serves_and_the_next_one_recovers(run):
    children = run.children()
    run.process.kill()
    run.process.wait()
    eventually(lambda: not any(is_alive(pid) for pid in children.values()), run.said)
    assert not run.answers()
    again = Run(run.data, run.port)
    eventually(again.serves, again.said)
    assert again.stop() == 0
    assert not Cluster(run.data).status().running, "the database that the killed one had started is stopped, too"


def test_the_next_one_waits_for_the_port_that_a_killed_one_still_holds(run, kept):
    run.process.kill()
    run.process.wait()
    kept.site = again = Run(run.data, run.port)
    eventually(again.serves, again.said)


def test_the_last_checkpoint_covers_everything_that_was_written(run):
    data = run.data
    with psycopg.connect(Cluster(data).ensure_database().app_url) as connection:
        connection.execute("SELECT set_config('quitledger.scope', '0', true)")
        connection.execute("INSERT INTO audit_journal (action) VALUES ('test.read')")
    assert run.stop() == 0
    outcome = quitledger("audit", "verify", "--json", **environment(data))
    assert outcome.returncode == 0, outcome
    report = json.loads(outcome.stdout)
    assert report["rows"] > 0
    assert report["not_covered"] == {}
    Cluster(data).stop()


def test_a_run_whose_database_is_killed_while_it_sets_up_tries_again(data):
    owner_url = Cluster(data).ensure_database().owner_url
    others = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    with psycopg.connect(owner_url, autocommit=True) as owner:
        running = Run(data, free_port())
        found = []
        eventually(lambda: found.extend(owner.execute(others)) or found, running.said)
        os.kill(found[0][0], signal.SIGKILL)
    eventually(running.serves, running.said)
    assert "再試一次" in running.said()
    assert running.stop() == 0


@pytest.mark.parametrize(
    ("refusal", "passes"),
    [
        (None, True),  # the connection was lost
        (psycopg.errors.AdminShutdown(), True),
        (psycopg.errors.CannotConnectNow(), True),
        (psycopg.errors.DiskFull(), False),
        (psycopg.errors.LockNotAvailable(), False),
    ],
)
def test_what_the_database_refuses_in_set_up_is_not_tried_again(refusal, passes, monkeypatch, capsys):
    tries = []

    def set_up(with_demo, today):
        tries.append(1)
        if len(tries) < 3:
            raise OperationalError("示範") from refusal

    monkeypatch.setattr(server, "_set_up", set_up)
    monkeypatch.setattr(server, "_pause", lambda failures: 0.0)
    monkeypatch.setenv("QUITLEDGER_EMBEDDED", "1")
    with nullcontext() if passes else pytest.raises(OperationalError):
        server._set_up_at_last(False, None)
    assert len(tries) == (3 if passes else 1)


def test_a_database_that_ran_before_is_left_running(data):
    assert quitledger("db", "start", **environment(data)).returncode == 0
    running = Run(data, free_port())
    eventually(running.serves, running.said)
    running.stop()
    assert Cluster(data).status().running
    Cluster(data).stop()


def test_a_port_that_is_taken_is_not_shared(data):
    with socket.socket() as other:
        # As the web server listens: without our asking first, both would.
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        assert_told(quitledger("run", "--port", port, **environment(data)), port)


def test_another_port_is_chosen_where_the_usual_one_is_taken(monkeypatch):
    class Fresh:
        left_over: dict = {}

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        monkeypatch.setattr(server, "PORT", other.getsockname()[1])
        assert server._port("127.0.0.1", None, Fresh()) not in (0, server.PORT)


def test_a_host_that_is_not_ours_is_told(data):
    assert_told(quitledger("run", "--host", "192.0.2.1", "--port", "8123", **environment(data)), "192.0.2.1")


def test_a_demo_database_is_served_on_this_machine_only_unless_told_to(committed, keep_purpose, tmp_path):
    keep_purpose(committed.cluster, committed.name, "demo")
    shutil.copy(os.environ["QUITLEDGER_KEYS_FILE"], tmp_path / "keys.json")
    here = environment(tmp_path) | {"DATABASE_URL": committed.app_url, "DATABASE_OWNER_URL": committed.owner_url}
    assert_told(quitledger("run", "--host", "0.0.0.0", **here), "--public-demo")


def test_a_machine_without_the_owners_url_refuses_a_database_that_is_not_migrated(empty_database, tmp_path):
    outcome = quitledger("run", **environment(tmp_path) | {"DATABASE_URL": empty_database().app_url})
    assert_told(outcome, "quitledger db migrate")


@pytest.fixture
def site(monkeypatch, tmp_path) -> server.Site:
    """A site whose children end with code 7 as soon as they are started, and whose database is somebody else's."""
    monkeypatch.setenv("QUITLEDGER_DATA", str(tmp_path))
    monkeypatch.setattr(server, "LONGEST_PAUSE", 0.0)
    site = server.Site("127.0.0.1", 1, 1, Event())
    site.cluster = None
    for child in site.children:
        child.command = [sys.executable, "-c", "raise SystemExit(7)"]
    site.start()
    return site


def _deaths(site: server.Site, number: int) -> None:
    for _ in range(number):
        for child in site.children:
            child.process.wait()
        site.look()


def test_a_child_that_will_not_live_is_given_up_where_the_site_has_never_answered(site):
    _deaths(site, server.MOST_QUICK_DEATHS - 1)
    with pytest.raises(Fault, match="7"):
        _deaths(site, 1)


def test_a_site_that_has_answered_is_kept_alive_however_often_its_children_are_killed(site):
    site.has_answered = True
    _deaths(site, 3 * server.MOST_QUICK_DEATHS)
    assert all(child.process for child in site.children)


def test_what_keeps_ending_is_started_again_after_a_pause_that_grows_and_hinders_nobody_else(site, monkeypatch):
    monkeypatch.setattr(server, "LONGEST_PAUSE", 5.0)
    ending, living = site.children
    living.command = [sys.executable, "-c", "import time; time.sleep(60)"]
    _deaths(site, 1)
    assert ending.process is None
    assert not ending.is_due()
    pauses = [server._pause(failures) for failures in range(20)]
    assert pauses == sorted(pauses)
    assert pauses[0] == 0
    assert pauses[-1] == 5.0
    ending.next_start = living.next_start = 0.0
    site.look()
    assert ending.process
    assert living.process.poll() is None
    living.process.kill()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_being_asked_to_stop_is_heard_even_where_python_lets_no_exception_through(site):
    class Swallows:
        def __del__(self):
            os.kill(os.getpid(), signal.SIGTERM)

    with server.stoppable() as asked:
        site.asked = asked
        Swallows()
        gc.collect()
        with pytest.raises(server.Stopped):
            site.look()


def test_a_database_that_is_killed_while_it_starts_is_started_again_later(site, monkeypatch, capsys):
    class Killed:
        """Refuses to start as often as it is told to."""

        left = 2
        waits_for = None  # no replica

        def status(self):
            return type("Status", (), {"running": self.left == 0})

        def ensure_running(self):
            self.left -= 1
            if self.left:
                raise PostgresError("資料庫無法啟動", "The database could not be started")

        def ensure_database(self):
            return DatabaseUrls(os.environ["DATABASE_URL"], "")

    site.cluster, site.has_answered = Killed(), True
    _deaths(site, 2)
    assert site.cluster.status().running
    assert site.database_failures == 0
    assert "資料庫無法啟動" in capsys.readouterr().err
