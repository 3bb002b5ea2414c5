"""Rows dealt into folds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def deal_folds(targets: npt.NDArray[np.int64], count: int = 5, seed: int = 0) -> npt.NDArray[np.int64]:
    """The fold of each row: of equal size, with every label spread over as many folds as it has rows for.

    Args:
        targets: places of the labels, (rows,).
        count: how many folds; no more than there are rows.
        seed: same seed, same folds.

    Returns:
        Numbers from 0 to count - 1, (rows,).
    """
    shuffled = np.random.default_rng(seed).permutation(len(targets))
    order = shuffled[np.argsort(targets[shuffled], kind="stable")]
    number = np.empty(len(targets), np.int64)
    number[order] = np.arange(len(targets)) % min(count, max(1, len(targets)))
    return number
