"""Cases tried in a forked child with limits of time and memory, so that imports cost once and a crash costs one case."""

from __future__ import annotations

import faulthandler
import os
import resource
import select
import signal
import struct
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from striata.errors import StriataError

SECONDS = 5.0
MEMORY = 2**30  # bytes that a case may need beyond what the child has
READ, REFUSED = "read", "refused"
TRACEBACK, CRASH, HANG, BLOAT = "traceback", "crash", "hang", "memory"
_CODES = (READ, REFUSED, TRACEBACK, BLOAT)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a case ended.

    Args:
        case: its number.
        kind: read, refused, traceback, crash, hang or memory.
        words: the message, or where it happened.
    """

    case: int
    kind: str
    words: str

    @property
    def failed(self) -> bool:
        """Whether it is neither read nor refused in one line."""
        return self.kind not in (READ, REFUSED)


def try_all(
    cases: Sequence[int], call: Callable[[int], object], *, seconds: float = SECONDS, memory: int = MEMORY
) -> list[Outcome]:
    """What `call` does with each case, all in one child, or in another one behind a case that ended it.

    Args:
        cases: numbers of the cases.
        call: is given one of them.
        seconds: of processor time that a case may take; of wall-clock time it may take ten times as much.
        memory: bytes that a case may need.
    """
    outcomes: list[Outcome] = []
    while len(outcomes) < len(cases):
        rest = cases[len(outcomes) :]
        outcomes += _one_child(rest, call, seconds, memory)
    return outcomes


def summary(outcomes: Sequence[Outcome]) -> str:
    """`1,000 tried: 300 read, 700 refused`, and every failure in a line of its own."""
    kinds = Counter(outcome.kind for outcome in outcomes)
    counts = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common())
    return "\n".join(
        [
            f"{len(outcomes):,} tried: {counts}",
            *(f"  case {one.case}: {one.kind}: {one.words}" for one in outcomes if one.failed),
        ]
    )


def _one_child(cases: Sequence[int], call: Callable[[int], object], seconds: float, memory: int) -> list[Outcome]:
    """Outcomes up to the end, or to the first case that ends the child."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _serve(cases, call, writing, seconds, memory)  # never returns
    os.close(writing)
    outcomes: list[Outcome] = []
    try:
        while len(outcomes) < len(cases):
            ready, _, _ = select.select([reading], [], [], 10 * seconds)
            if not ready:
                os.kill(child, signal.SIGKILL)
                outcomes.append(Outcome(cases[len(outcomes)], HANG, f"no end in {10 * seconds:g} s"))
                break
            message = _received(reading)
            if message is None:
                status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
                child = 0
                hang = status == -signal.SIGXCPU
                words = (
                    f"more than {seconds:g} s" if hang else f"ended by {signal.Signals(-status).name if status < 0 else status}"
                )
                outcomes.append(Outcome(cases[len(outcomes)], HANG if hang else CRASH, words))
                break
            outcomes.append(Outcome(cases[len(outcomes)], *message))
    finally:
        os.close(reading)
        if child:
            os.waitpid(child, 0)
    return outcomes


def _received(pipe: int) -> tuple[str, str] | None:
    head = os.read(pipe, 5)
    if len(head) < 5:
        return None
    code, length = struct.unpack("<BI", head)
    words = b""
    while len(words) < length:
        words += os.read(pipe, length - len(words))
    return _CODES[code], words.decode(errors="replace")


def _serve(cases: Sequence[int], call: Callable[[int], object], pipe: int, seconds: float, memory: int) -> None:
    faulthandler.disable()  # a crash is an outcome, not news
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (status("VmSize") + 4 * memory, hard))  # protects the machine
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    code = 1
    try:
        for case in cases:
            used = resource.getrusage(resource.RUSAGE_SELF)
            limit = int(used.ru_utime + used.ru_stime + seconds) + 1
            resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.getrlimit(resource.RLIMIT_CPU)[1]))
            Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
            before = status("VmRSS")
            kind, words = _outcome(case, call)
            grown = status("VmHWM") - before
            if grown > memory:
                kind, words = BLOAT, f"{grown / 2**20:,.0f} MiB; {kind}: {words}"
            raw = words.encode(errors="backslashreplace")[:2000]
            os.write(pipe, struct.pack("<BI", _CODES.index(kind), len(raw)) + raw)
        code = 0
    finally:
        os._exit(code)


def _outcome(case: int, call: Callable[[int], object]) -> tuple[str, str]:
    try:
        call(case)
    except StriataError as error:
        line = str(error)
        return (REFUSED, line) if line.count("\n") == 0 and len(line) <= 4_100 else (TRACEBACK, f"no one line: {line}")
    except BaseException as error:
        frames = traceback.extract_tb(error.__traceback__)
        ours = [frame for frame in frames if "/striata/" in frame.filename] or frames
        place = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}"
        return TRACEBACK, f"{type(error).__name__} at {place}: {' '.join(str(error).split())[:300]}"
    return READ, ""


def status(key: str) -> int:
    """Bytes of a line in /proc/self/status."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    raise KeyError(key)
