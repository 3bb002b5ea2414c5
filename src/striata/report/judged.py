"""A model on the validation rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..calibration import Calibration, cross_fitted_several, half_width, interval_figures
from ..calibration.conformal import fewest_rows
from ..calibration.intervals import IntervalFigures
from ..calibration.temperature import COVERAGES
from ..ensemble import Ensemble
from ..evidence.measure import RIGHT, measure_of
from ..figures.folds import deal_folds
from ..figures.intervals import Interval, wilson
from ..figures.scores import Metrics
from ..runs import Run
from ..runs.run import Validation
from ..tasks import metrics_of

ENSEMBLE = "ensemble"


def spoken(name: str) -> str:
    """A model's name as sentences have it."""
    return "the ensemble" if name == ENSEMBLE else name


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """Numbers that were predicted, beside the true ones.

    Args:
        answers: (rows,).
        targets: (rows,).
    """

    answers: npt.NDArray[np.float64]
    targets: npt.NDArray[np.float64]

    @property
    def sets(self) -> list[IntervalFigures]:
        """Intervals of usual coverages, those that can be promised, each row's by the errors of other rows."""
        errors, number = self.answers - self.targets, deal_folds(self.targets)
        figures = []
        for coverage in COVERAGES if number.max() else ():
            if fewest_rows(coverage) > len(errors) - np.bincount(number).max():
                continue
            parts = [
                interval_figures(errors[number == fold], half_width(errors[number != fold], coverage), coverage)
                for fold in range(number.max() + 1)
            ]
            rows = np.bincount(number)
            held = float(np.average([part.coverage for part in parts], weights=rows))
            figures.append(IntervalFigures(nominal=coverage, coverage=held, width=2 * half_width(errors, coverage)))
        return figures


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A model on the validation rows.

    Args:
        name: of the run, or "ensemble".
        metrics: its figures; an ensemble's by members that were chosen without the row, where it kept those.
        calibration: of its probabilities; None where its answers are numbers.
        figure: that stands for it, of :data:`striata.choices.RANKINGS`.
        value: of that figure, with its interval: Wilson's of a share.
        numbers: its answers; None where these are labels.
    """

    name: str
    metrics: Metrics
    calibration: Calibration | None
    figure: str
    value: Interval
    numbers: Numbers | None = None

    @property
    def spoken(self) -> str:
        """The name as sentences have it."""
        return spoken(self.name)


def judge_run(run: Run) -> Judged:
    """A run on its validation rows."""
    return _judge(run.name, run, run.validation(), run)


def judge_ensemble(ensemble: Ensemble) -> Judged:
    """An ensemble on the validation rows of its members, each row by members that were chosen without it."""
    return _judge(ENSEMBLE, next(iter(ensemble.runs.values())), ensemble.validation(), ensemble)


def _judge(name: str, run: Run, seen: Validation, source: Run | Ensemble) -> Judged:
    """A model on validation rows; of several labels a text with thresholds that were chosen without the row."""
    task, measure, labels = run.task, measure_of(run), source.labels
    if task.numeric:
        metrics, rows = task.metrics(seen.logits, seen.labels, labels), measure.of_rows(task, seen.logits, seen.labels)
        value = measure.over_rows(rows)
        numbers = Numbers(answers=task.decide(seen.logits).astype(np.float64), targets=seen.labels)
        return Judged(name=name, metrics=metrics, calibration=None, figure=measure.figure, value=value, numbers=numbers)
    if task.one_label:
        metrics = task.metrics(seen.logits, seen.labels, labels)
    else:
        metrics = metrics_of(cross_fitted_several(seen.logits, seen.labels)[1], seen.logits, seen.labels, labels)
    value = wilson(metrics.scores.accuracy, metrics.rows)
    return Judged(name=name, metrics=metrics, calibration=source.calibration(), figure=RIGHT.figure, value=value)
