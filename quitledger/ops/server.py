"""`quitledger run`: database, web server and worker under one process, and `quitledger worker` alone.

The children are stopped with the process that started them, however it ends: asked to on Ctrl-C or SIGTERM; by
themselves (orphans.py) when it was killed. A killed `run` leaves its database running; the next one takes it over.
"""

import errno
import ipaddress
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from threading import Event
from types import FrameType

import click

from quitledger.accounts.keys import keys
from quitledger.policy.command import RocDate

from .environment import prepare, require_keys, uses_own_server
from .faults import Fault, told
from .orphans import as_parent, leave_with_parent
from .postgres import Cluster, PostgresError, data_folder
from .replication import waiting_commits
from .running import Note, only_one

PORT = 8000
LOOK_EVERY = 0.2  # seconds between two looks at the children
LOOK_AT_REPLICA_EVERY = 5.0  # seconds
MAINTAIN_EVERY = 24 * 60 * 60  # seconds
GRACE = 15.0  # seconds a child has to end
QUICK = 10.0  # a child that lived shorter than this many seconds died quickly
MOST_QUICK_DEATHS = 5  # in a row; then a site that has never answered gives up
MOST_SET_UPS = 5  # tries, where the database is killed during each
LONGEST_PAUSE = 5.0  # seconds before something that keeps ending is started again
ORPHANS_LEAVE = 15.0  # seconds until the children of a killed `run`, and theirs after them, have gone (orphans.py)


class Stopped(BaseException):
    """Somebody asked us to stop."""


@click.command(short_help="啟動網站、工作程序與資料庫 / Run web server, worker and database")
@click.option("--host", default="127.0.0.1", show_default=True, help="網站的位址。 / Address to listen at.")
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    help=f"網站的連接埠，預設 {PORT}，被占用時另選。 / Port; unless given {PORT}, or a free one where that is taken.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    help="網站的程序數，預設為處理器核心數。 / Web processes; as many as cores unless given.",
)
@click.option("--demo", "with_demo", is_flag=True, help="載入示範資料。 / Load demo data.")
@click.option(
    "--today",
    type=RocDate(),
    metavar="DATE",
    help="示範資料庫的今天；換一天會重建示範資料。 / The demo's today; another day makes the demo data anew.",
)
@click.option(
    "--public-demo",
    is_flag=True,
    help="准許示範資料庫對外開放。 / Let others than this machine reach a demo database.",
)
def run(
    host: str, port: int | None, workers: int | None, with_demo: bool, today: date | None, public_demo: bool
) -> None:
    """\b
    在一個前景程序裡啟動資料庫、網站與背景工作；Ctrl-C 全部停止。
    Start database, web server and worker under one foreground process; Ctrl-C stops them all.
    """
    if today and not with_demo:
        raise Fault("--today 要和 --demo 一起用。", "--today goes with --demo.")
    with told(), only_one() as note, stoppable() as asked, _database(note):
        _set_up_at_last(with_demo, today)
        _check_reach(host, public_demo)
        port = _port(host, port, note)
        address = f"http://{'localhost' if _is_loopback(host) else host}:{port}/"
        note.write(address=address)
        site = Site(host, port, workers or min(os.cpu_count() or 1, 8), asked)
        try:
            site.start()
            site.wait_until_it_answers()
            click.echo(f"\n網站 / Site: {address}")
            if with_demo:
                _tell_sign_ins()
            click.echo("按 Ctrl-C 停止。 / Ctrl-C stops it.\n")
            site.watch()
        finally:
            click.echo("\n停止中… / Stopping…")
            site.stop()


@click.command(short_help="只啟動背景工作 / Run the worker alone")
def worker() -> None:
    """\b
    只啟動背景工作與定期工作，以應用程式角色連線；quitledger run 已包含它。
    Run jobs and periodic jobs alone, as the application role; quitledger run includes it.
    """
    with told():
        prepare("app")
        leave_with_parent()
        from procrastinate.contrib.django import app

        from .interpreter import settle
        from .jobs import DEAD_AFTER, HEARTBEAT_EVERY

        settle()
        with app.replace_connector(app.connector.get_worker_connector()):  # type: ignore[attr-defined]
            app.run_worker(
                delete_jobs="successful",
                shutdown_graceful_timeout=GRACE - 5,
                update_heartbeat_interval=HEARTBEAT_EVERY,
                stalled_worker_timeout=DEAD_AFTER,
            )


# --- Before anything is served ---------------------------------------------------------------------------------------


def _set_up_at_last(with_demo: bool, today: date | None) -> None:
    """Set up, and again where our own database is killed meanwhile, as Site does later: every step may be taken twice."""
    from django.db import InterfaceError, OperationalError, connections

    for failures in range(1, MOST_SET_UPS):
        try:
            return _set_up(with_demo, today)
        except (PostgresError, OperationalError, InterfaceError) as error:
            if uses_own_server() or not _may_pass(error):
                raise
            click.echo(f"{str(error).strip()}\n設定中斷，再試一次。 / Set-up was broken off; trying again.", err=True)
            connections.close_all()
            time.sleep(_pause(failures))
    return _set_up(with_demo, today)


def _may_pass(error: Exception) -> bool:
    """Whether the database did not start, or was lost; not where it answered and refused."""
    refusal = getattr(error.__cause__, "sqlstate", None)
    return refusal is None or refusal.startswith(("08", "57P"))  # connection lost, shut down, starting


def _set_up(with_demo: bool, today: date | None) -> None:
    """Migrate, load demo data if asked to, collect the static files."""
    if uses_own_server() and not os.environ.get("DATABASE_OWNER_URL"):
        prepare("app")  # the machine that serves need not know the owner's password
        _require_migrated()
        keys()  # missing or broken ones are told now; which of them the rows need is asked where the owner is known
    else:
        prepare("owner")
        from . import demo_command
        from .database import migrate
        from .database_command import tell_first_keys

        tell_first_keys()
        if with_demo:
            demo_command.remake_for(today)
            demo_command.fill(today)
        else:
            migrate(app_url=os.environ["DATABASE_URL"])
        require_keys()
    from django.conf import settings
    from django.core.management import call_command
    from django.db import connections

    call_command("collectstatic", interactive=False, verbosity=0, clear=Path(settings.STATIC_ROOT).exists())
    connections.close_all()


def _require_migrated() -> None:
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    from .database import refuse_half_way

    refuse_half_way()
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise Fault(
            "資料庫還沒有更新到這個版本，請先在有 DATABASE_OWNER_URL 的地方執行 quitledger db migrate。",
            "The database is not at this version: run quitledger db migrate where DATABASE_OWNER_URL is known.",
        )


def _check_reach(host: str, public_demo: bool) -> None:
    """Refuse to show a demo or test database to others than this machine unless told to; name the host as ours."""
    from quitledger.audit.database import purpose

    if _is_loopback(host):
        return
    if purpose() != "production" and not public_demo:
        raise Fault(
            f"這是{'示範' if purpose() == 'demo' else '測試'}資料庫，只在本機（127.0.0.1）提供；要對外開放請加 --public-demo。",
            f"This is a {purpose()} database, served on this machine only; --public-demo opens it to others.",
        )
    if "QUITLEDGER_HOSTS" not in os.environ:
        if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
            click.echo(
                "請以 QUITLEDGER_HOSTS 列出網站的主機名稱，否則只回應 localhost。"
                " / Name the site's hosts in QUITLEDGER_HOSTS; until then it answers to localhost only."
            )
        else:
            os.environ["QUITLEDGER_HOSTS"] = f"localhost,127.0.0.1,[::1],{host}"


def _tell_sign_ins() -> None:
    from django.db import connections

    from .demo_command import sign_ins

    click.echo("\n".join(sign_ins()))
    connections.close_all()  # it would stand idle for as long as we run


def _is_loopback(host: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def _port(host: str, wanted: int | None, note: Note) -> int:
    """The port wanted, or 8000, or a free one. Raises Fault where the one wanted is taken.

    Asked for without SO_REUSEPORT, with which the web server itself listens: a server left over on the port would
    otherwise share it in silence. The children of a killed `run` are given the time they need to leave.
    """
    deadline = time.monotonic() + (ORPHANS_LEAVE if note.left_over else 0)
    while True:
        refusal = _refusal(host, wanted or PORT)
        if refusal is None:
            return wanted or PORT
        if refusal != errno.EADDRINUSE or time.monotonic() > deadline:
            break
        time.sleep(LOOK_EVERY)
    if refusal == errno.EADDRINUSE and wanted is None:
        with _socket(host) as probe:
            probe.bind((host, 0))
            return int(probe.getsockname()[1])
    reason = os.strerror(refusal) if refusal > 0 else "?"
    raise Fault(
        f"無法使用 {host} 的連接埠 {wanted or PORT}：{reason}。請用 --port 換一個。",
        f"Port {wanted or PORT} of {host} cannot be used ({reason}); choose another with --port.",
    )


def _refusal(host: str, port: int) -> int | None:
    """Why nobody can listen there, as an errno (negative: the host is unknown); None where it is free."""
    try:
        with _socket(host) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that have ended do not count
            probe.bind((host, port))
            probe.listen(1)
    except socket.gaierror:
        return -1
    except OSError as error:
        return error.errno or -1
    return None


def _socket(host: str) -> socket.socket:
    family = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][0]
    return socket.socket(family, socket.SOCK_STREAM)

    # --- One at a time, and what a killed one left -----------------------------------------------------------------------


@contextmanager
def stoppable() -> Iterator[Event]:
    """Ctrl-C, SIGTERM and a closed terminal raise Stopped, once; what comes later does not disturb the stopping.

    Gives what is set then: raised where Python runs a destructor, Stopped goes no further, and nobody would hear of it.
    """
    stops = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    asked = Event()

    def stop(number: int, frame: FrameType | None) -> None:
        asked.set()
        for each in stops:
            signal.signal(each, signal.SIG_IGN)
        raise Stopped

    before = {number: signal.signal(number, stop) for number in stops}
    try:
        yield asked
    except Exception:
        if not asked.is_set():  # what was being done when we were asked to stop may end in an error of its own
            raise
    except Stopped:
        pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _database(note: Note) -> Iterator[None]:
    """Start the embedded database, and stop it again if it was we, or a killed `run` before us, who started it."""
    if uses_own_server():
        yield
        return
    cluster = Cluster(data_folder())
    cluster.refuse_replica()
    ours = bool(note.left_over.get("database")) or not cluster.status().running
    note.write(database=ours)
    try:
        cluster.ensure_running()
        tell_waiting(cluster)
        yield
    finally:
        if ours:
            cluster.stop()


def tell_waiting(cluster: Cluster, *, said: bool = False) -> bool:
    """Say when every write waits for a replica that is not there (unless that was `said`), and when it goes on; whether it does."""
    if cluster.waits_for is None and not said:
        return False
    try:
        waits = waiting_commits(cluster) is not None
    except PostgresError:  # it is asked again; this alone is no reason to stop
        return said
    if waits and not said:
        click.echo(
            f"寫入停住，等複本 {cluster.waits_for}：接回它，或執行 quitledger replica asynchronous 不再等。"
            f" / Writes wait for the replica {cluster.waits_for}: bring it back, or quitledger replica asynchronous.",
            err=True,
        )
    elif said and not waits:
        click.echo("寫入恢復了。 / Writes go on.", err=True)
    return waits


# --- The site: its children ------------------------------------------------------------------------------------------


@dataclass
class _Child:
    """A process kept alive."""

    chinese: str
    english: str
    command: list[str]
    as_owner: bool = False
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    quick_deaths: int = 0
    next_start: float = 0.0

    def start(self, environment: dict[str, str]) -> None:
        self.started = time.monotonic()
        self.process = subprocess.Popen(  # noqa: S603 - our own programs
            self.command,
            env=environment,
            cwd=data_folder(),
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C in our terminal is for us, who stop it in order
        )

    def has_died(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def is_due(self) -> bool:
        return self.process is None and time.monotonic() >= self.next_start


class Site:
    """Web server and worker: started, watched, started again where one dies, stopped."""

    def __init__(self, host: str, port: int, workers: int, asked: Event) -> None:
        """`asked`: set once somebody has asked us to stop."""
        from django.conf import settings

        self.host, self.port, self.asked = host, port, asked
        python = [sys.executable, "-m"]
        serve = [*python, "quitledger.ops.web", host, str(port), str(workers), str(settings.STATIC_ROOT)]
        self.children = [
            _Child("網站", "web server", serve),
            _Child("背景工作", "worker", [*python, "quitledger.ops.command", "worker"]),
        ]
        if os.environ.get("QUITLEDGER_ROLE") == "owner":
            # The last to be stopped: its last checkpoint covers what the others wrote.
            keep = [*python, "quitledger.ops.command", "audit", "keep"]
            self.children.append(_Child("檢核點", "checkpoints", keep, as_owner=True))
        else:
            click.echo(
                "檢核點請在有 DATABASE_OWNER_URL 的機器以 quitledger audit keep 建立。"
                " / Checkpoints are made by quitledger audit keep where DATABASE_OWNER_URL is known."
            )
        self.cluster = None if uses_own_server() else Cluster(data_folder())
        self.next_maintenance = time.monotonic() + MAINTAIN_EVERY
        self.has_answered = False
        self.database_failures = 0  # in a row
        self.next_database_start = 0.0
        self.next_look_at_replica = 0.0
        self.waiting = False

    def start(self) -> None:
        """Start every child."""
        for child in self.children:
            child.start(self._environment(child))

    def wait_until_it_answers(self) -> None:
        """Return when something listens at the port; children that die meanwhile are started again."""
        while True:
            self.look()
            with suppress(OSError), socket.create_connection((self._own_address(), self.port), timeout=1):
                self.has_answered = True
                return
            time.sleep(LOOK_EVERY)

    def watch(self) -> None:
        """Keep everything alive until stopped."""
        while True:
            time.sleep(LOOK_EVERY)
            self.look()

    def look(self) -> None:
        """One look: the database first, then the children, then what is due daily.

        Raises Fault where a child will not live on a site that has never answered: then something is set up wrongly,
        and its operator looks on. A site that has answered is kept alive for as long as it takes: whatever kills a part
        of it again and again (a full memory, a full disk) may end, and to stop the other parts would help nobody.
        Raises Stopped where we were asked to stop and did not hear it.
        """
        if self.asked.is_set():
            raise Stopped
        self._keep_database()
        for child in self.children:
            if child.has_died():
                self._tell_death(child)
            if child.is_due():
                child.start(self._environment(child))
        if self.cluster is not None and time.monotonic() > self.next_look_at_replica:
            self.next_look_at_replica = time.monotonic() + LOOK_AT_REPLICA_EVERY
            self.waiting = tell_waiting(self.cluster, said=self.waiting)
        if time.monotonic() > self.next_maintenance:
            self.next_maintenance += MAINTAIN_EVERY
            self._maintain()

    def stop(self) -> None:
        """Ask the children to end, and end what has not after a while. Nothing of them is left."""
        for as_owner in (False, True):
            self._stop([child for child in self.children if child.as_owner is as_owner])

    @staticmethod
    def _stop(children: list[_Child]) -> None:
        for child in children:
            if child.process and child.process.poll() is None:
                child.process.terminate()
        deadline = time.monotonic() + GRACE
        for child in children:
            if child.process is None:
                continue
            with suppress(subprocess.TimeoutExpired):
                child.process.wait(max(0.0, deadline - time.monotonic()))
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(child.process.pid, signal.SIGKILL)  # its own session: whatever it left behind
            child.process.wait()

    def _tell_death(self, child: _Child) -> None:
        """Say that a child has ended, and when it is started again: the later, the more often in a row."""
        assert child.process is not None
        code, lived = child.process.returncode, time.monotonic() - child.started
        child.quick_deaths = child.quick_deaths + 1 if lived < QUICK else 0
        if child.quick_deaths >= MOST_QUICK_DEATHS and not self.has_answered:
            raise Fault(
                f"{child.chinese}一再結束（結束碼 {code}），不再重試。",
                f"The {child.english} keeps ending (code {code}); giving up.",
            )
        click.echo(
            f"{child.chinese}已結束（結束碼 {code}），重新啟動。"
            f" / The {child.english} ended (code {code}); starting it again.",
            err=True,
        )
        child.process = None
        child.next_start = time.monotonic() + _pause(child.quick_deaths)

    def _keep_database(self) -> None:
        """Start the database again where it has stopped; where it does not start, say so, and try again later."""
        if self.cluster is None or time.monotonic() < self.next_database_start or self.cluster.status().running:
            return
        click.echo("資料庫已停止，重新啟動。 / The database stopped; starting it again.", err=True)
        try:
            self.cluster.ensure_running()
            urls = self.cluster.ensure_database()
        except PostgresError as error:  # killed while it was starting, or a disk that is full now
            click.echo(str(error), err=True)
            self.database_failures += 1
            self.next_database_start = time.monotonic() + _pause(self.database_failures)
            return
        self.database_failures = 0
        if urls.app_url != os.environ["DATABASE_URL"]:  # its port was taken meanwhile
            os.environ.update(DATABASE_URL=urls.app_url, DATABASE_OWNER_URL=urls.owner_url)
            self.stop()
            self.start()

    def _maintain(self) -> None:
        """What only the owner may do and a server that runs for years needs: calendar and partitions ahead."""
        if os.environ.get("QUITLEDGER_ROLE") != "owner":
            return
        from django.db import DatabaseError, connections

        from .database import maintain

        connections.close_all()
        try:
            maintain()
        except (DatabaseError, PostgresError) as error:
            click.echo(f"每日維護失敗，明天再試：{error} / Daily maintenance failed: {error}", err=True)
        finally:
            connections.close_all()

    @staticmethod
    def _environment(child: _Child) -> dict[str, str]:
        """A child's: the application role's way into the database; the owner's for what only he may do."""
        hidden = ("QUITLEDGER_EMBEDDED",) if child.as_owner else ("DATABASE_OWNER_URL", "QUITLEDGER_EMBEDDED")
        kept = {name: value for name, value in os.environ.items() if name not in hidden}
        return kept | as_parent() | {"QUITLEDGER_ROLE": "owner" if child.as_owner else "app", "PYTHONUNBUFFERED": "1"}

    def _own_address(self) -> str:
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - compared, not bound


def _pause(failures: int) -> float:
    """Seconds before the next try, after so many failures in a row."""
    return min(0.5 * failures, LONGEST_PAUSE)
