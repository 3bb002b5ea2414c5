"""Intervals by resampling rows, for figures that are no mean over rows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .intervals import Interval
from .scores import mean_f1
from .spread import Variance, half_width

_AT_ONCE = 4_000_000  # weights in memory together

Places = npt.NDArray[np.int64]


def resampled_f1(truth: Places, predicted: Places, labels: int, weights: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Mean over the labels of the harmonic mean of precision and recall; a label in neither is left out of a draw's mean.

    Args:
        truth: places of the true labels, (rows,), or 0 or 1 for each label, (rows, labels).
        predicted: likewise, of the predicted ones.
        labels: how many there are.
        weights: how often each row counts, (draws, rows).

    Returns:
        (draws,).
    """
    if truth.ndim == 2:
        true, answers = truth.astype(np.float32), predicted.astype(np.float32)
    else:
        names = np.arange(labels)
        true, answers = (truth[:, None] == names).astype(np.float32), (predicted[:, None] == names).astype(np.float32)
    return mean_f1(weights @ (true * answers), weights @ (true + answers))


def f1_draws(truth: Places, predicted: Places, labels: int, *, draws: int = 1000, seed: int = 0) -> npt.NDArray[np.float64]:
    """Macro F1 of runs on resampled rows; all runs see the same rows in a draw.

    Args:
        truth: places of the true labels, (rows,).
        predicted: those of each run, (runs, rows), or (runs, rows, labels).
        labels: how many there are.
        draws: how many.
        seed: of the random numbers.

    Returns:
        (draws, runs).
    """
    rows = len(truth)
    rng = np.random.default_rng(seed)
    portion = max(1, _AT_ONCE // rows)
    portions = []
    for start in range(0, draws, portion):
        weights = rng.multinomial(rows, np.full(rows, 1 / rows), min(portion, draws - start)).astype(np.float32)
        portions.append(np.stack([resampled_f1(truth, one, labels, weights) for one in predicted], 1))
    return np.concatenate(portions)


def f1_interval(
    measured: npt.NDArray[np.float64], resampled: npt.NDArray[np.float64], seeds: Variance, confidence: float
) -> Interval:
    """Interval of macro F1, mean over seeds: rows by the percentile bootstrap, seeds by Student's t, widths added as squares.

    Resampling a handful of seeds would make their scatter too small by the factor (seeds - 1) / seeds, and its quantiles take the
    estimated variance for the true one; t with the pooled degrees of freedom does neither.

    Args:
        measured: on the rows as they are, (seeds,).
        resampled: the same runs' columns of :func:`f1_draws`, (draws, seeds).
        seeds: the variance of one seed's figure; with freedom 0 it is unknown, and the interval speaks of rows only.
        confidence: of the interval.
    """
    whole = float(measured.mean())
    low, high = np.quantile(resampled.mean(1), [(1 - confidence) / 2, (1 + confidence) / 2])
    by_seed = half_width([Variance(seeds.variance / len(measured), seeds.freedom)], 1 - confidence) if seeds.freedom else 0.0
    return Interval(
        value=whole,
        low=max(0.0, whole - float(np.hypot(max(whole - low, 0.0), by_seed))),
        high=min(1.0, whole + float(np.hypot(max(high - whole, 0.0), by_seed))),
    )
