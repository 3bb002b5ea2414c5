"""Writing that leaves either the old file or the whole new one, and checksums to prove it later."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from ..errors import StriataError

_DIGESTS: dict[tuple[int, int, int, int], str] = {}
_SETTLED = 50_000_000  # ns; a file that changed just now may change again at what the file system's clock calls the same time


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns an operating system error while writing `path` into one clear line.

    Raises:
        StriataError: the disk is full, or the place cannot be written.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise StriataError(
                f"no space left to write {path}: what was there before is unchanged; "
                "free some space and run the same command again"
            ) from error
        reason = error.strerror or str(error)
        raise StriataError(f"cannot write {path}: {reason}; choose a folder that can be written") from error


def sync_folder(folder: Path) -> None:
    """Makes new names in a folder last, where the platform can: Windows opens no folders, and needs no such thing."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_bytes(path: Path, data: bytes) -> None:
    """Replaces `path` by `data` in one step: a reader sees the old file or the whole new one.

    Raises:
        StriataError: the disk is full, or the place cannot be written.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(0o644)
            temporary.replace(path)
            sync_folder(path.parent)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def write_text(path: Path, text: str) -> None:
    """Replaces `path` by `text` in UTF-8; see :func:`write_bytes`."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: object) -> None:
    """Replaces `path` by `value` as indented JSON; see :func:`write_bytes`."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yields a temporary folder beside `path` that takes its name when the block ends well.

    An existing `path` is replaced whole; when the block raises, nothing is left behind and `path` is as it was.

    Raises:
        StriataError: the disk is full, or the place cannot be written.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
        try:
            yield temporary
            for file in temporary.rglob("*"):
                if file.is_file():
                    with open(file, "rb+") as handle:  # Windows syncs only what may be written
                        os.fsync(handle.fileno())
            temporary.chmod(0o755)
            old = None
            if path.exists():
                old = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.old."))
                path.rename(old / "was")
            temporary.rename(path)
            sync_folder(path.parent)
            if old is not None:
                shutil.rmtree(old)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise


def apart(out: Path, *sources: str | Path) -> None:
    """Refuses a place for a result that is also a source of it.

    Raises:
        StriataError: `out` is one of the sources.
    """
    for source in map(Path, sources):
        if out.exists() and source.exists() and out.samefile(source):
            raise StriataError(f"{out} is read for it and would be lost; give another name", argument="out", path=str(out))


def named(out: str | Path, ending: str) -> Path:
    """A place for a result of one kind, so that a slip of the hand does not replace a file of another.

    Raises:
        StriataError: the name has another ending.
    """
    path = Path(out)
    if path.suffix.lower() != ending:
        raise StriataError(f"{path}: expected a name ending in {ending}", argument="out", path=str(path))
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
