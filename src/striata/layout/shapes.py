"""Facts of an encoder that a plan needs, from its configuration alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from ..disk.json_text import load_json
from ..disk.paths import is_folder, is_there
from ..errors import EncoderError, did_you_mean
from ..families import FAMILIES, Family, Size

_MOST_BYTES = 10_000_000  # of a config.json
_MOST_LAYERS = 1_000
_MOST_SIZE = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """An encoder's shape.

    Args:
        base: the Hub name or local folder it was found by.
        family: what is known of all encoders like it.
        depth: layers; where an encoder uses layers several times, how many different ones it has.
        hidden: size of the hidden states.
        inner: size inside the feed-forward block.
        config: the configuration it was read from.
    """

    base: str
    family: Family
    depth: int
    hidden: int
    inner: int
    config: Mapping[str, Any]

    @property
    def positions(self) -> int | None:
        """Most tokens of a text, special tokens included, that have positions; None for no limit, or one that is not stated.

        Raises:
            EncoderError: the configuration has something else than a number.
        """
        if not self.family.absolute_positions or self.config.get("position_biased_input") is False:
            return None
        most = self._stated("max_position_embeddings", 1)
        if most is None or not self.family.positions_after_padding:
            return most
        padding = self._stated("pad_token_id", 0)
        return most - (1 if padding is None else padding) - 1

    @property
    def vocabulary(self) -> int | None:
        """How many tokens have an embedding; None where it is not stated.

        Raises:
            EncoderError: the configuration has something else than a number.
        """
        return self._stated("vocab_size", 1)

    def _stated(self, key: str, least: int) -> int | None:
        if key not in self.config:
            return None
        value = self.config[key]
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value < 2**31:
            shown = repr(value)[:80] if not isinstance(value, int) or value.bit_length() < 64 else "a larger one"
            raise EncoderError(
                f"encoder '{self.base}': its configuration has {key} {shown}; expected a whole number from {least} on"
            )
        return value

    def layer(self, at: int) -> str:
        """Path of a layer, relative to the encoder."""
        group = self.family.layers_in_group
        size = 1 if group is None else int(self.config.get(*group))
        return self.family.layer.format(i=at, group=at // size, inside=at % size)

    def module(self, target: str, layer: int) -> str:
        """Path of a target in a layer, relative to the encoder."""
        return f"{self.layer(layer)}.{self.family.targets[target]}"

    def sizes(self, target: str) -> tuple[int, int]:
        """Size of a target's input and of its output."""
        return {
            "qkv": (self.hidden, 3 * self.hidden),
            "ffn_in": (self.hidden, 2 * self.inner if self.family.gated else self.inner),
            "ffn_out": (self.inner, self.hidden),
        }.get(target, (self.hidden, self.hidden))


@cache
def packaged(name: str) -> Any:
    """A YAML file that lies beside this module."""
    return yaml.load(files(__package__).joinpath(name).read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))


@cache
def known_shapes() -> dict[str, Mapping[str, Any]]:
    """Configurations of encoders whose shape is built in, by every name they are known by."""
    return {name: entry["config"] for entry in packaged("shapes.yaml") for name in entry["names"]}


def shape_of(base: str) -> Shape:
    """An encoder's shape: from a local folder's config.json, from the built-in ones, or from the Hub.

    Raises:
        EncoderError: there is no such encoder, its configuration cannot be read, or its family is not supported.
    """
    check_base(base)
    folder = Path(base).expanduser()
    if is_folder(folder):
        return _shape(base, _read(folder / "config.json", base))
    known = known_shapes().get(base)
    return _shape(base, known if known is not None else _fetched(base))


def check_base(base: str) -> None:
    """Refuses what is no folder here and cannot be a model of the Hub, without a look into it.

    Raises:
        EncoderError: it is a file, or a path where nothing is.
    """
    folder = Path(base).expanduser()
    if is_folder(folder):
        return
    if is_there(folder):
        raise EncoderError(f"base '{base}' is a file; expected a model folder or a Hub name")
    if base.startswith((".", "/", "~")) or base.count("/") > 1:
        raise EncoderError(f"encoder folder {base} does not exist; check the path, which counts from {Path.cwd()}")


def _read(path: Path, base: str) -> Mapping[str, Any]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"it has more than {_MOST_BYTES:,} bytes")
        config = load_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise EncoderError(f"encoder folder {base} has no config.json; expected a transformers model folder") from None
    except (OSError, ValueError) as error:
        raise EncoderError(f"{path} cannot be read as JSON ({error}); copy the model's config.json again") from None
    if not isinstance(config, dict):
        raise EncoderError(f"{path} is no JSON object; copy the model's config.json again")
    return config


def _fetched(base: str) -> Mapping[str, Any]:
    from transformers import AutoConfig

    try:
        config: dict[str, Any] = AutoConfig.from_pretrained(base, trust_remote_code=False).to_dict()
    except Exception as error:  # the Hub's client raises many kinds: no network, no such name, no such file
        hint = did_you_mean(base, known_shapes())
        raise EncoderError(
            f"encoder '{base}' is no folder here, has no built-in shape{hint}, and its configuration cannot be fetched "
            f"({type(error).__name__}); check the name, or give a local folder"
        ) from error
    return config


def _shape(base: str, config: Mapping[str, Any]) -> Shape:
    kind = config.get("model_type")
    family = FAMILIES.get(str(kind))
    if family is None:
        raise EncoderError(
            f"encoder '{base}' is of family '{kind}', which is not supported; expected one of {', '.join(FAMILIES)}"
        )

    def number(size: Size, most: int) -> int:
        value = config.get(size.key, size.default)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= most:
            shown = repr(value) if not isinstance(value, int) or value.bit_length() < 64 else "a larger one"
            raise EncoderError(
                f"encoder '{base}': its configuration has {size.key} {shown[:80]}; expected a whole number from 1 to {most:,}"
            )
        return value

    if family.passes is not None:
        number(family.passes, _MOST_LAYERS)
    depth = math.prod(number(size, _MOST_LAYERS) for size in family.depth)
    if depth > _MOST_LAYERS:
        raise EncoderError(f"encoder '{base}': its configuration has {depth:,} layers; expected at most {_MOST_LAYERS:,}")
    return Shape(
        base=base,
        family=family,
        depth=depth,
        hidden=number(family.hidden, _MOST_SIZE),
        inner=number(family.inner, _MOST_SIZE),
        config=config,
    )
