"""Two layouts, or two runs, on the same rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..figures.intervals import Interval, paired_difference
from ..figures.pvalues import mcnemar
from ..figures.spread import Variance, half_width, p_value, spread
from .measure import Rows, as_numbers

Right = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate(Interval):
    """A difference of two means over rows, first minus second: of shares of right answers, or of numbers.

    Args:
        p: chance of a difference at least as large where there is none.
    """

    p: float


def compare_two(first: Right, second: Right, confidence: float) -> Estimate:
    """Two runs on the same rows: McNemar's exact test, and the interval of Bonett and Price (2012).

    Args:
        first: where the first is right, (rows,).
        second: likewise.
        confidence: of the interval.
    """
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    interval = paired_difference(only_second, only_first, len(first), added=1, level=confidence)
    return Estimate(value=interval.value, low=interval.low, high=interval.high, p=mcnemar(only_first, only_second))


def compare_numbers(first: Rows, second: Rows, confidence: float) -> Estimate:
    """Two runs on the same rows by numbers: Student's paired t.

    Args:
        first: how good each of its answers is, (rows,).
        second: likewise.
        confidence: of the interval.
    """
    table = spread((first - second)[None])
    parts = [Variance(table.row_variance / table.rows, table.rows - 1)] if table.rows > 1 else [Variance(np.inf, np.inf)]
    return _estimate(table.mean, parts, confidence, most=np.inf)


def compare_crossed(first: Rows, second: Rows, seeds: tuple[Variance, Variance], confidence: float) -> Estimate:
    """Two layouts over seeds and rows.

    Args:
        first: where the first is right, or how good its answers are, (seeds, rows).
        second: likewise, with the same seeds and rows.
        seeds: the variance of one seed's mean, for either layout, from :func:`striata.figures.spread.seed_parts`.
        confidence: of the interval.
    """
    scatter = spread(as_numbers(first) - as_numbers(second))
    parts = crossed_parts(scatter.row_variance / scatter.rows, seeds, (scatter.seeds, scatter.seeds))
    return _estimate(scatter.mean, parts, confidence, most=_most(first))


def compare_many(
    pairs: Sequence[tuple[str, str]], right: Mapping[str, Rows], seeds: Mapping[str, Variance], confidence: float
) -> Estimate:
    """The mean of the differences of several pairs of layouts; a layout may be in more than one pair.

    The layouts are those that were asked about, and not a sample of others; seeds and rows are samples.

    Args:
        pairs: names of first and second.
        right: where each layout is right, or how good its answers are, (seeds, rows), with the same seeds and rows.
        seeds: the variance of one seed's mean of each, from :func:`striata.figures.spread.seed_parts`.
        confidence: of the interval.
    """
    weights: dict[str, float] = defaultdict(float)
    for first, second in pairs:
        weights[first] += 1 / len(pairs)
        weights[second] -= 1 / len(pairs)
    table = np.concatenate([as_numbers(right[first]) - as_numbers(right[second]) for first, second in pairs])
    number = len(right[pairs[0][0]])
    scatter = spread(table if number > 1 else table.mean(0, keepdims=True))
    pools = {id(seeds[name]): seeds[name] for name in weights}
    parts = [Variance(scatter.row_variance / scatter.rows, np.inf)]
    for key, part in pools.items():
        if part.freedom and number > 1:
            share = sum(weight**2 for name, weight in weights.items() if id(seeds[name]) == key)
            parts.append(Variance(share * part.variance / number, part.freedom))
    return _estimate(scatter.mean, parts, confidence, most=_most(right[pairs[0][0]]))


def _most(rows: Rows) -> float:
    """What a difference of means can be at most."""
    return 1.0 if rows.dtype == np.bool_ else np.inf


def _estimate(mean: float, parts: Sequence[Variance], confidence: float, *, most: float) -> Estimate:
    half = half_width(parts, 1 - confidence)
    return Estimate(value=mean, low=max(-most, mean - half), high=min(most, mean + half), p=p_value(mean, parts))


def crossed_parts(rows: float, seeds: tuple[Variance, Variance], numbers: tuple[int, int]) -> list[Variance]:
    """Parts of the variance of a difference of two means over seeds.

    Args:
        rows: the part that rows alone make, as good as known.
        seeds: the variance of one seed's figure, for either layout.
        numbers: of seeds.
    """
    one, two = (Variance(part.variance / number, part.freedom) for part, number in zip(seeds, numbers, strict=True))
    together = [Variance(one.variance + two.variance, one.freedom)] if seeds[0] is seeds[1] else [one, two]
    return [*together, Variance(rows, np.inf)]
