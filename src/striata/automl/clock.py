"""A time limit that counts what earlier calls took."""

from __future__ import annotations

import time
from collections.abc import Callable


class Clock:
    """Seconds until a limit.

    Args:
        limit: seconds in all.
        before: seconds that earlier calls took.
        now: the time in seconds; another one in tests.
    """

    def __init__(self, limit: float, *, before: float = 0.0, now: Callable[[], float] = time.monotonic) -> None:
        self.limit, self._before, self._now = limit, before, now
        self._began = now()

    @property
    def spent(self) -> float:
        """Seconds in all calls together."""
        return self._before + self._now() - self._began

    @property
    def left(self) -> float:
        """Seconds until the limit, not below 0."""
        return max(0.0, self.limit - self.spent)
