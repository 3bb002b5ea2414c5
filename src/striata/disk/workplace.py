"""Hidden folders beside what is being written, each held by its process; what others left that were killed is put in order."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from .locks import HeldError, acquired, remove_held
from .system import confirm, exchange

_ENDING = ".striata"
_LOCK = ".lock"
_WAS = "was"
_RANDOM = 9  # a dot and the eight letters of `mkdtemp`
_TRIES = 10


@contextlib.contextmanager
def workplace(path: Path) -> Iterator[Path]:
    """Yields a hidden folder beside `path`, in which what takes its name can be made ready; it goes when the block ends.

    Before that, what processes left in the same folder that were killed is put in order; see :func:`sweep`.

    Raises:
        OSError: there can be none.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path.parent)
    with contextlib.ExitStack() as held:
        place = _claim(path, held)
        try:
            yield place
        finally:
            with contextlib.suppress(OSError):
                _clear(place)
    if place.exists():  # where no file is removed that is open, such as the lock
        sweep(path.parent)


def _claim(path: Path, held: contextlib.ExitStack) -> Path:
    for _ in range(_TRIES):
        place = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=_ENDING))
        try:
            held.enter_context(acquired(place / _LOCK))
        except HeldError:  # swept between the two
            continue
        return place
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(path))


def replace_folder(new: Path, path: Path) -> None:
    """Gives a folder in a workplace its name, in the place of whatever has it; the old one is in the workplace then.

    Where the file system cannot exchange two names in one step there is a moment without either; :func:`sweep` ends it for a
    process that is killed in it.

    Raises:
        OSError: it cannot be done; `path` is as it was.
    """
    if not os.path.lexists(path):
        new.rename(path)
    elif not exchange(new, path):
        was = new.with_name(_WAS)
        path.rename(was)
        try:
            new.rename(path)
        except BaseException:
            was.rename(path)
            raise


def sweep(folder: Path) -> None:
    """Clears up in a folder after killed processes: what was taken away and not replaced is put back, the rest goes.

    What other processes are at is left alone, and so is what may not be changed.
    """
    try:
        names = [entry.name for entry in os.scandir(folder) if entry.name.startswith(".") and entry.name.endswith(_ENDING)]
    except OSError:
        return
    for name in names:
        with contextlib.suppress(HeldError, OSError):
            if (folder / name).is_dir():
                with acquired(folder / name / _LOCK):
                    _clear(folder / name)


def restore(path: Path) -> None:
    """Puts a folder back that a process took away and was killed before it put the new one in its place; see :func:`sweep`."""
    if not os.path.lexists(path):
        sweep(path.parent)


def _clear(place: Path) -> None:
    """Removes a workplace that is held, once nothing of value is in it."""
    was, path = place / _WAS, place.with_name(place.name[1 : -len(_ENDING) - _RANDOM])
    if was.exists() and not os.path.lexists(path):
        was.rename(path)
        confirm(path)
    remove_held(place / _LOCK)
    if place.is_dir() and not any(place.iterdir()):
        shutil.rmtree(place)
