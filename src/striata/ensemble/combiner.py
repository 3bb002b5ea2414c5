"""How outputs of several runs become one, by run name."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..tasks import SINGLE_LABEL

Floats = npt.NDArray[np.floating]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Combiner:
    """Runs with weights, and what is done with their logits.

    Args:
        kind: "logits" (their weighted mean), "probabilities" (the logarithm of their weighted mean), or "stacking".
        weights: of each run, by name; they add up to 1. Those of stacking only say how large a share of its coefficients a
            run has.
        stacking: the regression, for kind "stacking".
    """

    kind: str
    weights: Mapping[str, float]
    stacking: Stacking | None = None

    @property
    def identity(self) -> str:
        """Stands for everything but the weights."""
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
        if self.stacking is None:
            return combine(np.stack([logits[name] for name in self.weights]), list(self.weights.values()), self.kind)
        weighted = (
            SINGLE_LABEL.log_probabilities(logits[name]) @ matrix.T for name, matrix in self.stacking.coefficients.items()
        )
        return np.asarray(sum(weighted, self.stacking.intercept), np.float32)


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
    mean = np.einsum("mrl,m->rl", scale.of(logits.astype(np.float64)), np.asarray(weights))
    return scale.back(mean).astype(np.float32)
