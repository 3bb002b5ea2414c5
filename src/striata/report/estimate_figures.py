"""Estimates with intervals, and accuracy against what it costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from ..choices import RANKINGS
from ..figures.intervals import Interval
from .axes import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Form, amount, colour, columns, frame, percent, plain, point, whisker
from .contents import Group, Report
from .scene import Box, Dot, Line, Mark, Scale, Scene, Text, cut, scale_over

_ROW = 24.0
_LEAST, _MOST = 96.0, 190.0  # room for labels
_LABELLED = 14  # points up to which their names are written beside them


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalRow:
    """A row of a figure of intervals.

    Args:
        label: at its left.
        interval: the estimate and its bounds.
        group: the layout that gives colour and shape; None for a neutral one.
        singles: single values it is the mean of, drawn as small dots.
        stroke: palette name of the interval; empty takes the layout's colour.
        tip: text shown under the pointer.
    """

    label: str
    interval: Interval
    group: Group | None = None
    singles: tuple[float, ...] = ()
    stroke: str = ""
    tip: str = ""


def intervals(
    rows: Sequence[IntervalRow], *, name: str, title: str, describes: str, x_label: str, form: Form = percent, zero: bool = False
) -> Scene:
    """Estimates below each other with their intervals.

    Args:
        rows: from above to below.
        name: of the figure's file.
        title: of the figure.
        describes: what it shows.
        x_label: of the axis.
        form: how values on the axis are written.
        zero: whether zero is drawn as the line to compare with.
    """
    values = [value for row in rows for value in (row.interval.low, row.interval.high, row.interval.value, *row.singles)] + (
        [0.0] if zero else []
    )
    left = min(max(13 * 0.56 * max(len(row.label) for row in rows) + 24, _LEAST), _MOST)
    x = _of_shares(scale_over(values, left, WIDTH - RIGHT, margin=0.04), form)
    bottom = TOP + _ROW * len(rows)
    marks: list[Mark] = [Box(x=0, y=TOP + at * _ROW, width=WIDTH, height=_ROW, fill="panel") for at in range(0, len(rows), 2)]
    marks += columns(x, TOP, bottom, form, lines=True)
    if zero:
        marks.append(Line(points=((x(0), TOP), (x(0), bottom)), stroke="ink", width=1.2))
    for at, row in enumerate(rows):
        y = TOP + (at + 0.5) * _ROW
        ink = row.stroke or ("muted" if row.group is None else colour(row.group))
        interval = row.interval
        tip = row.tip or f"{row.label}: {form(interval.value)}, {form(interval.low)} to {form(interval.high)}"
        marks.append(Text(x=left - 12, y=y + 4, text=cut(row.label, left - 22), anchor="end", fill="ink", tip=row.label))
        marks.append(whisker(x(interval.low), x(interval.high), y, ink, tip=tip))
        marks += [Dot(x=x(value), y=y, radius=2.2, fill="ground", stroke=ink) for value in row.singles]
        if row.group is None or row.stroke:
            marks.append(Dot(x=x(interval.value), y=y, radius=4.5, fill=ink, stroke="ground", tip=tip))
        else:
            marks.append(point(row.group, x(interval.value), y, tip=tip))
    marks.append(Text(x=(left + WIDTH - RIGHT) / 2, y=bottom + 37, text=x_label, anchor="middle"))
    height = bottom + BOTTOM + 2
    return Scene(name=name, title=title, describes=describes, width=WIDTH, height=height, marks=tuple(marks))


def _of_shares(scale: Scale, form: Form) -> Scale:
    """A scale without what no share can be."""
    return replace(scale, low=max(scale.low, 0.0), high=min(scale.high, 1.0)) if form is percent else scale


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What accuracy is drawn against.

    Args:
        of: a layout's cost.
        ensemble: of all its members; None without an ensemble.
        x_label: of the axis.
        form: how it is written.
        describes: what it is, for the caption.
    """

    of: Callable[[Group], float]
    ensemble: float | None
    x_label: str
    form: Form
    describes: str


def against(report: Report, cost: Cost) -> Scene:
    """Accuracy (of numbers their error, the smaller the higher) of layouts, baselines and the ensemble against a cost; what
    nothing cheaper beats is joined."""
    figure, merit = report.comparison.figure, RANKINGS[report.comparison.figure].merit
    costs = [cost.of(group) for group in report.groups]
    points = [(value, group.result.value) for value, group in zip(costs, report.groups, strict=True)]
    together = None
    if cost.ensemble is not None and report.ensemble_judged is not None:
        together = (cost.ensemble, report.ensemble_judged.value.value)
        points.append(together)
    shown = [row.figures[figure] for group in report.groups for row in group.standings] + [accuracy for _, accuracy in points]
    form = plain if report.numeric else percent
    y = _of_shares(scale_over(shown, *((TOP, HEIGHT - BOTTOM) if RANKINGS[figure].lower else (HEIGHT - BOTTOM, TOP))), form)
    every = [value for value, _ in points]
    x = scale_over(every, LEFT, WIDTH - RIGHT, log=max(every) > 4 * min(every) > 0, margin=0.09)
    marks = frame(x, y, x_form=cost.form, y_form=form, x_label=cost.x_label)
    steps = [(x(value), y(accuracy)) for value, accuracy in _front(points, merit)]
    stairs = [steps[0]] + [corner for one, two in pairwise(steps) for corner in ((two[0], one[1]), two)]
    if len(steps) > 1:
        marks.append(Line(points=tuple(stairs), stroke="muted", dash="dash"))
    for value, group in zip(costs, report.groups, strict=True):
        if len(group.standings) > 1:
            marks += [
                point(group, x(value), y(row.figures[figure]), radius=2.2, opacity=0.55, tip=row.run) for row in group.standings
            ]
    named: list[tuple[str, int | None, float, float]] = []
    for value, group in zip(costs, report.groups, strict=True):
        tip = f"{group.title}: {amount(group.result.value, figure)}, {cost.form(value)}"
        marks.append(point(group, x(value), y(group.result.value), radius=5, tip=tip))
        named.append((group.title, group.place, x(value), y(group.result.value)))
    if together is not None:
        at = (x(together[0]), y(together[1]))
        tip = f"the ensemble: {amount(together[1], figure)}, {cost.form(together[0])}"
        marks.append(Dot(x=at[0], y=at[1], radius=5.5, shape="diamond", fill="ink", stroke="ground", tip=tip))
        named.insert(0, ("ensemble", None, *at))
    if len(report.groups) <= _LABELLED:
        marks += _names(named)
    several = any(len(group.standings) > 1 for group in report.groups)
    seeds = " Large points are means over seeds, small ones single runs." if several else ""
    return Scene(
        name="accuracy-cost",
        title=f"{'Accuracy' if not report.numeric else RANKINGS[figure].title} against cost",
        describes=f"{cost.describes}{seeds} The dashed stairs join what nothing cheaper beats.",
        width=WIDTH,
        height=HEIGHT,
        marks=tuple(marks),
    )


def _front(points: Sequence[tuple[float, float]], merit: Callable[[float], float]) -> list[tuple[float, float]]:
    """Those that nothing as cheap beats, cheapest first."""
    front: list[tuple[float, float]] = []
    for cost, accuracy in sorted(points, key=lambda point: (point[0], -merit(point[1]))):
        if not front or merit(accuracy) > merit(front[-1][1]):
            front.append((cost, accuracy))
    return front


def _names(points: Sequence[tuple[str, int | None, float, float]]) -> list[Mark]:
    """Names beside points, at the first of a few places where they cover neither a point nor another name."""
    taken = [(x - 5, y - 5, x + 5, y + 5) for *_, x, y in points]
    marks: list[Mark] = []
    for name, place, x, y in points:
        text = cut(name, 90, 12)
        width = len(text) * 6.8
        for left, base in ((x + 8, y + 4), (x - 8 - width, y + 4), (x - width / 2, y - 9), (x - width / 2, y + 17)):
            box = (left, base - 10, left + width, base + 2)
            clear = all(box[2] < t[0] or box[0] > t[2] or box[3] < t[1] or box[1] > t[3] for t in taken)
            if clear and box[0] >= LEFT and box[2] <= WIDTH and box[1] >= 0 and box[3] <= HEIGHT - BOTTOM:
                taken.append(box)
                marks.append(Text(x=left, y=base, text=text, size=12, fill="ink", halo=True, series=place, tip=name))
                break
    return marks
