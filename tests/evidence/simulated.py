"""Studies with known truth: where runs are right on rows, from a model with layouts, seeds and rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import stats


def draw(
    rng: np.random.Generator,
    layouts: int,
    seeds: int,
    rows: int,
    *,
    accuracy: Sequence[float] | float = 0.92,
    by_layout: float = 0.15,
    by_run: float = 0.25,
    by_seed: Sequence[float] | float = 0.03,
) -> npt.NDArray[np.bool_]:
    """Where runs are right, (layouts, seeds, rows).

    A row is answered rightly when a sum of normal draws stays below a threshold: the row's difficulty, what the layout makes of
    the row, what this run makes of it, and how good this seed is. Over endless rows and seeds a layout's accuracy is `accuracy`.

    Args:
        rng: of the draws.
        layouts: how many.
        seeds: of each.
        rows: the same for all.
        accuracy: true, of each layout.
        by_layout: deviation of what a layout makes of a row.
        by_run: deviation of what a run makes of a row.
        by_seed: deviation of a seed's goodness, of each layout.
    """
    true, scatter = (np.broadcast_to(np.asarray(value, float), layouts)[:, None, None] for value in (accuracy, by_seed))
    shared = np.sqrt(1 - by_layout**2 - by_run**2)
    x = shared * rng.standard_normal((1, 1, rows), np.float32) + by_layout * rng.standard_normal((layouts, 1, rows), np.float32)
    x = x + by_run * rng.standard_normal((layouts, seeds, rows), np.float32) + scatter * rng.standard_normal((layouts, seeds, 1))
    right: npt.NDArray[np.bool_] = x < stats.norm.ppf(true) * np.sqrt(1 + scatter**2)
    return right


def noise(rng: np.random.Generator, **model: float) -> tuple[float, float, float]:
    """Of a difference of two equal layouts in this model: variance by seed, by row and the rest, from a very large draw.

    By seed: of one layout's accuracy over endless rows. By row and rest: see :class:`striata.evidence.Noise`.
    """
    right = draw(rng, 2, 2, 2_000_000, **{**model, "by_seed": 0.0})
    difference = right[0].astype(np.int8) - right[1].astype(np.int8)
    by_row = float((difference[0] * difference[1]).mean())
    scatter = model.get("by_seed", 0.03)
    level = stats.norm.ppf(model.get("accuracy", 0.92)) * np.sqrt(1 + scatter**2)
    seeds = stats.norm.cdf(level + scatter * rng.standard_normal(1_000_000))
    return float(seeds.var()), by_row, float((difference**2).mean()) - by_row


def within(hits: int, trials: int, truth: float) -> bool:
    """Whether a count is within 3.3 standard errors of its expectation (one chance in a thousand)."""
    return abs(hits / trials - truth) <= 3.3 * (truth * (1 - truth) / trials) ** 0.5


def at_most(hits: int, trials: int, limit: float) -> bool:
    """Whether a share is not significantly above a limit (one chance in two thousand)."""
    return hits / trials <= limit + 3.3 * (limit * (1 - limit) / trials) ** 0.5
