"""Files that only their owner may read and that must not be lost: keys."""

import os
import secrets
from pathlib import Path


def write_new(path: Path, content: bytes) -> None:
    """Write a file, mode 0600, whole or not at all, on disk when we return. Makes the folder where it is missing.

    Raises FileExistsError where something is at `path` already.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = write_beside(path, content)
    try:
        # A link, unlike a rename, refuses to replace: of two that start at once one wins, the other is told.
        os.link(beside, path)
    finally:
        beside.unlink()
    sync_folder(path.parent)


def replace(path: Path, content: bytes) -> None:
    """Put `content` in the place of a file, mode 0600: whoever reads it sees the old one or the new one, whole."""
    os.replace(write_beside(path, content), path)
    sync_folder(path.parent)


def write_beside(path: Path, content: bytes) -> Path:
    """A new file with a passing name in the same folder, mode 0600, on disk."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        beside.unlink()
        raise
    return beside


def sync_folder(folder: Path) -> None:
    """Let the names in a folder, too, survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
