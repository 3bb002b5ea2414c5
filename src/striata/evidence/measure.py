"""What a comparison goes by: how good each answer is, so that the mean over rows is the figure, or its square."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from ..choices import RANKINGS
from ..figures.intervals import LEVEL, Interval, error_interval, share_of_parts
from ..figures.spread import Spread, Variance, spread
from ..runs.joined import Pool
from ..runs.run import Run
from ..runs.standings import deciding_figure
from ..tasks import Task

Rows = npt.NDArray[Any]  # how good the answers to rows are, more being better: right or not, or minus an error
AnyInterval = TypeVar("AnyInterval", bound=Interval)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """By what answers are compared.

    Args:
        figure: of :data:`striata.choices.RANKINGS`: "accuracy", or of numbers "rmse" or "mae".
        power: to which errors are raised; 0 where an answer is right or wrong.
    """

    figure: str
    power: int

    def of_rows(self, task: Task, logits: npt.NDArray[np.floating], targets: npt.NDArray[Any]) -> Rows:
        """How good each answer is, (rows,): whether it is right, or minus its error to the power.

        Args:
            task: what a label is.
            logits: (rows, labels).
            targets: as the task has them.
        """
        if not self.power:
            return task.right(logits, targets)
        rows: Rows = -(np.abs(task.decide(logits) - targets) ** self.power)
        return rows

    def of_runs(self, pool: Pool, names: Sequence[str]) -> Rows:
        """Likewise of runs, (runs, rows), in the order of `names`."""
        return np.stack([self.of_rows(pool.task, logits, pool.targets) for logits in pool.members(names).logits])

    def of_seed(self, mean: float) -> float:
        """One seed's mean on a scale on which the seeds of good and bad layouts scatter alike: of errors its logarithm."""
        return mean if not self.power else math.log(max(-mean, 1e-300))

    def seeds_at(self, mean: float, scatter: Variance) -> Variance:
        """The variance of a seed's mean, of the variance of :meth:`of_seed` and of the layout's mean."""
        return scatter if not self.power else Variance(scatter.variance * mean**2, scatter.freedom)

    @property
    def merit(self) -> int:
        """The sign of a gain in the figure."""
        return -1 if RANKINGS[self.figure].lower else 1

    def value(self, mean: float) -> float:
        """The figure of a mean over rows."""
        return mean if not self.power else float((-mean) ** (1 / self.power))

    def in_unit(self, gain: AnyInterval, one: float, other: float) -> AnyInterval:
        """A difference of means as one of figures, of which more is better.

        A difference of mean squares is one of their roots times the sum of these, whose own error is of second order.

        Args:
            gain: the difference of the means.
            one: the first mean.
            other: the second.
        """
        if self.power < 2:
            return gain
        total = self.value(one) + self.value(other)
        factor = 1 / total if total else 0.0
        return replace(gain, value=gain.value * factor, low=gain.low * factor, high=gain.high * factor)

    def difference(self, gain: AnyInterval) -> AnyInterval:
        """A gain as the first figure minus the second."""
        if self.merit > 0:
            return gain
        return replace(gain, value=-gain.value, low=-gain.high, high=-gain.low)

    def interval(self, table: Spread, seeds: Variance, *, level: float) -> Interval:
        """The figure of a layout with its interval: Wilson's of a share, else on the scale of the logarithm, never below 0.

        Args:
            table: of its seeds and rows.
            seeds: the variance of :meth:`of_seed`; with freedom 0 it is unknown, and the interval speaks of rows only.
            level: probability that the interval holds the figure on endless rows.
        """
        seeds = self.seeds_at(table.mean, seeds)
        of_seeds = [Variance(seeds.variance / table.seeds, seeds.freedom)] if seeds.freedom else []
        if not self.power:
            over_rows = table.row_variance if table.seeds > 1 else table.mean * (1 - table.mean)
            parts = [*of_seeds, Variance(over_rows / table.rows, np.inf)] if of_seeds else []
            return share_of_parts(table.mean, table.rows, parts, level=level)
        parts = [*of_seeds, Variance(table.row_variance / table.rows, table.rows - 1)] if table.rows > 1 else []
        return error_interval(-table.mean, parts, power=self.power, level=level)

    def over_rows(self, rows: Rows, *, level: float = LEVEL) -> Interval:
        """The figure of answers that :meth:`of_rows` judged, with an interval over rows."""
        return self.interval(spread(as_numbers(rows)[None]), Variance(0.0, 0), level=level)


def as_numbers(rows: Rows) -> Rows:
    """Right or not as 1 or 0, of which differences can be taken; numbers as they are."""
    return rows.astype(np.int8) if rows.dtype == np.bool_ else rows


RIGHT = Measure(figure="accuracy", power=0)
SQUARED = Measure(figure="rmse", power=2)
ABSOLUTE = Measure(figure="mae", power=1)


def measure_of(run: Run) -> Measure:
    """What the runs of a study are compared by: the share of right rows; of numbers the squared error, or the absolute one where
    the study's recipe says `best_by: mae`."""
    if not run.task.numeric:
        return RIGHT
    return ABSOLUTE if deciding_figure(run.facts.study) == ABSOLUTE.figure else SQUARED
