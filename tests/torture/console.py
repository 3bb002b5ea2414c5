"""Commands in forked children of limited time and memory, with what they print."""

from __future__ import annotations

import os
import re
import resource
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from striata.cli import main
from striata.errors import StriataError

from .children import SECONDS, status

_UNSTEADY = re.compile(r"\d+:\d\d:\d\d|\d[\d.,]*( ?s\b| ?s/|it/s| texts a second)")


@dataclass(frozen=True, slots=True)
class Printed:
    """How a command ended, and what it printed.

    Args:
        code: its exit code; that of a signal below 0.
        out: its stdout.
        notes: its stderr.
        seconds: of processor time.
        peak: largest memory, in bytes.
    """

    code: int
    out: str
    notes: str
    seconds: float
    peak: int

    @property
    def refused(self) -> bool:
        """Whether it ended with one line about what is wrong."""
        lines = [line for line in self.notes.splitlines() if line.startswith("error: ")]
        return self.code == 2 and len(lines) == 1 and "Traceback" not in self.notes

    @property
    def remarks(self) -> set[str]:
        """The lines of stderr, without figures that depend on the moment."""
        return {_UNSTEADY.sub("", line) for line in self.notes.splitlines()}

    def __str__(self) -> str:
        ending = {-signal.SIGXCPU: "hangs", -signal.SIGALRM: "hangs"}.get(self.code, f"ends with {self.code}")
        return f"{ending}: {' / '.join(self.notes.strip().splitlines()[-8:])[-1200:]}"


def striata(*arguments: str) -> Callable[[], None]:
    """A command as it is typed."""

    def call() -> None:
        sys.argv = ["striata", *arguments]
        main()

    return call


def printed(call: Callable[[], object], place: Path, *, seconds: float = 60.0, patience: int = 90) -> Printed:
    """Does something in a child whose current folder is `place`.

    Args:
        call: what; a StriataError becomes one line and code 2.
        place: a folder.
        seconds: of processor time that it may take.
        patience: seconds of wall-clock time likewise, on a machine that does much else.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as notes:
        sys.stdout.flush()
        sys.stderr.flush()
        child = os.fork()
        if child == 0:
            _serve(call, place, (seconds, patience), out.fileno(), notes.fileno())  # never returns
        _, status, usage = os.wait4(child, 0)
        for file in (out, notes):
            file.seek(0)
        texts = [file.read().decode(errors="replace") for file in (out, notes)]
        seconds, code = usage.ru_utime + usage.ru_stime, os.waitstatus_to_exitcode(status)
        return Printed(code, texts[0], texts[1], seconds, usage.ru_maxrss * 1024)


def limit_after(reference: Printed) -> float:
    """Seconds of processor time that a command may take which took so many before."""
    return 2 * reference.seconds + SECONDS


def _serve(call: Callable[[], object], place: Path, limits: tuple[float, int], out: int, notes: int) -> None:
    code: object = 1
    try:
        os.dup2(out, 1)
        os.dup2(notes, 2)
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        os.chdir(place)
        _limit(*limits)
        import torch

        torch.set_num_threads(1)
        call()
        code = 0
    except StriataError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 2
    except SystemExit as ended:
        code = ended.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)


def _limit(seconds: float, patience: int) -> None:
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(patience)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, hard))
    resource.setrlimit(resource.RLIMIT_AS, (status("VmSize") + 4 * 2**30, resource.getrlimit(resource.RLIMIT_AS)[1]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
