"""Chances of what was seen, were there nothing to see."""

from __future__ import annotations

from collections.abc import Sequence


def mcnemar(only_first: int, only_second: int) -> float:
    """Exact two-sided p-value of McNemar's test (McNemar 1947, in its binomial form).

    Args:
        only_first: rows that only the first gets right.
        only_second: rows that only the second gets right.
    """
    from scipy.stats import binom

    discordant = only_first + only_second
    return min(1.0, 2 * float(binom.cdf(min(only_first, only_second), discordant, 0.5))) if discordant else 1.0


def holm(values: Sequence[float]) -> list[float]:
    """p-values corrected for their number, step down (Holm 1979): with all of them at most `level`, the chance of any false alarm
    is at most `level`, whatever their dependence."""
    order = sorted(range(len(values)), key=lambda at: values[at])
    corrected, largest = [1.0] * len(values), 0.0
    for place, at in enumerate(order):
        largest = max(largest, min(1.0, (len(values) - place) * values[at]))
        corrected[at] = largest
    return corrected
