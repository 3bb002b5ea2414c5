"""All members' adapters at a site in a few large products, for devices on which the number of launches is what costs.

On a CPU the loop over members in :mod:`striata.engine.lora` multiplies less and is faster; on a GPU nine members' small products
are mostly launches. Here a site costs the same handful of launches for any number of members: the products of all members are
one grouped product over the token axis (`torch.nn.functional.grouped_mm`), and one draw makes all masks.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from .adapter import Adapter, Effect
from .batch import Segment, on_device
from .dropout import kept, kept_scale, lowest_kept

_GRAIN = 8  # grouped products want rows of whole 16 bytes in bf16


@dataclass(frozen=True, slots=True)
class Groups:
    """The members' parts of a row axis, in the order of a stack's slots.

    Args:
        ends: last row + 1 of each slot's part, (slots,) int32; a slot without rows ends where the one before it does.
        owner: index of each row's slot, (rows,) int64.
    """

    ends: Tensor
    owner: Tensor


def groups_of(segments: Sequence[Segment], slots: Sequence[int], device: torch.device) -> tuple[Groups, Groups] | None:
    """The groups of the token axis and of the sequence axis; None where segments do not follow the order of the slots.

    Args:
        segments: a batch's.
        slots: the stack's.
        device: where the tensors go.
    """
    place = {slot: at for at, slot in enumerate(slots)}
    order = [place.get(segment.slot, -1) for segment in segments]
    if order != sorted(order) or -1 in order:
        return None

    def along(parts: list[slice]) -> Groups:
        sizes = np.zeros(len(slots), np.int64)
        sizes[order] = [part.stop - part.start for part in parts]
        ends = torch.from_numpy(np.cumsum(sizes).astype(np.int32))
        return Groups(on_device(ends, device), on_device(torch.from_numpy(np.repeat(np.arange(len(slots)), sizes)), device))

    return along([s.tokens for s in segments]), along([s.sequences for s in segments])


def fast_products(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether torch multiplies groups in one launch; elsewhere it does so one by one, and waits for the device each time."""
    if not hasattr(functional, "grouped_mm"):  # torch before 2.10
        return False
    if device.type != "cuda":
        return device.type == "cpu"  # where nothing is waited for
    built = torch.version.hip is None and sys.platform != "win32"
    return built and dtype == torch.bfloat16 and torch.cuda.get_device_capability(device)[0] in (9, 10)


class Bank:
    """All members' matrices at one site in two tensors; the adapters' parameters become views of them.

    Args:
        slots: the stack's; a slot without an adapter here has zeros, which add nothing.
        adapters: by slot, at least one.

    Attributes:
        live: the adapters' A and B, which get the gradients.
    """

    def __init__(self, slots: Sequence[int], adapters: Mapping[int, Adapter]) -> None:
        some = next(iter(adapters.values()))
        self.slots = tuple(slots)
        self._exact = {slot: (adapter.scale, adapter.dropout) for slot, adapter in adapters.items()}
        self.live = [p for adapter in adapters.values() for p in (adapter.a, adapter.b)]
        self.ranks = {slots.index(slot): adapter.a.shape[0] for slot, adapter in adapters.items()}
        rank = -(-max(self.ranks.values()) // _GRAIN) * _GRAIN
        a = torch.zeros(len(slots), rank, some.a.shape[1], device=some.a.device)
        b = torch.zeros(len(slots), rank, some.b.shape[0], device=some.a.device)
        scale, lowest = np.ones(len(slots), np.float32), np.full(len(slots), -32768, np.int16)
        left = np.ones(len(slots), np.float32)
        for slot, adapter in adapters.items():
            at = slots.index(slot)
            here = slice(0, self.ranks[at])
            with torch.no_grad():
                a[at, here].copy_(adapter.a)
                b[at, here].copy_(adapter.b.t())
            adapter.a.data, adapter.b.data = a[at, here], b[at, here].t()
            scale[at], lowest[at] = adapter.scale, lowest_kept(adapter.dropout)
            left[at] = kept_scale(adapter.dropout)
        self.a, self.b = a, b
        self._scale = torch.from_numpy(scale)[:, None, None].to(a.device)
        self._scale_kept = torch.from_numpy(scale * left)[:, None, None].to(a.device)
        self._lowest = torch.from_numpy(lowest).to(a.device)

    @staticmethod
    def fits(adapters: Mapping[int, Adapter]) -> bool:
        """Whether there are any, with sizes that grouped products take."""
        return bool(adapters) and all(size % _GRAIN == 0 for x in adapters.values() for size in (x.a.shape[1], x.b.shape[0]))

    def effective(self, slot: int, adapter: Adapter | None) -> Effect | None:
        """What the products do for a member, read from the tensors that are multiplied; None where it has no part in them.

        The tensors hold scale and dropout rounded (to fp32 and to 1/65,536). Where they are what the bank was made with,
        rounded, it is returned with all its digits.

        Args:
            slot: the member's.
            adapter: what the layer holds for it, whose parameters must be the ones that are multiplied.
        """
        if adapter is not None and slot not in self._exact:
            return replace(adapter.effect(), rank=0, trains=False)
        if slot not in self.slots:
            return None
        at = self.slots.index(slot)
        a, b, rank = self.a[at], self.b[at], self.ranks.get(at, 0)
        rows = rank + int((a[rank:].any(1) & b[rank:].any(1)).sum())
        if not rows:
            return None
        scale, dropout = self._exact.get(slot, (1.0, 0.0))
        lowest, plain, with_dropout = (x[at].item() for x in (self._lowest, self._scale, self._scale_kept))
        if lowest != lowest_kept(dropout):
            dropout = (lowest + 32768) / 65536
        elif plain != np.float32(scale):
            scale = plain
        elif with_dropout != np.float32(scale) * np.float32(kept_scale(dropout)):
            scale = with_dropout / kept_scale(dropout)
        multiplied = (a[:rank], b[:rank].t())
        live = [] if adapter is None else self._live_of(at)
        ours = adapter is not None and live[0] is adapter.a and live[1] is adapter.b
        return Effect(
            in_features=a.shape[1],
            out_features=b.shape[1],
            rank=rows,
            scale=scale,
            dropout=dropout,
            trains=ours and all(p.requires_grad and _same_memory(p, m) for p, m in zip(live, multiplied, strict=True)),
        )

    def _live_of(self, at: int) -> list[nn.Parameter]:
        """A and B that get the gradients of the member at a place."""
        first = 2 * list(self.ranks).index(at)
        return self.live[first : first + 2]

    def scale(self, keep: Tensor | None) -> Tensor:
        """Factor of each member's product, (slots, 1, 1); with a mask that of what is kept is in it."""
        return self._scale if keep is None else self._scale_kept

    def keep(self, bits: Tensor, groups: Groups) -> Tensor:
        """Mask of (rows, in) from uniform int16, each member's rows with its own dropout."""
        return bits >= self._lowest.index_select(0, groups.owner)[:, None]


def _same_memory(x: Tensor, y: Tensor) -> bool:
    return x.data_ptr() == y.data_ptr() and x.shape == y.shape and x.stride() == y.stride()


class _Grouped(torch.autograd.Function):
    """x W' + b, plus for each member scale * (dropout(x) A') B' on its own rows; `live` are the members' A and B in order."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, bank: Bank, ends: Tensor, keep: Tensor | None, *live: Tensor
    ) -> Tensor:
        flat = x.reshape(-1, x.shape[-1])
        a, b = bank.a.to(x.dtype), torch.empty_like(bank.b, dtype=x.dtype)
        torch.mul(bank.b, bank.scale(keep), out=b)
        low = functional.grouped_mm(kept(flat, keep), a.transpose(1, 2), offs=ends)
        out = functional.linear(flat, weight, bias).add_(functional.grouped_mm(low, b, offs=ends))
        ctx.save_for_backward(flat, weight, a, b, ends, keep, low)
        ctx.bank = bank
        return out.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        flat, weight, a, b, ends, keep, low = ctx.saved_tensors
        out = grad.reshape(-1, grad.shape[-1])
        back = functional.grouped_mm(out, b.transpose(1, 2), offs=ends)
        to_a = functional.grouped_mm(back.t(), kept(flat, keep), offs=ends).float()
        to_b = functional.grouped_mm(low.t(), out, offs=ends) * ctx.bank.scale(keep)
        shaped = None
        if ctx.needs_input_grad[0]:
            into = out @ weight
            into += kept(functional.grouped_mm(back, a, offs=ends), keep)
            shaped = into.view(*grad.shape[:-1], -1)
        found: list[Tensor] = []
        for at, rank in ctx.bank.ranks.items():
            found += [to_a[at, :rank], to_b[at, :rank].t()]
        return shaped, None, None, None, None, None, *found


def grouped_linear(x: Tensor, weight: Tensor, bias: Tensor | None, bank: Bank, groups: Groups, keep: Tensor | None) -> Tensor:
    """A frozen layer with all members' adapters.

    Args:
        x: (..., rows, in).
        weight: of the layer, (out, in).
        bias: of the layer.
        bank: the adapters.
        groups: which rows are whose.
        keep: mask of the adapters' input, (rows, in) bool, or None.
    """
    result: Tensor = _Grouped.apply(x, weight, bias, bank, groups.ends, keep, *bank.live)  # type: ignore[no-untyped-call]
    return result
