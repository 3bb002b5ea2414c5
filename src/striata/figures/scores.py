"""How good predictions are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax

Logits = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """Figures of predictions against labels.

    Args:
        rows: how many.
        accuracy: share of rows whose largest logit is the label's.
        macro_f1: mean over the labels of the harmonic mean of precision and recall.
        log_loss: mean cross entropy in nats.
        per_label: precision, recall, F1 and rows of each label; a label never predicted has precision 0.
        confusion: rows by true label (first index) and predicted label, in the order of `labels`.
        labels: names in that order.
    """

    rows: int
    accuracy: float
    macro_f1: float
    log_loss: float
    per_label: dict[str, dict[str, float]]
    confusion: list[list[int]]
    labels: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """All fields."""
        keys = ("rows", "accuracy", "macro_f1", "log_loss", "per_label", "confusion", "labels")
        return {key: getattr(self, key) for key in keys}


def metrics(logits: Logits, targets: npt.NDArray[np.int64], labels: Sequence[str]) -> Metrics:
    """Measures logits.

    Args:
        logits: (rows, labels).
        targets: places of the true labels, (rows,).
        labels: names.
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    predicted = logits.argmax(1)
    places = np.arange(len(labels))
    precision, recall, f1, support = precision_recall_fscore_support(targets, predicted, labels=places, zero_division=0)
    log_probabilities = log_softmax(logits.astype(np.float64), axis=1)
    return Metrics(
        rows=len(targets),
        accuracy=float((predicted == targets).mean()),
        macro_f1=float(f1.mean()),
        log_loss=-float(log_probabilities[np.arange(len(targets)), targets].mean()),
        per_label={
            name: {"precision": float(p), "recall": float(r), "f1": float(f), "rows": int(s)}
            for name, p, r, f, s in zip(labels, precision, recall, f1, support, strict=True)
        },
        confusion=confusion_matrix(targets, predicted, labels=places).tolist(),
        labels=tuple(labels),
    )


def score(outputs: npt.NDArray[np.floating], targets: npt.NDArray[np.int64], by: str) -> float:
    """A figure that is larger for better outputs: accuracy, macro F1, or minus the log loss.

    Args:
        outputs: logits or log-probabilities, (rows, labels).
        targets: places of the true labels, (rows,).
        by: of :data:`striata.choices.RANKINGS`.
    """
    if by == "loss":
        shifted = outputs.astype(np.float64) - outputs.max(1, keepdims=True)
        return float((shifted[np.arange(len(targets)), targets] - np.log(np.exp(shifted).sum(1))).mean())
    predicted = outputs.argmax(1)
    right = predicted == targets
    if by == "accuracy":
        return float(right.mean())
    labels = outputs.shape[1]
    both = np.bincount(predicted, minlength=labels) + np.bincount(targets, minlength=labels)
    hits = np.bincount(targets[right], minlength=labels)
    return float((2 * hits / np.maximum(both, 1)).mean())
