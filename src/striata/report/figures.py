"""All figures of a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from ..choices import RANKINGS
from ..figures.intervals import Interval
from ..robustness.documents import StressFacts
from ..runs.standings import total_seconds
from .axes import Form, percent, plain, signed, signed_plain, thousands
from .contents import Group, Report
from .estimate_figures import Cost, IntervalRow, against, intervals
from .layout_figures import heat_maps
from .model_figures import confusion, recalls, reliability
from .number_figures import errors_by_size, scatter
from .scene import Scene
from .training_figures import curves


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The drawings of a report.

    Args:
        layouts: rank and dropout.
        training: curves.
        standings: layouts with intervals.
        differences: as a forest plot; None when there is nothing to compare.
        cost: accuracy against training time or parameters, baselines and the ensemble among the points.
        labels: recall of each, of the model one would use; None where its answers are numbers.
        confusion: likewise; None also where a text has several labels.
        reliability: likewise; None where its answers are numbers.
        numbers: predicted against true ones, and errors by size; none of labels.
        stress: one for each model that was tried.
    """

    layouts: tuple[Scene, ...]
    training: tuple[Scene, ...]
    standings: Scene
    differences: Scene | None
    cost: Scene
    labels: Scene | None
    confusion: Scene | None
    reliability: Scene | None
    numbers: tuple[Scene, ...]
    stress: tuple[Scene, ...]

    def all(self) -> list[Scene]:
        """Every drawing, in the order of the page."""
        drawn = [
            *self.layouts, *self.training, self.standings, self.differences, self.cost, self.labels, self.confusion,
            self.reliability, *self.numbers, *self.stress,
        ]  # fmt: skip
        return [scene for scene in drawn if scene is not None]


def figures_of(report: Report) -> Figures:
    """Draws a report."""
    return Figures(
        layouts=tuple(heat_maps(report)),
        training=tuple(curves(report)),
        standings=_standings(report),
        differences=_differences(report) if report.comparison.differences else None,
        cost=against(report, _cost(report)),
        labels=None if report.numeric else recalls(report.judged.metrics),
        confusion=confusion(report.judged.metrics, report.judged.spoken) if report.judged.metrics.confusion else None,
        reliability=None if report.judged.calibration is None else reliability(report.judged),
        numbers=()
        if report.judged.numbers is None
        else (
            scatter(report.judged.numbers, report.judged.spoken),
            errors_by_size(report.judged.numbers),
        ),
        stress=tuple(_stress(stress) for stress in report.stress),
    )


def _cost(report: Report) -> Cost:
    """Training time where a study has baselines, else parameters; the other where that is the same for all layouts."""
    groups = report.groups
    members = () if report.ensemble is None else [run.facts for run in report.ensemble.runs.values()]
    minutes = max(group.result.seconds for group in groups) >= 120
    unit = 60 if minutes else 1
    time = Cost(
        of=lambda group: group.result.seconds / unit,
        ensemble=total_seconds(members) / unit if members else None,
        x_label=f"training time, {'minutes' if minutes else 'seconds'}",
        form=plain,
        describes="Time is a run's share of what its stack took; the ensemble's is that of all its members.",
    )
    parameters = Cost(
        of=lambda group: group.result.trainable,
        ensemble=None if report.ensemble is None else report.ensemble.trainable,
        x_label="trainable parameters, head included",
        form=thousands,
        describes="The ensemble has the parameters of all its members.",
    )
    first, second = (time, parameters) if any(group.plan is None for group in groups) else (parameters, time)
    adapted = [group for group in groups if group.plan is not None]
    return second if _distinct(adapted, first) == 1 < _distinct(adapted, second) else first


def _distinct(groups: Sequence[Group], cost: Cost) -> int:
    """How many of the layouts' costs differ by more than a twentieth from the next smaller one."""
    values = sorted(cost.of(group) for group in groups)
    return bool(values) + sum(more > 1.05 * less for less, more in pairwise(values))


def _standings(report: Report) -> Scene:
    several = any(len(result.seeds) > 1 for result in report.comparison.layouts)
    rows = [
        IntervalRow(
            label=result.layout,
            interval=Interval(value=result.value, low=result.low, high=result.high),
            group=(group := report.group_named(result.layout)),
            singles=tuple(row.figures[result.by] for row in group.standings) if several else (),
        )
        for result in report.comparison.layouts
    ]
    what = "Means over seeds with their intervals" if several else "With intervals"
    seeds = " Small rings are single runs." if several else ""
    title, form = _of_figure(report)
    return intervals(
        rows,
        name="leaderboard",
        title=f"Validation {title} of each layout" if all(group.plan for group in report.groups) else f"Validation {title}",
        describes=f"{what}, {report.comparison.confidence * 100:.0f}\u00a0% each.{seeds}",
        x_label=f"validation {title}",
        form=form,
    )


def _of_figure(report: Report) -> tuple[str, Form]:
    """The title of the figure that is compared, and how its values are written."""
    figure = report.comparison.figure
    return RANKINGS[figure].title, plain if report.numeric else percent


def _differences(report: Report) -> Scene:
    tones = {"better": "good", "worse": "bad", "not told apart": "muted"}
    rows = [
        IntervalRow(
            label=difference.layout,
            interval=Interval(value=difference.difference, low=difference.low, high=difference.high),
            stroke=tones[difference.verdict],
            tip=difference.sentence,
        )
        for difference in report.comparison.differences
    ]
    return intervals(
        rows,
        name="differences",
        title=f"Difference of {_of_figure(report)[0]} to the reference",
        describes=f"Against {report.comparison.reference}. Green is better, red is worse, grey is not told apart by these rows "
        "and seeds.",
        x_label=RANKINGS[report.comparison.figure].title if report.numeric else "points of accuracy",
        form=signed_plain if report.numeric else signed,
        zero=True,
    )


def _stress(stress: StressFacts) -> Scene:
    rows = [
        IntervalRow(
            label=f"{stressed.perturbation.replace('_', ' ')} {stressed.strength}",
            interval=stressed.difference,
            stroke="bad" if stressed.difference.high < 0 else "good" if stressed.difference.low > 0 else "muted",
            tip=f"{stressed.perturbation.replace('_', ' ')}, {stressed.amount}: accuracy {stressed.accuracy.value:.2%}",
        )
        for stressed in stress.stressed
    ]
    return intervals(
        rows,
        name=f"stress-{stress.model.name}",
        title="What worse texts cost",
        describes="Change of accuracy on the same rows at three strengths. Red: the loss is more than chance would make it.",
        x_label="points of accuracy",
        form=signed,
        zero=True,
    )
