"""Writing that leaves either the old file or the whole new one, and checksums to prove it later."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

from ..errors import StriataError
from .system import confirm, writing
from .workplace import replace_folder, workplace

_NEW = "new"
_DIGESTS: dict[tuple[int, int, int, int], str] = {}
_SETTLED = 50_000_000  # ns; a file that changed just now may change again at what the file system's clock calls the same time


def write_bytes(path: Path, data: bytes) -> None:
    """Replaces `path` by `data` in one step: a reader sees the old file or the whole new one.

    Raises:
        StriataError: the disk is full, or the place cannot be written.
    """
    with writing(path), workplace(path) as place:
        new = place / _NEW
        with open(new, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        new.chmod(0o644)
        new.replace(path)
        confirm(path)


def write_text(path: Path, text: str) -> None:
    """Replaces `path` by `text` in UTF-8; see :func:`write_bytes`."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: object) -> None:
    """Replaces `path` by `value` as indented JSON; see :func:`write_bytes`."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yields a temporary folder that takes the name `path` when the block ends well.

    An existing `path` is replaced whole, where the file system can in one step; when the block raises, or the process is killed,
    `path` is as it was, and nothing is left behind after the next call.

    Raises:
        StriataError: the disk is full, or the place cannot be written.
    """
    with writing(path), workplace(path) as place:
        new = place / _NEW
        new.mkdir()
        yield new
        for file in new.rglob("*"):
            if file.is_file():
                with open(file, "rb+") as handle:  # Windows syncs only what may be written
                    os.fsync(handle.fileno())
        new.chmod(0o755)
        replace_folder(new, path)
        confirm(path)


def apart(out: Path, *sources: str | Path) -> None:
    """Refuses a place for a result that is also a source of it.

    Raises:
        StriataError: `out` is one of the sources.
    """
    for source in map(Path, sources):
        if out.exists() and source.exists() and out.samefile(source):
            raise StriataError(f"{out} is read for it and would be lost; give another name", argument="out", path=str(out))


def named(out: str | Path, *endings: str, argument: str = "out") -> Path:
    """A place for a result of one kind, so that a slip of the hand does not replace a file of another.

    Args:
        out: the place.
        endings: that it may have.
        argument: what it was given as.

    Raises:
        StriataError: the name has another ending.
    """
    path = Path(out)
    if path.suffix.lower() not in endings:
        raise StriataError(f"{path}: expected a name ending in {' or '.join(endings)}", argument=argument, path=str(path))
    return path


def sha256_file(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes.

    A process reads a file for this once, and again when its size, its time of change or the file itself has changed.

    Raises:
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        facts = os.fstat(file.fileno())
        key = (facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns)
        if key in _DIGESTS:
            return _DIGESTS[key]
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if time.time_ns() - facts.st_mtime_ns > _SETTLED:
        _DIGESTS[key] = digest
    return digest
