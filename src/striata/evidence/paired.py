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

Right = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate(Interval):
    """A difference of two shares of right answers, first minus second.

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


def compare_crossed(first: Right, second: Right, seeds: tuple[Variance, Variance], confidence: float) -> Estimate:
    """Two layouts over seeds and rows.

    Args:
        first: where the first is right, (seeds, rows).
        second: likewise, with the same seeds and rows.
        seeds: the variance of one seed's accuracy, for either layout, from :func:`striata.figures.spread.seed_parts`.
        confidence: of the interval.
    """
    scatter = spread(first.astype(np.int8) - second.astype(np.int8))
    parts = crossed_parts(scatter.row_variance / scatter.rows, seeds, (scatter.seeds, scatter.seeds))
    return _estimate(scatter.mean, parts, confidence)


def compare_many(
    pairs: Sequence[tuple[str, str]], right: Mapping[str, Right], seeds: Mapping[str, Variance], confidence: float
) -> Estimate:
    """The mean of the differences of several pairs of layouts; a layout may be in more than one pair.

    The layouts are those that were asked about, and not a sample of others; seeds and rows are samples.

    Args:
        pairs: names of first and second.
        right: where each layout is right, (seeds, rows), with the same seeds and rows.
        seeds: the variance of one seed's accuracy of each, from :func:`striata.figures.spread.seed_parts`.
        confidence: of the interval.
    """
    weights: dict[str, float] = defaultdict(float)
    for first, second in pairs:
        weights[first] += 1 / len(pairs)
        weights[second] -= 1 / len(pairs)
    table = np.concatenate([right[first].astype(np.int8) - right[second].astype(np.int8) for first, second in pairs])
    number = len(right[pairs[0][0]])
    scatter = spread(table if number > 1 else table.mean(0, keepdims=True))
    pools = {id(seeds[name]): seeds[name] for name in weights}
    parts = [Variance(scatter.row_variance / scatter.rows, np.inf)]
    for key, part in pools.items():
        if part.freedom and number > 1:
            share = sum(weight**2 for name, weight in weights.items() if id(seeds[name]) == key)
            parts.append(Variance(share * part.variance / number, part.freedom))
    return _estimate(scatter.mean, parts, confidence)


def _estimate(mean: float, parts: Sequence[Variance], confidence: float) -> Estimate:
    half = half_width(parts, 1 - confidence)
    return Estimate(value=mean, low=max(-1.0, mean - half), high=min(1.0, mean + half), p=p_value(mean, parts))


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
