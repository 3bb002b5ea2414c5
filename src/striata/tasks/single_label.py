"""One label of several for each text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax, softmax

from ..errors import DataError, did_you_mean
from ..figures.scores import Metrics, Scores, accuracy, by_label, macro_f1

Floats = npt.NDArray[np.floating]
Places = npt.NDArray[np.int64]
Float = TypeVar("Float", bound=np.floating)
_SHOWN = 12  # labels in a message
_AT_ONCE = 32_768  # logits of which log-probabilities are in memory at once: few enough for a processor to keep near it
_NUMBER = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?")
_INTEGER = re.compile("-?[0-9]{1,18}")  # what 64 bits hold
_WHOLE = re.compile(r"(-?[0-9]{1,18})\.0{1,18}")


def are_integers(labels: Iterable[str]) -> bool:
    """Whether every label is an integer of at most 18 digits."""
    return all(_INTEGER.fullmatch(label) for label in labels)


def label_numbers(labels: Sequence[str]) -> tuple[int, ...] | None:
    """The integers that labels are; None where one is none, so that the labels' places have to stand for them.

    Raises:
        DataError: two labels are one integer.
    """
    if not are_integers(labels):
        return None
    labels_of: dict[int, str] = {}
    for label in labels:
        other = labels_of.setdefault(int(label), label)
        if other != label:
            raise DataError(f"labels '{other}' and '{label}' are one integer; expected labels that differ as integers")
    return tuple(labels_of)


class SingleLabel:
    """One label of several: a target is the label's place, the decision is the largest logit, the probabilities are the softmax,
    and the loss is their cross entropy with the target. See :class:`striata.tasks.Task` for what the methods are."""

    name = "single-label"
    loss = "cross_entropy"
    one_label = True
    ordered = False
    calibrated = False
    numeric = False
    rankings: tuple[str, ...] = ("accuracy", "macro_f1", "loss")

    def order(self, values: Iterable[str], declared: Sequence[str] | None, source: str) -> tuple[str, ...]:
        """All labels: in the order the source declares, else numbers by size, else by alphabet.

        A declared label without a row is left out: nothing can be learned of it.

        Raises:
            DataError: there is only one.
        """
        present = set(values)
        if declared is not None:
            labels = tuple(label for label in declared if label in present)
        elif are_integers(present):
            labels = tuple(sorted(present, key=lambda label: (int(label), label)))
        else:
            labels = tuple(sorted(present))
        if len(labels) < 2:
            raise DataError(f"{source} has only one label ('{''.join(labels)}'); a classifier needs at least two")
        return labels

    def encode(self, values: Sequence[str], labels: Sequence[str], *, source: str, rows: npt.NDArray[np.int64]) -> Places:
        """Places of the rows' labels, (rows,); 1.0 and 1, and true and True, are one label where only one of them is among these.

        Raises:
            DataError: a row has a label that is not among them.
        """
        places = _places(labels, values)
        for row, label in zip(rows, values, strict=True):
            if label not in places:
                shown = ", ".join(labels[:_SHOWN]) + (", ..." if len(labels) > _SHOWN else "")
                raise DataError(
                    f"{source}: row {row} (counted from 0) has label '{label}'{_same_number(label, labels)}, which the "
                    f"training rows do not have; expected one of {shown}",
                    row=int(row),
                )
        return np.array([places[label] for label in values], np.int64)

    def parts(self, value: str) -> tuple[str, ...]:
        """The label itself."""
        return (value,)

    def spell(self, targets: npt.NDArray[Any], labels: Sequence[str]) -> list[str]:
        """The labels' names."""
        return [labels[at] for at in targets]

    def as_one_label(self, logits: Floats, targets: Places) -> tuple[Floats, Places]:
        """As they are."""
        return logits, targets

    def decide(self, outputs: Floats) -> Places:
        """Places of the largest values; the first of equals."""
        return likeliest(outputs)

    def right(self, logits: Floats, targets: Places) -> npt.NDArray[np.bool_]:
        """Where the largest logit is the target's."""
        right: npt.NDArray[np.bool_] = self.decide(logits) == targets
        return right

    def whole(self, inside: npt.NDArray[np.bool_], decided: Places) -> npt.NDArray[np.bool_]:
        """The sets as they are."""
        return inside

    def probabilities(self, logits: npt.NDArray[Float]) -> npt.NDArray[Float]:
        """The softmax."""
        probabilities: npt.NDArray[Float] = softmax(logits, axis=-1)
        return probabilities

    def log_probabilities(self, logits: Floats) -> npt.NDArray[np.float64]:
        """The logarithm of the softmax, in float64."""
        log_probabilities: npt.NDArray[np.float64] = log_softmax(np.asarray(logits, np.float64), axis=-1)
        return log_probabilities

    def log_likelihoods(self, logits: Floats, targets: Places, *, scale: float = 1.0) -> npt.NDArray[np.float64]:
        """What :meth:`log_probabilities` says of each row's target, (rows,), with a part of the rows in memory at a time.

        Args:
            logits: (rows, labels).
            targets: places of the true labels, (rows,).
            scale: factor on the logits.
        """
        result, step = np.zeros(len(targets)), max(1, _AT_ONCE // max(1, logits.shape[1]))
        for at in range(0, len(targets), step):
            part = targets[at : at + step]
            scaled = logits[at : at + step].astype(np.float64) * scale
            result[at : at + step] = self.log_probabilities(scaled)[np.arange(len(part)), part]
        return result

    def scores(self, logits: Floats, targets: Places) -> Scores:
        """Accuracy, cross entropy, macro F1."""
        predicted = self.decide(logits)
        return Scores(
            accuracy=accuracy(predicted, targets),
            loss=-self._fit(logits, targets),
            macro_f1=macro_f1(predicted, targets, logits.shape[-1]),
        )

    def metrics(self, logits: Floats, targets: Places, labels: Sequence[str]) -> Metrics:
        """The scores, with precision, recall and F1 of each label and the confusion matrix."""
        return by_label(self.decide(logits), targets, labels, self.scores(logits, targets))

    def score(self, logits: Floats, targets: Places, by: str) -> float:
        """One of the scores, larger for better logits.

        Raises:
            DataError: it is a score of other tasks.
        """
        if by == "loss":
            return self._fit(logits, targets)
        if by not in ("accuracy", "macro_f1"):
            raise DataError(f"{by} is no figure of task {self.name}; expected one of {', '.join(self.rankings)}", argument="by")
        predicted = self.decide(logits)
        return accuracy(predicted, targets) if by == "accuracy" else macro_f1(predicted, targets, logits.shape[-1])

    def _fit(self, logits: Floats, targets: Places) -> float:
        """Mean log-probability of the targets."""
        return float(self.log_likelihoods(logits, targets).mean())


def likeliest(probabilities: Floats) -> Places:
    """Places of the largest values along the last dimension; the first of equals."""
    places: Places = probabilities.argmax(-1)
    return places


def plain_label(label: str) -> str:
    """A label as all formats write it: 1 for 1.0, which is how columns of integers with gaps are written, True for true."""
    whole = _WHOLE.fullmatch(label)
    if whole:
        return whole[1]
    return label.capitalize() if label.lower() in ("true", "false") else label


def _places(labels: Sequence[str], values: Iterable[str]) -> dict[str, int]:
    """Places of the labels, by all the spellings of them among some values."""
    places = {label: at for at, label in enumerate(labels)}
    plain: dict[str, list[int]] = {}
    for label, at in places.items():
        plain.setdefault(plain_label(label), []).append(at)
    for value in set(values) - places.keys():
        same = plain.get(plain_label(value), [])
        if len(same) == 1:
            places[value] = same[0]
    return places


def _same_number(label: str, labels: Sequence[str]) -> str:
    """A label that is the same number in another spelling, as one file format writes it and another does not; else a near one."""
    for other in labels:
        if _NUMBER.fullmatch(label) and _NUMBER.fullmatch(other) and float(label) == float(other):
            return f" (the number is that of '{other}': write it in one way in all files)"
    return did_you_mean(label, labels)


SINGLE_LABEL = SingleLabel()
