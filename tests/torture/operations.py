"""File operations of a forked process, counted; at the n-th one the process dies or halts, or the operation fails."""

from __future__ import annotations

import contextlib
import json
import os
import select
import sys
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from striata.disk import system
from striata.errors import StriataError

_CHANGES = {
    "os.rename",
    "os.remove",
    "os.rmdir",
    "os.mkdir",
    "os.chmod",
    "os.link",
    "os.symlink",
    "os.truncate",
    "sqlite3.connect",
}
_READS = {"os.listdir", "os.scandir"}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
KILLED = 137


@dataclass(frozen=True)
class Ended:
    """How a forked process ended.

    Args:
        code: 0 when the work was done, 2 for a StriataError, 1 for any other error, 137 when it was killed.
        operations: that it came to.
        last: the last of them.
        message: of the error.
    """

    code: int
    operations: int
    last: str
    message: str


@dataclass(frozen=True)
class Started:
    """A forked process that is at work.

    Args:
        process: its id.
        report: what it writes at its end.
        reached: from which a byte comes when it halts, and none when it ends without.
        go: into which a byte lets it go on.
    """

    process: int
    report: IO[str]
    reached: int
    go: int

    def halts(self) -> bool:
        """Waits until it halts at its operation, or ends before."""
        return bool(os.read(self.reached, 1))

    def ends(self, seconds: float) -> bool:
        """Waits until it ends, or so many seconds have passed."""
        ready, _, _ = select.select([self.reached], [], [], seconds)
        return bool(ready)

    def goes_on(self) -> Ended:
        """Lets it go on, and waits for its end."""
        with contextlib.suppress(BrokenPipeError):  # it has ended
            os.write(self.go, b".")
        status = os.waitpid(self.process, 0)[1]
        os.close(self.reached)
        os.close(self.go)
        self.report.seek(0)
        content = json.loads(self.report.read() or "{}")
        self.report.close()
        return Ended(code=os.waitstatus_to_exitcode(status), **(content or {"operations": 0, "last": "", "message": ""}))


def forked(work: Callable[[], object], folder: Path, **options: Any) -> Ended:
    """Does some work in a child of this process; see :func:`start`."""
    return start(work, folder, **options).goes_on()


def start(
    work: Callable[[], object],
    folder: Path,
    *,
    at: int = 0,
    error: int | None = None,
    reads: bool = False,
    halt: bool = False,
) -> Started:
    """Begins some work in a child of this process.

    Args:
        work: what to do.
        folder: operations under it are counted.
        at: number of the operation before which something happens, from 1 on; 0 for nothing.
        error: number of the error with which it fails; None for death.
        reads: whether reading counts, too.
        halt: whether it halts there until it is let go on, and neither fails nor dies.
    """
    report = tempfile.TemporaryFile("w+")  # noqa: SIM115  closed by whoever waits
    reached, halting = os.pipe()
    waiting, go = os.pipe()
    child = os.fork()
    if child:
        os.close(halting)
        os.close(waiting)
        return Started(child, report, reached, go)
    code = 1
    os.close(reached)
    os.close(go)
    counter = _Counter(folder, at, error, reads, report, (halting, waiting) if halt else None)
    try:
        counter.install()
        work()
        code = 0
    except StriataError as failure:
        code, counter.message = 2, str(failure)
    except BaseException:
        counter.message = traceback.format_exc()
    finally:
        counter.write()
        os._exit(code)


class _Counter:
    def __init__(
        self, folder: Path, at: int, error: int | None, reads: bool, report: IO[str], halt: tuple[int, int] | None
    ) -> None:
        self.halt = halt
        self.folder, self.at, self.error, self.reads, self.report = os.path.realpath(folder), at, error, reads, report
        self.operations, self.last, self.message = 0, "", ""
        self.over = False

    def install(self) -> None:
        sys.addaudithook(self._hook)
        fsync, exchange = os.fsync, system._renameat2()

        def synced(handle: int) -> None:
            self.count("fsync", "")
            fsync(handle)

        def exchanged(*arguments: Any) -> int:
            self.count("exchange", os.fsdecode(arguments[1]))
            return exchange(*arguments)  # type: ignore[misc]

        os.fsync = synced
        system._renameat2 = lambda: None if exchange is None else exchanged  # type: ignore[assignment]

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.over:
            return
        if event == "open":
            path, mode, flags = arguments
            changes = bool(flags & _WRITES) if isinstance(flags, int) else any(letter in (mode or "") for letter in "wax+")
            if isinstance(path, str | bytes | os.PathLike) and (changes or self.reads) and self._is_inside(path):
                self.count("open" if changes else "read", os.fsdecode(path))
        elif event in _CHANGES or (self.reads and event in _READS):
            relative = event in ("os.remove", "os.rmdir") and arguments[-1] not in (-1, None)  # as `shutil.rmtree` removes
            path = arguments[0]
            if isinstance(path, str | bytes | os.PathLike) and (relative or self._is_inside(path)):
                self.count(event, os.fsdecode(path))

    def _is_inside(self, path: Any) -> bool:
        return os.path.abspath(os.fsdecode(path)).startswith(self.folder)  # noqa: PTH100  of what may not exist

    def count(self, operation: str, path: str) -> None:
        self.operations += 1
        self.last = f"{operation} {path}"
        if self.operations == self.at:
            if self.halt is not None:
                os.write(self.halt[0], b".")
                os.read(self.halt[1], 1)
                return
            if self.error is not None:
                raise OSError(self.error, os.strerror(self.error), path)
            self.write()
            os._exit(KILLED)

    def write(self) -> None:
        self.over = True
        json.dump({"operations": self.operations, "last": self.last, "message": self.message}, self.report)
        self.report.flush()
