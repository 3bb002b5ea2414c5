"""Curves of training: losses, accuracy and learning rate of all runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..choices import RANKINGS
from .axes import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Form, colour, dash, frame, percent, plain
from .contents import Curve, History, Report
from .scene import Dot, Line, Mark, Scale, Scene, scale_over, within

_POINTS = 90  # of a curve; more would not be seen at this size, and 81 curves have to stay light
_CROWD, _FEW = 4, 24  # among more curves than these noise is averaged over stretches as few as these, and one is bold
_LONG, _EARLY = 8, 0.2  # curves of this many points do not have to show the first fifth of their steps whole

Point = tuple[float, float]


def means(curve: Curve, most: int = _POINTS) -> Curve:
    """A noisy curve as the means of at most `most` equal stretches."""
    if len(curve) <= most:
        return curve
    parts = np.array_split(np.asarray(curve, np.float64), most)
    return tuple((float(part[:, 0].mean()), float(part[:, 1].mean())) for part in parts)


def thinned(curve: Curve, most: int = _POINTS) -> Curve:
    """A smooth curve's points at equal distances, both ends among them."""
    if len(curve) <= most:
        return curve
    return tuple(curve[at] for at in np.unique(np.linspace(0, len(curve) - 1, most).round().astype(int)))


def _finite(curve: Curve) -> Curve:
    """A curve without what is not finite."""
    return tuple((step, value) for step, value in curve if np.isfinite(value))


def _mean(curves: Sequence[Curve]) -> Curve | None:
    """The mean of several seeds' curves over the steps that all of them have; None for a single curve."""
    if len(curves) < 2:
        return None
    steps = sorted(set.intersection(*({step for step, _ in curve} for curve in curves)))
    values = [dict(curve) for curve in curves]
    return tuple((step, float(np.mean([seed[step] for seed in values]))) for step in steps)


@dataclass(frozen=True, slots=True)
class _Look:
    """How a line is drawn; see :class:`striata.report.scene.Line`."""

    stroke: str
    width: float
    dash: Literal["", "dash", "dot"]
    opacity: float
    series: int | None
    tip: str


def _drawn(curve: Curve, x: Scale, y: Scale, look: _Look) -> list[Mark]:
    """A curve where it lies in its box, and where all of it is one point, that point."""
    points = tuple((x(step), y(value)) for step, value in _finite(curve))
    if len(points) == 1:
        return [Dot(x=points[0][0], y=points[0][1], radius=3, fill=look.stroke, series=look.series, tip=look.tip)]
    return [
        Line(
            points=piece,
            stroke=look.stroke,
            width=look.width,
            dash=look.dash,
            opacity=look.opacity,
            series=look.series,
            tip=look.tip,
        )
        for piece in within(points, y.end - 0.5, y.start + 0.5)
    ]


def _dots(checkpoints: Mapping[str, Point], x: Scale, y: Scale, fill: str, series: int | None) -> list[Mark]:
    """Kept checkpoints where they lie in their box."""
    return [
        Dot(x=x(step), y=y(value), radius=2.4, fill=fill, stroke="ground", series=series, tip=f"{run}, kept at step {step:,.0f}")
        for run, (step, value) in checkpoints.items()
        if y.end - 0.5 <= y(value) <= y.start + 0.5
    ]


def _checkpoints(histories: Sequence[History], curve: Callable[[History], Curve]) -> dict[str, Point]:
    """Step and value of each run's kept checkpoint on a curve, where it was evaluated then."""
    return {h.run: point for h in histories for point in _finite(curve(h)) if point[0] == h.best_step}


def _best_of(report: Report, places: Sequence[int | None]) -> int | None:
    """The best of the layouts at some places."""
    ranks = (report.group_of(row.run).place for row in report.standings)
    return next((place for place in ranks if place in places), None)


def _chart(
    report: Report,
    curves: Sequence[tuple[str, int | None, Curve]],
    *,
    name: str,
    title: str,
    describes: str,
    form: Form = plain,
    whole: bool = False,
    checkpoints: Mapping[str, Point] | None = None,
) -> Scene | None:
    """Curves with their run and layout; seeds are thin beside their mean. None where no curve has two points.

    A run's kept checkpoint is a dot at its step and value, where `checkpoints` has them by run.

    A curve of no single layout is drawn in neutral ink and cannot be switched off. Unless the chart is to show all values, early
    ones may lie above or below it.
    """
    drawn = [(run, place, curve) for run, place, curve in curves if curve]
    if not any(len(_finite(curve)) > 1 for _, _, curve in drawn):
        return None
    last = max(step for _, _, curve in drawn for step, _ in curve)
    x = Scale(low=0, high=max(last, 1), start=LEFT, end=WIDTH - RIGHT)
    warm = _EARLY * last if not whole and min(len(curve) for _, _, curve in drawn) >= _LONG else 0.0
    y = scale_over([value for _, _, curve in drawn for step, value in curve if step >= warm], HEIGHT - BOTTOM, TOP)
    seeds: list[Mark] = []
    layouts: list[Mark] = []
    front: list[Mark] = []
    dots: list[Mark] = []
    places = list(dict.fromkeys(place for _, place, _ in drawn))
    crowded, first = len(places) > _CROWD, _best_of(report, places)
    for place in places:
        own = [(run, curve) for run, other, curve in drawn if other == place]
        group = None if place is None else report.groups[place]
        mean = _mean([curve for _, curve in own])
        stroke, dashes = ("ink", dash(None)) if group is None else (colour(group), dash(group))
        bold = 2.6 if crowded and place == first else 1.3 if crowded else 1.7
        marks = front if crowded and place == first else layouts
        for run, curve in own:
            tip = "" if group is None else run
            look = _Look(stroke, bold, dashes, 0.95, place, tip) if mean is None else _Look(stroke, 0.8, dashes, 0.3, place, tip)
            (marks if mean is None else seeds).extend(_drawn(curve, x, y, look))
        if mean is not None and group is not None:
            tip = f"{group.title}, mean of {len(own)} seeds"
            marks += _drawn(mean, x, y, _Look(stroke, bold, dashes, 1.0, place, tip))
        dots += _dots({run: point for run, _ in own if (point := (checkpoints or {}).get(run))}, x, y, stroke, place)
    return Scene(
        name=name,
        title=title,
        describes=describes
        + (" A dot is the checkpoint that was kept." if dots else "")
        + ("" if not front or first is None else f" The bold line is {report.groups[first].title}, the best."),
        width=WIDTH,
        height=HEIGHT,
        marks=(*frame(x, y, x_form=plain, y_form=form, x_label="step"), *seeds, *layouts, *front, *dots),
        ruler=(x, y, "%" if form is percent else ""),
    )


def _others(report: Report) -> list[Scene | None]:
    """Of every other figure that decided which checkpoint is kept, the curves of the runs where it did."""
    names = dict.fromkeys(history.best_by for history in report.histories if history.best_by not in ("accuracy", "loss"))
    own = {name: [history for history in report.histories if history.best_by == name] for name in names}
    return [
        _chart(
            report,
            [(history.run, history.group, thinned(history.deciding)) for history in histories],
            name=f"validation-{name.replace('_', '-')}",
            title=f"Validation {RANKINGS[name].title if report.numeric else name.replace('_', ' ')}",
            describes=f"On the validation rows used while training: {RANKINGS[name].text}.",
            checkpoints=_checkpoints(histories, lambda history: history.deciding),
        )
        for name, histories in own.items()
    ]


def curves(report: Report) -> list[Scene]:
    """Training loss, validation loss, validation accuracy, what else decided, and learning rate; those without two values of a
    run are left out."""
    histories = report.histories
    stretches = _FEW if len(report.groups) > _CROWD else _POINTS
    smoothed = any(len(history.loss) > stretches for history in histories)
    how = "; means over equal stretches of steps" if smoothed else ""
    what = "loss, of numbers in standard deviations," if report.numeric else "cross entropy"
    held = "squared error" if report.numeric else "cross entropy"
    rates = {thinned(history.learning_rate): history for history in histories}  # equal schedules are one line
    one = len(rates) == 1 and len(histories) > 1
    scenes = [
        _chart(
            report,
            [(history.run, history.group, means(history.loss, stretches)) for history in histories],
            name="training-loss",
            title="Training loss",
            describes=f"Mean {what} of each batch{how}.",
        ),
        _chart(
            report,
            [(history.run, history.group, thinned(history.validation_loss)) for history in histories],
            name="validation-loss",
            title="Validation loss",
            describes=f"Mean {held} on the validation rows used while training.",
            checkpoints=_checkpoints(histories, lambda history: history.validation_loss),
        ),
        _chart(
            report,
            [(history.run, history.group, thinned(history.accuracy)) for history in histories],
            name="validation-accuracy",
            title="Validation accuracy",
            describes="Share of the validation rows used while training that were labelled right.",
            form=percent,
            checkpoints=_checkpoints(histories, lambda history: history.accuracy),
        ),
        *_others(report),
        _chart(
            report,
            [(history.run, None if one else history.group, rate) for rate, history in rates.items()],
            name="learning-rate",
            title="Learning rate",
            describes="Of each step; the same for all runs." if one else "Of each step; equal schedules lie on one line.",
            whole=True,
        ),
    ]
    return [scene for scene in scenes if scene is not None]
