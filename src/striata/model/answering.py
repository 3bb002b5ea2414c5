"""From a model's combined logits to answers: probabilities, labels, label sets, by what its validation rows say."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..calibration import (
    Answers,
    Calibration,
    IntervalFigures,
    answer_threshold,
    half_width,
    interval_figures,
    intervals_around,
    label_sets,
    measure_answers,
    set_threshold,
)
from ..ensemble import Ensemble
from ..errors import DataError
from ..figures.scores import Scores
from ..runs import Run
from ..tasks import Task, check_labels, check_one_label, plain_number

_Floats = npt.NDArray[np.float32]


class Answering:
    """What :class:`striata.Model` makes of logits."""

    folder: Path
    task: Task
    labels: tuple[str, ...]
    _source: Run | Ensemble

    @cached_property
    def calibration(self) -> Calibration:
        """Temperature and figures from the validation rows, as stored with the model.

        Raises:
            DataError: its answers are numbers.
        """
        check_labels(self.task, "a calibration", DataError)
        return self._source.calibration()

    @cached_property
    def _validation(self) -> tuple[_Floats, npt.NDArray[Any]]:
        seen = self._source.validation()
        return seen.logits, seen.labels

    def probabilities(self, logits: _Floats, *, calibrated: bool = True) -> _Floats:
        """Probabilities of combined logits, divided by the temperature when calibrated, (texts, labels).

        Raises:
            DataError: the answers are numbers.
        """
        check_labels(self.task, "a probability", DataError)
        return self.task.probabilities(self.calibration.scaled(logits) if calibrated else logits)

    def decide(self, logits: _Floats) -> npt.NDArray[Any]:
        """The answers that combined logits give, as the task has targets: places or numbers (texts,), or of several labels a text
        0 or 1 for each by its own threshold, (texts, labels)."""
        return self.calibration.decide(logits, self.task) if self.task.calibrated else self.task.decide(logits)

    def scores(self, logits: _Floats, targets: npt.NDArray[Any]) -> Scores:
        """Figures of what is answered to rows by combined logits, of which they are where no answer depends on their calibration.

        Args:
            logits: (rows, labels).
            targets: as the task has them.
        """
        if not self.task.calibrated:
            return self.task.scores(logits, targets)
        return measure_answers(logits, targets, self.labels, self.task, self.calibration).scores

    def right(self, logits: _Floats, targets: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which texts get all of their labels and no other, (texts,), by combined logits and targets as the task has them."""
        same = self.decide(logits) == targets
        right: npt.NDArray[np.bool_] = same if self.task.one_label else same.all(-1)
        return right

    def confidence(self, logits: _Floats) -> _Floats:
        """Calibrated probability of each text's label, of several labels that of the least sure decision, (texts,)."""
        probabilities, decided = self.probabilities(logits), self.decide(logits)
        if self.task.one_label:
            own: _Floats = probabilities[np.arange(len(logits)), decided]
            return own
        least: _Floats = np.where(decided > 0, probabilities, 1 - probabilities).min(1)
        return least

    def answered(self, logits: _Floats) -> Sequence[str] | Sequence[float]:
        """The answers as users get them: by name, or numbers."""
        return [plain_number(value) for value in logits[:, 0]] if self.task.numeric else self.named(logits)

    def named(self, logits: _Floats) -> list[str]:
        """The answers by name; of several labels as `a|b`, in the order of the labels, and the empty text for none; of
        numbers the shortest texts that give them back."""
        if self.task.numeric:
            return self.task.spell(logits[:, 0], self.labels)
        return self.task.spell(self.decide(logits), self.labels)

    def sure(self, logits: _Floats, abstain_below: float) -> npt.NDArray[np.bool_]:
        """Which texts' label has a calibrated probability that is not below a threshold, (texts,).

        Raises:
            DataError: the threshold is not from 0 to 1, or a text may have several labels.
        """
        check_one_label(self.task, "a threshold below which no label is given", DataError)
        if not 0 <= abstain_below <= 1:
            raise DataError(f"{abstain_below:g} is no probability; expected a value from 0 to 1", argument="abstain_below")
        result: npt.NDArray[np.bool_] = self.confidence(logits) >= abstain_below
        return result

    def label_sets(self, logits: _Floats, coverage: float) -> list[list[str]]:
        """As :meth:`striata.Model.predict_sets`, of combined logits."""
        check_labels(self.task, "a label set", DataError, instead="intervals (`predict_intervals`) are")
        inside = self._inside(logits, coverage)
        order = np.argsort(-logits, axis=1, kind="stable")
        return [[self.labels[i] for i in places if held[i]] for places, held in zip(order, inside, strict=True)]

    def _inside(self, logits: _Floats, coverage: float) -> npt.NDArray[np.bool_]:
        """Without temperature: it was fitted on the validation rows, which would no longer be exchangeable with new ones."""
        seen, targets = self._validation
        threshold = set_threshold(self.probabilities(seen, calibrated=False), targets, coverage)
        inside = label_sets(self.probabilities(logits, calibrated=False), threshold, several=not self.task.one_label)
        return self.task.whole(inside, self.decide(logits))

    def answers(self, precision: float) -> Answers:
        """From which calibrated probability on answers are right at a wanted rate, with 90 % confidence.

        Raises:
            DataError: no threshold can be shown to reach it on the validation rows, or a text may have several labels.
        """
        check_one_label(self.task, "a threshold for a precision", DataError)
        seen, targets = self._validation
        threshold = answer_threshold(self.probabilities(seen), targets, precision, self.decide(seen))
        if threshold is None:
            raise DataError(
                f"no threshold can be shown to reach a precision of {precision:g} on the {len(targets):,} validation rows of "
                f"{self.folder}; ask for less, or train with more validation rows"
            )
        return threshold

    def interval_figures(self, logits: _Floats, targets: npt.NDArray[Any], coverage: float) -> IntervalFigures:
        """The intervals of combined logits, on rows with numbers."""
        return interval_figures(self.task.decide(logits) - targets, self._half_width(coverage), coverage)

    def intervals(self, logits: _Floats, coverage: float) -> npt.NDArray[np.float64]:
        """As :meth:`striata.Model.predict_intervals`, of combined logits."""
        return intervals_around(self.task.decide(logits), self._half_width(coverage))

    def _half_width(self, coverage: float) -> float:
        if not self.task.numeric:
            raise DataError(
                f"intervals are of numbers, and the task is {self.task.name}; label sets (`predict_sets`) are what it has"
            )
        seen, targets = self._validation
        return half_width(self.task.decide(seen) - targets, coverage)
