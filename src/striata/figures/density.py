"""Rows weighted so that they are like others: by how much likelier each is among those."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .folds import deal_folds

Weights = npt.NDArray[np.float64]
# C of the logistic regression, on standardized columns, and on sparse rows of unit length
_STRENGTHS = {False: (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1), True: (0.1, 0.3, 1.0, 3.0)}
_FOLDS = 5
_FLOOR = 1e-3  # of a weight, which has to be above 0


def density_weights(rows: Any, others: Any, *, groups: npt.NDArray[np.int64], clip: float = 10.0, seed: int = 0) -> Weights:
    """Weights of rows, 1 in the mean: the ratio of the others' density to theirs.

    A classifier between rows and others says of each row how likely it is one of the others, p, by a fit without it and its
    equals; the ratio is p / (1 - p) but for a factor (Sugiyama and Kawanabe 2012). Its strength grows as long as the log loss on
    what fits were without falls; where none tells rows from others so, all weights are 1.

    Args:
        rows: features, (n, size), an array or a sparse matrix.
        others: features, (m, size), likewise.
        groups: for each row, then for each other, a number that equal texts share, (n + m,).
        clip: largest weight, before the mean is 1 again.
        seed: of the folds.
    """
    import scipy.sparse as sp

    count = rows.shape[0]
    stack: Any = sp.vstack
    whole = sp.csr_array(stack([rows, others])) if sp.issparse(rows) else _standard(np.concatenate([rows, others]))
    member = np.arange(whole.shape[0]) >= count
    folds = deal_folds(member.astype(np.int64), _FOLDS, seed, groups)
    shares = chosen = _constant(member, folds)
    least = _log_loss(shares, member)
    for strength in _STRENGTHS[sp.issparse(rows)]:
        scores = _held_out(whole, member, folds, strength)
        loss = _log_loss(scores, member)
        if loss >= least:
            break
        chosen, least = scores, loss
    if chosen is shares:
        return np.ones(count)
    ratios = np.exp(np.clip(chosen[:count], -30, 30))
    weights = np.clip(ratios / ratios.mean(), _FLOOR, clip)
    balanced: Weights = weights / weights.mean()
    return balanced


def _held_out(whole: Any, member: npt.NDArray[np.bool_], folds: npt.NDArray[np.int64], strength: float) -> Weights:
    """Log-odds that rows are the others, each by a fit without its fold, (rows,)."""
    from sklearn.linear_model import LogisticRegression

    scores = _constant(member, folds)
    for fold in np.unique(folds):
        inside, held = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        if len(np.unique(member[inside])) == 2:
            model = LogisticRegression(C=strength, max_iter=300).fit(whole[inside], member[inside])
            scores[held] = model.decision_function(whole[held])
    return scores


def _constant(member: npt.NDArray[np.bool_], folds: npt.NDArray[np.int64]) -> Weights:
    """The same by shares alone."""
    scores = np.empty(len(member))
    for fold in np.unique(folds):
        inside = member[folds != fold]
        scores[folds == fold] = np.log((inside.sum() + 1) / ((~inside).sum() + 1))
    return scores


def _log_loss(scores: Weights, member: npt.NDArray[np.bool_]) -> float:
    return float(np.logaddexp(0, np.where(member, -scores, scores)).mean())


def effective_rows(weights: Weights) -> float:
    """How many rows that all count alike would give means as sure as these (Kish 1965)."""
    return float(weights.sum() ** 2 / (weights**2).sum())


def _standard(features: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    whole = features.astype(np.float64)
    spread = whole.std(0)
    standard: npt.NDArray[np.float64] = (whole - whole.mean(0)) / np.where(spread > 1e-7, spread, 1.0)
    return standard
