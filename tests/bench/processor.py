"""Processor time that processes have used: what a request costs, whatever else the machine does meanwhile."""

import os
from collections.abc import Iterable
from pathlib import Path


def seconds_used(roots: Iterable[int]) -> float | None:
    """Of the processes and all that they started and that still run; None where the system does not tell (not Linux)."""
    if not Path("/proc/self/stat").exists():
        return None
    parents, used = {}, {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            parents[int(folder.name)] = int(fields[1])
            used[int(folder.name)] = int(fields[11]) + int(fields[12])
    found, waiting = set(), list(roots)
    while waiting:
        process = waiting.pop()
        found.add(process)
        waiting += [child for child, parent in parents.items() if parent == process and child not in found]
    return sum(used.get(process, 0) for process in found) / os.sysconf("SC_CLK_TCK")
