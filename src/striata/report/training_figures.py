"""Curves of training: losses, accuracy and learning rate of all runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .axes import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Form, colour, dash, frame, percent, plain
from .contents import Curve, Report
from .scene import Line, Mark, Scale, Scene, scale_over

_POINTS = 90  # of a curve; more would not be seen at this size, and 81 curves have to stay light
_LONG, _EARLY = 8, 0.2  # curves of this many points do not have to show the first fifth of their steps whole


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


def _inside(curve: Curve, y: Scale) -> Curve:
    """A curve from where it enters the range that is shown, without what is not finite."""
    finite = [(step, value) for step, value in curve if np.isfinite(value)]
    while len(finite) > 1 and not y.low <= finite[0][1] <= y.high:
        (first, above), (second, below) = finite[:2]
        if y.low <= below <= y.high:
            edge = y.high if above > y.high else y.low
            return ((first + (second - first) * (edge - above) / (below - above), edge), *finite[1:])
        finite = finite[1:]
    return tuple(finite)


def _mean(curves: Sequence[Curve]) -> Curve | None:
    """The mean of several seeds' curves over the steps that all of them have; None for a single curve."""
    if len(curves) < 2:
        return None
    steps = sorted(set.intersection(*({step for step, _ in curve} for curve in curves)))
    values = [dict(curve) for curve in curves]
    return tuple((step, float(np.mean([seed[step] for seed in values]))) for step in steps)


def _chart(
    report: Report,
    curves: Sequence[tuple[str, int | None, Curve]],
    *,
    name: str,
    title: str,
    describes: str,
    form: Form = plain,
) -> Scene | None:
    """Curves with their run and layout; seeds are thin beside their mean.

    A curve of no single layout is drawn in neutral ink and cannot be switched off.
    """
    drawn = [(run, place, curve) for run, place, curve in curves if curve]
    if not drawn:
        return None
    last = max(step for _, _, curve in drawn for step, _ in curve)
    x = Scale(low=0, high=max(last, 1), start=LEFT, end=WIDTH - RIGHT)
    warm = _EARLY * last if min(len(curve) for _, _, curve in drawn) >= _LONG else 0.0
    y = scale_over([value for _, _, curve in drawn for step, value in curve if step >= warm], HEIGHT - BOTTOM, TOP)
    seeds: list[Mark] = []
    layouts: list[Mark] = []
    for place in dict.fromkeys(place for _, place, _ in drawn):
        own = [(run, curve) for run, other, curve in drawn if other == place]
        group = None if place is None else report.groups[place]
        mean = _mean([curve for _, curve in own])
        for run, curve in own:
            line = Line(
                points=tuple((x(step), y(value)) for step, value in _inside(curve, y)),
                stroke="ink" if group is None else colour(group),
                width=1.7 if mean is None else 0.8,
                dash="" if group is None else dash(group),
                opacity=0.95 if mean is None else 0.3,
                series=place,
                tip="" if group is None else run,
            )
            (layouts if mean is None else seeds).append(line)
        if mean is not None and group is not None:
            points = tuple((x(step), y(value)) for step, value in _inside(mean, y))
            tip = f"{group.title}, mean of {len(own)} seeds"
            layouts.append(Line(points=points, stroke=colour(group), width=1.7, dash=dash(group), series=place, tip=tip))
    marks = [*frame(x, y, x_form=plain, y_form=form, x_label="step"), *seeds, *layouts]
    return Scene(name=name, title=title, describes=describes, width=WIDTH, height=HEIGHT, marks=tuple(marks))


def curves(report: Report) -> list[Scene]:
    """Training loss, validation loss, validation accuracy and learning rate; those without any value are left out."""
    histories = report.histories
    smoothed = any(len(history.loss) > _POINTS for history in histories)
    how = "; means over equal stretches of steps" if smoothed else ""
    rates = {thinned(history.learning_rate): history for history in histories}  # equal schedules are one line
    one = len(rates) == 1 and len(histories) > 1
    scenes = [
        _chart(
            report,
            [(history.run, history.group, means(history.loss)) for history in histories],
            name="training-loss",
            title="Training loss",
            describes=f"Mean cross entropy of each batch{how}.",
        ),
        _chart(
            report,
            [(history.run, history.group, thinned(history.validation_loss)) for history in histories],
            name="validation-loss",
            title="Validation loss",
            describes="Mean cross entropy on the validation rows used while training.",
        ),
        _chart(
            report,
            [(history.run, history.group, thinned(history.accuracy)) for history in histories],
            name="validation-accuracy",
            title="Validation accuracy",
            describes="Share of the validation rows used while training that were labelled right.",
            form=percent,
        ),
        _chart(
            report,
            [(history.run, None if one else history.group, rate) for rate, history in rates.items()],
            name="learning-rate",
            title="Learning rate",
            describes="Of each step; the same for all runs." if one else "Of each step; equal schedules lie on one line.",
        ),
    ]
    return [scene for scene in scenes if scene is not None]
