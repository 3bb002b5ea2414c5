"""Which differences can be told apart, by how many rows and seeds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

POWER = 0.8
_MOST_ROWS, _MOST_SEEDS = 10_000_000, 1000
DISCORDANCE, LASTING, DEVIATION = 0.06, 0.02, 0.0037


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """What blurs the difference of two layouts.

    Args:
        by_seed: variance of a layout's true accuracy (over endless rows) from seed to seed.
        by_row: variance over rows of the difference that all seeds share.
        rest: variance over rows of the difference that is of one pair of seeds.
    """

    by_seed: float
    by_row: float
    rest: float

    @classmethod
    def assumed(cls, *, discordance: float = DISCORDANCE, lasting: float = LASTING, seed_deviation: float = DEVIATION) -> Noise:
        """Noise to plan with, before anything was measured; by default as it was in a study of nine layouts and their controls on
        AG News (`studies/agnews-depth.yaml`, three seeds).

        Args:
            discordance: share of the rows on which two runs differ in being right.
            lasting: share of these on which they would differ with any seed.
            seed_deviation: standard deviation of a layout's true accuracy from seed to seed.
        """
        return cls(by_seed=seed_deviation**2, by_row=lasting * discordance, rest=(1 - lasting) * discordance)


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """What is compared.

    Args:
        rows: of validation.
        seeds: of each layout.
        layouts: whose seeds tell together how much seeds scatter.
        comparisons: that are corrected for.
        level: chance of any false alarm.
        shares: whether shares of right rows are compared, not means of numbers; the noise is then in their unit, squared.
    """

    rows: int
    seeds: int
    layouts: int = 2
    comparisons: int = 1
    level: float = 0.05
    shares: bool = True


def compute_power(difference: float, design: Design, noise: Noise) -> float:
    """The chance to tell a difference apart, at the strictest of Holm's levels.

    With several seeds by the test of :func:`striata.evidence.paired.compare_crossed`, with one by McNemar's, or of numbers by
    Student's paired t.
    """
    level = design.level / max(design.comparisons, 1)
    if design.seeds == 1 and not design.shares:
        deviation = max(((noise.by_row + noise.rest + 2 * noise.by_seed) / design.rows) ** 0.5, 1e-300)
        return float(stats.norm.sf(stats.t.isf(level / 2, max(design.rows - 1, 1)) - abs(difference) / deviation))
    if design.seeds == 1:
        return _power_mcnemar(abs(difference), design.rows, noise.by_row + noise.rest + 2 * noise.by_seed, level)
    return _power_crossed(abs(difference), design, noise, level)


def _power_crossed(difference: float, design: Design, noise: Noise, level: float) -> float:
    seeds = (2 * noise.by_seed + noise.rest / design.rows) / design.seeds
    rows = noise.by_row / design.rows
    freedom = max(design.layouts, 2) * (design.seeds - 1)
    estimate = seeds * stats.chi2.ppf(_MIDDLES, freedom) / freedom
    needed = np.sqrt(stats.t.isf(level / 2, freedom) ** 2 * estimate + stats.norm.isf(level / 2) ** 2 * rows)
    deviation = max((seeds + rows) ** 0.5, 1e-300)
    return float(np.mean(stats.norm.sf((needed - difference) / deviation) + stats.norm.cdf((-needed - difference) / deviation)))


_MIDDLES = (np.arange(400) + 0.5) / 400


def _power_mcnemar(difference: float, rows: int, discordance: float, level: float) -> float:
    discordance = min(1.0, max(discordance, difference))
    share = 0.5 if discordance == 0 else min(1.0, (1 + difference / discordance) / 2)
    count: npt.NDArray[np.float64] = stats.binom.ppf(_MIDDLES[::8] + 3.5 / 400, rows, discordance)
    least = stats.binom.isf(level / 2, count, 0.5) + 1  # the fewest of one kind that are significant
    told = stats.binom.sf(least - 1, count, share) + stats.binom.cdf(count - least, count, share)
    return float(np.mean(np.where(least <= count, told, 0.0)))


def resolvable(design: Design, noise: Noise, *, power: float = POWER) -> float | None:
    """The smallest difference in accuracy told apart with the wanted power; None when no difference is."""
    if compute_power(1.0, design, noise) < power:
        return None
    return float(optimize.brentq(lambda difference: compute_power(difference, design, noise) - power, 0.0, 1.0, xtol=1e-7))


def rows_needed(difference: float, design: Design, noise: Noise, *, power: float = POWER) -> int | None:
    """Validation rows that would tell a difference apart with these seeds; None when no number would."""
    return _fewest(lambda rows: compute_power(difference, replace(design, rows=rows), noise) >= power, design.rows, _MOST_ROWS)


def seeds_needed(difference: float, design: Design, noise: Noise, *, power: float = POWER) -> int | None:
    """Seeds of each layout that would tell a difference apart on these rows; None when no number would."""
    return _fewest(
        lambda seeds: compute_power(difference, replace(design, seeds=seeds), noise) >= power, max(design.seeds, 2), _MOST_SEEDS
    )


def _fewest(enough: Callable[[int], bool], least: int, most: int) -> int | None:
    """The smallest number from `least` on that is enough, by doubling and halving."""
    high = least
    while not enough(high):
        if high >= most:
            return None
        high = min(2 * high, most)
    low = least - 1 if high == least else high // 2
    while high - low > max(1, high // 100):
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
