"""Dropout in which each member draws from a random stream of its own.

A mask depends on the member's name, its seed and the step, and on nothing else: neither on the neighbours in the stack
nor on what was drawn before, so that nothing of it has to be stored to go on after an interruption.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from .attention import Packing
    from .batch import Segment
    from .grouped import Groups


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
        packing: how attention groups the sequences; None where the encoder is run padded.
        firsts: index of each sequence's first token, (sequences,), where only these are wanted in the end; else None.
        slots: the stack's, in order.
        grouped: whether all members share launches; the way of devices other than CPUs.
        banks: whether they share those of the adapters' products too.
        groups: the members' parts of the token axis and of the sequence axis, where they are grouped.
        pools: the members' random bits, where they are grouped and there is dropout.
    """

    segments: tuple[Segment, ...] = ()
    draws: Mapping[int, Draws] = field(default_factory=dict)
    packing: Packing | None = None
    firsts: Tensor | None = None
    slots: tuple[int, ...] = ()
    grouped: bool = False
    banks: bool = False
    groups: tuple[Groups, Groups] | None = None
    pools: Pools | None = None

    def only_firsts(self) -> None:
        """From here on a sequence's first token stands for it: the token axis becomes the sequence axis."""
        self.segments = tuple(replace(segment, tokens=segment.sequences) for segment in self.segments)
        if self.groups is not None:
            self.groups = (self.groups[1], self.groups[1])

    def parts(self) -> list[tuple[int, int, int]]:
        """(slot, first row, last row + 1) of each member on the token axis."""
        return [(segment.slot, segment.tokens.start, segment.tokens.stop) for segment in self.segments]


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
        self.device = device
        self._named: Draws | None = None
        if device.type != "cpu":
            self._generator = torch.Generator(device)
        self.seed(0)

    def seed(self, value: int) -> Draws:
        """Starts the stream anew; equal values give equal streams."""
        self._seed = value
        if self.device.type == "cpu":
            self._words = np.random.SFC64(value)
        else:
            self._generator.manual_seed(value)
        return self

    def named(self, *key: str | int) -> Draws:
        """The stream of something that has a name, from its start; valid until the next call."""
        if self._named is None:
            self._named = Draws(self.device)
        return self._named.seed(seed_of(self._seed, *key))

    def bits(self, count: int) -> Tensor:
        """The stream's next values, uniform int16 (count,)."""
        words = (count + 3) // 4
        if self.device.type == "cpu":
            return torch.from_numpy(self._words.random_raw(words).view(np.int16))[:count]
        drawn = torch.empty(4 * words, dtype=torch.int16, device=self.device)
        self._draw(drawn)
        return drawn[:count]

    def fill(self, out: Tensor) -> None:
        """Writes the stream's next values into int16 (count,)."""
        if self.device.type == "cpu" or len(out) % 4 or out.storage_offset() % 4:
            out.copy_(self.bits(len(out)))
        else:
            self._draw(out)

    def _draw(self, out: Tensor) -> None:
        out.view(torch.int64).random_(-(2**63), None, generator=self._generator)


class Pools:
    """Random bits of all members for several places at once: one draw a member where each place would need one.

    A place's bits depend on its name, the member and the step; who else is in the stack does not matter.

    Args:
        draws: one stream per slot.
    """

    def __init__(self, draws: Mapping[int, Draws]) -> None:
        self._draws = draws
        self._drawn: dict[str, tuple[tuple[str | int, ...], Tensor]] = {}
        self._count: dict[str, int] = {}

    def count(self, name: str) -> int:
        """How often a name was counted in this pass before."""
        before = self._count.get(name, 0)
        self._count[name] = before + 1
        return before

    def take(
        self, family: str, name: str, at: int, parts: Sequence[tuple[int, int, int]], width: int, *, together: int
    ) -> Tensor:
        """Uniform int16 (rows, width) for one of the places with a name.

        Args:
            family: of places that come one after another; what was drawn last is kept for each family.
            name: of the places.
            at: which of them.
            parts: (slot, first row, last row + 1) of each member, without gaps.
            width: values of a row.
            together: how many places are drawn at once.
        """
        group, column = divmod(at, together)
        rows, key = parts[-1][2], (name, width, group)
        if family not in self._drawn or self._drawn[family][0] != (*key, rows):
            bits = torch.empty(rows, together * width, dtype=torch.int16, device=self._draws[parts[0][0]].device)
            for slot, start, stop in parts:
                self._draws[slot].named(*key).fill(bits[start:stop].view(-1))
            self._drawn[family] = ((*key, rows), bits)
        return self._drawn[family][1][:, column * width : (column + 1) * width]


def lowest_kept(p: float) -> int:
    """The least uniform int16 that keeps an element."""
    return threshold(p) - 32768


def keep_mask(count: int, p: float, draws: Draws, out: Tensor | None = None) -> Tensor:
    """Mask of `count` elements from one member's stream, each kept with probability 1 - p (to 1/65,536).

    On a CPU it is -1 (kept) and 0, int16, by integer arithmetic, and applied by it in :func:`kept`, because comparisons and
    products with booleans are slow in torch there; elsewhere it is True and False.
    """
    bits = draws.bits(count)
    if draws.device.type != "cpu":
        return torch.ge(bits, lowest_kept(p), out=out)
    most = lowest_kept(p) - 1
    return torch.sub(torch.tensor(most, dtype=torch.int16), bits.clamp_(most, most + 1), out=bits if out is None else out)


def keep_parts(draws: Mapping[int, Draws], parts: Sequence[tuple[int, int, int]], each: int, p: float) -> Tensor:
    """Mask of rows of `each` elements, one behind another, each member's from its own stream.

    Args:
        draws: the streams by slot.
        parts: (slot, first row, last row + 1) of each member, without gaps.
        each: elements of a row.
        p: share of the elements that are dropped.
    """
    device = draws[parts[0][0]].device
    kind = torch.int16 if device.type == "cpu" else torch.bool
    mask = torch.empty(parts[-1][2] * each, dtype=kind, device=device)
    for slot, start, stop in parts:
        keep_mask((stop - start) * each, p, draws[slot], out=mask[start * each : stop * each])
    return mask


def keep_masks(current: Pass, shape: Sequence[int], p: float) -> Tensor:
    """Mask of a tensor (1, tokens, ...), or of any shape where one member has it all, each member's part from its own stream."""
    parts, count = current.parts(), math.prod(shape)
    if current.pools is not None:
        at = current.pools.count("hidden")
        bits = current.pools.take("hidden", "hidden", at, parts, count // parts[-1][2], together=8)
        return (bits >= lowest_kept(p)).view(*shape)
    if len(parts) == 1:
        return keep_mask(count, p, current.draws[parts[0][0]]).view(*shape)
    return keep_parts(current.draws, parts, count // parts[-1][2], p).view(*shape)


def kept_scale(p: float) -> float:
    """What kept elements are multiplied by: the inverse of the exact probability of being kept."""
    return 65536 / (65536 - threshold(p))


def integers(x: Tensor) -> Tensor:
    """The same memory as integers of the same size."""
    return x.view(torch.int16 if x.element_size() == 2 else torch.int32)


def kept(x: Tensor, keep: Tensor | None, scale: float = 1.0) -> Tensor:
    """x times `scale` where kept, 0 elsewhere; all of x without a mask. The mask is -1 and 0, or True and False."""
    if keep is None:
        return x
    if keep.dtype == torch.bool:
        whole: Tensor = torch.ops.aten.native_dropout_backward(x, keep, scale)
        return whole
    bits = integers(x)
    found = (bits & keep.to(bits.dtype)).view(x.dtype)
    return found if scale == 1 else found.mul_(scale)


def drop(x: Tensor, keep: Tensor, p: float) -> Tensor:
    """What dropout with probability p leaves of x: what is kept times :func:`kept_scale`."""
    return kept(x, keep, kept_scale(p))


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
        if not self.current.draws or threshold(self.p) == 0:
            return x
        return masked(x, keep_masks(self.current, x.shape, self.p), self.p)

    def extra_repr(self) -> str:
        return f"p={self.p}"
