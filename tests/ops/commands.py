"""Runs the quitledger command as a user does: another process, with an environment of its own."""

import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import cache
from multiprocessing.context import ForkServerContext
from pathlib import Path

PATIENCE = 40.0  # seconds; the machine may be busy
CHINESE = re.compile(r"[\u4e00-\u9fff]")

# Others' modules that nearly every command imports, and that look at no setting of ours as they are imported.
_BEFOREHAND = (
    "attr", "click", "croniter", "cryptography.fernet", "cryptography.hazmat.primitives.ciphers.aead", "django.apps",
    "django.contrib.postgres.fields", "django.core.mail", "django.core.management", "django.core.serializers.json",
    "django.db.backends.postgresql.base", "django.db.migrations.executor", "django.db.models", "django.forms",
    "django.http", "django.template.engine", "django.urls", "django.utils.log", "procrastinate", "psycopg",
    "psycopg_pool", "sqlparse", "yaml",
)  # fmt: skip


def quitledger(
    *words: str, typed: str = "", patience: float = 120, **environment: str
) -> subprocess.CompletedProcess[str]:
    """The outcome of a command. `typed` is its standard input, `patience` in seconds; `environment` is added to the test's.

    Its process is a copy of one that has others' modules ready, which takes half the time of a command; of ours it
    has none. Its three channels are files of the system, as a shell's are.
    """
    with tempfile.TemporaryDirectory(prefix="quitledger-said-") as folder:
        channels = [Path(folder) / name for name in ("typed", "stdout", "stderr")]
        channels[0].write_bytes(typed.encode())
        process = _server().Process(target=_command, args=(words, channels, os.environ | environment, Path.cwd()))
        process.start()
        process.join(patience)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired(["quitledger", *words], patience)
        said = [channel.read_text(encoding="utf-8") if channel.exists() else "" for channel in channels[1:]]
        outcome = subprocess.CompletedProcess(["quitledger", *words], process.exitcode, *said)
        process.close()
        return outcome


def as_program(
    *words: str, typed: str = "", patience: float = 120, **environment: str
) -> subprocess.CompletedProcess[str]:
    """The outcome of a command whose process begins with nothing, as a shell begins it."""
    return subprocess.run(
        [sys.executable, "-m", "quitledger.ops.command", *words],
        input=typed, capture_output=True, text=True, timeout=patience, check=False, env=os.environ | environment,
    )  # fmt: skip


@cache
def _server() -> ForkServerContext:
    """Whoever copies himself; he goes when this process has gone."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_BEFOREHAND))
    return context


def _command(words: tuple[str, ...], channels: list[Path], environment: Mapping[str, str], folder: Path) -> None:
    """The command in its own process, with nothing of ours but its environment, its folder and its channels."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    for number, channel in enumerate(channels):
        opened = os.open(channel, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - for as long as the process lives
    from quitledger.ops.command import main

    main(words, prog_name="quitledger")


def assert_told(outcome: subprocess.CompletedProcess[str], *words: str) -> None:
    """The command ended with 1 and said why in words, once in Chinese, without a traceback."""
    assert outcome.returncode == 1, outcome
    said = outcome.stdout + outcome.stderr
    assert "Traceback" not in said, said
    assert CHINESE.search(said), said
    for word in words:
        assert word in said, said


def eventually(met: Callable[[], object], said: Callable[[], str] = str, patience: float = PATIENCE) -> None:
    """Wait until something is so; what was said until then tells why it never was."""
    deadline = time.monotonic() + patience
    while not met():
        assert time.monotonic() < deadline, said()
        time.sleep(0.1)
