"""Settings chosen on rows that a fit has not seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..calibration import fit_temperature
from ..tasks import task_of
from .rows import Ints, Targets, Weights, are_numbers

Scores = npt.NDArray[np.floating]
_ENOUGH = 1_000_000  # scores that a factor is fitted on; with thousands of labels not all rows are needed


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """How good scores are once they are scaled.

    Args:
        scale: factor on the scores with the smallest log loss; 1 for numbers.
        losses: log loss of each row with it, (n,); of numbers their squared error.
        accuracy: share of rows that are right; None for numbers.
        weights: how much each row counts in these, (n,); None where all count once.
    """

    scale: float
    losses: npt.NDArray[np.float64]
    accuracy: float | None
    weights: Weights | None = None

    @property
    def loss(self) -> float:
        """Mean of the losses, in nats, or of numbers in their unit squared."""
        return float(self.losses.mean() if self.weights is None else np.average(self.losses, weights=self.weights))

    @property
    def figures(self) -> dict[str, float]:
        """What a list of tried settings says."""
        return {"loss": round(self.loss, 6)} | ({} if self.accuracy is None else {"accuracy": round(self.accuracy, 6)})

    def better(self, other: Judgement) -> bool:
        """Whether the log loss is smaller by more than a standard error of the difference on the same rows."""
        difference = other.losses - self.losses
        if self.weights is not None:
            difference = difference * (self.weights / self.weights.mean())
        return bool(difference.mean() > difference.std() / np.sqrt(len(difference)))


def judge(scores: Scores, targets: Targets, weights: Weights | None = None) -> Judgement:
    """Scales and measures scores of rows that were not fitted on.

    Args:
        scores: (n, labels), any increasing function of how likely a label is; of numbers these, (n, 1).
        targets: places of the labels, (n,), 0 or 1 for each label, (n, labels), or numbers, (n,) float64; without rows the scale
            is 1.
        weights: how much each row counts, (n,); None where all count once.
    """
    if not len(targets):
        return Judgement(scale=1.0, losses=np.zeros(1), accuracy=0.0)
    if are_numbers(targets):
        errors = scores[:, 0].astype(np.float64) - targets
        return Judgement(scale=1.0, losses=errors**2, accuracy=None, weights=weights)
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
    """Judges ascending values of one setting until the loss gets larger: it has one valley.

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
