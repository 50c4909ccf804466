"""Which `run` (or `replica run`) holds a data folder: run.json, locked while it runs."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .faults import Fault
from .postgres import data_folder


class Note:
    """run.json in the data folder: locked while we run; tells a second `run` where the first one is.

    A note still filled in, without the lock held, was left by a `run` that was killed.
    """

    def __init__(self, handle: int, facts: dict[str, Any]) -> None:
        self._handle = handle
        self._facts: dict[str, Any] = {}
        self.left_over = facts

    def write(self, **facts: Any) -> None:
        """Add to the note."""
        self._facts |= facts
        text = json.dumps(self._facts).encode()
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, text, 0)

    def empty(self) -> None:
        """We end properly: nothing is left over."""
        os.ftruncate(self._handle, 0)


@contextmanager
def only_one() -> Iterator[Note]:
    """Hold the data folder's note. Raises Fault while another `run` holds it."""
    folder = data_folder()
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / "run.json", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            where = _facts(handle).get("address", "")
            raise Fault(
                f"同一個資料夾的網站或複本已在執行：{where or folder}。",
                f"The site or replica of this data folder runs already: {where or folder}.",
            ) from None
        note = Note(handle, _facts(handle))
        try:
            yield note
        finally:
            note.empty()
    finally:
        os.close(handle)


def is_running() -> bool:
    """Whether a `run` holds this data folder."""
    try:
        handle = os.open(data_folder() / "run.json", os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _facts(handle: int) -> dict[str, Any]:
    try:
        facts: dict[str, Any] = json.loads(os.pread(handle, 10_000, 0))
    except ValueError:
        return {}
    return facts
