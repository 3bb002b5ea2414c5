"""Work that several processes share, each piece of which one process does at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from .stack_folder import BusyError

WAIT = 2.0  # seconds between two looks at what another process is at


def take_turns(turns: Sequence[Callable[[], None]], waiting: Callable[[], None]) -> None:
    """Takes each turn once: first those that are free, then, when they are let go of, those that other processes are at.

    So what another process does is waited for, and what it leaves undone when it dies is taken over.

    Args:
        turns: each raises a BusyError while another process is at it, and does what that process left, if anything.
        waiting: called once, before the first wait.
    """
    left, told = list(turns), False
    while left:
        busy = []
        for turn in left:
            try:
                turn()
            except BusyError:
                busy.append(turn)
        if len(busy) == len(left):
            if not told:
                waiting()
                told = True
            time.sleep(WAIT)
        left = busy
