"""Sections over the depth of an encoder, and their text form."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from ..choices import TARGETS
from ..errors import LayoutError, did_you_mean

_NAME = re.compile(r"\w[\w.-]*")
_NAME_BYTES = 200
_RANGE = re.compile(r"([0-9]{1,18}(?:/[0-9]{1,18})?)(?:-([0-9]{1,18}(?:/[0-9]{1,18})?))?")
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?|\.[0-9]+")
_FORM = "expected `LAYERS rRANK [aALPHA] [dDROPOUT] TARGET...`, for instance `0-3 r4 a4 d0.05 query value`"


def check_name(name: str, what: str) -> str:
    """Checks what a folder is to be called: letters, digits, `.`, `_` and `-`, first a letter, a digit or `_`.

    Args:
        name: of a layout or a run.
        what: what it is the name of, for the message.

    Returns:
        The name.

    Raises:
        LayoutError: it has other characters, or more than 200 bytes.
    """
    if not _NAME.fullmatch(name) or len(name.encode()) > _NAME_BYTES:
        shown = name if len(name) <= 40 else f"{name[:40]}..."
        raise LayoutError(
            f"{what} {shown!r} cannot be a folder's; expected at most {_NAME_BYTES} letters, digits, '.', '_' or '-', "
            "the first no '.' or '-'"
        )
    return name


@dataclass(frozen=True, slots=True)
class Section:
    """A range of layers with one rank, alpha, dropout and list of targets.

    Args:
        first: first layer, from 0; or where the section begins, as a fraction of the depth.
        last: last layer, included; or where the section ends, as a fraction of the depth, not included.
        rank: of the low-rank product; 0 means that nothing is trained there.
        alpha: the product is multiplied by alpha / rank.
        dropout: share of the adapter's input dropped in training, in [0, 1).
        targets: of :data:`striata.choices.TARGETS`.

    Raises:
        LayoutError: a value is out of its range.
    """

    first: int | Fraction
    last: int | Fraction
    rank: int
    alpha: float
    dropout: float
    targets: tuple[str, ...]

    def __post_init__(self) -> None:
        fractions = isinstance(self.first, Fraction)
        if fractions != isinstance(self.last, Fraction):
            raise LayoutError(f"section '{self.text}': both ends of a range are layers, or both are fractions")
        if self.first > self.last or (fractions and not 0 <= self.first < self.last <= 1):
            kind = "fractions of the depth from 0 to 1, the first below the last" if fractions else "the first layer first"
            raise LayoutError(f"section '{self.text}': expected {kind}")
        if self.rank < 0 or not math.isfinite(self.alpha) or (self.rank and self.alpha <= 0) or self.alpha < 0:
            raise LayoutError(f"section '{self.text}': expected a rank of 0 or more and an alpha above 0")
        if not 0 <= self.dropout < 1:
            raise LayoutError(f"section '{self.text}': dropout {self.dropout:g} is outside [0, 1)")
        if not self.targets:
            raise LayoutError(f"section '{self.text}' has no target; {_FORM}")
        for target in self.targets:
            if target not in TARGETS:
                hint = did_you_mean(target, TARGETS)
                raise LayoutError(
                    f"section '{self.text}': unknown target '{target}'{hint}; expected some of {', '.join(TARGETS)}"
                )
        if len(set(self.targets)) < len(self.targets):
            raise LayoutError(f"section '{self.text}' names a target twice")

    @property
    def text(self) -> str:
        """The section as it is written in a layout's text form."""
        ends = [_end(self.first)]
        if isinstance(self.first, Fraction) or self.first != self.last:
            ends.append(_end(self.last))
        dropout = f" d{_number(self.dropout)}" if self.dropout else ""
        return f"{'-'.join(ends)} r{self.rank} a{_number(self.alpha)}{dropout} {' '.join(self.targets)}"

    def covers(self, layer: int, depth: int, own_depth: int) -> bool:
        """Whether the middle of a layer lies in the section.

        Args:
            layer: from 0.
            depth: layers of the encoder.
            own_depth: layers that integer ranges count.
        """
        middle = Fraction(2 * layer + 1, 2 * depth)
        if isinstance(self.first, Fraction):
            return self.first <= middle < self.last
        return Fraction(self.first, own_depth) <= middle < Fraction(int(self.last) + 1, own_depth)


@dataclass(frozen=True, slots=True)
class Layout:
    """How LoRA lies over the depth of an encoder.

    Args:
        sections: in any order; no two may claim the same target of a layer.
        name: what it is called, see :func:`check_name`; empty for a bare text form.
        depth: the number of layers that integer ranges are meant for; None means the encoder's own. A layout whose depth
            differs from the encoder's is stretched to it.
    """

    sections: tuple[Section, ...]
    name: str = ""
    depth: int | None = None

    def __post_init__(self) -> None:
        if self.name:
            check_name(self.name, "layout name")
        if not self.sections:
            raise LayoutError(f"a layout needs at least one section; {_FORM}")
        for section in self.sections:
            if self.depth is not None and isinstance(section.last, int) and section.last >= self.depth:
                raise LayoutError(
                    f"section '{section.text}' names layer {section.last}, but the layout's depth is {self.depth} "
                    f"(layers 0 to {self.depth - 1})"
                )

    @classmethod
    def parse(cls, text: str, *, name: str = "", depth: int | None = None) -> Layout:
        """Reads the text form: sections separated by `|`.

        Args:
            text: for instance `0-3 r4 a4 d0.05 query | 4-11 r8 a4 d0.1 query value`. Alpha defaults to the rank, dropout
                to 0. A range is one layer, `FIRST-LAST`, or two fractions of the depth (`0-1/3`), the last not included.
            name: see :class:`Layout`.
            depth: likewise.

        Raises:
            LayoutError: the text is not in this form.
        """
        return cls(tuple(_section(part) for part in text.split("|")), name, depth)

    @property
    def text(self) -> str:
        """The text form; `Layout.parse(layout.text)` has the same sections."""
        return " | ".join(section.text for section in self.sections)

    def by_layer(self, depth: int) -> list[dict[str, Section]]:
        """For each layer of an encoder, the section of each target.

        Args:
            depth: layers of the encoder.

        Raises:
            LayoutError: a section is outside the encoder, vanishes when stretched, or two claim one target of a layer.
        """
        own = self.depth or depth
        layers: list[dict[str, Section]] = [{} for _ in range(depth)]
        for section in self.sections:
            if isinstance(section.last, int) and section.last >= own:
                raise LayoutError(
                    f"section '{section.text}' names layer {section.last}, but the encoder has {depth} layers (0 to {depth - 1})"
                )
            covered = [layer for layer in range(depth) if section.covers(layer, depth, own)]
            if not covered:
                raise LayoutError(
                    f"section '{section.text}' covers no layer of an encoder with {depth} layers; widen or remove it"
                )
            for layer in covered:
                for target in section.targets:
                    if target in layers[layer]:
                        raise LayoutError(
                            f"sections '{layers[layer][target].text}' and '{section.text}' overlap: both claim {target} of "
                            f"layer {layer}"
                        )
                    layers[layer][target] = section
        return layers


def from_layers(layers: Iterable[dict[str, Section]], name: str = "") -> Layout:
    """The shortest list of sections that says the same as a section per layer and target."""
    Key = tuple[int, float, float, tuple[str, ...]]
    open_: dict[Key, tuple[int, int]] = {}
    closed: list[tuple[int, int, Key]] = []
    for at, claims in enumerate(layers):
        groups: dict[tuple[int, float, float], list[str]] = {}
        for target in TARGETS:
            if target in claims:
                section = claims[target]
                groups.setdefault((section.rank, section.alpha, section.dropout), []).append(target)
        keys: list[Key] = [(*values, tuple(targets)) for values, targets in groups.items()]
        closed += [(*open_.pop(key), key) for key in list(open_) if key not in keys]
        for key in keys:
            open_[key] = (open_.get(key, (at, at))[0], at)
    closed += [(*ends, key) for key, ends in open_.items()]
    return Layout(tuple(Section(first, last, *key) for first, last, key in sorted(closed)), name)


def _end(value: int | Fraction) -> str:
    return f"{value.numerator}/{value.denominator}" if isinstance(value, Fraction) else str(value)


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def _section(part: str) -> Section:
    shown = " ".join(part.split())
    words = part.split()
    if not words:
        raise LayoutError(f"an empty section; {_FORM}")
    ends = _RANGE.fullmatch(words[0])
    if ends is None:
        raise LayoutError(f"section '{shown}': '{words[0]}' is no range of layers such as 0-3, 5 or 1/3-2/3; {_FORM}")
    values: dict[str, float] = {}
    targets: list[str] = []
    for word in words[1:]:
        if word[0] in "rad" and _NUMBER.fullmatch(word[1:]):
            if word[0] in values:
                raise LayoutError(f"section '{shown}' gives '{word[0]}' twice")
            values[word[0]] = float(word[1:])
        else:
            targets.append(word)
    if "r" not in values or not values["r"].is_integer():
        raise LayoutError(f"section '{shown}' has no whole rank such as r8; {_FORM}")
    first, last = _ends(ends.group(1), ends.group(2), shown)
    rank = int(values["r"])
    return Section(first, last, rank, values.get("a", float(rank)), values.get("d", 0.0), tuple(targets))


def _ends(first: str, last: str | None, shown: str) -> tuple[int | Fraction, int | Fraction]:
    if "/" not in first + (last or ""):
        return int(first), int(last if last is not None else first)
    if last is None:
        raise LayoutError(f"section '{shown}': a range of fractions has two ends, for instance 1/3-2/3")
    try:
        return Fraction(first), Fraction(last)
    except ZeroDivisionError:
        raise LayoutError(f"section '{shown}': a fraction's denominator is 0") from None
