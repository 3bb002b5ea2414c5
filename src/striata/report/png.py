"""Figures for a paper: every drawing of a report as PNG and SVG."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..disk.files import write_bytes, write_text
from ..extras import require
from .axes import colour, dash, point
from .contents import Group, Report
from .figures import figures_of
from .palette import LIGHT
from .scene import Box, Dot, Line, Mark, Scene, Text, cut
from .svg import document

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DPI = 300  # of the files; a scene's pixel is 1/100 inch
_POINT = 0.72  # points in a pixel
_HEAD, _ENTRY, _LINE = 26.0, 110.0, 19.0
_FACES = ["Helvetica", "Arial", "Liberation Sans", "DejaVu Sans"]
_DASHES: dict[str, Any] = {"": "solid", "dash": (0, (4, 2.4)), "dot": (0, (1.2, 1.8))}
_SHAPES = {"circle": "o", "square": "s", "diamond": "D"}


def write_figures(report: Report, folder: Path) -> list[Path]:
    """Writes every figure as `NAME.png` and `NAME.svg`, with its title, and a legend where lines or points need one.

    Args:
        report: from :func:`striata.report.contents.collect`.
        folder: is made where it is not there.

    Raises:
        ExtraError: matplotlib is not installed.
        StriataError: the folder cannot be written.
    """
    require("drawing PNG files", "matplotlib")
    figures = figures_of(report)
    switched = {scene.name for scene in (*figures.training, figures.cost)}
    written = []
    for scene in figures.all():
        own = [group for group in report.groups if any(_series(mark) == group.place for mark in scene.marks)]
        drawn = _complete(scene, own if scene.name in switched else [])
        written += [folder / f"{scene.name}.png", folder / f"{scene.name}.svg"]
        write_bytes(written[-2], png(drawn))
        write_text(written[-1], document(drawn))
    return written


def _series(mark: Mark) -> int | None:
    return None if isinstance(mark, Box) else mark.series


def _complete(scene: Scene, groups: Sequence[Group]) -> Scene:
    """A scene with its title above and a legend of layouts below."""
    marks: list[Mark] = [_moved(mark, _HEAD) for mark in scene.marks]
    marks.append(Text(x=8, y=18, text=scene.title, size=14, fill="ink", bold=True))
    across = max(int((scene.width - 16) // _ENTRY), 1)
    top = scene.height + _HEAD + 6
    for at, group in enumerate(groups):
        x, y = 12 + at % across * _ENTRY, top + at // across * _LINE + 8
        marks.append(Line(points=((x, y), (x + 24, y)), stroke=colour(group), width=1.7, dash=dash(group)))
        marks.append(point(group, x + 12, y, radius=4))
        marks.append(Text(x=x + 30, y=y + 4, text=cut(group.title, _ENTRY - 32, 11), size=11, fill="ink"))
    below = ceil(len(groups) / across) * _LINE + 10 if groups else 0
    return replace(scene, height=scene.height + _HEAD + below, marks=tuple(marks), ruler=None)


def _moved(mark: Mark, down: float) -> Mark:
    if isinstance(mark, Line):
        return replace(mark, points=tuple((x, y + down) for x, y in mark.points))
    return replace(mark, y=mark.y + down)


def png(scene: Scene) -> bytes:
    """A scene as a PNG file of 300 dots per inch, in the colours for light ground."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with rc_context({"font.family": "sans-serif", "font.sans-serif": _FACES}):
        figure = Figure(figsize=(scene.width / 100, scene.height / 100), facecolor=LIGHT["ground"])
        FigureCanvasAgg(figure)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_xlim(0, scene.width)
        axes.set_ylim(scene.height, 0)
        axes.set_axis_off()
        for order, mark in enumerate(scene.marks):
            _draw(axes, mark, order)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    return buffer.getvalue()


def _draw(axes: Axes, mark: Mark, order: int) -> None:
    from matplotlib.patches import Rectangle
    from matplotlib.patheffects import withStroke

    match mark:
        case Line():
            xs, ys = zip(*mark.points, strict=True) if mark.points else ((), ())
            axes.plot(
                xs, ys, color=LIGHT[mark.stroke], linewidth=mark.width * _POINT, linestyle=_DASHES[mark.dash],
                alpha=mark.opacity, zorder=order, solid_joinstyle="round",
            )  # fmt: skip
        case Dot():
            edge = {"markeredgecolor": LIGHT[mark.stroke], "markeredgewidth": _POINT} if mark.stroke else {"markeredgewidth": 0}
            size = 2 * mark.radius * _POINT * {"circle": 1, "square": 0.9, "diamond": 0.9}[mark.shape]
            axes.plot(
                [mark.x], [mark.y], marker=_SHAPES[mark.shape], markersize=size, markerfacecolor=LIGHT[mark.fill],
                alpha=mark.opacity, zorder=order, linestyle="none", **edge,
            )  # fmt: skip
        case Box():
            place = (mark.x, mark.y)
            box = Rectangle(
                place, mark.width, mark.height, facecolor=LIGHT[mark.fill], alpha=mark.opacity, linewidth=0, zorder=order
            )
            axes.add_patch(box)
        case Text():
            places = {"start": "left", "middle": "center", "end": "right"}
            text = mark.text.replace("$", r"\$")  # a pair of them would be read as a formula
            halo = [withStroke(linewidth=3 * _POINT, foreground=LIGHT["ground"])] if mark.halo else []
            axes.text(
                mark.x, mark.y, text, color=LIGHT[mark.fill], fontsize=mark.size * _POINT, ha=places[mark.anchor],
                va="baseline", rotation=90 if mark.upwards else 0, rotation_mode="anchor",
                fontweight="bold" if mark.bold else "normal", zorder=order, path_effects=halo,
            )  # fmt: skip
