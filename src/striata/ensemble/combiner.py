"""How outputs of several runs become one, by run name."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..figures.pvalues import fewest_rows, same_share, smallest_margin
from ..tasks import SINGLE_LABEL

Floats = npt.NDArray[np.floating]
LEVEL = 0.05  # chance that a cascade loses more than it was to
ODD = 0.001  # chance of a warning over texts that are like the validation rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Stacking:
    """A logistic regression on the members' log-probabilities.

    Args:
        intercept: one value per label, (labels,).
        coefficients: by run name, (label that gets the value, label whose log-probability is multiplied).
    """

    intercept: npt.NDArray[np.float64]
    coefficients: Mapping[str, npt.NDArray[np.float64]]

    def to_json(self, labels: Sequence[str]) -> dict[str, Any]:
        """Every number under its run's and labels' names."""
        return {
            "intercept": dict(zip(labels, self.intercept.tolist(), strict=True)),
            "coefficients": {
                name: {into: dict(zip(labels, row.tolist(), strict=True)) for into, row in zip(labels, matrix, strict=True)}
                for name, matrix in self.coefficients.items()
            },
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any], labels: Sequence[str]) -> Stacking:
        """What :meth:`to_json` wrote, in the order of `labels`."""
        return cls(
            intercept=np.array([value["intercept"][label] for label in labels]),
            coefficients={
                name: np.array([[rows[into][label] for label in labels] for into in labels])
                for name, rows in value["coefficients"].items()
            },
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Cascade:
    """Who answers which texts: an early run those it is sure of, all members together the rest.

    Args:
        early: name of the run that reads every text.
        threshold: smallest calibrated probability of the early run's label with which it answers; None if it never does.
        early_temperature: of the early run's logits.
        late_temperature: of the combined logits.
        loss: share of rows, less than which the threshold was to lose.
        rows: validation rows that the threshold was chosen on.
        answered: of these rows, how many the early run answers.
        lost: rows that are answered early and wrong, and are right without the early run; judged out of fold.
        gained: likewise, the other way round.
        unproven: largest share of the rows that could be answered early with no larger loss on them, proof or not.
    """

    early: str
    threshold: float | None
    early_temperature: float
    late_temperature: float
    loss: float
    rows: int
    answered: int
    lost: int
    gained: int
    unproven: float

    @property
    def share(self) -> float:
        """Of the validation rows, those answered early."""
        return self.answered / self.rows

    @property
    def identity(self) -> str:
        """Stands for all that decides an answer."""
        return f"{self.early} {self.threshold!r} {self.early_temperature!r} {self.late_temperature!r}"

    def sure(self, logits: Floats) -> npt.NDArray[np.bool_]:
        """Which texts the early run answers, (texts,), by its own logits, (texts, labels)."""
        if self.threshold is None:
            return np.zeros(len(logits), np.bool_)
        top = SINGLE_LABEL.probabilities(logits.astype(np.float64) / self.early_temperature).max(1)
        sure: npt.NDArray[np.bool_] = top >= self.threshold
        return sure

    def answer(self, logits: Floats) -> npt.NDArray[np.float32]:
        """The early run's logits, calibrated."""
        return (logits.astype(np.float64) / self.early_temperature).astype(np.float32)

    def unlike(self, answered: int, texts: int) -> str | None:
        """A sentence on texts of which another share is answered early than chance allows, else None.

        Args:
            answered: texts that the early run answers.
            texts: all texts.
        """
        if self.threshold is None or same_share(answered, texts, self.answered, self.rows) >= ODD:
            return None
        return (
            f"{self.early} answers {answered / texts:.1%} of {texts:,} texts alone, {self.share:.1%} of its validation rows: "
            "they differ more than chance allows, and so may the accuracy that is lost; `striata shift` says more"
        )

    @property
    def sentences(self) -> tuple[str, str]:
        """What it does, and what it costs."""
        if self.threshold is not None:
            return (
                f"{self.early} answers from a probability of {self.threshold:.4g} on, {self.share:.1%} of the {self.rows:,} "
                "validation rows; the members together see the rest",
                f"by this {self.lost:,} of them are lost, {self.gained:,} gained: with 95 % confidence less than {self.loss:.2%}",
            )
        fewest = fewest_rows(self.loss, LEVEL)
        reason = f"it errs too often where it is surest to exclude a loss of {self.loss:.2%}"
        if self.rows < fewest:
            least = np.ceil(1e4 * smallest_margin(self.rows, LEVEL)) / 1e4
            reason = (
                f"{self.rows:,} validation rows cannot exclude a loss of {self.loss:.2%}, which takes at least {fewest:,}; a "
                f"loss of {least:.2%} they can"
            )
        return (
            f"{self.early} answers nothing: {reason}",
            f"without that proof it could answer {self.unproven:.1%} of these rows with no larger loss on them",
        )


@dataclass(frozen=True, slots=True)
class Scale:
    """In what outputs are averaged.

    Args:
        of: logits in this scale, in their type.
        back: a mean in this scale as logits.
    """

    of: Callable[[Floats], Floats]
    back: Callable[[Floats], Floats]


SCALES = {
    "logits": Scale(lambda logits: logits, lambda mean: mean),
    "probabilities": Scale(SINGLE_LABEL.probabilities, lambda mean: np.log(np.maximum(mean, np.finfo(np.float32).tiny))),
}
STACKING = "stacking"
_AT_ONCE = 4_000_000  # logits in float64 beside the result
CASCADE = "cascade"


@dataclass(frozen=True, slots=True, kw_only=True)
class Combiner:
    """Runs with weights, and what is done with their logits.

    Args:
        kind: "logits" (their weighted mean), "probabilities" (the logarithm of their weighted mean), "stacking", or "cascade"
            (the early run's calibrated logits, or the calibrated weighted mean of all).
        weights: of each run, by name; they add up to 1. Those of stacking only say how large a share of its coefficients a
            run has; the early run of a cascade may have none.
        stacking: the regression, for kind "stacking".
        cascade: who answers which texts, for kind "cascade".
    """

    kind: str
    weights: Mapping[str, float]
    stacking: Stacking | None = None
    cascade: Cascade | None = None

    @property
    def identity(self) -> str:
        """Stands for everything but the weights."""
        if self.cascade is not None:
            return f"{self.kind} {self.cascade.identity}"
        if self.stacking is None:
            return self.kind
        numbers = [self.stacking.intercept, *(self.stacking.coefficients[name] for name in self.weights)]
        return f"{self.kind} {hashlib.sha256(b''.join(array.tobytes() for array in numbers)).hexdigest()}"

    def identity_of(self, checksums: Mapping[str, str]) -> str:
        """Stands for the combination of runs with these checksums, by name, in the order they come."""
        parts = [f"{checksum}*{self.weights[name]!r}" for name, checksum in checksums.items()]
        return " ".join([self.identity, *parts])

    def apply(self, logits: Mapping[str, Floats]) -> npt.NDArray[np.float32]:
        """Combined logits, (rows, labels); their softmax is the ensemble's probabilities.

        Args:
            logits: of each run, by name, (rows, labels); runs without a weight are left out.
        """
        if self.cascade is not None:
            own = logits[self.cascade.early]
            return np.where(self.cascade.sure(own)[:, None], self.cascade.answer(own), self.apply_late(logits))
        if self.stacking is None:
            return combine(np.stack([logits[name] for name in self.weights]), list(self.weights.values()), self.kind)
        weighted = (
            SINGLE_LABEL.log_probabilities(logits[name]) @ matrix.T for name, matrix in self.stacking.coefficients.items()
        )
        return np.asarray(sum(weighted, self.stacking.intercept), np.float32)

    def apply_late(self, logits: Mapping[str, Floats]) -> npt.NDArray[np.float32]:
        """Logits of a cascade's members together, calibrated, (rows, labels); arguments as :meth:`apply`."""
        assert self.cascade is not None
        together = combine(np.stack([logits[name] for name in self.weights]), list(self.weights.values()))
        return together / np.float32(self.cascade.late_temperature)


def combine(logits: Floats, weights: Sequence[float], kind: str = "logits") -> npt.NDArray[np.float32]:
    """Weighted mean of logits, or the logarithm of the weighted mean of probabilities.

    Args:
        logits: (members, rows, labels).
        weights: one per member, adding up to 1.
        kind: "logits" or "probabilities".

    Returns:
        (rows, labels).
    """
    scale = SCALES[kind]
    members, rows, labels = logits.shape
    at_once = max(1, _AT_ONCE // max(1, members * labels))
    result = np.empty((rows, labels), np.float32)
    for start in range(0, rows, at_once):
        part = slice(start, start + at_once)
        mean = np.einsum("mrl,m->rl", scale.of(logits[:, part].astype(np.float64)), np.asarray(weights))
        result[part] = scale.back(mean)
    return result
