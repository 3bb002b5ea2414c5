"""Members measured on validation rows: a fixed part while training, all rows for the kept checkpoint."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..data import Encoded, stratified_parts
from ..engine import Engine
from ..tasks import SINGLE_LABEL, Task
from ..tasks.regression import Scale

if TYPE_CHECKING:
    from .state import Trainee


@dataclass(frozen=True, slots=True)
class Seen:
    """A member on some validation rows.

    Args:
        scores: figures by name.
        logits: (rows, labels) float32.
    """

    scores: Mapping[str, float]
    logits: np.ndarray


def measure(logits: np.ndarray, targets: np.ndarray, task: Task = SINGLE_LABEL) -> Seen:
    """The task's scores of logits (rows, labels) for targets (rows,)."""
    return Seen(task.scores(logits, targets).to_json(), logits)


class Validator:
    """Evaluates members on the validation rows.

    Args:
        texts: all validation texts.
        targets: their labels, (rows,) int64, or as the task has them.
        seed: of the fixed part used during training.
        task: what a label is.
        scale: of what members learn instead of the targets, where these are numbers; None where they learn them as they are.
    """

    def __init__(
        self, texts: Encoded, targets: np.ndarray, seed: int, task: Task = SINGLE_LABEL, scale: Scale | None = None
    ) -> None:
        self.texts, self.targets, self._seed, self.task, self._scale = texts, targets, seed, task, scale
        self._parts: dict[int, tuple[Encoded, np.ndarray]] = {}
        self._answers, self._seconds = 0, 0.0

    @property
    def texts_per_second(self) -> float | None:
        """Answered so far, where several members answer in one pass each of them counted; None before the first."""
        return self._answers / self._seconds if self._answers and self._seconds else None

    def _predict(self, stack: Engine, texts: Encoded, slots: Sequence[int]) -> np.ndarray:
        start = time.perf_counter()
        logits: np.ndarray = stack.predict(texts, slots=slots)
        self._answers, self._seconds = self._answers + len(texts) * len(slots), self._seconds + time.perf_counter() - start
        return logits if self._scale is None else self._scale.restored(logits)

    def _part(self, rows: int | str) -> tuple[Encoded, np.ndarray]:
        size = len(self.targets) if rows == "all" else min(int(rows), len(self.targets))
        if size not in self._parts:
            chosen, _ = stratified_parts(self.targets, size, self._seed)
            self._parts[size] = (self.texts.take(chosen), self.targets[chosen])
        return self._parts[size]

    def during(self, stack: Engine, trainees: Sequence[Trainee]) -> list[Seen]:
        """Each trainee on its recipe's validation rows; those with equal parts in one pass."""
        seen: dict[int, Seen] = {}
        for rows in dict.fromkeys(t.member.recipe.validation_rows for t in trainees):
            texts, targets = self._part(rows)
            slots = [t.slot for t in trainees if t.member.recipe.validation_rows == rows]
            for slot, logits in zip(slots, self._predict(stack, texts, slots), strict=True):
                seen[slot] = measure(logits, targets, self.task)
        return [seen[t.slot] for t in trainees]

    def finally_(self, stack: Engine, trainees: Sequence[Trainee]) -> None:
        """Gives each trainee's kept checkpoint its logits and scores on all validation rows."""
        partial = [t for t in trainees if t.best is not None and len(t.best.logits) < len(self.targets)]
        if not partial:
            return
        for t, logits in zip(partial, self._predict(stack, self.texts, [t.slot for t in partial]), strict=True):
            whole = measure(logits, self.targets, self.task)
            assert t.best is not None
            t.best.scores, t.best.logits = whole.scores, whole.logits
