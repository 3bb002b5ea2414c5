"""Layers that run once for all members, until the first in which one of them differs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .forward_pass import current_pass, go_on_with


def watch_layer(layer: nn.Module, path: str) -> None:
    """Makes a layer lay out its inputs for each member where the running pass says so.

    Args:
        layer: of the encoder.
        path: its name there.
    """

    def before(_: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        widening = current_pass().widening
        if widening is None or path not in widening.layers:
            return None
        if widening.rest is not None:
            go_on_with(widening.rest)

        def widened(value: Any) -> Any:
            if isinstance(value, tuple):
                return tuple(map(widened, value))
            along_tokens = isinstance(value, Tensor) and value.ndim > 1 and value.shape[1] == widening.tokens
            return torch.cat([value] * widening.members, 1) if along_tokens else value

        return widened(inputs), {name: widened(value) for name, value in named.items()}

    layer.register_forward_pre_hook(before, with_kwargs=True)
