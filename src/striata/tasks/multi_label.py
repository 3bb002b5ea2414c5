"""Several labels for each text, or none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from scipy.special import expit, log_expit

from ..errors import DataError, did_you_mean
from ..figures.scores import Metrics, Scores, mean_f1
from .single_label import SINGLE_LABEL

Floats = npt.NDArray[np.floating]
Places = npt.NDArray[np.int64]
Float = TypeVar("Float", bound=np.floating)
JOINT = "|"  # between the labels of a row
_SHOWN = 12  # labels in a message


def split_labels(value: str) -> tuple[str, ...]:
    """The labels of a row that is spelled `a|b`; none of the empty text."""
    return tuple(value.split(JOINT)) if value else ()


class MultiLabel:
    """Several labels or none: a target is 1 for each of the row's labels and 0 for the others, the probabilities are those of one
    sigmoid for each label, and the loss is their mean binary cross entropy. A row is right when all of its labels are. See
    :class:`striata.tasks.Task` for what the methods are."""

    name = "multilabel"
    loss = "binary_cross_entropy"
    one_label = False
    ordered = False
    calibrated = True
    numeric = False
    rankings = ("accuracy", "macro_f1", "micro_f1", "average_precision", "loss")

    def order(self, values: Iterable[str], declared: Sequence[str] | None, source: str) -> tuple[str, ...]:
        """All labels that a row has: in the order the source declares, else numbers by size, else by alphabet.

        Raises:
            DataError: no row has a label.
        """
        present = {label for value in set(values) for label in split_labels(value)}
        if not present:
            raise DataError(
                f"{source} has no row with a label; expected labels in a list, joined by `{JOINT}`, or in 0/1 columns"
            )
        if declared is not None:
            return tuple(label for label in declared if label in present)
        return in_order(present)

    def encode(self, values: Sequence[str], labels: Sequence[str], *, source: str, rows: npt.NDArray[np.int64]) -> Places:
        """1 where a row has a label, else 0, (rows, labels).

        Raises:
            DataError: a row has a label that is not among them.
        """
        places = {label: at for at, label in enumerate(labels)}
        targets = np.zeros((len(values), len(labels)), np.int64)
        for at, value in enumerate(values):
            for label in split_labels(value):
                if label not in places:
                    shown = ", ".join(labels[:_SHOWN]) + (", ..." if len(labels) > _SHOWN else "")
                    raise DataError(
                        f"{source}: row {rows[at]} (counted from 0) has label '{label}'{did_you_mean(label, labels)}, which the "
                        f"training rows do not have; expected some of {shown}",
                        row=int(rows[at]),
                    )
                targets[at, places[label]] = 1
        return targets

    def parts(self, value: str) -> tuple[str, ...]:
        """The labels of a row."""
        return split_labels(value)

    def spell(self, targets: npt.NDArray[Any], labels: Sequence[str]) -> list[str]:
        """`a|b`, in the order of the labels; the empty text for none."""
        return [JOINT.join(labels[at] for at in np.flatnonzero(row).tolist()) for row in targets]

    def decide(self, outputs: Floats) -> Places:
        """1 for labels with a logit above 0, (..., labels)."""
        return (outputs > 0).astype(np.int64)

    def right(self, logits: Floats, targets: Places) -> npt.NDArray[np.bool_]:
        """Where all labels of a row are decided right."""
        right: npt.NDArray[np.bool_] = (self.decide(logits) == targets).all(-1)
        return right

    def whole(self, inside: npt.NDArray[np.bool_], decided: Places) -> npt.NDArray[np.bool_]:
        """The sets as they are."""
        return inside

    def probabilities(self, logits: npt.NDArray[Float]) -> npt.NDArray[Float]:
        """The sigmoid."""
        probabilities: npt.NDArray[Float] = expit(logits)
        return probabilities

    def log_probabilities(self, logits: Floats) -> npt.NDArray[np.float64]:
        """The logarithm of the sigmoid, in float64."""
        log_probabilities: npt.NDArray[np.float64] = log_expit(np.asarray(logits, np.float64))
        return log_probabilities

    def log_likelihoods(self, logits: Floats, targets: Places, *, scale: float = 1.0) -> npt.NDArray[np.float64]:
        """Mean over the labels of what the probabilities say of each row's targets, (rows,)."""
        signed = np.where(targets > 0, logits, -logits).astype(np.float64) * scale
        means: npt.NDArray[np.float64] = log_expit(signed).mean(-1)
        return means

    def as_one_label(self, logits: Floats, targets: Places) -> tuple[Floats, Places]:
        """Every label of every row as a choice between no (logit 0) and yes: (..., rows * labels, 2) and (rows * labels,)."""
        flat = logits.reshape(*logits.shape[:-2], -1)
        return np.stack([np.zeros_like(flat), flat], -1), targets.ravel()

    def scores(self, logits: Floats, targets: Places) -> Scores:
        """Accuracy of whole rows, mean binary cross entropy, macro and micro F1, macro average precision, Hamming loss."""
        return scores_of(self.decide(logits), logits, targets)

    def metrics(self, logits: Floats, targets: Places, labels: Sequence[str]) -> Metrics:
        """The scores, with precision, recall and F1 of each label."""
        return metrics_of(self.decide(logits), logits, targets, labels)

    def score(self, logits: Floats, targets: Places, by: str) -> float:
        """One of the scores, larger for better logits."""
        if by == "loss":
            return float(self.log_likelihoods(logits, targets).mean())
        if by == "average_precision":
            return average_precision(logits, targets)
        if by == "accuracy":
            return float(self.right(logits, targets).mean())
        decided = self.decide(logits)
        return float(_macro_f1(decided, targets) if by == "macro_f1" else _micro_f1(decided, targets))


def in_order(labels: Iterable[str]) -> tuple[str, ...]:
    """Labels in the order that nobody declares: numbers by size, else by alphabet."""
    listed = list(labels)
    return SINGLE_LABEL.order(listed, None, "") if len(set(listed)) > 1 else tuple(listed)


def scores_of(decided: Places, logits: Floats, targets: Places) -> Scores:
    """Figures of decisions that may have been made by other thresholds than 0.

    Args:
        decided: 1 for each label that a row gets, (rows, labels).
        logits: (rows, labels).
        targets: (rows, labels).
    """
    return Scores(
        accuracy=float((decided == targets).all(1).mean()),
        loss=-float(MULTI_LABEL.log_likelihoods(logits, targets).mean()),
        macro_f1=_macro_f1(decided, targets),
        micro_f1=_micro_f1(decided, targets),
        average_precision=average_precision(logits, targets),
        hamming_loss=float((decided != targets).mean()),
    )


def metrics_of(decided: Places, logits: Floats, targets: Places, labels: Sequence[str]) -> Metrics:
    """As :func:`scores_of`, with precision, recall and F1 of each label; there is no confusion matrix."""
    hits, answered, true = _hits(decided, targets), decided.sum(0), targets.sum(0)
    return Metrics(
        rows=len(targets),
        scores=scores_of(decided, logits, targets),
        per_label={
            name: {
                "precision": float(hits[at] / max(answered[at], 1)),
                "recall": float(hits[at] / max(true[at], 1)),
                "f1": float(2 * hits[at] / max(answered[at] + true[at], 1)),
                "rows": int(true[at]),
            }
            for at, name in enumerate(labels)
        },
        confusion=[],
        labels=tuple(labels),
    )


def average_precision(logits: Floats, targets: Places) -> float:
    """Mean over the labels that have rows of the area below precision against recall, as scikit-learn sums it; 0 without any."""
    logits, targets = logits[:, targets.any(0)], targets[:, targets.any(0)]
    if not targets.size:
        return 0.0
    order = np.argsort(-logits, axis=0, kind="stable")
    falling, true = np.take_along_axis(logits, order, 0), np.take_along_axis(targets, order, 0)
    ranks = np.arange(1, len(logits) + 1)[:, None]
    precision = np.cumsum(true, axis=0) / ranks
    ends = np.concatenate([falling[:-1] != falling[1:], np.ones((1, logits.shape[1]), bool)])  # rows of one logit come together
    last = np.minimum.accumulate(np.where(ends, ranks - 1, len(logits))[::-1], axis=0)[::-1]
    areas = (true * np.take_along_axis(precision, last, 0)).sum(0) / true.sum(0)
    return float(areas.mean())


def _hits(decided: Places, targets: Places) -> Places:
    hits: Places = (decided * targets).sum(0)
    return hits


def _macro_f1(decided: Places, targets: Places) -> float:
    return float(mean_f1(_hits(decided, targets), decided.sum(0) + targets.sum(0)))


def _micro_f1(decided: Places, targets: Places) -> float:
    return float(2 * _hits(decided, targets).sum() / max(int(decided.sum() + targets.sum()), 1))


MULTI_LABEL = MultiLabel()
