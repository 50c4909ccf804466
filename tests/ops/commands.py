"""Runs the quitledger command as a user does: another process, with an environment of its own."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable

PATIENCE = 40.0  # seconds; the machine may be busy
CHINESE = re.compile(r"[\u4e00-\u9fff]")


def quitledger(
    *words: str, typed: str = "", patience: float = 120, **environment: str
) -> subprocess.CompletedProcess[str]:
    """The outcome of a command. `typed` is its standard input, `patience` in seconds; `environment` is added to the test's."""
    return subprocess.run(
        [sys.executable, "-m", "quitledger.ops.command", *words],
        input=typed,
        capture_output=True,
        text=True,
        timeout=patience,
        check=False,
        env=os.environ | environment,
    )


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
