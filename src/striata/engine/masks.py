"""Dropout masks from random bits, and how they are applied.

A mask is made of 16 bits an element, so that a probability is exact to 1/65,536. On a CPU it is int16, -1 where an element stays
and 0 where it is dropped, and integer arithmetic makes and applies it, because torch's comparisons and products with booleans are
slow there; elsewhere it is bool.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from .random_streams import RandomStream


def drop_count(p: float) -> int:
    """Of the 65,536 values of 16 random bits, how many drop an element."""
    return round(p * 65536)


def pass_from(p: float) -> int:
    """The least uniform int16 that lets an element stay."""
    return drop_count(p) - 32768


def inverted_scale(p: float) -> float:
    """What elements that stay are multiplied by: the inverse of the exact probability of staying."""
    return 65536 / (65536 - drop_count(p))


def draw_mask(count: int, p: float, stream: RandomStream, out: Tensor | None = None) -> Tensor:
    """A mask from one member's stream.

    Args:
        count: elements.
        p: share of the elements that are dropped.
        stream: the member's.
        out: written to, (count,) in the mask's type; a new tensor by default.

    Returns:
        (count,) int16 on a CPU, bool elsewhere.
    """
    bits = stream.bits(count)
    if stream.device.type != "cpu":
        return torch.ge(bits, pass_from(p), out=out)
    most = pass_from(p) - 1
    return torch.sub(torch.tensor(most, dtype=torch.int16), bits.clamp_(most, most + 1), out=bits if out is None else out)


def draw_row_mask(streams: Mapping[int, RandomStream], parts: Sequence[tuple[int, int, int]], width: int, p: float) -> Tensor:
    """A mask of rows behind one another, each member's from its own stream.

    Args:
        streams: by slot.
        parts: (slot, first row, last row + 1) of each member, without gaps.
        width: elements of a row.
        p: share of the elements that are dropped.

    Returns:
        (rows * width,) int16 on a CPU, bool elsewhere.
    """
    device = streams[parts[0][0]].device
    kind = torch.int16 if device.type == "cpu" else torch.bool
    mask = torch.empty(parts[-1][2] * width, dtype=kind, device=device)
    for slot, start, stop in parts:
        draw_mask((stop - start) * width, p, streams[slot], out=mask[start * width : stop * width])
    return mask


def as_integers(x: Tensor) -> Tensor:
    """The same memory as integers of the same size."""
    return x.view(torch.int16 if x.element_size() == 2 else torch.int32)


def apply_mask(x: Tensor, mask: Tensor | None, scale: float = 1.0) -> Tensor:
    """x times `scale` where the mask lets it stay, 0 elsewhere; all of x, unscaled, without a mask."""
    if mask is None:
        return x
    if mask.dtype == torch.bool:
        product: Tensor = torch.ops.aten.native_dropout_backward(x, mask, scale)
        return product
    bits = as_integers(x)
    remaining = (bits & mask.to(bits.dtype)).view(x.dtype)
    return remaining if scale == 1 else remaining.mul_(scale)


def apply_dropout(x: Tensor, mask: Tensor, p: float) -> Tensor:
    """What dropout with probability p leaves of x: what stays is multiplied by :func:`inverted_scale`."""
    return apply_mask(x, mask, inverted_scale(p))


class _MaskedDropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, mask: Tensor, p: float) -> Tensor:
        ctx.save_for_backward(mask)
        ctx.p = p
        return apply_dropout(x, mask, p)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (mask,) = ctx.saved_tensors
        return apply_dropout(grad, mask, ctx.p), None, None


def masked_dropout(x: Tensor, mask: Tensor, p: float) -> Tensor:
    """:func:`apply_dropout` for autograd: the gradient passes through the same mask."""
    result: Tensor = _MaskedDropout.apply(x, mask, p)  # type: ignore[no-untyped-call]
    return result
