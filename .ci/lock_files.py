"""Refuses a lock file that says where packages come from: a URL, an index option or a path of somebody's machine.

Packages are known by version and hash; the place to fetch them from is the business of the machine that installs.
"""

import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

LOCK_FILES = (
    "requirements*.txt", "constraints*.txt", "*.lock", "package-lock.json", "npm-shrinkwrap.json", "pnpm-lock.yaml",
    "Pipfile.lock", "pylock*.toml",
)  # fmt: skip
FORBIDDEN = re.compile(
    r"""(?P<url>[a-z+]+://)
      | (?P<option>^\s*(?:-i|-f|--(?:extra-)?index-url|--find-links|--trusted-host|--index|--default-index)\b)
      | (?P<path>(?:^|[\s"'@=])(?:/|~/|\.\.?/|[A-Za-z]:\\)[\w.])""",
    re.VERBOSE | re.IGNORECASE,
)


def faults(text: str) -> list[tuple[int, str]]:
    """Line and kind (url, option, path) of everything in the text of a lock file that does not belong there."""
    return [
        (number, str(found.lastgroup))
        for number, line in enumerate(text.splitlines(), start=1)
        if (found := FORBIDDEN.search(line))
    ]


def tracked() -> list[Path]:
    """The lock files of this repository, those not yet added included."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    answer = subprocess.run(listing, capture_output=True, text=True, check=True)  # noqa: S603 - our own words
    paths = [Path(name) for name in answer.stdout.split("\0") if name]
    return [path for path in paths if path.exists() and any(fnmatch(path.name, pattern) for pattern in LOCK_FILES)]


def main() -> int:
    """Print every fault; 1 where there is one."""
    found = [(path, *fault) for path in tracked() for fault in faults(path.read_text(encoding="utf-8"))]
    for path, line, kind in found:
        print(f"{path}:{line}: {kind} in a lock file")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
