"""Stacking: a regularised logistic regression on the members' log-probabilities (Wolpert 1992; Ting and Witten 1999)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..errors import EnsembleError
from ..figures.folds import deal_folds
from ..runs.joined import Pool
from .combiner import Combiner, Stacking

STRENGTHS = (0.001, 0.01, 0.1, 1.0)  # scikit-learn's C, from strong to weak regularisation
FEWEST = 4  # rows of a label: in the nested estimate's folds three remain, and two in the folds that choose the regularisation


def check_rows(pool: Pool, fewest: int) -> None:
    """Checks that every label has enough rows.

    Raises:
        EnsembleError: one has not.
    """
    rows = np.bincount(pool.targets, minlength=len(pool.labels))
    if rows.min() < fewest:
        raise EnsembleError(
            f"label '{pool.labels[int(rows.argmin())]}' has {rows.min()} validation rows; a stack needs at least {FEWEST} of "
            "each label; use method greedy or top"
        )


def stack(pool: Pool) -> Combiner:
    """Fits all runs of a pool; the regularisation is the one with the smallest loss in three folds.

    Args:
        pool: the members on validation rows.

    Raises:
        EnsembleError: a label has less than two rows.
    """
    check_rows(pool, 2)
    features = np.concatenate(list(pool.task.log_probabilities(pool.logits)), axis=1)
    number = deal_folds(pool.targets, 3, seed=1)
    losses = []
    for strength in STRENGTHS:
        outputs = np.empty((len(pool.targets), len(pool.labels)))
        for fold in range(3):
            held = number == fold
            matrix, intercept = _fit(features[~held], pool.targets[~held], len(pool.labels), strength)
            outputs[held] = features[held] @ matrix.T + intercept
        losses.append(-pool.task.score(outputs, pool.targets, "loss"))
    matrix, intercept = _fit(features, pool.targets, len(pool.labels), STRENGTHS[int(np.argmin(losses))])
    parts = dict(zip(pool.names, np.split(matrix, len(pool.names), axis=1), strict=True))
    sizes = {name: float(np.linalg.norm(part)) for name, part in parts.items()}
    total = sum(sizes.values())
    return Combiner(
        kind="stack",
        weights={name: size / total for name, size in sizes.items()},
        stack=Stacking(intercept=intercept, coefficients=parts),
    )


def _fit(
    features: npt.NDArray[np.float64], targets: npt.NDArray[np.int64], labels: int, strength: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Coefficients (labels, features) and intercept (labels,); of two labels scikit-learn fits the difference."""
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=strength, max_iter=2000).fit(features, targets)
    matrix, intercept = fitted.coef_, fitted.intercept_
    if labels == 2:
        matrix, intercept = np.stack([-matrix[0], matrix[0]]) / 2, np.array([-intercept[0], intercept[0]]) / 2
    return matrix, intercept
