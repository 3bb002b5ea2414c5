"""Layouts by name, from files, and the controls made from any of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from ..choices import CONTROLS, UNADAPTED
from ..disk.paths import is_file
from ..disk.yaml_text import read_yaml
from ..errors import LayoutError, did_you_mean
from .sections import Layout, Section, from_layers
from .shapes import Shape, packaged

_CONTROLS = [name for name in CONTROLS if name != UNADAPTED]  # which is no other layout
_TEXT_FORM = re.compile(r"\s*\d+(/\d+)?(-\d+(/\d+)?)?\s+\S")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """A layout laid over one encoder.

    Args:
        name: what it is called; the text form for a layout without a name.
        control: "uniform" or "reversed" for a control, else None.
        control_of: what the layout is called that the control was made from; None without a control.
        layout: with integer ranges over the encoder's own depth.
        layers: for each layer the section of each target.
        notes: what had to be done to it.
    """

    name: str
    control: str | None
    control_of: str | None
    layout: Layout
    layers: tuple[dict[str, Section], ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Builtin:
    """A built-in layout.

    Args:
        layout: by its name.
        purpose: what it is for, in half a sentence.
        usual: whether it is one to choose from; the others repeat earlier work.
    """

    layout: Layout
    purpose: str
    usual: bool


@cache
def builtin_catalogue() -> dict[str, Builtin]:
    """The built-in layouts by name, each with its purpose; the usual ones first."""
    data = packaged("builtin.yaml")
    return {
        name: Builtin(
            layout=Layout.parse(entry["layout"], name=name, depth=data["depth"]),
            purpose=entry["purpose"],
            usual=group == "usual",
        )
        for group in ("usual", "others")
        for name, entry in data[group].items()
    }


@cache
def builtin_layouts() -> dict[str, Layout]:
    """The built-in layouts by name."""
    return {name: entry.layout for name, entry in builtin_catalogue().items()}


def read_layout(path: Path) -> Layout:
    """Reads a layout file: YAML with `layout` (text form, or a list of sections), and optionally `name` and `depth`.

    Raises:
        LayoutError: the file is missing, no YAML, or has wrong keys or values, or a name that cannot be a folder's.
    """
    value = read_yaml(path, f"layout file {path}", LayoutError)
    keys = ("name", "depth", "layout")
    if not isinstance(value, dict) or "layout" not in value:
        raise LayoutError(f"layout file {path}: expected the keys layout, and optionally name and depth")
    for key in value:
        if key not in keys:
            raise LayoutError(
                f"layout file {path}: unknown key '{key}'{did_you_mean(str(key), keys)}; expected {', '.join(keys)}"
            )
    text, name, depth = value["layout"], value.get("name", path.stem), value.get("depth")
    name = str(name) if type(name) is int else name
    if isinstance(text, list) and all(isinstance(part, str) for part in text):
        text = " | ".join(text)
    if not isinstance(text, str):
        raise LayoutError(f"layout file {path}: expected text, or a list of sections, as layout", key="layout", path=str(path))
    if not isinstance(name, str) or not name:
        raise LayoutError(f"layout file {path}: name is {name!r}; expected text", key="name", path=str(path))
    if depth is not None and (not isinstance(depth, int) or isinstance(depth, bool) or depth < 1):
        raise LayoutError(f"layout file {path}: depth is {depth!r}; expected a whole number above 0")
    try:
        return Layout.parse(text, name=name, depth=depth)
    except LayoutError as error:
        raise error.within(f"layout file {path}") from None


def find_layout(spec: str | Path) -> Layout:
    """A layout by built-in name, file or text form, without a control.

    Raises:
        LayoutError: there is none of this name, or it is wrong.
    """
    if isinstance(spec, Path):
        return read_layout(spec)
    known = builtin_layouts()
    if spec in known:
        return known[spec]
    if _TEXT_FORM.match(spec):
        return Layout.parse(spec)
    path = Path(spec).expanduser()
    if path.suffix in (".yaml", ".yml") or is_file(path):
        return read_layout(path)
    raise LayoutError(
        f"unknown layout '{spec}'{did_you_mean(spec, known)}; expected a built-in name (see `striata layouts`), a YAML file, "
        "or a text form such as '0-5 r4 query | 6-11 r8 query'"
    )


def resolve(spec: str | Path | Layout, shape: Shape) -> Resolved:
    """Lays a layout over an encoder.

    Args:
        spec: a built-in name, a text form, a YAML file or a layout; a string may end in `:uniform` (same sites, the largest
            single rank that trains no more parameters) or `:reversed` (layers in reverse order).
        shape: of the encoder.

    Raises:
        LayoutError: the layout is wrong or does not fit the encoder's depth.
    """
    control = None
    if isinstance(spec, str) and ":" in spec:
        front, _, control = spec.strip().rpartition(":")
        if control not in _CONTROLS:
            hint = did_you_mean(control, _CONTROLS)
            raise LayoutError(f"unknown control ':{control}' in '{spec}'{hint}; expected :uniform or :reversed")
        spec = front
    layout = spec if isinstance(spec, Layout) else find_layout(spec.strip() if isinstance(spec, str) else spec)
    layers = layout.by_layer(shape.depth)
    notes = []
    if layout.depth not in (None, shape.depth):
        notes.append(f"stretched from {layout.depth} layers to the encoder's {shape.depth}")
    if shape.family.passes is not None:
        uses = shape.config.get(*shape.family.passes)
        notes.append(f"the encoder uses its {shape.depth} different layer(s) {uses} times in all: adapters are shared with them")
    name = layout.name or layout.text
    if control == "reversed":
        layers = layers[::-1]
    elif control == "uniform":
        layers = _uniform(layers, shape)
    own = from_layers(layers) if control or notes or _has_fractions(layout) else replace(layout, name="", depth=None)
    return Resolved(
        name=f"{name}:{control}" if control else name,
        control=control,
        control_of=name if control else None,
        layout=own,
        layers=tuple(layers),
        notes=tuple(notes),
    )


def _has_fractions(layout: Layout) -> bool:
    return any(not isinstance(section.first, int) for section in layout.sections)


def _uniform(layers: list[dict[str, Section]], shape: Shape) -> list[dict[str, Section]]:
    """Every site with the largest single rank that fits into the same number of parameters."""
    sites = [(target, section) for claims in layers for target, section in claims.items() if section.rank]
    if not sites:
        return layers
    sizes = [shape.sizes(target) if target in shape.family.targets else (1, 1) for target, _ in sites]
    total = sum((i + o) * section.rank for (i, o), (_, section) in zip(sizes, sites, strict=True))
    rank = min(total // sum(i + o for i, o in sizes), min(min(size) for size in sizes))
    alpha = sum(section.alpha for _, section in sites) / len(sites)
    dropout = round(sum(section.dropout for _, section in sites) / len(sites), 6)
    return [
        {t: replace(s, rank=rank, alpha=alpha, dropout=dropout) if s.rank else s for t, s in claims.items()} for claims in layers
    ]
