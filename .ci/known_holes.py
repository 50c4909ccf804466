"""Are the parts named in the lock files known to have holes? Asks a list of holes, where one is at hand.

    python .ci/known_holes.py                by pip-audit, which needs a network (pip install pip-audit)
    python .ci/known_holes.py FOLDER         by a copy of github.com/pypa/advisory-database; needs no network

Exit 1 where a part has a known hole. Where nothing could be looked up it says so, and ends with 0: no network is no hole.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from packaging.version import InvalidVersion, Version

LOCK_FILES = ("requirements.txt", "requirements-dev.txt")
_MODIFIED = re.compile(r"^modified: ['\"]?(\d{4}-\d\d-\d\d)", re.MULTILINE)
_LOCKED = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", re.MULTILINE)


def locked(text: str) -> dict[str, str]:
    """The parts that a lock file names, and their versions."""
    return {name.lower().replace("_", "-"): version for name, version in _LOCKED.findall(text)}


def holes_in(advisory: dict[str, Any], name: str, version: str) -> bool:
    """Whether an advisory (in OSV's form) is about this version of a part."""
    if advisory.get("withdrawn"):
        return False
    about = [one for one in advisory.get("affected", []) if one["package"]["name"].lower().replace("_", "-") == name]
    return any(
        version in one.get("versions", [])
        or any(
            _within(span["events"], Version(version)) for span in one.get("ranges", []) if span["type"] == "ECOSYSTEM"
        )
        for one in about
    )


def _within(events: list[dict[str, str]], version: Version) -> bool:
    """Whether the last event at or before a version opened the hole."""
    inside = False
    moments = [(_version(text), kind) for event in events for kind, text in event.items()]
    for moment, kind in sorted(moments, key=lambda one: (one[0], one[1] != "fixed")):
        if kind == "last_affected":
            inside = inside and version <= moment
        elif moment <= version:
            inside = kind == "introduced"
    return inside


def _version(text: str) -> Version:
    try:
        return Version(text)
    except InvalidVersion:
        return Version("0")


def by_advisories(folder: Path, parts: dict[str, str]) -> Iterator[str]:
    """One line for each hole that the copy of the advisory database knows."""
    for name, version in sorted(parts.items()):
        for path in sorted((folder / "vulns" / name).glob("*.yaml")):
            advisory = yaml.safe_load(path.read_text(encoding="utf-8"))
            if holes_in(advisory, name, version):
                yield f"{name} {version}: {advisory['id']} {' '.join(advisory.get('aliases', []))}"


def newest(folder: Path) -> str:
    """The day of the newest advisory in a copy: of what became known later, the copy says nothing."""
    texts = (path.read_text(encoding="utf-8") for path in (folder / "vulns").glob("*/*.yaml"))
    return max((found[1] for text in texts if (found := _MODIFIED.search(text))), default="?")


def by_pip_audit(parts: dict[str, str]) -> tuple[list[str], int]:
    """One line for each hole that pip-audit finds, and of how many parts it found anything out."""
    holes, asked = [], set()
    for lock_file in LOCK_FILES:
        command = ["pip-audit", "--requirement", lock_file, "--require-hashes", "--disable-pip", "--format", "json"]
        try:
            answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)  # noqa: S603 - our own words
            found = json.loads(answer.stdout)["dependencies"]
        except (OSError, subprocess.TimeoutExpired, ValueError):  # no pip-audit, no network
            continue
        for one in found:
            if "vulns" in one:
                asked.add(one["name"])
                holes += [f"{one['name']} {one['version']}: {hole['id']}" for hole in one["vulns"]]
    return sorted(set(holes)), len(asked & set(parts))


def main(arguments: list[str]) -> int:
    """Print what was found and how much was looked at."""
    parts = {name: version for file in LOCK_FILES for name, version in locked(Path(file).read_text()).items()}
    if arguments:
        folder = Path(arguments[0])
        if not (folder / "vulns").is_dir():
            print(f"{folder} is no copy of the advisory database: it has no folder vulns")
            return 1
        holes, asked = list(by_advisories(folder, parts)), len(parts)
        print(f"The newest advisory of the copy is of {newest(folder)}.")
    else:
        holes, asked = by_pip_audit(parts)
    print("\n".join(holes), end="\n" if holes else "")
    if asked:
        print(f"{asked} of {len(parts)} parts were looked up; {len(holes)} known holes.")
    else:
        print(
            "NOTHING WAS CHECKED: pip-audit is missing or reaches no list of holes. See make audit in docs/security/asvs.md."
        )
    return 1 if holes else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
