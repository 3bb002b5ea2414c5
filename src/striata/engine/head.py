"""The trained classification layers of one member, built from the plan's description."""

from __future__ import annotations

from collections.abc import Callable
from pkgutil import resolve_name

import torch
from torch import Tensor, nn

from ..layout import Head
from ..layout.heads import ACTIVATIONS
from .masks import draw_mask, drop_count, masked_dropout
from .random_streams import RandomStream

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {name: resolve_name(place) for name, place in ACTIVATIONS.items()}


def mean_pool(hidden: Tensor, lengths: Tensor) -> Tensor:
    """The mean of each sequence's tokens, in fp32.

    Args:
        hidden: (tokens, size), sequences behind one another.
        lengths: tokens of each sequence, (sequences,).

    Returns:
        (sequences, size) fp32.
    """
    sums = torch.segment_reduce(hidden.float(), "sum", lengths=lengths, axis=0, unsafe=True)
    return sums / lengths[:, None]


class MemberHead(nn.Module):
    """One member's head: the plan's steps, one behind another, in fp32.

    Args:
        plan: the steps; their module names are the names of the weights.
    """

    def __init__(self, plan: Head) -> None:
        super().__init__()
        self.plan = plan
        self.layers = nn.ModuleList()
        for step in plan.steps:
            if step.op == "linear":
                self.layers.append(nn.Linear(step.in_features, step.out_features, bias=step.bias))
            elif step.op == "layer_norm":
                self.layers.append(nn.LayerNorm(step.out_features, bias=step.bias))

    def initialise(self, generator: torch.Generator, spread: float) -> None:
        """Weights normal with standard deviation `spread`, biases zero, as transformers begins a new head."""
        with torch.no_grad():
            for layer in self.layers:
                if isinstance(layer, nn.Linear):
                    layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator) * spread)
                    if layer.bias is not None:
                        layer.bias.zero_()

    def named(self) -> dict[str, nn.Parameter]:
        """Weights by the names they have in the classification model, e.g. `classifier.dense.weight`."""
        steps = [step for step in self.plan.steps if step.parameters]
        return {
            f"{step.module}.{name}": parameter
            for step, layer in zip(steps, self.layers, strict=True)
            for name, parameter in layer.named_parameters()
        }

    def forward(self, pooled: Tensor, stream: RandomStream | None) -> Tensor:
        """Pooled texts (sequences, size) -> logits (sequences, labels); dropout only with a stream of random bits."""
        x, layers = pooled, iter(self.layers)
        for step in self.plan.steps:
            if step.op in ("linear", "layer_norm"):
                x = next(layers)(x)
            elif step.op == "activation":
                x = _ACTIVATIONS[step.name](x)
            elif stream is not None and drop_count(step.p):
                x = masked_dropout(x, draw_mask(x.numel(), step.p, stream).view(x.shape), step.p)
        return x
