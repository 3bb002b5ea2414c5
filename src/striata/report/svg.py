"""Scenes as SVG that takes its colours from the page's style sheet."""

from __future__ import annotations

import re
from html import escape
from math import pi

from .palette import LIGHT
from .scene import Box, Dot, Line, Mark, Scene, Text

_DASHES = {"dash": "5 3", "dot": "1.5 2.5"}


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _paint(key: str, name: str) -> str:
    return f' {key}="var(--{name})"'


def _inside(mark: Mark, tag: str, attributes: str) -> str:
    tip = f"<title>{escape(mark.tip)}</title>" if mark.tip else ""
    return f"<{tag}{attributes}>{tip}</{tag}>" if tip else f"<{tag}{attributes}/>"


def _shared(mark: Line | Dot | Text) -> str:
    return "" if mark.series is None else f' data-series="{mark.series}"'


def _line(mark: Line) -> str:
    points = " ".join(f"{_number(x)},{_number(y)}" for x, y in mark.points)
    look = f' fill="none"{_paint("stroke", mark.stroke)} stroke-width="{mark.width:g}"'
    look += f' stroke-dasharray="{_DASHES[mark.dash]}"' if mark.dash else ""
    look += f' opacity="{mark.opacity:g}"' if mark.opacity < 1 else ""
    return _inside(mark, "polyline", f' points="{points}"{look}{_shared(mark)}')


def _dot(mark: Dot) -> str:
    look = _paint("fill", mark.fill) + (_paint("stroke", mark.stroke) if mark.stroke else "")
    look += f' opacity="{mark.opacity:g}"' if mark.opacity < 1 else ""
    look += _shared(mark)
    x, y, r = mark.x, mark.y, mark.radius
    if mark.shape == "circle":
        return _inside(mark, "circle", f' cx="{_number(x)}" cy="{_number(y)}" r="{_number(r)}"{look}')
    half = r * (pi**0.5 / 2 if mark.shape == "square" else (pi / 2) ** 0.5)  # the area of the circle
    corners = [(-half, -half), (half, -half), (half, half), (-half, half)]
    if mark.shape == "diamond":
        corners = [(0.0, -half), (half, 0.0), (0.0, half), (-half, 0.0)]
    points = " ".join(f"{_number(x + dx)},{_number(y + dy)}" for dx, dy in corners)
    return _inside(mark, "polygon", f' points="{points}"{look}')


def _box(mark: Box) -> str:
    opacity = f' fill-opacity="{mark.opacity:.3g}"' if mark.opacity < 1 else ""
    place = f' x="{_number(mark.x)}" y="{_number(mark.y)}" width="{_number(mark.width)}" height="{_number(mark.height)}"'
    return _inside(mark, "rect", place + _paint("fill", mark.fill) + opacity)


def _text(mark: Text) -> str:
    turn = f' transform="rotate(-90 {_number(mark.x)} {_number(mark.y)})"' if mark.upwards else ""
    look = f'{_paint("fill", mark.fill)} font-size="{mark.size:g}"'
    look += f' text-anchor="{mark.anchor}"' if mark.anchor != "start" else ""
    look += ' font-weight="600"' if mark.bold else ""
    look += f'{_paint("stroke", "ground")} stroke-width="3" stroke-linejoin="round" paint-order="stroke"' if mark.halo else ""
    tip = f"<title>{escape(mark.tip)}</title>" if mark.tip else ""
    place = f' x="{_number(mark.x)}" y="{_number(mark.y)}"'
    return f"<text{place}{look}{turn}{_shared(mark)}>{tip}{escape(mark.text)}</text>"


def svg(scene: Scene) -> str:
    """A scene as an `svg` element; every text in it is escaped."""
    marks = []
    for mark in scene.marks:
        match mark:
            case Line():
                marks.append(_line(mark))
            case Dot():
                marks.append(_dot(mark))
            case Box():
                marks.append(_box(mark))
            case Text():
                marks.append(_text(mark))
    size = f'viewBox="0 0 {_number(scene.width)} {_number(scene.height)}"'
    if scene.ruler is not None:
        x, y, unit = scene.ruler
        ends = " ".join(f"{value:.6g}" for scale in (x, y) for value in (scale.low, scale.high, scale.start, scale.end))
        size += f' data-ruler="{ends}" data-unit="{unit}"'
    return f'<svg {size} role="img" aria-label="{escape(scene.title)}">' + "".join(marks) + "</svg>"


def document(scene: Scene) -> str:
    """A scene as an SVG file of its own, in the colours for light ground."""
    size = f'width="{_number(scene.width)}" height="{_number(scene.height)}" font-family="Helvetica, Arial, sans-serif"'
    drawn = svg(scene).replace("<svg ", f'<svg xmlns="http://www.w3.org/2000/svg" {size} ', 1)
    ground = f'><rect width="100%" height="100%" fill="{LIGHT["ground"]}"/>'
    return re.sub(r"var\(--(\w+)\)", lambda match: LIGHT[match[1]], drawn.replace(">", ground, 1)) + "\n"
