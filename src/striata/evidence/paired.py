"""Two layouts, or two runs, on the same rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from ..figures.spread import Part, half_width, p_value, spread

Right = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A difference of two shares of right answers.

    Args:
        difference: first minus second.
        low: end of the interval.
        high: other end.
        p: chance of a difference at least as large where there is none.
    """

    difference: float
    low: float
    high: float
    p: float


def mcnemar(only_first: int, only_second: int) -> float:
    """Exact two-sided p-value of McNemar's test (McNemar 1947, in its binomial form).

    Args:
        only_first: rows that only the first gets right.
        only_second: rows that only the second gets right.
    """
    discordant = only_first + only_second
    return min(1.0, 2 * float(stats.binom.cdf(min(only_first, only_second), discordant, 0.5))) if discordant else 1.0


def compare_two(first: Right, second: Right, confidence: float) -> Estimate:
    """Two runs on the same rows: McNemar's exact test, and the interval of Bonett and Price (2012).

    Args:
        first: where the first is right, (rows,).
        second: likewise.
        confidence: of the interval.
    """
    rows, b, c = len(first), int((first & ~second).sum()), int((second & ~first).sum())
    one, two = (b + 1) / (rows + 2), (c + 1) / (rows + 2)
    half = float(stats.norm.isf((1 - confidence) / 2)) * ((one + two - (one - two) ** 2) / (rows + 2)) ** 0.5
    middle = one - two
    return Estimate(difference=(b - c) / rows, low=max(-1.0, middle - half), high=min(1.0, middle + half), p=mcnemar(b, c))


def compare_crossed(first: Right, second: Right, seeds: tuple[Part, Part], confidence: float) -> Estimate:
    """Two layouts over seeds and rows.

    Args:
        first: where the first is right, (seeds, rows).
        second: likewise, with the same seeds and rows.
        seeds: the variance of one seed's accuracy, for either layout, from :func:`striata.figures.spread.seed_parts`.
        confidence: of the interval.
    """
    found = spread(first.astype(np.int8) - second.astype(np.int8))
    parts = crossed_parts(found.row_variance / found.rows, seeds, (found.seeds, found.seeds))
    return _estimate(found.mean, parts, confidence)


def compare_many(
    pairs: Sequence[tuple[str, str]], right: Mapping[str, Right], seeds: Mapping[str, Part], confidence: float
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
    found = spread(table if number > 1 else table.mean(0, keepdims=True))
    pools = {id(seeds[name]): seeds[name] for name in weights}
    parts = [Part(found.row_variance / found.rows, np.inf)]
    for key, part in pools.items():
        if part.freedom and number > 1:
            share = sum(weight**2 for name, weight in weights.items() if id(seeds[name]) == key)
            parts.append(Part(share * part.variance / number, part.freedom))
    return _estimate(found.mean, parts, confidence)


def _estimate(mean: float, parts: Sequence[Part], confidence: float) -> Estimate:
    half = half_width(parts, 1 - confidence)
    return Estimate(difference=mean, low=max(-1.0, mean - half), high=min(1.0, mean + half), p=p_value(mean, parts))


def crossed_parts(rows: float, seeds: tuple[Part, Part], numbers: tuple[int, int]) -> list[Part]:
    """Parts of the variance of a difference of two means over seeds.

    Args:
        rows: the part that rows alone make, as good as known.
        seeds: the variance of one seed's figure, for either layout.
        numbers: of seeds.
    """
    one, two = (Part(part.variance / number, part.freedom) for part, number in zip(seeds, numbers, strict=True))
    together = [Part(one.variance + two.variance, one.freedom)] if seeds[0] is seeds[1] else [one, two]
    return [*together, Part(rows, np.inf)]


def holm(values: Sequence[float]) -> list[float]:
    """p-values corrected for their number, step down (Holm 1979): with all of them at most `level`, the chance of any false alarm
    is at most `level`, whatever their dependence."""
    order = sorted(range(len(values)), key=lambda at: values[at])
    corrected, largest = [1.0] * len(values), 0.0
    for place, at in enumerate(order):
        largest = max(largest, min(1.0, (len(values) - place) * values[at]))
        corrected[at] = largest
    return corrected


def share_interval(mean: float, rows: int, parts: Sequence[Part], confidence: float) -> tuple[float, float]:
    """Interval of a share of right answers: Wilson's, with as many rows as would make the variance found.

    Args:
        mean: the share.
        rows: it was counted on.
        parts: of its variance.
        confidence: of the interval.
    """
    z = float(stats.norm.isf((1 - confidence) / 2))
    variance = (half_width(parts, 1 - confidence) / z) ** 2
    count = mean * (1 - mean) / variance if variance > 0 and 0 < mean < 1 else float(rows)
    middle = (mean + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * (mean * (1 - mean) / count + z**2 / (4 * count**2)) ** 0.5
    return max(0.0, middle - half), min(1.0, middle + half)
