"""Successive halving (Jamieson and Talwalkar 2016, arXiv:1502.07943) as trials arrive (Li et al. 2020, arXiv:1810.05934)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def rungs(*, after: int, reduction: int, evaluations: int) -> list[int]:
    """The evaluations at which weak trials end: after, after * reduction, ..., all before the last evaluation.

    Args:
        after: evaluations before the first rung.
        reduction: how many times as many before each next one.
        evaluations: in a whole training.
    """
    rungs, at = [], after
    while at < evaluations:
        rungs.append(at)
        at *= reduction
    return rungs


def weak(values: Sequence[float], seen: Iterable[float], reduction: int) -> list[bool]:
    """Which of the trials that reach a rung together end there.

    A trial goes on when it is among the best 1 in `reduction` of all trials that have ever reached the rung, itself and those
    beside it included; the best always does, and equals share their fate.

    Args:
        values: of the trials at the rung now, greater is better.
        seen: values of all trials that have reached it, with these.
        reduction: one in so many goes on.
    """
    order = sorted(seen, reverse=True)
    limit = order[max(1, len(order) // reduction) - 1]
    return [value < limit for value in values]
