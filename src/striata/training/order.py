"""Which rows a member sees at a step: a function of its seed and the step alone."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ..engine import seed_of


@lru_cache(maxsize=64)
def _permutation(rows: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng(seed_of(seed, "order", epoch)).permutation(rows)


def rows_at(step: int, *, rows: int, batch_size: int, seed: int) -> np.ndarray:
    """Row numbers of one batch; every epoch is a new permutation, its last batch may be short.

    Members of one seed see the same rows at the same step, so that a difference between their layouts or recipes is none between
    rows (common random numbers).

    Args:
        step: from 0.
        rows: training rows.
        batch_size: rows in a batch.
        seed: the member's.

    Returns:
        (at most batch_size,) int64.
    """
    per_epoch = -(-rows // batch_size)
    epoch, at = divmod(step, per_epoch)
    return _permutation(rows, seed, epoch)[at * batch_size : (at + 1) * batch_size]
