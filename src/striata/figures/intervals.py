"""Intervals of shares of rows, and of differences of two shares on the same rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from .spread import Variance, half_width

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


def rmse_interval(errors: npt.NDArray[np.float64], *, level: float = LEVEL) -> Interval:
    """A root mean squared error with an interval: Student's of the logarithm of the mean squared error, by the delta method.

    Args:
        errors: of the rows, (rows,).
        level: probability that the interval holds the value on endless rows.
    """
    squared, rows = errors**2, len(errors)
    parts = [Variance(float(squared.var(ddof=1)) / rows, rows - 1)] if rows > 1 else []
    return error_interval(float(squared.mean()), parts, power=2, level=level)


def error_interval(mean: float, parts: Sequence[Variance], *, power: int, level: float = LEVEL) -> Interval:
    """The root of a mean of errors to a power, with an interval on the scale of its logarithm, never below 0.

    Args:
        mean: of the errors to the power.
        parts: of the variance of that mean; without any, or of no errors, the interval is the value itself.
        power: 1 for a mean absolute error, 2 for a root mean squared one.
        level: probability that the interval holds the value on endless rows.
    """
    value = float(mean ** (1 / power))
    half = half_width(parts, 1 - level) / (mean * power) if mean else 0.0
    return Interval(value=value, low=value * math.exp(-half), high=value * math.exp(half))


def wilson(value: float, rows: float, *, level: float = LEVEL) -> Interval:
    """A share with Wilson's score interval (1927).

    Args:
        value: the share.
        rows: it was counted on; need not be whole.
        level: probability that the interval holds the true share.
    """
    z = _quantile(level)
    middle = (value + z**2 / (2 * rows)) / (1 + z**2 / rows)
    half = z / (1 + z**2 / rows) * (value * (1 - value) / rows + z**2 / (4 * rows**2)) ** 0.5
    return Interval(
        value=value,
        low=0.0 if value == 0 else max(0.0, middle - half),
        high=1.0 if value == 1 else min(1.0, middle + half),
    )


def share(hits: int, rows: int, *, level: float = LEVEL) -> Interval:
    """The share of `hits` among at least one row, with Wilson's interval."""
    return wilson(hits / rows, rows, level=level)


def share_of_parts(value: float, rows: int, parts: Sequence[Variance], *, level: float = LEVEL) -> Interval:
    """A share whose error is the sum of independent parts: Wilson's interval, with as many rows as would make that variance.

    Args:
        value: the share.
        rows: it was counted on; they decide where there are no parts, or the share is 0 or 1.
        parts: of its variance.
        level: as in :func:`wilson`.
    """
    variance = (half_width(parts, 1 - level) / _quantile(level)) ** 2
    return wilson(value, value * (1 - value) / variance if variance > 0 and 0 < value < 1 else rows, level=level)


def paired_difference(lost: int, gained: int, rows: int, *, added: float = 0.5, level: float = LEVEL) -> Interval:
    """How much a share changed on the same rows: an adjusted Wald interval.

    Args:
        lost: rows that count before and not after.
        gained: rows that count after and not before.
        rows: all rows.
        added: to either number before the interval is taken, of two rows more in all: 0.5 after Agresti and Min (2005), or 1,
            which is a little wider, after Bonett and Price (2012).
        level: probability that the interval holds the true difference.
    """
    total = rows + 2
    middle = (gained - lost) / total
    deviation = (lost + gained + 2 * added - (gained - lost) ** 2 / total) ** 0.5 / total
    half = _quantile(level) * deviation
    return Interval(value=(gained - lost) / rows, low=max(-1.0, middle - half), high=min(1.0, middle + half))


def _quantile(level: float) -> float:
    """Two-sided, of the normal distribution."""
    return -float(ndtri((1 - level) / 2))
