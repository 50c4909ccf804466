"""The web server: granian with our WSGI application and the collected static files. A child of `quitledger run`."""

import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from granian import Granian
from granian.constants import Interfaces
from granian.log import LogLevels, logger

from .interpreter import settle
from .orphans import as_parent, leave_with_parent

SLOTS = 4  # requests that each worker works on at once; each slot keeps one database connection, and one more watches
PLACES = 16  # requests of each of the two lines that may wait for a slot
LONGEST_WAIT = 3.0  # seconds in a line
_SAY_NO = 4  # threads that are left when all the others work or wait
THREADS = SLOTS + 2 * PLACES + 3 + _SAY_NO  # of each worker; three for whoever watches the server
_LONGEST_REQUEST = 10  # seconds a worker may take to finish what it is doing when it is told to stop
_CONNECTIONS = 4096  # open at once in each worker: browsers keep theirs; what comes beyond would wait unseen


def serve(
    host: str, port: int, workers: int, static: Path, *, load: Callable[[], Callable[..., Any]], threads: int = THREADS
) -> None:
    """Serve what `load` gives in each worker, until SIGTERM or until the parent process has gone."""
    leave_with_parent()
    os.environ.update(as_parent())  # for the workers
    most_files = _most_files()
    logger.addFilter(lambda record: "Python threads" not in str(record.msg))  # so many are meant: nearly all only wait
    Granian(
        "quitledger.wsgi:application",
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        workers=workers,
        blocking_threads=threads,
        blocking_threads_idle_timeout=600,
        backlog=1024,
        backpressure=min(_CONNECTIONS, most_files // 2),
        websockets=False,
        respawn_failed_workers=True,
        workers_kill_timeout=_LONGEST_REQUEST,
        log_level=LogLevels.warning,
        static_path_route=["/static"],
        static_path_mount=[static],
        static_path_expires=365 * 24 * 60 * 60,  # the names change with the contents
    ).serve(target_loader=load, wrap_loader=False)


def _most_files() -> int:
    """As many open files, which connections are, as the system lets this process and its workers have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * _CONNECTIONS
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most


def application() -> Callable[..., Any]:
    """The site, behind its slots."""
    leave_with_parent()
    from quitledger.wsgi import application

    # isort: split
    # Django is set up now.
    from quitledger.portal.busy import refusal

    from .admission import Admission

    settle()
    return Admission(application, refusal(), slots=SLOTS, places=PLACES, longest_wait=LONGEST_WAIT)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]), load=application)
