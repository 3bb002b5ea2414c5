"""Which members answer a text, and the score of a label that they give together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..ensemble import Combiner
from ..model import Model
from ..tasks import Task

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Stage:
    """Members that answer a text, none of them by stages.

    Args:
        combiner: what is done with their logits; none that cascades.
        temperature: by which the combined logits are divided; one number, or one for each of several labels.
        task: what a label is.
    """

    combiner: Combiner
    temperature: npt.NDArray[np.float64]
    task: Task

    @property
    def names(self) -> tuple[str, ...]:
        """Of the members."""
        return tuple(self.combiner.weights)

    def scores(self, logits: Mapping[str, Floats], label: int) -> npt.NDArray[np.float64]:
        """The label's scores, (texts,), from each member's logits, (texts, labels)."""
        combined = self.combiner.apply(logits).astype(np.float64) / self.temperature
        scores: npt.NDArray[np.float64] = combined @ contrast(label, combined.shape[1], self.task)
        return scores


def contrast(label: int, labels: int, task: Task) -> npt.NDArray[np.float64]:
    """What calibrated logits are multiplied by for a label's score, (labels,): its own logit less the mean of the others'.

    Where a text may have several labels it is its own logit alone.
    """
    factors = np.full(labels, -1 / (labels - 1)) if task.one_label else np.zeros(labels)
    factors[label] = 1
    return factors


def stages_of(model: Model, texts: Sequence[str], pairs: Sequence[str] | None) -> list[Stage]:
    """Who answers each text: of a cascade its early run, or all members together; else all."""
    cascade, temperature, task = model.combiner.cascade, model.calibration.divisors, model.task
    if cascade is None or not texts:
        return [Stage(model.combiner, temperature, task)] * len(texts)
    early = Stage(Combiner(kind="logits", weights={cascade.early: 1.0}), cascade.early_temperature * temperature, task)
    late = Stage(Combiner(kind="logits", weights=model.combiner.weights), cascade.late_temperature * temperature, task)
    sure = cascade.sure(model.member_logits(texts, pairs, names=early.names)[cascade.early])
    return [early if answered else late for answered in sure]
