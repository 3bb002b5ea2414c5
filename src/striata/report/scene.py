"""A drawing as a list of marks: what `svg` writes for the page and `png` draws for a paper."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

Anchor = Literal["start", "middle", "end"]
Points = tuple[tuple[float, float], ...]

# The page's text face is narrower than this on every system we know of, so that what is cut to fit does fit.
_WIDTH_OF_A_CHARACTER = 0.56


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A sequence of straight lines.

    Args:
        points: of the line, in pixels from the upper left corner.
        stroke: palette name of its colour.
        width: of the stroke.
        dash: "" (solid), "dash" or "dot".
        opacity: of the whole mark.
        series: number of the layout it belongs to, for the legend's switches; None when it is always shown.
        tip: text shown under the pointer.
    """

    points: Points
    stroke: str
    width: float = 1.0
    dash: Literal["", "dash", "dot"] = ""
    opacity: float = 1.0
    series: int | None = None
    tip: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """A round, square or diamond point.

    Args:
        x: of its centre.
        y: likewise.
        radius: half of its size.
        shape: "circle", "square" or "diamond".
        fill: palette name.
        stroke: palette name of the outline; empty for none.
        opacity: of the mark.
        series: see :class:`Line`.
        tip: likewise.
    """

    x: float
    y: float
    radius: float
    shape: Literal["circle", "square", "diamond"] = "circle"
    fill: str
    stroke: str = ""
    opacity: float = 1.0
    series: int | None = None
    tip: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A rectangle.

    Args:
        x: of its left side.
        y: of its upper side.
        width: in pixels.
        height: likewise.
        fill: palette name.
        opacity: of the fill.
        tip: see :class:`Line`.
    """

    x: float
    y: float
    width: float
    height: float
    fill: str
    opacity: float = 1.0
    tip: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A line of text.

    Args:
        x: of its anchor.
        y: of its baseline.
        text: as it is; the writers escape it.
        size: in pixels.
        anchor: which part of the text stands at `x`.
        fill: palette name.
        bold: whether it is set bold.
        upwards: whether it is turned to read from below to above.
        halo: whether the ground shows around the letters, so that lines below them do not strike them out.
        series: see :class:`Line`.
        tip: likewise.
    """

    x: float
    y: float
    text: str
    size: float = 13.0
    anchor: Anchor = "start"
    fill: str = "muted"
    bold: bool = False
    upwards: bool = False
    halo: bool = False
    series: int | None = None
    tip: str = ""


Mark = Line | Dot | Box | Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """From values to pixels, straight or logarithmic.

    Args:
        low: value at `start`.
        high: value at `end`.
        start: pixel.
        end: pixel.
        log: whether equal ratios take equal room; both values are then above 0.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        share = ((math.log(value) if self.log else value) - low) / (high - low)
        return self.start + share * (self.end - self.start)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A drawing.

    Args:
        name: of its file, without suffix.
        title: above it.
        describes: what it shows, for those who cannot see it and as the caption.
        width: in pixels.
        height: likewise.
        marks: from back to front.
        ruler: of figures whose lines can be read off under the pointer, the horizontal and the vertical scale and the unit of the
            latter ("" or "%"); None for others.
    """

    name: str
    title: str
    describes: str
    width: float
    height: float
    marks: tuple[Mark, ...]
    ruler: tuple[Scale, Scale, str] | None = None


def scale_over(values: Sequence[float], start: float, end: float, *, log: bool = False, margin: float = 0.06) -> Scale:
    """A scale that holds all values with some room on both sides.

    Args:
        values: what it has to hold; those that are not finite are passed over.
        start: pixel of the low end.
        end: pixel of the high end.
        log: logarithmic where all values are above 0.
        margin: room on each side, as a share of the range.
    """
    finite = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    low, high = min(finite), max(finite)
    if log and low > 0:
        ratio = max(high / low, 1.05) ** margin
        return Scale(low=low / ratio, high=high * ratio, start=start, end=end, log=True)
    room = (high - low) * margin or max(abs(high) * 0.05, 1e-3)
    return Scale(low=low - room, high=high + room, start=start, end=end)


def within(points: Points, top: float, bottom: float) -> list[Points]:
    """The parts of a line that lie between two heights, each ending where the line leaves.

    Args:
        points: of the line, in pixels.
        top: the upper edge, the smaller number.
        bottom: the lower edge.
    """
    if len(points) == 1:
        return [points] if top <= points[0][1] <= bottom else []
    pieces: list[list[tuple[float, float]]] = []
    for (x, y), (to_x, to_y) in pairwise(points):
        first, last = 0.0, 1.0
        if y != to_y:
            edges = sorted(((top - y) / (to_y - y), (bottom - y) / (to_y - y)))
            first, last = max(first, edges[0]), min(last, edges[1])
        elif not top <= y <= bottom:
            continue
        if first >= last:
            continue
        start = (x, y) if first == 0 else (x + first * (to_x - x), y + first * (to_y - y))
        end = (to_x, to_y) if last == 1 else (x + last * (to_x - x), y + last * (to_y - y))
        if pieces and pieces[-1][-1] == start:
            pieces[-1].append(end)
        else:
            pieces.append([start, end])
    return [tuple(piece) for piece in pieces]


def ticks(scale: Scale, most: int = 5) -> list[float]:
    """Round values on a scale, not many more than `most`."""
    if scale.log and scale.high / scale.low > 8:
        decades = range(math.floor(math.log10(scale.low)), math.ceil(math.log10(scale.high)) + 1)
        values = [base * 10.0**power for power in decades for base in (1, 2, 5)]
        inside = [value for value in values if scale.low <= value <= scale.high]
        return inside if len(inside) <= most + 1 else [v for v in inside if math.isclose(math.log10(v) % 1, 0, abs_tol=1e-9)]
    span = scale.high - scale.low
    step = 10.0 ** math.floor(math.log10(span / most))
    step *= next(factor for factor in (1, 2, 2.5, 5, 10) if span / (step * factor) <= most)
    first = math.ceil(scale.low / step - 1e-9)
    return [round((first + at) * step, 12) for at in range(math.floor(scale.high / step + 1e-9) - first + 1)]


def cut(text: str, width: float, size: float = 13.0) -> str:
    """A text short enough for `width` pixels, with an ellipsis where something was cut off."""
    most = max(int(width / (size * _WIDTH_OF_A_CHARACTER)), 2)
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"
