"""One PostgreSQL for the whole run, one template database with a small made-up world, a copy of it for each worker.

Fixtures: `db` (a transaction that is rolled back), `committed` (a copy of the database of the test's own), `owner` (a
psycopg connection as the owner), `as_actor` (a transaction in somebody's scope). Where many tests begin with the same
records, `prepare` makes them once and `origin` lets `committed` copy them. Tests marked `engine` run on every PostgreSQL
found, all others on the first.
"""

import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, Protocol, TypeVar

import hypothesis
import psycopg
import pytest
from psycopg import sql

from quitledger.accounts.keys import create_keys_file
from quitledger.ops.binaries import Engine, found_engines
from quitledger.ops.interpreter import settle
from quitledger.ops.postgres import APPLICATION, OWNER, Cluster, DatabaseUrls

from .folders import new_folder

# Hundreds of processes start here: without it each would compile all of ours again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

hypothesis.settings.register_profile("suite", deadline=None, print_blob=True)
hypothesis.settings.load_profile("suite")

if "QUITLEDGER_TEST_FOLDER" not in os.environ:
    os.environ["QUITLEDGER_TEST_FOLDER"] = str(new_folder("quitledger-test-"))
FOLDER = Path(os.environ["QUITLEDGER_TEST_FOLDER"])
KEYS = FOLDER / "keys.json"
with suppress(FileExistsError):  # another worker was first
    create_keys_file(KEYS)

# Set before Django reads its settings; the database itself is made when the first test asks for it.
for name in ("DATABASE_OWNER_URL", "QUITLEDGER_KEYS", "QUITLEDGER_ROLE", "QUITLEDGER_HTTPS"):
    os.environ.pop(name, None)
os.environ.update(
    DJANGO_SETTINGS_MODULE="quitledger.settings",
    DATABASE_URL="postgresql://not-yet@127.0.0.1:1/not-yet",
    QUITLEDGER_DATA=str(FOLDER / "data"),
    QUITLEDGER_KEYS_FILE=str(KEYS),
    QUITLEDGER_SECRET_KEY="for tests alone",
    QUITLEDGER_HOSTS="localhost,127.0.0.1,testserver",
)

import django  # noqa: E402

django.setup()

from django.conf import settings as django_settings  # noqa: E402
from django.contrib.auth import hashers  # noqa: E402
from django.db import connection, connections, transaction  # noqa: E402
from django.template import Template  # noqa: E402
from django.test.utils import setup_test_environment, teardown_test_environment  # noqa: E402

from quitledger.accounts.actors import SYSTEM, Actor  # noqa: E402
from quitledger.accounts.scope import in_one_snapshot, scoped  # noqa: E402
from quitledger.settings import database as describe  # noqa: E402

from . import world  # noqa: E402

settle()

ENGINES = {str(engine): engine for engine in found_engines()}
PRIMARY = next(iter(ENGINES))
TEMPLATE = "quitledger_template"
# A log of 2 GB may not fit into memory; all buffers are looked through for each database that comes or goes.
SETTINGS = {"track_commit_timestamp": "on", "max_wal_size": "256MB", "shared_buffers": "48MB"}

# Half a second for each sign-in otherwise; the site of the page tests does likewise (browser/settings.py).
ROUNDS, hashers.PBKDF2PasswordHasher.iterations = hashers.PBKDF2PasswordHasher.iterations, 1

# Manifest storage wants collected files; a test needs names only.
django_settings.STORAGES["staticfiles"]["BACKEND"] = "django.contrib.staticfiles.storage.StaticFilesStorage"


def pytest_configure(config: pytest.Config) -> None:
    render = Template._render
    setup_test_environment()
    Template._render = render  # and not one that keeps every template and what was in it


def pytest_report_header(config: pytest.Config) -> str:
    return f"PostgreSQL: all tests on {PRIMARY}; engine tests on {', '.join(ENGINES)}"


def pytest_unconfigure(config: pytest.Config) -> None:
    teardown_test_environment()
    if hasattr(config, "workerinput"):
        return  # the controller tidies up when all workers are done
    for name in ENGINES:
        if (FOLDER / name).exists():
            cluster_of(name).remove()
    shutil.rmtree(FOLDER, ignore_errors=True)


# What takes longest, longest first: begun last, each would leave the other workers idle at the end. The second has clusters
# of its own, so that one worker alone waits for the template to be made.
LONG = (
    "browser/test_every_screen.py", "ops/test_server.py", "ops/test_nation.py", "ops/test_synthesis.py", "portal/test_url_walk.py", "browser/test_journey.py",
    "ops/test_postgres.py", "storm/test_storm.py", "ops/test_replica.py", "ops/test_backup.py", "ops/test_commands.py",
    "browser/test_signing_in.py", "browser/test_corrections.py", "ops/test_demo_data.py", "portal/test_nasty_forms.py",
    "browser/test_people.py", "ops/test_audit_command.py", "portal/test_url_walk_by_sql.py", "browser/test_maintain.py",
    "browser/test_busy.py", "ops/test_keys_rotation.py", "ops/test_retention_command.py", "batches/test_same_words.py",
    "corrections/test_at_once.py", "audit/test_checkpoints.py", "retention/test_services.py", "visits/test_window.py",
)  # fmt: skip


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A file is a worker's whole: what its module has made (a site, a browser, a cluster) is made once."""
    if config.getvalue("dist") != "load":
        return None  # somebody wants it another way
    config.option.loadscopereorder = False  # by number of tests; the workers have put them in order of time
    from xdist.scheduler import LoadFileScheduling

    class Files(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            # The template on another PostgreSQL is made while the others go on, and only one worker waits for it.
            others = (
                name for name in ENGINES if name != PRIMARY and re.search(rf"[\[-]{re.escape(name)}[\]-]", nodeid)
            )
            return file if "/ops/" in file else next(others, file)

    return Files(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """For workers, the longest files first."""
    if hasattr(config, "workerinput"):
        place = {f"tests/{file}": number for number, file in enumerate(LONG)}
        items.sort(key=lambda item: place.get(item.nodeid.partition("::")[0], len(LONG)))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "engine_name" in metafunc.fixturenames:
        names = list(ENGINES) if metafunc.definition.get_closest_marker("engine") else [PRIMARY]
        metafunc.parametrize("engine_name", names, scope="session")


def cluster_of(engine_name: str) -> Cluster:
    """The throw-away cluster of an engine, shared by all workers."""
    engine: Engine = ENGINES[engine_name]
    folder = FOLDER / engine_name
    folder.mkdir(exist_ok=True)
    # Thousands of connections are made here: half the time of one went into 4,096 rounds of its password.
    quick = {"scram_iterations": "1"} if engine.version_major >= 16 else {}
    return Cluster(folder, engine, durable=False, settings=SETTINGS | quick)


def connect_django(url: str) -> None:
    """Let Django's connections, of all threads, go to `url` from now on."""
    connections.close_all()
    connections.settings["default"].update(describe(url))


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    import fcntl

    with (folder / "template.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def template(engine_name: str) -> Iterator[Cluster]:
    """The cluster with the template database, migrated and with the world in it."""
    cluster = cluster_of(engine_name)
    with only_one(cluster.data_folder):
        superuser = cluster.ensure_running()
        done = cluster.data_folder / "template.done"
        if not done.exists():
            urls = cluster.ensure_database(TEMPLATE)
            os.environ["DATABASE_OWNER_URL"] = urls.owner_url
            connect_django(urls.owner_url)
            from quitledger.ops import database

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(database, "PARTITIONS_AHEAD", 1)  # of today, which is not the world's
                database.migrate(app_url=urls.app_url, purpose="test")
            world.set_clock()
            database.maintain()
            with scoped(SYSTEM):
                world.build()
            connections.close_all()
            with psycopg.connect(superuser.url(TEMPLATE), autocommit=True) as connection_:
                connection_.execute("VACUUM (FULL)")  # a thousand copies will be made: half as many files and bytes
            done.touch()
    return cluster


@cache
def superuser_of(folder: Path) -> psycopg.Connection:
    """This worker's own way into a cluster of cluster_of(), by its folder: hundreds of databases come and go through it."""
    return psycopg.connect(cluster_of(folder.name).ensure_running().url(), autocommit=True)


@cache
def urls_of_template(folder: Path) -> DatabaseUrls:
    """The ways into the template of a cluster of cluster_of(), by its folder."""
    return cluster_of(folder.name).urls(TEMPLATE)


T = TypeVar("T")


class Database:
    """A copy of the template, or of `origin` where nobody is: its two addresses."""

    def __init__(self, cluster: Cluster, name: str, origin: str = TEMPLATE) -> None:
        self.cluster, self.name = cluster, name
        copy = "CREATE DATABASE {} OWNER {} TEMPLATE {} STRATEGY FILE_COPY"  # half the time of writing it to the log
        for statement in (
            copy,
            "REVOKE ALL ON DATABASE {0} FROM PUBLIC",
            "GRANT CONNECT, TEMPORARY ON DATABASE {0} TO {3}",
        ):
            words = map(sql.Identifier, (name, OWNER, origin, APPLICATION))
            superuser_of(cluster.data_folder).execute(sql.SQL(statement).format(*words))
        self.urls = DatabaseUrls(*(url.removesuffix(TEMPLATE) + name for url in urls_of_template(cluster.data_folder)))

    @property
    def app_url(self) -> str:
        return self.urls.app_url

    @property
    def owner_url(self) -> str:
        return self.urls.owner_url

    def app(self) -> psycopg.Connection:
        """A connection as the application role."""
        return psycopg.connect(self.app_url)

    def owner(self) -> psycopg.Connection:
        """A connection as the owner."""
        return psycopg.connect(self.owner_url, autocommit=True)

    @contextmanager
    def as_owner(self) -> Iterator[None]:
        """Django as the owner, as its commands are."""
        connect_django(self.owner_url)
        try:
            yield
        finally:
            connect_django(self.app_url)

    def drop(self) -> None:
        connections.close_all()
        superuser = superuser_of(self.cluster.data_folder)
        # DROP DATABASE looks only each tenth of a second whether those who were there have gone, and they are going just now.
        others = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = %s"
        end = time.monotonic() + 1
        while superuser.execute(others, [self.name]).fetchone() != (0,) and time.monotonic() < end:
            pass
        superuser.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(self.name)))


Work = Callable[[Database], T]


class Prepare(Protocol):
    def __call__(self, work: Work[T], /) -> tuple[Database, T]: ...


_serial = iter(range(1, 1_000_000))


def _copy(cluster: Cluster, origin: str = TEMPLATE) -> Database:
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    return Database(cluster, f"test_{worker}_{next(_serial)}", origin)


@pytest.fixture(scope="session")
def shared(template: Cluster) -> Iterator[Database]:
    """One copy for all tests that roll back."""
    database = _copy(template)
    yield database
    database.drop()


@pytest.fixture
def db(shared: Database) -> Iterator[Database]:
    """The shared database in a transaction that is rolled back at the end; no scope is set yet."""
    if connections.settings["default"]["NAME"] != shared.name or connection.in_atomic_block:
        connect_django(shared.app_url)
    with transaction.atomic():
        in_one_snapshot()  # as the pages have it whose numbers belong together
        yield shared
        transaction.set_rollback(True)


@pytest.fixture(scope="module")
def prepare(template: Cluster) -> Iterator[Prepare]:
    """`prepare(work)`: a database in which `work(database)` was done by the application, and what it returned: once a module."""
    made: dict[Work[Any], tuple[Database, Any]] = {}

    def once(work: Work[Any]) -> tuple[Database, Any]:
        if work not in made:
            database = _copy(template)
            connect_django(database.app_url)
            made[work] = database, work(database)
            connections.close_all()
        return made[work]

    yield once
    for database, _ in made.values():
        database.drop()


@pytest.fixture
def origin() -> str:
    """The database that `committed` is a copy of; a module may have a prepared one for some of its tests."""
    return TEMPLATE


@pytest.fixture
def committed(template: Cluster, origin: str) -> Iterator[Database]:
    """A database of the test's own, for what must be committed."""
    database = _copy(template, origin)
    connect_django(database.app_url)
    yield database
    database.drop()


@pytest.fixture(scope="session")
def another(template: Cluster) -> Callable[[], Database]:
    """Makes one more database with the world in it, for whoever drops it himself."""
    return lambda: _copy(template)


@pytest.fixture
def owner(committed: Database) -> Iterator[psycopg.Connection]:
    """The owner's connection to the `committed` database, autocommit."""
    with committed.owner() as connection_:
        yield connection_


@contextmanager
def as_actor(actor: Actor) -> Iterator[None]:
    """A transaction in the actor's scope."""
    with scoped(actor):
        yield
