import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from quitledger.ops.postgres import Cluster, Engine, found_engines


@pytest.fixture
def folder() -> Iterator[Path]:
    """A data folder to be; not below pytest's own tmp_path, which is closed to the user that runs servers for root."""
    top = Path(tempfile.mkdtemp(prefix="quitledger-"))
    top.chmod(0o711)
    yield top / "data"
    if (top / "data" / "postgres.json").exists():
        Cluster(top / "data").remove()
    shutil.rmtree(top)


@pytest.fixture(params=found_engines(), ids=str, scope="module")
def engine(request: pytest.FixtureRequest) -> Engine:
    """Every PostgreSQL of this machine in turn."""
    return request.param
