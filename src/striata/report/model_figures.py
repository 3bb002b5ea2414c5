"""A model on the validation rows: confusion matrix and reliability diagram."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from .axes import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, frame, percent
from .contents import Judged
from .palette import heat
from .scene import Box, Dot, Line, Mark, Scale, Scene, Text, cut

_SIDE, _HEADER = 92.0, 62.0
MOST_LABELS = 40  # in a confusion matrix; more cannot be read
_SHAPES: dict[str, Literal["circle", "diamond"]] = {"c1": "diamond", "c4": "circle"}


def _most_confused(counts: Sequence[Sequence[int]]) -> list[int]:
    """Places of the labels with most errors, those taken for them included, in ascending order."""
    table = np.array(counts)
    right = table.diagonal()
    errors = table.sum(0) + table.sum(1) - 2 * right
    return sorted(np.argsort(-errors, kind="stable")[:MOST_LABELS].tolist())


def confusion(judged: Judged) -> Scene:
    """Rows by true and predicted label; a cell's colour is its share of the true label's rows. Of many labels those with most
    errors."""
    whole = judged.metrics.confusion
    chosen = _most_confused(whole)
    labels, counts = [judged.metrics.labels[at] for at in chosen], [[whole[row][at] for at in chosen] for row in chosen]
    cell = min((WIDTH - _SIDE - 10) / len(labels), 78.0)
    height = max(min(cell, 46.0), 12.0)
    size = max(min(13, cell * 0.34), 6.0)
    marks: list[Mark] = [
        Text(x=_SIDE + cell * len(labels) / 2, y=13, text="predicted", size=12, anchor="middle"),
        Text(x=12, y=_HEADER + height * len(labels) / 2, text="true", size=12, anchor="middle", upwards=True),
    ]
    steep = cell < 60
    for at, name in enumerate(labels):
        middle = _SIDE + (at + 0.5) * cell
        if steep:
            marks.append(
                Text(x=middle + 4, y=_HEADER - 6, text=cut(name, 46, 12), size=min(12, cell * 0.7), upwards=True, tip=name)
            )
        else:
            marks.append(Text(x=middle, y=_HEADER - 8, text=cut(name, cell - 4, 12.5), size=12.5, anchor="middle", tip=name))
        y = _HEADER + (at + 0.5) * height + 4
        marks.append(
            Text(x=_SIDE - 8, y=y, text=cut(name, _SIDE - 30, 12.5), size=min(12.5, height * 0.9), anchor="end", tip=name)
        )
    for row, name in enumerate(labels):
        total = sum(whole[chosen[row]])
        for column, other in enumerate(labels):
            count = counts[row][column]
            share = count / total if total else 0.0
            x, y = _SIDE + column * cell, _HEADER + row * height
            fill = "heat" if row == column else "wrong"
            strength = heat(share if row == column else share * 4) if count else 0.04  # rare confusions have to be seen
            tip = f"true {name}, predicted {other}: {count} of {total} ({share:.1%})"
            marks.append(Box(x=x + 0.75, y=y + 0.75, width=cell - 1.5, height=height - 1.5, fill=fill, opacity=strength, tip=tip))
            if count and cell >= 16:
                marks.append(
                    Text(x=x + cell / 2, y=y + height / 2 + 4, text=f"{count:,}", size=size, anchor="middle", fill="ink")
                )
    describes = (
        f"{judged.metrics.rows:,} rows by true and predicted label, for {judged.spoken}. The bluer, the more of a label's rows "
        "are right; the redder, the more are taken for the other."
    )
    if len(labels) < len(whole):
        describes += f" Of {len(whole):,} labels, the {len(labels)} with most errors."
    return Scene(
        name="confusion",
        title="Confusion matrix",
        describes=describes,
        width=WIDTH,
        height=_HEADER + height * len(labels) + 8,
        marks=tuple(marks),
    )


def reliability(judged: Judged) -> Scene:
    """Accuracy against confidence, as the logits are and with the fitted temperature, over the rows in each bin."""
    bottom, floor = HEIGHT + 30, HEIGHT - BOTTOM
    x = Scale(low=0, high=1, start=LEFT, end=WIDTH - RIGHT)
    y = Scale(low=0, high=1, start=floor, end=TOP)
    marks = frame(x, y, x_form=percent, y_form=percent, x_label="probability of the predicted label")
    marks.append(Line(points=((x(0), y(0)), (x(1), y(1))), stroke="muted", dash="dash"))
    most = max((bar.rows for bar in judged.calibration.after.bins), default=0) or 1
    for bar in judged.calibration.after.bins:
        if bar.rows:
            width, height = x(bar.upper) - x(bar.lower) - 2, 46 * bar.rows / most
            tip = f"{bar.rows:,} rows between {bar.lower:.0%} and {bar.upper:.0%}"
            marks.append(
                Box(x=x(bar.lower) + 1, y=floor - height, width=width, height=height, fill="muted", opacity=0.28, tip=tip)
            )
    for quality, ink, name in (
        (judged.calibration.before, "c1", "as they are"),
        (judged.calibration.after, "c4", "calibrated"),
    ):
        met = [bar for bar in quality.bins if bar.confidence is not None and bar.accuracy is not None]
        points = [(x(bar.confidence or 0), y(bar.accuracy or 0)) for bar in met]
        marks.append(Line(points=tuple(points), stroke=ink, width=1.2, opacity=0.6))
        for bar, (at, up) in zip(met, points, strict=True):
            tip = f"{name}: says {bar.confidence:.1%}, right {bar.accuracy:.1%} of {bar.rows:,} rows"
            radius = 2 + 4 * (bar.rows / most) ** 0.5
            marks.append(Dot(x=at, y=up, radius=radius, fill=ink, stroke="ground", shape=_SHAPES[ink], tip=tip))
    for place, ink, name in ((LEFT + 6, "c1", "as they are"), (LEFT + 132, "c4", "calibrated")):
        marks.append(Dot(x=place, y=bottom - 8, radius=4.5, fill=ink, shape=_SHAPES[ink]))
        marks.append(Text(x=place + 10, y=bottom - 3.5, text=name, fill="ink"))
    describes = (
        "Points on the dashed line mean what they say; below it the model is too sure. The larger a point and its grey bar, "
        "the more rows it speaks for."
    )
    return Scene(
        name="reliability",
        title="Reliability diagram",
        describes=describes,
        width=WIDTH,
        height=bottom + 2,
        marks=tuple(marks),
    )
