"""The anchor: the file outside the cluster to which every checkpoint is appended, a line each."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

from .private_files import sync_folder
from .signing import Signer

_FIELDS = {"number", "kind", "at", "database", "key", "previous", "covered", "blocks"}
_TAIL = 1 << 16  # bytes: what is read from the end, doubled until it is enough


@dataclass(frozen=True)
class Line:
    """A line as it stands in the anchor or in the database. `payload` is None where it cannot be read."""

    text: str
    signature: str
    payload: dict[str, Any] | None

    @property
    def number(self) -> int:
        """Its number, 0 where it cannot be read."""
        return int(self.payload["number"]) if self.payload else 0

    @property
    def covered(self) -> dict[str, int]:
        """Table → the number up to which it is covered by this line and those before it."""
        return dict(self.payload["covered"]) if self.payload else {}

    @property
    def signed_part(self) -> bytes:
        """What the signature is over."""
        return self.text.partition(" ")[2].encode()

    @cached_property
    def hash(self) -> str:
        """What the next line says of this one."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def parsed(text: str) -> Line:
    """A line, unchecked."""
    found = parsed_any(text)
    payload = found[1] if found else {}
    good = payload.keys() >= _FIELDS and isinstance(payload["number"], int)
    return Line(text, text.partition(" ")[0], payload if good else None)


def parsed_any(text: str) -> tuple[str, dict[str, Any], bytes] | None:
    """Signature, payload and what was signed, of any signed text; None where it is none."""
    signature, _, body = text.partition(" ")
    try:
        payload = json.loads(body)
    except ValueError:
        return None
    return (signature, payload, body.encode()) if isinstance(payload, dict) else None


def signed(signer: Signer, payload: dict[str, Any]) -> str:
    """The text of a line."""
    body = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    return f"{signer.sign(body.encode())} {body}"


def read(path: Path) -> Iterator[Line]:
    """Every whole line, in order; none where there is no file. What was half written at the end is no line yet."""
    try:
        file = path.open(encoding="utf-8", errors="replace", newline="\n")
    except FileNotFoundError:
        return
    with file:
        for text in file:
            if text.endswith("\n"):
                yield parsed(text[:-1])


def last(path: Path) -> Line | None:
    """The last whole line."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return None
    with file:
        end = file.seek(0, os.SEEK_END)
        tail, length = b"", _TAIL
        while tail.count(b"\n") < 2 and len(tail) < end:
            length *= 2
            file.seek(max(0, end - length))
            tail = file.read()
    whole = tail.rpartition(b"\n")[0].rpartition(b"\n")[2]
    return parsed(whole.decode(errors="replace")) if whole else None


def append(path: Path, lines: Iterable[str]) -> None:
    """Append lines, each on disk before the next. A line half written by a crash is cut off first. Mode 0600."""
    waiting = iter(lines)
    first = next(waiting, None)
    if first is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    made = not path.exists()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "r+b") as file:
        _cut_half_line(file)
        for line in (first, *waiting):
            file.write(line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    if made:
        sync_folder(path.parent)


def _cut_half_line(file: BinaryIO) -> None:
    end = file.seek(0, os.SEEK_END)
    tail, length = b"", _TAIL
    while b"\n" not in tail and len(tail) < end:
        length *= 2
        file.seek(max(0, end - length))
        tail = file.read()
    whole = end - len(tail) + tail.rfind(b"\n") + 1
    file.truncate(whole)
    file.seek(whole)
