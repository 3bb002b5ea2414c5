"""A model on the validation rows: confusion matrix and reliability diagram."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..calibration import Bin, Quality
from ..figures.intervals import Interval, share, wilson
from ..figures.scores import Metrics
from .axes import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, frame, percent
from .estimate_figures import IntervalRow, intervals
from .judged import Judged
from .palette import heat
from .scene import Box, Dot, Line, Mark, Scale, Scene, Text, cut

_HAND, _LEAST_NAME, _MOST_NAME = 26.0, 60.0, 130.0  # room for the word `true`, and for names
MOST_LABELS = 40  # in a confusion matrix; more cannot be read


def _most_confused(counts: Sequence[Sequence[int]]) -> list[int]:
    """Places of the labels with most errors, those taken for them included, in ascending order."""
    table = np.array(counts)
    right = table.diagonal()
    errors = table.sum(0) + table.sum(1) - 2 * right
    return sorted(np.argsort(-errors, kind="stable")[:MOST_LABELS].tolist())


def confusion(metrics: Metrics, spoken: str) -> Scene:
    """Rows by true and predicted label; a cell's colour is its share of the true label's rows. Of many labels those with most
    errors."""
    whole = metrics.confusion
    chosen = _most_confused(whole)
    labels, counts = [metrics.labels[at] for at in chosen], [[whole[row][at] for at in chosen] for row in chosen]
    longest = max(len(label) for label in labels)
    side = _HAND + min(max(longest * 7.0 + 14, _LEAST_NAME), _MOST_NAME)
    cell = min((WIDTH - side - 10) / len(labels), 78.0)
    height = max(min(cell, 46.0), 12.0)
    steep = longest * 7.0 > cell - 4
    above = min(max(longest * 6.8 + 30, 62.0), _MOST_NAME) if steep else 44.0
    size = max(min(13, cell * 0.34), 6.0)
    marks: list[Mark] = [
        Text(x=side + cell * len(labels) / 2, y=13, text="predicted", size=12, anchor="middle"),
        Text(x=12, y=above + height * len(labels) / 2, text="true", size=12, anchor="middle", upwards=True),
    ]
    for at, name in enumerate(labels):
        middle = side + (at + 0.5) * cell
        if steep:
            text = cut(name, above - 26, 12)
            marks.append(Text(x=middle + 4, y=above - 6, text=text, size=min(12, cell * 0.7), upwards=True, tip=name))
        else:
            marks.append(Text(x=middle, y=above - 8, text=name, size=12.5, anchor="middle", tip=name))
        y = above + (at + 0.5) * height + 4
        text = cut(name, side - _HAND - 8, 12.5)
        marks.append(Text(x=side - 8, y=y, text=text, size=min(12.5, height * 0.9), anchor="end", tip=name))
    for row, name in enumerate(labels):
        total = sum(whole[chosen[row]])
        for column, other in enumerate(labels):
            count = counts[row][column]
            share = count / total if total else 0.0
            x, y = side + column * cell, above + row * height
            fill = "heat" if row == column else "wrong"
            strength = heat(share if row == column else share * 4) if count else 0.04  # rare confusions have to be seen
            tip = f"true {name}, predicted {other}: {count} of {total} ({share:.1%})"
            marks.append(Box(x=x + 0.75, y=y + 0.75, width=cell - 1.5, height=height - 1.5, fill=fill, opacity=strength, tip=tip))
            if count and cell >= 16:
                marks.append(
                    Text(x=x + cell / 2, y=y + height / 2 + 4, text=f"{count:,}", size=size, anchor="middle", fill="ink")
                )
    describes = (
        f"{metrics.rows:,} rows by true and predicted label, for {spoken}. The bluer, the more of a label's rows "
        "are right; the redder, the more are taken for the other."
    )
    if len(labels) < len(whole):
        describes += f" Of {len(whole):,} labels, the {len(labels)} with most errors."
    return Scene(
        name="confusion",
        title="Confusion matrix",
        describes=describes,
        width=WIDTH,
        height=above + height * len(labels) + 8,
        marks=tuple(marks),
    )


def reliability(judged: Judged) -> Scene:
    """Accuracy against confidence with the fitted temperature and an interval for each bin; hollow: as the logits are."""
    calibration = judged.calibration
    assert calibration is not None  # of a task with labels
    bottom, floor = HEIGHT + 30, HEIGHT - BOTTOM
    x = Scale(low=0, high=1, start=LEFT, end=WIDTH - RIGHT)
    y = Scale(low=0, high=1, start=floor, end=TOP)
    of = "probability of a label" if calibration.temperatures else "probability of the predicted label"
    marks = frame(x, y, x_form=percent, y_form=percent, x_label=of)
    marks.append(Line(points=((x(0), y(0)), (x(1), y(1))), stroke="muted", dash="dash"))
    most = max((bar.rows for bar in calibration.after.bins), default=0) or 1
    for bar in calibration.after.bins:
        if bar.rows:
            width, height = x(bar.upper) - x(bar.lower) - 2, 46 * bar.rows / most
            tip = f"{bar.rows:,} rows between {bar.lower:.0%} and {bar.upper:.0%}"
            marks.append(
                Box(x=x(bar.lower) + 1, y=floor - height, width=width, height=height, fill="muted", opacity=0.28, tip=tip)
            )
    scaled = bool(calibration.temperatures) or calibration.temperature != 1
    if scaled:
        for bar in _met(calibration.before):
            marks.append(_bar_dot(bar, x, y, "as they are"))
    for bar in _met(calibration.after):
        span = wilson(bar.accuracy or 0, bar.rows)
        at = x(bar.confidence or 0)
        marks.append(Line(points=((at, y(span.low)), (at, y(span.high))), stroke="c4", width=2, opacity=0.75))
        marks.append(_bar_dot(bar, x, y, "calibrated", span))
    for place, name in ((LEFT + 6, "calibrated, with interval"), (LEFT + 196, "as they are")):
        if name == "as they are" and not scaled:
            continue
        marks.append(_legend_dot(place, bottom - 8, name))
        marks.append(Text(x=place + 10, y=bottom - 3.5, text=name, fill="ink"))
    describes = (
        "Points on the dashed line mean what they say; below it the model is too sure. The lines are 95\u00a0% intervals over "
        "the rows of a point, whose number the grey bars show: an interval that meets the dashed line is no sign of a mistake."
    )
    return Scene(
        name="reliability", title="Reliability diagram", describes=describes, width=WIDTH, height=bottom + 2, marks=tuple(marks)
    )


def _met(quality: Quality) -> list[Bin]:
    """The bins that have rows."""
    return [bar for bar in quality.bins if bar.rows]


def _bar_dot(bar: Bin, x: Scale, y: Scale, name: str, span: Interval | None = None) -> Dot:
    """The point of a bin; without its interval it is hollow."""
    tip = f"{name}: says {bar.confidence:.1%}, right {bar.accuracy:.1%} of {bar.rows:,} rows"
    tip += "" if span is None else f" ({span.low:.1%} to {span.high:.1%})"
    return replace(_legend_dot(x(bar.confidence or 0), y(bar.accuracy or 0), name), tip=tip)


def _legend_dot(x: float, y: float, name: str) -> Dot:
    if name == "as they are":
        return Dot(x=x, y=y, radius=3.5, shape="diamond", fill="ground", stroke="c1")
    return Dot(x=x, y=y, radius=4, fill="c4", stroke="ground")


def recalls(metrics: Metrics) -> Scene:
    """The share of each label's rows that are labelled right, with Wilson's interval, weakest first."""
    met = {name: row for name, row in metrics.per_label.items() if row["rows"]}
    rows = [(name, row, share(round(row["recall"] * row["rows"]), int(row["rows"]))) for name, row in met.items()]
    rows.sort(key=lambda one: (one[2].value, one[2].low))
    shown = [
        IntervalRow(
            label=name,
            interval=span,
            stroke="c4",
            tip=f"{name}: {span.value:.1%} of {int(row['rows']):,} rows right ({span.low:.1%} to {span.high:.1%})",
        )
        for name, row, span in rows[:MOST_LABELS]
    ]
    most = "" if len(rows) <= MOST_LABELS else f" Of {len(rows):,} labels, the {MOST_LABELS} with the fewest right."
    return intervals(
        shown,
        name="labels",
        title="Recall of each label",
        describes="Share of a label's validation rows that are labelled right, with 95\u00a0% intervals. A wide one says that "
        f"the label has few rows.{most}",
        x_label="share of the label's rows that are right",
    )
