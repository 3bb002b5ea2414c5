"""Rows weighted so that they are like others: by how much likelier each is among those."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .folds import deal_folds

Weights = npt.NDArray[np.float64]
_STRENGTH = {False: 0.1, True: 3.0}  # C of the logistic regression, on standardized columns, and on sparse rows of unit length
_FOLDS = 5
_FLOOR = 1e-3  # of a weight, which has to be above 0


def density_weights(rows: Any, others: Any, *, groups: npt.NDArray[np.int64], clip: float = 10.0, seed: int = 0) -> Weights:
    """Weights of rows, 1 in the mean: the ratio of the others' density to theirs.

    A classifier between rows and others says of each row how likely it is one of the others, p, by a fit without it and its
    equals; the ratio is p / (1 - p) but for a factor (Sugiyama and Kawanabe 2012).

    Args:
        rows: features, (n, size), an array or a sparse matrix.
        others: features, (m, size), likewise.
        groups: for each row, then for each other, a number that equal texts share, (n + m,).
        clip: largest weight, before the mean is 1 again.
        seed: of the folds.
    """
    import scipy.sparse as sp
    from sklearn.linear_model import LogisticRegression

    count = rows.shape[0]
    stack: Any = sp.vstack
    whole = sp.csr_array(stack([rows, others])) if sp.issparse(rows) else _standard(np.concatenate([rows, others]))
    member = np.arange(whole.shape[0]) >= count
    folds = deal_folds(member.astype(np.int64), _FOLDS, seed, groups)
    ratios = np.ones(count)
    for fold in np.unique(folds):
        inside, held = np.flatnonzero(folds != fold), np.flatnonzero((folds == fold) & ~member)
        if len(held) and len(np.unique(member[inside])) == 2:
            model = LogisticRegression(C=_STRENGTH[sp.issparse(rows)], max_iter=300).fit(whole[inside], member[inside])
            ratios[held] = np.exp(np.clip(model.decision_function(whole[held]), -30, 30))
    weights = np.clip(ratios / ratios.mean(), _FLOOR, clip)
    balanced: Weights = weights / weights.mean()
    return balanced


def effective_rows(weights: Weights) -> float:
    """How many rows that all count alike would give means as sure as these (Kish 1965)."""
    return float(weights.sum() ** 2 / (weights**2).sum())


def _standard(features: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    whole = features.astype(np.float64)
    spread = whole.std(0)
    standard: npt.NDArray[np.float64] = (whole - whole.mean(0)) / np.where(spread > 1e-7, spread, 1.0)
    return standard
