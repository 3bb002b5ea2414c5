"""A model of numbers on the validation rows: predicted against true ones, and errors by size."""

from __future__ import annotations

import numpy as np

from ..figures.intervals import Interval
from ..figures.spread import Variance, half_width
from .axes import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, frame, plain
from .estimate_figures import IntervalRow, intervals
from .judged import Numbers
from .scene import Dot, Line, Mark, Scene, scale_over

_POINTS = 1500  # more would make the page heavy and lie on each other
_PARTS, _LEAST = 10, 5  # stretches of the true numbers, and fewest rows of one


def scatter(numbers: Numbers, spoken: str) -> Scene:
    """Predicted against true numbers; of many rows some, at equal distances in the order of the true ones."""
    order = np.argsort(numbers.targets, kind="stable")
    if len(order) > _POINTS:
        order = order[np.linspace(0, len(order) - 1, _POINTS).round().astype(int)]
    both = [*numbers.targets.tolist(), *numbers.answers.tolist()]
    x, y = scale_over(both, LEFT, WIDTH - RIGHT), scale_over(both, HEIGHT - BOTTOM, TOP)
    marks: list[Mark] = frame(x, y, x_form=plain, y_form=plain, x_label="true number")
    marks.append(Line(points=((x(x.low), y(x.low)), (x(x.high), y(x.high))), stroke="muted", dash="dash"))
    for at in order.tolist():
        true, answer = float(numbers.targets[at]), float(numbers.answers[at])
        marks.append(
            Dot(x=x(true), y=y(answer), radius=2.2, fill="c4", opacity=0.5, tip=f"true {true:.6g}, predicted {answer:.6g}")
        )
    some = f" {_POINTS:,} of {len(numbers.targets):,} rows are drawn." if len(numbers.targets) > _POINTS else ""
    return Scene(
        name="scatter",
        title="Predicted against true numbers",
        describes=f"A point is a validation row, for {spoken}. On the dashed line it is right, above too large.{some}",
        width=WIDTH,
        height=HEIGHT,
        marks=tuple(marks),
    )


def errors_by_size(numbers: Numbers) -> Scene:
    """The mean error of rows with numbers of a size, with Student's interval."""
    errors, order = numbers.answers - numbers.targets, np.argsort(numbers.targets, kind="stable")
    parts = np.array_split(order, max(1, min(_PARTS, len(order) // _LEAST)))
    rows = []
    for part in parts:
        own, low, high = errors[part], float(numbers.targets[part].min()), float(numbers.targets[part].max())
        mean = float(own.mean())
        half = half_width([Variance(float(own.var(ddof=1)) / len(own), len(own) - 1)], 0.05) if len(own) > 1 else 0.0
        interval = Interval(value=mean, low=mean - half, high=mean + half)
        root = float(np.sqrt((own**2).mean()))
        tip = f"{low:.4g} to {high:.4g}: {len(own):,} rows, mean error {mean:+.4g}, RMSE {root:.4g}"
        rows.append(IntervalRow(label=f"{low:.4g} to {high:.4g}", interval=interval, stroke="c4", tip=tip))
    return intervals(
        rows,
        name="errors-by-size",
        title="Mean error by the size of the true number",
        describes="Answers less true numbers, on average over rows of like numbers, with 95\u00a0% intervals. Too large for "
        "small numbers and too small for large ones is what a model does that is unsure.",
        x_label="mean error",
        form=plain,
        zero=True,
    )
