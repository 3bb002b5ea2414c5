"""Rows dealt into folds."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def strata(targets: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """One number for each row, by which rows are spread: its label's place, of several labels the rarest's, or its own number.

    Args:
        targets: places of the labels, (rows,), 0 or 1 for each label, (rows, labels), or numbers, (rows,).
    """
    if targets.ndim == 1:
        return targets
    rarest_first = targets[:, np.argsort(targets.sum(0), kind="stable")]
    places: npt.NDArray[np.int64] = (np.cumsum(rarest_first, axis=1) == 0).sum(1)
    return places


def deal_folds(
    targets: npt.NDArray[Any], count: int = 5, seed: int = 0, groups: npt.NDArray[np.int64] | None = None
) -> npt.NDArray[np.int64]:
    """The fold of each row: of equal size, with every label spread over as many folds as it has rows for, numbers by their size.

    Args:
        targets: places of the labels, (rows,), or as :func:`strata` takes them.
        count: how many folds; no more than there are rows or groups.
        seed: same seed, same folds.
        groups: for each row a number that is the same for rows that must share a fold, (rows,); a group counts as one row of
            its first row's label. By default each row is alone.

    Returns:
        Numbers from 0 to count - 1, (rows,).
    """
    targets = strata(targets)
    if groups is None:
        first, group = np.arange(len(targets)), np.arange(len(targets))
    else:
        _, first, group = np.unique(groups, return_index=True, return_inverse=True)
    shuffled = np.random.default_rng(seed).permutation(len(first))
    order = shuffled[np.argsort(targets[first][shuffled], kind="stable")]
    number = np.empty(len(first), np.int64)
    number[order] = np.arange(len(first)) % min(count, max(1, len(first)))
    folds: npt.NDArray[np.int64] = number[group]
    return folds
