"""Commands die, or are refused an operation, at one place after the other; the same command then makes what it always does."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from .world import COMMANDS, World

HARMS = {"killed": None, "ENOSPC": errno.ENOSPC, "EIO": errno.EIO, "EACCES": errno.EACCES}


def interruptions(
    world: World,
    *,
    commands: Sequence[str] = tuple(COMMANDS),
    harms: Sequence[str] = tuple(HARMS),
    count: int | None = None,
    seed: int = 0,
    tell: Callable[[str], object] = print,
) -> Iterator[str]:
    """What is wrong after an interruption; yields a sentence for each try, empty where nothing is.

    Args:
        world: in which they are tried.
        commands: names of those to interrupt.
        harms: in which ways.
        count: how many places of each command and way, drawn at random; None for all.
        seed: of the draw.
        tell: told what is tried.
    """
    rng = np.random.default_rng(seed)
    for name in commands:
        operations = world.operations(name)
        for harm in harms:
            places = list(range(1, operations + 1))
            if count is not None and count < operations:
                places = sorted(int(at) for at in rng.choice(places, count, replace=False))
            tell(f"{name}, {harm}: {len(places)} of {operations} operations")
            for at in places:
                yield world.trial(name, at, HARMS[harm])
