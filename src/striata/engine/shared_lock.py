"""A lock that many may hold together, or one alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class SharedLock:
    """Held together by those who read, alone by those who change; who changes comes before who reads later.

    Neither block may be entered from within the other, or from within itself.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._readers = self._waiting = 0

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Held by any number of threads."""
        with self._condition:
            self._condition.wait_for(lambda: not self._waiting)
            self._readers += 1
        try:
            yield
        finally:
            with self._condition:
                self._readers -= 1
                self._condition.notify_all()

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Held by one thread, while nobody reads."""
        with self._condition:
            self._waiting += 1
            try:
                self._condition.wait_for(lambda: not self._readers)
                yield
            finally:
                self._waiting -= 1
                self._condition.notify_all()
