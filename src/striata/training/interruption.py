"""Ctrl-C and SIGTERM, which wait for the step under way."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(slots=True)
class Interruption:
    """Whether training is to end after the step under way.

    Args:
        came: whether it is.
    """

    came: bool = False


@contextmanager
def deferring() -> Iterator[Interruption]:
    """In the block the first Ctrl-C or SIGTERM is only noted, and a second one ends it at once; outside of the main thread,
    which alone may say what signals do, nothing is noted.
    """
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def stop(_: int, __: object) -> None:
        if interruption.came:
            raise KeyboardInterrupt
        interruption.came = True

    try:
        for number in before:
            signal.signal(number, stop)
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
