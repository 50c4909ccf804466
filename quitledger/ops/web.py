"""The web server: granian with our WSGI application and the collected static files. A child of `quitledger run`."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from granian import Granian
from granian.constants import Interfaces
from granian.log import LogLevels

from .orphans import as_parent, leave_with_parent

THREADS = 4  # of each worker; each keeps one database connection
_LONGEST_REQUEST = 10  # seconds a worker may take to finish what it is doing when it is told to stop


def serve(host: str, port: int, workers: int, static: Path) -> None:
    """Serve until SIGTERM or until the parent process has gone."""
    leave_with_parent()
    os.environ.update(as_parent())  # for the workers
    Granian(
        "quitledger.wsgi:application",
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        workers=workers,
        blocking_threads=THREADS,
        blocking_threads_idle_timeout=600,  # with a thread its database connection goes
        backlog=1024,
        websockets=False,
        respawn_failed_workers=True,
        workers_kill_timeout=_LONGEST_REQUEST,
        log_level=LogLevels.warning,
        static_path_route=["/static"],
        static_path_mount=[static],
        static_path_expires=365 * 24 * 60 * 60,  # the names change with the contents
    ).serve(target_loader=_application, wrap_loader=False)


def _application() -> Callable[..., Any]:
    leave_with_parent()
    from quitledger.wsgi import application

    return application


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
