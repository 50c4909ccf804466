"""`quitledger run` as a process of its own, in a data folder of its own."""

import http.client
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from .commands import PATIENCE


def environment(data: Path) -> dict[str, str]:
    """Ours, with an embedded database in `data` instead of the test's."""
    return {"QUITLEDGER_DATA": str(data), "DATABASE_URL": "", "DATABASE_OWNER_URL": "", "QUITLEDGER_KEYS_FILE": ""}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def processes() -> list[tuple[int, int, str]]:
    """Id, parent's id and whole command line of everything that runs (-ww: COLUMNS, where it is set, would cut the line)."""
    command = ["ps", "-A", "-ww", "-o", "pid=,ppid=,args="]
    listing = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = [line.split(None, 2) for line in listing.stdout.splitlines()]
    return [(int(pid), int(parent), "".join(words)) for pid, parent, *words in rows]


def processes_below(parent: int | None) -> list[tuple[int, str]]:
    """Id and command line of each child of a process."""
    return [(pid, command) for pid, its_parent, command in processes() if its_parent == parent]


class Run:
    """A `quitledger run` and what it said."""

    def __init__(self, data: Path, port: int, *words: str) -> None:
        self.data, self.port, self.log = data, port, data.parent / f"run-{port}.log"
        self.begin = len(self.log.read_text()) if self.log.exists() else 0
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "quitledger.ops.command", "run", "--port", str(port), "--workers", "1", *words],
                env=os.environ | environment(data), stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            )  # fmt: skip

    def answers(self) -> bool:
        with suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            connection.request("GET", "/healthz")
            return connection.getresponse().status == 200
        return False

    def said(self) -> str:
        return self.log.read_text()[self.begin :]

    def serves(self) -> bool:
        """It answers, and it is this one that does."""
        return "Ctrl-C" in self.said() and self.answers()

    def children(self) -> dict[str, int]:
        """The processes below this one: "web", "worker", "keep" (checkpoints) and the web server's own "web-worker", by id."""
        found = {}
        for pid, command in processes_below(self.process.pid):
            if "quitledger.ops" in command:
                found["web" if "ops.web" in command else command.split()[-1]] = pid
        for pid in self.web_workers(found.get("web")):
            found["web-worker"] = pid
        return found

    @staticmethod
    def web_workers(web: int | None) -> list[int]:
        """The processes of a web server that answer requests."""
        return [pid for pid, command in processes_below(web) if "resource_tracker" not in command]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
