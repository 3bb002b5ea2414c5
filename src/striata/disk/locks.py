"""Lock files: held by one process at a time, on every platform, and let go of however that process ends."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from .system import writing

_TRIES = 10


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
    with contextlib.ExitStack() as held:
        with writing(path):
            held.enter_context(acquired(path, wait=wait))
        yield


@contextlib.contextmanager
def acquired(path: Path, *, wait: float = 0) -> Iterator[None]:
    """As :func:`holding`, for callers that say themselves what cannot be written.

    Raises:
        HeldError: somebody else still holds it.
        OSError: the file cannot be written.
    """
    lock = FileLock(path, timeout=wait)
    for _ in range(_TRIES):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire()  # of the file that has the name now: filelock from 3.21 on holds none that was removed
            break
        except Timeout:
            raise HeldError(str(path)) from None
        except FileNotFoundError:  # a holder removes its folder, see `remove_held`
            continue
    else:
        raise HeldError(str(path))
    try:
        yield
    finally:
        lock.release()


def remove_held(lock: Path) -> None:
    """Removes the folder of a lock file that this process holds, the lock file last: whoever takes it next keeps what he writes.

    What cannot be removed stays, for the next holder.
    """
    with contextlib.suppress(OSError):  # Windows removes no file that is open, such as the lock
        for entry in lock.parent.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry.name != lock.name:
                entry.unlink()
        lock.unlink()
        lock.parent.rmdir()


def is_held(path: Path) -> bool:
    """Whether somebody holds a lock file at this moment."""
    if not path.exists():
        return False
    try:
        with holding(path):
            return False
    except HeldError:
        return True
