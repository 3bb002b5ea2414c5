"""Lock files: held by one process at a time, on every platform, and let go of however that process ends."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from .files import writing


class HeldError(Exception):
    """Another process holds the lock, or another thread of this one."""


@contextlib.contextmanager
def holding(path: Path, *, wait: float = 0) -> Iterator[None]:
    """Holds a lock file while the block runs; its folder is made when it is not there.

    Args:
        path: of the lock file.
        wait: seconds to wait for another holder.

    Raises:
        HeldError: somebody else still holds it.
        StriataError: the file cannot be written.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path, timeout=wait)
        try:
            lock.acquire()
        except Timeout:
            raise HeldError(str(path)) from None
    try:
        yield
    finally:
        lock.release()


def is_held(path: Path) -> bool:
    """Whether somebody holds a lock file at this moment."""
    if not path.exists():
        return False
    try:
        with holding(path):
            return False
    except HeldError:
        return True
