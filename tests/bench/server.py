"""The two web servers that are compared: `quitledger` as it is, and the bare view in the same granian."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .nation import Nation

PRODUCT, FLOOR = "quitledger.ops.web", "tests.bench.server"  # the modules that serve


@contextmanager
def serving(module: str, nation: Nation, workers: int, *, quiet: bool = False) -> Iterator[int]:
    """The server `module` (quitledger.ops.web or this one) as the application role; its port.

    `quiet`: what it says of a database that is killed under it is left out.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {"DATABASE_URL": nation.app_url, "QUITLEDGER_ROLE": "app"}
    environment.pop("DATABASE_OWNER_URL", None)
    command = [sys.executable, "-m", module, "127.0.0.1", str(port), str(workers), str(nation.folder / "static")]
    errors = subprocess.DEVNULL if quiet else None
    process = subprocess.Popen(command, env=environment, stdout=sys.stderr, stderr=errors)
    try:
        _wait(port, process)
        yield port
    finally:
        process.terminate()
        process.wait()


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        if process.poll() is not None:
            raise RuntimeError("the web server ended")
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5)
        except urllib.error.HTTPError:
            return  # it answers
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError("the web server does not answer")


def _bare() -> Callable[..., Any]:
    from django.conf import settings
    from django.core.wsgi import get_wsgi_application

    from quitledger.settings import database

    settings.configure(
        ALLOWED_HOSTS=["127.0.0.1"],
        DATABASES={"default": database(os.environ["DATABASE_URL"])},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        ROOT_URLCONF="tests.bench.bare",
        USE_TZ=True,
    )
    return get_wsgi_application()


if __name__ == "__main__":
    from quitledger.ops import web

    # The same granian, another application, as many requests at once.
    web.serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]), load=_bare, threads=web.SLOTS)
