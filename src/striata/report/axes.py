"""Axes, grids and the look of layouts: what all figures share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from ..choices import RANKINGS, UNADAPTED
from ..evidence import sentences
from .contents import Group
from .palette import hue
from .scene import Dot, Line, Mark, Scale, Text, ticks

WIDTH, HEIGHT = 440.0, 280.0
LEFT, RIGHT, TOP, BOTTOM = 60.0, 26.0, 14.0, 42.0

Form = Callable[[float], str]


def percent(value: float) -> str:
    """A share as a percentage without more digits than an axis needs."""
    return f"{value * 100:.4g}\u00a0%"


def exactly(value: float) -> str:
    """A share as a percentage with two decimals, as sentences and tables give it."""
    return f"{value * 100:.2f}\u00a0%"


def plain(value: float) -> str:
    """A number as short as it can be."""
    return f"{value:,.0f}" if abs(value) >= 1000 and value == round(value) else f"{value:.4g}"


def amount(value: float, figure: str) -> str:
    """A value of a figure as sentences and tables give it: of a share as a percentage."""
    return exactly(value) if figure == "accuracy" else RANKINGS[figure].shown(value)


def signed_plain(value: float) -> str:
    """A difference of a figure that is no share, with a proper minus."""
    return f"{value:+.3g}".replace("-", "−") if value else "0"


def signed(value: float) -> str:
    """A difference of shares in points, with a proper minus."""
    return f"{value * 100:+.3g}".replace("-", "−") if value else "0"


def thousands(value: float) -> str:
    """Parameters: 9,200, 650 k, 1.2 M."""
    if value >= 1e6:
        return f"{value / 1e6:.4g}\u00a0M"
    return f"{value / 1e3:.4g}\u00a0k" if value >= 1e4 else plain(value)


def duration(seconds: float) -> str:
    """Seconds as 45 s, 12 min or 3.5 h, never broken over two lines."""
    return sentences.duration(seconds).replace(" ", "\u00a0")


def frame(x: Scale, y: Scale, *, x_form: Form, y_form: Form, x_label: str) -> list[Mark]:
    """Grid lines, tick labels and the name of the horizontal axis; the vertical one is named by the figure's title."""
    marks: list[Mark] = []
    bottom = max(y.start, y.end)
    for value in ticks(y):
        at = y(value)
        marks.append(Line(points=((x.start, at), (x.end, at)), stroke="grid"))
        marks.append(Text(x=x.start - 7, y=at + 4, text=y_form(value), anchor="end"))
    marks += columns(x, min(y.start, y.end), bottom, x_form)
    marks.append(Text(x=(x.start + x.end) / 2, y=bottom + 36, text=x_label, anchor="middle"))
    return marks


def columns(x: Scale, top: float, bottom: float, form: Form, *, lines: bool = False) -> list[Mark]:
    """Ticks of a horizontal axis with their labels, and grid lines up from them where wanted."""
    marks: list[Mark] = []
    values = ticks(x)
    for value in values:
        at = x(value)
        marks.append(Line(points=((at, top if lines else bottom), (at, bottom if lines else bottom + 4)), stroke="grid"))
        marks.append(Text(x=at, y=bottom + 18, text=form(value), anchor="middle"))
    marks.append(Line(points=((x.start, bottom), (x.end, bottom)), stroke="muted"))
    return marks


def colour(group: Group) -> str:
    """Palette name of a layout's family."""
    return hue(group.family)


def dash(group: Group | None) -> Literal["", "dash", "dot"]:
    """Solid for layouts and what is none, dashed for their uniform control, dotted for the others."""
    kinds: dict[str, Literal["", "dash", "dot"]] = {"uniform": "dash", "reversed": "dot", UNADAPTED: "dot"}
    return "" if group is None else kinds.get(group.control, "")


def point(group: Group, x: float, y: float, *, radius: float = 4.5, opacity: float = 1.0, tip: str = "") -> Dot:
    """A round point for layouts, a square for their uniform control, a diamond for the reversed one."""
    kinds: dict[str, Literal["circle", "square", "diamond"]] = {"uniform": "square", "reversed": "diamond"}
    shape = kinds.get(group.control, "circle")
    return Dot(
        x=x, y=y, radius=radius, shape=shape, fill=colour(group), stroke="ground", opacity=opacity, series=group.place, tip=tip
    )


def whisker(low: float, high: float, y: float, stroke: str, *, series: int | None = None, tip: str = "") -> Line:
    """An interval as a horizontal line."""
    return Line(points=((low, y), (high, y)), stroke=stroke, width=2, series=series, tip=tip)
