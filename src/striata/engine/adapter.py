"""One member's low-rank adapter at one layer (LoRA, Hu et al. 2021, arXiv:2106.09685)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Effect:
    """What a live layer does for one member, read from what its next forward pass will multiply.

    Args:
        in_features: size of the layer's input.
        out_features: size of its output.
        rank: of the member's product; -1 where the two matrices do not fit together.
        scale: factor of the product, alpha / rank, without that of dropout.
        dropout: share of the product's input that is dropped in training.
        trains: whether the matrices that are multiplied are the member's parameters and require gradients.
    """

    in_features: int
    out_features: int
    rank: int
    scale: float
    dropout: float
    trains: bool


class Adapter(nn.Module):
    """One member's low-rank matrices at one layer, in fp32 whatever the encoder's precision.

    Args:
        in_features: size of the layer's input.
        out_features: size of its output.
        rank: columns of the product.
        scale: factor of the product, alpha / rank.
        dropout: share of the adapter's input dropped in training.
    """

    def __init__(self, in_features: int, out_features: int, *, rank: int, scale: float, dropout: float) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.zeros(rank, in_features))
        self.b = nn.Parameter(torch.zeros(out_features, rank))
        self.scale, self.dropout = scale, dropout

    def initialise(self, generator: torch.Generator) -> None:
        """A uniform in ±1/sqrt(in) (peft's Kaiming default), B zero: at first the adapter changes nothing."""
        with torch.no_grad():
            values = torch.rand(self.a.shape, generator=generator)
            self.a.copy_((values * 2 - 1) / math.sqrt(self.a.shape[1]))
            self.b.zero_()

    def merged(self, weight: Tensor) -> Tensor:
        """A copy of a layer's weight, (out, in), that holds this product, too: W + scale * B A."""
        return torch.addmm(weight, self.b, self.a, alpha=self.scale)

    def effect(self) -> Effect:
        """What a layer does that multiplies with these very matrices and numbers."""
        return Effect(
            in_features=self.a.shape[1],
            out_features=self.b.shape[0],
            rank=self.a.shape[0] if self.a.shape[0] == self.b.shape[1] else -1,
            scale=self.scale,
            dropout=self.dropout,
            trains=self.a.requires_grad and self.b.requires_grad,
        )
