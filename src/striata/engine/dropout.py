"""Dropout in which each member draws from a random stream of its own.

A mask depends on the member's name, its seed and the step, and on nothing else: neither on the neighbours in the stack
nor on what was drawn before, so that nothing of it has to be stored to go on after an interruption.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
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
        draws: one stream of random bits per slot while training; empty means no dropout.
        buckets: how attention groups the sequences; None where the encoder is run padded.
        inverse: where each token's attention output lies in the concatenated buckets, (tokens,).
    """

    segments: tuple[Segment, ...] = ()
    draws: Mapping[int, Draws] = field(default_factory=dict)
    buckets: tuple[Bucket, ...] | None = None
    inverse: Tensor | None = None


def threshold(p: float) -> int:
    """Of the 65,536 values of 16 random bits, how many drop an element."""
    return round(p * 65536)


class Draws:
    """One member's stream of random bits.

    On a CPU the bits are raw words of SFC64, four masks to a word: `bernoulli_` costs twelve times as much, and torch's own
    64-bit draws twice.

    Args:
        device: where the masks are needed.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.seed(0)

    def seed(self, value: int) -> Draws:
        """Starts the stream anew; equal values give equal streams."""
        if self._device.type == "cpu":
            self._words = np.random.SFC64(value)
        else:
            self._generator = torch.Generator(self._device).manual_seed(value)
        return self

    def bits(self, count: int) -> Tensor:
        """`count` uniform int16."""
        words = (count + 3) // 4
        if self._device.type == "cpu":
            return torch.from_numpy(self._words.random_raw(words).view(np.int16))[:count]
        drawn = torch.empty(words, dtype=torch.int64, device=self._device)
        return drawn.random_(-(2**63), None, generator=self._generator).view(torch.int16)[:count]


def keep_mask(count: int, p: float, draws: Draws) -> Tensor:
    """Mask of `count` int16, each -1 (all bits set: kept) with probability 1 - p (to 1/65,536) and else 0.

    Made by integer arithmetic, and applied by it in :func:`drop`, because comparisons and products with booleans are slow in
    torch on a CPU.
    """
    most = threshold(p) - 32768 - 1
    return most - draws.bits(count).clamp_(most, most + 1)


def kept_scale(p: float) -> float:
    """What kept elements are multiplied by: the inverse of the exact probability of being kept."""
    return 65536 / (65536 - threshold(p))


def drop(x: Tensor, keep: Tensor, p: float) -> Tensor:
    """x where kept, times :func:`kept_scale`; 0 elsewhere."""
    kind = torch.int16 if x.element_size() == 2 else torch.int32
    return (x.view(kind) & keep.to(kind)).view(x.dtype).mul_(kept_scale(p))


class _Masked(torch.autograd.Function):
    """Dropout whose gradient passes through the same mask."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, keep: Tensor, p: float) -> Tensor:
        ctx.save_for_backward(keep)
        ctx.p = p
        return drop(x, keep, p)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (keep,) = ctx.saved_tensors
        return drop(grad, keep, ctx.p), None, None


def masked(x: Tensor, keep: Tensor, p: float) -> Tensor:
    """Dropout with a given mask; the gradient passes through the same mask."""
    result: Tensor = _Masked.apply(x, keep, p)  # type: ignore[no-untyped-call]
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
        draws, segments = self.current.draws, self.current.segments
        if not draws or threshold(self.p) == 0:
            return x
        if len(segments) == 1:
            keep = keep_mask(x.numel(), self.p, draws[segments[0].slot])
        else:
            each = x.numel() // segments[-1].tokens.stop
            keep = torch.cat([keep_mask(each * (s.tokens.stop - s.tokens.start), self.p, draws[s.slot]) for s in segments])
        return masked(x, keep.view(x.shape), self.p)

    def extra_repr(self) -> str:
        return f"p={self.p}"
