"""Folders for the databases of tests: in memory where there is room, for nobody keeps them.

A database makes a thousand files and more. On a disk that others use as well, making them takes longer than the tests;
what a killed process leaves behind is the same in memory: it has never been lost with the process.
"""

import os
import re
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")  # Linux's
ROOM, LEFT = 4 << 30, 8 << 30  # bytes free there, and of memory as a whole


def new_folder(prefix: str = "quitledger-") -> Path:
    """A new folder that the database's own user, who is not root, can pass through. TMPDIR, where set, says where."""
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=MEMORY if has_room(MEMORY) else None))
    folder.chmod(0o711)
    return folder


def has_room(place: Path) -> bool:
    """Whether databases, and programs, may lie in memory there."""
    try:
        if "TMPDIR" in os.environ or not os.access(place, os.W_OK):
            return False
        there = os.statvfs(place)
        available = re.search(r"^MemAvailable: +([0-9]+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    except OSError:
        return False
    runs_programs = not there.f_flag & getattr(os, "ST_NOEXEC", 0)  # a container's does not
    return (
        runs_programs and there.f_bavail * there.f_frsize >= ROOM and int(available[1]) * 1024 >= LEFT
        if available
        else False
    )
