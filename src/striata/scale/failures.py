"""How long work takes where machines fail: in closed form, and simulated.

Work is cut by checkpoints. A failure costs what was done since the last one, and a restart, during which the next may come.
Failures come at random, so many an hour whatever happened before (exponential times between them).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Work with checkpoints on something that fails.

    Args:
        seconds: of work, without anything else.
        interval: seconds of work between two checkpoints.
        checkpoint: seconds that one takes.
        restart: seconds until work goes on, at the beginning and after a failure.
        failures: a second, on average.
    """

    seconds: float
    interval: float
    checkpoint: float
    restart: float
    failures: float

    @property
    def segments(self) -> int:
        """Pieces of work that end with a checkpoint."""
        return max(1, math.ceil(self.seconds / self.interval))

    @property
    def segment(self) -> float:
        """Seconds of one of them, with its checkpoint."""
        return self.seconds / self.segments + self.checkpoint

    @property
    def undisturbed(self) -> float:
        """Seconds from the beginning to the end without a failure."""
        return self.restart + self.segments * self.segment


def expected_seconds(work: Work) -> float:
    """Mean time from the beginning to the end, in seconds (Daly 2006, doi:10.1016/j.future.2004.11.016; the first start counts).

    Infinite where failures come so often that the work never ends for any practical purpose.
    """
    rate = work.failures
    if not rate:
        return work.undisturbed
    try:
        begun = math.expm1(rate * work.restart) / rate  # the first restart alone, however often it fails
        return begun + work.segments * math.exp(rate * work.restart) * math.expm1(rate * work.segment) / rate
    except OverflowError:
        return math.inf


def best_interval(work: Work) -> float:
    """Seconds between checkpoints that cost least (Young 1974, doi:10.1145/361147.361115); infinite without failures."""
    return math.sqrt(2 * work.checkpoint / work.failures) if work.failures else math.inf


def simulate(work: Work, times: int, rng: np.random.Generator, *, failures: int = 100_000) -> npt.NDArray[np.float64]:
    """Times from the beginning to the end, (times,) in seconds, each from failure to failure.

    Args:
        work: what is done.
        times: how often.
        rng: draws the times between failures.
        failures: after so many in one of them it is infinite.
    """
    clock, done = np.zeros(times), np.zeros(times, np.int64)
    rest = np.arange(times)
    for _ in range(failures):
        if not len(rest):
            return clock
        needed = work.restart + (work.segments - done[rest]) * work.segment
        until = rng.exponential(1 / work.failures, len(rest)) if work.failures else np.full(len(rest), np.inf)
        through = until >= needed
        clock[rest] += np.where(through, needed, until)
        done[rest] += np.floor(np.maximum(0.0, np.where(through, 0.0, until) - work.restart) / work.segment).astype(np.int64)
        rest = rest[~through]
    clock[rest] = np.inf
    return clock
