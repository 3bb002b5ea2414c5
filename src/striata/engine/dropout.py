"""Dropout in which each member draws from a random stream of its own.

A mask depends on the member's name, its seed and the step, and on nothing else: neither on the neighbours in the stack
nor on what was drawn before, so that nothing of it has to be stored to go on after an interruption.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from .attention import Bucket
    from .batch import Segment


def seed_of(*parts: str | int) -> int:
    """A seed in [0, 2**63) from names and numbers, the same on every machine."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


@dataclass(slots=True)
class Pass:
    """What the modules of one encoder must know of the forward pass under way.

    Args:
        segments: the members' parts of the token axis.
        generators: one random generator per slot while training; empty means no dropout.
        buckets: how attention groups the sequences; None where the encoder is run padded.
        inverse: where each token's attention output lies in the concatenated buckets, (tokens,).
    """

    segments: tuple[Segment, ...] = ()
    generators: Mapping[int, torch.Generator] = field(default_factory=dict)
    buckets: tuple[Bucket, ...] | None = None
    inverse: Tensor | None = None


def threshold(p: float) -> int:
    """Of the 65,536 values of 16 random bits, how many drop an element."""
    return round(p * 65536)


def random_bits(count: int, generator: torch.Generator) -> Tensor:
    """`count` uniform int16, four from each 64-bit draw (`bernoulli_` costs six times as much on a CPU)."""
    words = torch.empty((count + 3) // 4, dtype=torch.int64, device=generator.device)
    return words.random_(-(2**63), None, generator=generator).view(torch.int16)[:count]


def keep_mask(count: int, p: float, generator: torch.Generator) -> Tensor:
    """Boolean mask of `count` elements, each True with probability 1 - p (p to 1/65,536)."""
    return random_bits(count, generator) >= threshold(p) - 32768


def kept_scale(p: float) -> float:
    """What kept elements are multiplied by: the inverse of the exact probability of being kept."""
    return 65536 / (65536 - threshold(p))


class _Masked(torch.autograd.Function):
    """x * keep * scale, remembering one byte an element."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, keep: Tensor, scale: float) -> Tensor:
        ctx.save_for_backward(keep)
        ctx.scale = scale
        return (x * keep).mul_(scale)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (keep,) = ctx.saved_tensors
        return (grad * keep).mul_(ctx.scale), None, None


def masked(x: Tensor, keep: Tensor, p: float) -> Tensor:
    """Dropout with a given mask; the gradient passes through the same mask."""
    result: Tensor = _Masked.apply(x, keep, kept_scale(p))  # type: ignore[no-untyped-call]
    return result


class StackedDropout(nn.Module):
    """Stands in for an encoder's `nn.Dropout`: each member's tokens are masked from its own stream.

    Args:
        p: share of the elements that are dropped.
        current: the pass under way, shared by all modules of the encoder.
    """

    def __init__(self, p: float, current: Pass) -> None:
        super().__init__()
        self.p, self.current = p, current

    def forward(self, x: Tensor) -> Tensor:
        """Masks x (1, tokens, ...) by segments, or any shape where one member has it all."""
        generators, segments = self.current.generators, self.current.segments
        if not generators or threshold(self.p) == 0:
            return x
        if len(segments) == 1:
            keep = keep_mask(x.numel(), self.p, generators[segments[0].slot])
        else:
            each = x.numel() // segments[-1].tokens.stop
            keep = torch.cat([keep_mask(each * (s.tokens.stop - s.tokens.start), self.p, generators[s.slot]) for s in segments])
        return masked(x, keep.view(x.shape), self.p)

    def extra_repr(self) -> str:
        return f"p={self.p}"
