"""Layouts as heat maps: rank and dropout by layer and target."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from ..layout import Plan
from .axes import WIDTH, colour
from .contents import Report
from .palette import heat
from .scene import Box, Mark, Scene, Text, cut

_LABEL, _ROW, _HEAD, _SIZE = 144.0, 22.0, 24.0, 12.0


def heat_maps(report: Report) -> list[Scene]:
    """Two drawings over the same rows: one per layout and target, with a cell per layer."""
    return plan_maps([(group.title, colour(group), group.plan) for group in report.groups if group.plan is not None])


def plan_maps(planned: Sequence[tuple[str, str, Plan]]) -> list[Scene]:
    """As :func:`heat_maps`, of plans with their titles and the palette names of their colours."""
    return [
        _map(planned, "rank", "Rank", "Rank of the adapter at each layer; empty cells train nothing.", "heat", str),
        _map(
            planned,
            "dropout",
            "Dropout",
            "Dropout of the adapter's input at each layer, in percent; empty cells train nothing.",
            "warm",
            lambda value: f"{value * 100:.2g}",
        ),
    ]


def _rows(plan: Plan, field: str) -> dict[str, dict[int, float]]:
    """Values by target and layer."""
    rows: dict[str, dict[int, float]] = {}
    for site in plan.sites:
        rows.setdefault(site.target, {})[site.layer] = getattr(site, field)
    return rows


def _map(
    planned: Sequence[tuple[str, str, Plan]], field: str, title: str, describes: str, fill: str, form: Callable[[float], str]
) -> Scene:
    sites = [site for *_, plan in planned for site in plan.sites]
    depth = 1 + max((site.layer for site in sites), default=0)
    most = max((getattr(site, field) for site in sites), default=0) or 1
    cell = (WIDTH - _LABEL - 8) / depth
    marks = _layers(depth, cell)
    y = _HEAD
    for name, hue, plan in planned:
        rows = _rows(plan, field)
        for at, (target, cells) in enumerate(rows.items()):
            tip = f"{name}: {plan.text}"
            label = _label(name, target, at) if len(rows) > 1 else cut(name, _LABEL - 18, _SIZE)
            ink = "ink" if at == 0 else "muted"
            marks.append(Text(x=_LABEL - 10, y=y + 15, text=label, size=_SIZE, anchor="end", fill=ink, tip=tip))
            marks.append(Box(x=_LABEL - 5, y=y + 1, width=3, height=_ROW - 2, fill=hue))
            for layer in range(depth):
                box = partial(Box, x=_LABEL + layer * cell + 0.75, y=y + 1, width=cell - 1.5, height=_ROW - 2)
                if layer not in cells:
                    marks.append(box(fill="grid", opacity=0.45))
                    continue
                tip = f"{name}, layer {layer}, {target}: {field} {cells[layer]:g}"
                marks.append(box(fill=fill, opacity=heat(cells[layer] / most), tip=tip))
                if cell >= 13:
                    size, middle = round(min(_SIZE, cell * 0.5), 1), _LABEL + (layer + 0.5) * cell
                    marks.append(Text(x=middle, y=y + 15, text=form(cells[layer]), size=size, anchor="middle", fill="ink"))
            y += _ROW
        y += 4 if len(rows) > 1 else 0
    return Scene(name=f"layouts-{field}", title=title, describes=describes, width=WIDTH, height=y + 4, marks=tuple(marks))


def _layers(depth: int, cell: float) -> list[Mark]:
    """The numbers above the columns, as many as there is room for."""
    every = 1 if cell >= 14 else 2 if cell >= 8 else 4
    size = min(_SIZE, cell * 0.62 * every)
    marks: list[Mark] = [Text(x=_LABEL - 10, y=15, text="layer", size=_SIZE, anchor="end")]
    marks += [Text(x=_LABEL + (at + 0.5) * cell, y=15, text=str(at), size=size, anchor="middle") for at in range(0, depth, every)]
    return marks


def _label(title: str, target: str, at: int) -> str:
    """The layout and its first target; below it its other targets alone."""
    target = target.replace("_", " ")
    return f"{cut(title, _LABEL - 18 - len(target) * _SIZE * 0.56, _SIZE)} {target}" if at == 0 else target
