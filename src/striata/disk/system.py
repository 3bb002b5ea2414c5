"""What is asked of the operating system, which answers differently from platform to platform."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from ..errors import StriataError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_UNKNOWN = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EXDEV, errno.EPERM)  # EPERM is what containers say of new calls
_HERE, _EXCHANGE = -100, 2  # AT_FDCWD, RENAME_EXCHANGE


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns an operating system error while writing `path` into one clear line.

    Raises:
        StriataError: the disk is full, or the place cannot be written.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StriataError(
                f"no space or no inodes left to write {path}: what was there before is unchanged; "
                "free some and run the same command again",
                path=str(path),
            ) from error
        reason = error.strerror or str(error)
        raise StriataError(f"cannot write {path}: {reason}; choose a folder that can be written", path=str(path)) from error


@contextlib.contextmanager
def reading(path: Path, error: type[StriataError] = StriataError) -> Iterator[None]:
    """Turns an operating system error while reading `path` into one clear line.

    Raises:
        StriataError: of the kind `error`: it is not there, may not be read, or the disk fails.
    """
    try:
        yield
    except OSError as reason:
        raise error(cannot_read(path, reason), path=str(path)) from reason


def cannot_read(path: Path, error: OSError) -> str:
    """What to say of a file or folder that cannot be read."""
    name = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else str(path)
    return f"cannot read {name}: {error.strerror or error}; check that it is there and that you may read it"


def confirm(path: Path) -> None:
    """Makes a new name last through a loss of power, where the platform can: Windows opens no folders, and needs no such thing.

    Raises:
        StriataError: the disk does not do it; the file or folder is written all the same.
    """
    if os.name == "nt":
        return
    try:
        handle = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno not in _UNKNOWN:
            reason = error.strerror or str(error)
            raise StriataError(f"{path} is written, but the disk does not confirm it: {reason}; check the disk") from error


def exchange(one: Path, other: Path) -> bool:
    """Exchanges what two names stand for in one step, so that neither is free for a moment.

    Returns:
        False where the platform or the file system has no such step; then nothing was done.

    Raises:
        OSError: it cannot be done.
    """
    call = _renameat2()
    if call is None:
        return False
    if call(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNKNOWN:
        return False
    raise OSError(number, os.strerror(number), str(other))


@cache
def _renameat2() -> Callable[[int, bytes, int, bytes, int], int] | None:
    if not sys.platform.startswith("linux"):
        return None
    function: Callable[[int, bytes, int, bytes, int], int] | None = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    return function
