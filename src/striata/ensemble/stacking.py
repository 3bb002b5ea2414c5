"""Stacking: a regularised logistic regression on the members' log-probabilities (Wolpert 1992; Ting and Witten 1999)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..baselines.threads import threads_for
from ..figures.folds import deal_folds
from ..runs.joined import Pool
from .best import best_runs
from .combiner import STACKING, Combiner, Stacking
from .rule import Rule, check_rows

STRENGTHS = (0.001, 0.01, 0.1, 1.0)  # scikit-learn's C, from strong to weak regularisation
_FEWEST = 2  # rows of a label, so that each of the folds that choose the regularisation leaves one


def choose_stacking(pool: Pool, rule: Rule) -> Combiner:
    """Fits the best runs; the regularisation is the one with the smallest loss in three folds.

    Args:
        pool: the runs on validation rows.
        rule: how many are fitted, and by which figure they are the best.

    Raises:
        EnsembleError: there are fewer runs than the size, or a label has less than two rows.
    """
    check_rows(pool, rule, _FEWEST)
    pool = pool.members(best_runs(pool, rule))
    features = np.concatenate(list(pool.task.log_probabilities(pool.logits)), axis=1)
    number = deal_folds(pool.targets, 3, seed=1)
    losses = []
    with threads_for(len(features)):
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
        kind=STACKING,
        weights={name: size / total for name, size in sizes.items()},
        stacking=Stacking(intercept=intercept, coefficients=parts),
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
