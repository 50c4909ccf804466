"""The site as it is really served: the web server of `quitledger run` in a process of its own, as the application role."""

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from axe_playwright_python.base import AXE_FILE_PATH

from quitledger.ops.orphans import as_parent
from tests import conftest

REPOSITORY = Path(__file__).parents[2]
TO_START, TO_STOP = 30.0, 10.0  # seconds


def environment(app_url: str) -> dict[str, str]:
    """What the real server has in its environment: nothing of the owner's. And quicker passwords."""
    ours = ("QUITLEDGER_", "DATABASE_", "DJANGO_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)} | {
        "DATABASE_URL": app_url,
        "QUITLEDGER_DATA": os.environ["QUITLEDGER_DATA"],
        "QUITLEDGER_KEYS_FILE": os.environ["QUITLEDGER_KEYS_FILE"],
        "QUITLEDGER_SECRET_KEY": os.environ["QUITLEDGER_SECRET_KEY"],
        "QUITLEDGER_HOSTS": "localhost,127.0.0.1",
        "DJANGO_SETTINGS_MODULE": "tests.browser.settings",
    }


def collected_static(app_url: str) -> Path:
    """The static files, collected once for the whole run as an installation collects them; axe-core lies beside them."""
    folder = Path(os.environ["QUITLEDGER_DATA"]) / "static"
    folder.parent.mkdir(exist_ok=True)
    with conftest.only_one(folder.parent):
        if not (folder / "staticfiles.json").exists():
            command = [sys.executable, "-m", "django", "collectstatic", "--no-input", "--verbosity=0"]
            subprocess.run(command, check=True, cwd=REPOSITORY, env=environment(app_url))
            shutil.copy(AXE_FILE_PATH, folder)
    return folder


class Site:
    """A running server on a database. `url` has the host name localhost, which browsers trust like https."""

    def __init__(self, database: conftest.Database) -> None:
        self.database = database
        self.static = collected_static(database.app_url)
        self.log = Path(os.environ["QUITLEDGER_DATA"]) / f"web-{database.name}.log"
        self.start()

    def start(self) -> None:
        """Serve on a free port (on another one where somebody else was faster); returns when it answers."""
        for _ in range(3):
            self.port = _free_port()
            with self.log.open("a") as log:
                self.process = subprocess.Popen(
                    [sys.executable, "-m", "quitledger.ops.web", "127.0.0.1", str(self.port), "1", str(self.static)],
                    cwd=REPOSITORY, env=environment(self.database.app_url) | as_parent(), stdout=log, stderr=log,
                )  # fmt: skip
            if self.answers(TO_START):
                return
            self.stop()
        raise RuntimeError(f"the web server does not answer: {self.log.read_text()}")

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def answers(self, time_limit: float) -> bool:
        """Whether the server, and the database behind it, answer within `time_limit` seconds."""
        end = time.monotonic() + time_limit
        while time.monotonic() < end and self.process.poll() is None:
            try:
                with urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=5) as answer:
                    return bool(answer.read() == b"ok\n")
            except (URLError, ConnectionError, TimeoutError):
                time.sleep(0.05)
        return False

    def stop(self) -> None:
        """End the server, for sure."""
        self.process.terminate()
        try:
            self.process.wait(TO_STOP)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
