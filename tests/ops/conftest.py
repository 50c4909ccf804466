import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from quitledger.ops.postgres import Cluster, DatabaseUrls, Engine, found_engines

from ..folders import new_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    """A data folder to be; not below pytest's own tmp_path, which is closed to the user that runs servers for root."""
    top = new_folder()
    yield top / "data"
    if (top / "data" / "postgres.json").exists():
        Cluster(top / "data").remove()
    shutil.rmtree(top)


@pytest.fixture(params=found_engines(), ids=str, scope="module")
def engine(request: pytest.FixtureRequest) -> Engine:
    """Every PostgreSQL of this machine in turn."""
    return request.param


_serial = itertools.count(1)


@pytest.fixture(scope="module")
def empty_database(template: Cluster) -> Iterator[Callable[[], DatabaseUrls]]:
    """Makes databases without any table; they are dropped at the end of the module."""
    names = []

    def make() -> DatabaseUrls:
        names.append(f"empty_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}_{next(_serial)}")
        return template.create_database(names[-1])

    yield make
    for name in names:
        template.drop_database(name)


@pytest.fixture
def keep_purpose() -> Callable[[Cluster, str, str], None]:
    """`keep_purpose(cluster, database, purpose)`: as if its first migration, which takes seconds, had been told that purpose."""

    def keep(cluster: Cluster, database: str, purpose: str) -> None:
        with psycopg.connect(cluster.ensure_running().url(database)) as superuser:
            superuser.execute("SET session_replication_role = replica")  # it is kept for ever, but for us
            superuser.execute("UPDATE audit_database SET purpose = %s", [purpose])

    return keep
