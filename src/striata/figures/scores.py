"""How good predictions are: from the places of predicted and true labels, whatever they were decided by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..choices import RANKINGS
from ..errors import DataError

Places = npt.NDArray[np.int64]


class Scores(dict[str, float]):
    """Figures of predictions against labels, by name; which there are is a matter of the task."""

    def __missing__(self, name: str) -> float:
        raise DataError(f"{name} is no figure of this task; it has {', '.join(self)}", argument="figure")

    @property
    def accuracy(self) -> float:
        """Share of rows that are right."""
        return self["accuracy"]

    @property
    def loss(self) -> float:
        """Mean of what is minimised, in nats where it is a log loss."""
        return self["loss"]

    @property
    def macro_f1(self) -> float:
        """Mean of the harmonic mean of precision and recall, over the labels that occur: in rows or predictions."""
        return self["macro_f1"]

    def to_json(self) -> dict[str, float]:
        """All of them."""
        return dict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """Scores, and what they are made of.

    Args:
        rows: how many.
        scores: over all rows.
        per_label: precision, recall, f1 and rows of each label by its name; a label never predicted has precision 0.
        confusion: rows by true label (first index) and predicted label, in the order of `labels`.
        labels: names in that order.
    """

    rows: int
    scores: Scores
    per_label: dict[str, dict[str, float]]
    confusion: list[list[int]]
    labels: tuple[str, ...]

    @property
    def absent(self) -> tuple[str, ...]:
        """Labels that no row has."""
        return tuple(label for label, figures in self.per_label.items() if not figures["rows"])

    def to_json(self) -> dict[str, object]:
        """All fields, those of the scores among them."""
        return {
            "rows": self.rows,
            **self.scores.to_json(),
            "per_label": self.per_label,
            "confusion": self.confusion,
            "labels": self.labels,
        }


def accuracy(predicted: Places, targets: Places) -> float:
    """Share of rows where the predicted label is the true one; both (rows,)."""
    return float((predicted == targets).mean())


def macro_f1(predicted: Places, targets: Places, labels: int) -> float:
    """Mean F1 over the labels that are true or predicted of a row, as scikit-learn has it.

    Args:
        predicted: places of the predicted labels, (rows,).
        targets: places of the true ones, (rows,).
        labels: how many there are.
    """
    sizes = np.bincount(predicted, minlength=labels) + np.bincount(targets, minlength=labels)
    hits = np.bincount(targets[predicted == targets], minlength=labels)
    return float(mean_f1(hits, sizes))


def mean_distance(predicted: Places, targets: Places) -> float:
    """Mean absolute distance between predicted and true label, in steps of their order; both places, (rows,)."""
    return float(np.abs(predicted - targets).mean())


def quadratic_kappa(predicted: Places, targets: Places) -> float:
    """Cohen's kappa with quadratic weights (Cohen 1968): 1 less the mean squared distance over that of rows dealt by chance.

    As scikit-learn's `cohen_kappa_score(weights="quadratic")`, but 1 where all rows have one label that is always predicted.

    Args:
        predicted: places of the predicted labels, (rows,).
        targets: places of the true ones, (rows,).
    """
    chance = predicted.var() + targets.var() + (predicted.mean() - targets.mean()) ** 2
    return float(1 - ((predicted - targets) ** 2).mean() / chance) if chance else 1.0


def rank_correlation(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> float:
    """Spearman's correlation, (rows,) each: Pearson's of the ranks, equal values sharing their mean rank; 0 where one is
    constant."""
    from scipy.stats import rankdata

    one, other = (rankdata(values) - (len(values) + 1) / 2 for values in (first, second))
    norm = float(np.sqrt((one**2).sum() * (other**2).sum()))
    return float(np.clip((one * other).sum() / norm, -1, 1)) if norm else 0.0


class Figured:
    """What has figures on the validation rows, by name, as a base of dataclasses with the field `figures`."""

    __slots__ = ()
    figures: Mapping[str, float]

    @property
    def accuracy(self) -> float:
        """On the validation rows, of a task with labels."""
        return self.figures["accuracy"]

    @property
    def macro_f1(self) -> float:
        """Likewise."""
        return self.figures["macro_f1"]

    @property
    def loss(self) -> float:
        """On the validation rows."""
        return self.figures["loss"]

    @property
    def special(self) -> dict[str, float]:
        """Figures that only some tasks have, by name."""
        return special_figures(self.figures)

    @property
    def common(self) -> dict[str, float]:
        """The others, by name."""
        return {name: self.figures[name] for name in ("accuracy", "macro_f1", "loss") if name in self.figures}


def special_figures(figures: Mapping[str, float]) -> dict[str, float]:
    """The figures that only some tasks have, by name."""
    return {name: figures[name] for name, choice in RANKINGS.items() if choice.special and name in figures}


def in_words(figures: Mapping[str, float]) -> str:
    """Figures by their titles: "MAE 0.3100, quadratic kappa 0.8200"."""
    return ", ".join(f"{RANKINGS[name].title} {RANKINGS[name].shown(value)}" for name, value in figures.items())


def mean_f1(hits: npt.NDArray[Any], sizes: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Mean over the last dimension of F1 from counts, (..., labels) -> (...).

    Args:
        hits: rows of each label that are predicted right.
        sizes: rows of each label plus rows that are predicted to be of it; a label where that is 0 has no F1, and is left out.
    """
    values, occurring = 2 * hits / np.maximum(sizes, 1), sizes > 0
    if occurring.all():
        whole: npt.NDArray[np.float64] = values.mean(-1, dtype=np.float64)
        return whole
    some: npt.NDArray[np.float64] = values.sum(-1, dtype=np.float64) / np.maximum(occurring.sum(-1), 1)
    return some


def by_label(predicted: Places, targets: Places, labels: Sequence[str], scores: Scores) -> Metrics:
    """Precision, recall and F1 of each label, and which are taken for which.

    Args:
        predicted: places of the predicted labels, (rows,).
        targets: places of the true ones, (rows,).
        labels: names.
        scores: of the same rows.
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    places = np.arange(len(labels))
    precision, recall, f1, support = precision_recall_fscore_support(targets, predicted, labels=places, zero_division=0)
    return Metrics(
        rows=len(targets),
        scores=scores,
        per_label={
            name: {"precision": float(p), "recall": float(r), "f1": float(f), "rows": int(s)}
            for name, p, r, f, s in zip(labels, precision, recall, f1, support, strict=True)
        },
        confusion=confusion_matrix(targets, predicted, labels=places).tolist(),
        labels=tuple(labels),
    )
