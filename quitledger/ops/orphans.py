"""Processes that must not outlive the one that started them, however it ends."""

import os
import signal
import threading
import time

_PARENT = "QUITLEDGER_PARENT"
_LOOK_EVERY = 0.3  # seconds
_GRACE = 5.0  # seconds for a proper end before an abrupt one


def as_parent() -> dict[str, str]:
    """The entry of a child's environment that lets it recognise this process as its parent."""
    return {_PARENT: str(os.getpid())}


def leave_with_parent() -> None:
    """End this process soon after its parent has: properly (SIGTERM) if it can, else abruptly.

    A killed parent can tell nobody. Asking for one's parent costs nothing and works on every Unix, where the signal
    that Linux alone can send on a parent's death is tied to the thread that started the child. Does nothing in a
    process started by hand.
    """
    parent = os.environ.get(_PARENT)
    if parent:
        threading.Thread(target=_watch, args=(int(parent),), name="leave-with-parent", daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_EVERY)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE)
    os._exit(1)
