"""Settings chosen on rows that a fit has not seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..calibration import fit_temperature
from ..tasks import task_of
from .rows import Ints, Weights

Scores = npt.NDArray[np.floating]
_ENOUGH = 1_000_000  # scores that a factor is fitted on; with thousands of labels not all rows are needed


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """How good scores are once they are scaled.

    Args:
        scale: factor on the scores with the smallest log loss.
        losses: log loss of each row with it, (n,).
        accuracy: share of rows that are right.
        weights: how much each row counts in these, (n,); None where all count once.
    """

    scale: float
    losses: npt.NDArray[np.float64]
    accuracy: float
    weights: Weights | None = None

    @property
    def loss(self) -> float:
        """Mean log loss in nats."""
        return float(self.losses.mean() if self.weights is None else np.average(self.losses, weights=self.weights))

    def better(self, other: Judgement) -> bool:
        """Whether the log loss is smaller by more than a standard error of the difference on the same rows."""
        difference = other.losses - self.losses
        if self.weights is not None:
            difference = difference * (self.weights / self.weights.mean())
        return bool(difference.mean() > difference.std() / np.sqrt(len(difference)))


def judge(scores: Scores, targets: Ints, weights: Weights | None = None) -> Judgement:
    """Scales and measures scores of rows that were not fitted on.

    Args:
        scores: (n, labels), any increasing function of how likely a label is.
        targets: places of the labels, (n,), or 0 or 1 for each label, (n, labels); without rows the scale is 1.
        weights: how much each row counts, (n,); None where all count once.
    """
    if not len(targets):
        return Judgement(scale=1.0, losses=np.zeros(1), accuracy=0.0)
    step = max(1, scores.size // _ENOUGH)
    task = task_of(targets)
    flat, goals = task.as_one_label(scores[::step], targets[::step])
    factors = None if weights is None else np.repeat(weights[::step], len(goals) // len(targets[::step]))
    scale = 1 / fit_temperature(flat, goals, weights=factors)
    losses = -task.log_likelihoods(scores, targets, scale=scale)
    right = task.right(scores, targets)
    accuracy = float(right.mean() if weights is None else np.average(right, weights=weights))
    return Judgement(scale=scale, losses=losses, accuracy=accuracy, weights=weights)


def cross_fit(score: Callable[[Ints, Ints], Scores], folds: Ints, labels: int) -> npt.NDArray[np.float32]:
    """Scores of all rows, each by a fit on the other folds.

    Args:
        score: fits on the rows at its first argument's places and scores those at its second's, (held, labels).
        folds: number of each row's fold, (n,).
        labels: how many.

    Returns:
        (n, labels) float32; zeros where there is but one fold.
    """
    result = np.zeros((len(folds), labels), np.float32)
    numbers = np.unique(folds)
    for number in numbers if len(numbers) > 1 else ():
        held = np.flatnonzero(folds == number)
        result[held] = score(np.flatnonzero(folds != number), held)
    return result


def climb(values: Iterable[float], judge_at: Callable[[float], Judgement]) -> dict[float, Judgement]:
    """Judges ascending values of one setting until the log loss gets larger: it has one valley.

    Args:
        values: ascending.
        judge_at: of a value.
    """
    judged: dict[float, Judgement] = {}
    best = np.inf
    for value in values:
        judged[value] = judge_at(value)
        if judged[value].loss > best:
            break
        best = judged[value].loss
    return judged
