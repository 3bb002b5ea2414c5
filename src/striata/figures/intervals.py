"""Intervals for shares of rows and for paired differences of two shares."""

from __future__ import annotations

import math
from dataclasses import dataclass

LEVEL = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """An estimate between two bounds.

    Args:
        value: the estimate.
        low: lower bound.
        high: upper bound.
    """

    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, float]:
        """value, low, high."""
        return {"value": self.value, "low": self.low, "high": self.high}


def share(hits: int, rows: int, *, level: float = LEVEL) -> Interval:
    """A share with Wilson's interval.

    Args:
        hits: rows that count.
        rows: all rows, at least one.
        level: probability that the interval holds the true share.
    """
    from scipy.stats import binomtest

    bounds = binomtest(hits, rows).proportion_ci(confidence_level=level, method="wilson")
    return Interval(value=hits / rows, low=float(bounds.low), high=float(bounds.high))


def paired_difference(broken: int, mended: int, rows: int, *, level: float = LEVEL) -> Interval:
    """How much an accuracy changed on the same rows, with the adjusted Wald interval of Agresti and Min (2005).

    Args:
        broken: rows right before and wrong after.
        mended: rows wrong before and right after.
        rows: all rows.
        level: probability that the interval holds the true difference.
    """
    from scipy.stats import norm

    total = rows + 2  # half a row more in each of the four cells
    middle = (mended - broken) / total
    spread = math.sqrt(broken + mended + 1 - (mended - broken) ** 2 / total) / total
    reach = float(norm.ppf(0.5 + level / 2)) * spread
    return Interval(value=(mended - broken) / rows, low=max(-1.0, middle - reach), high=min(1.0, middle + reach))
