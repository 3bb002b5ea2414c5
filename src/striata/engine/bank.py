"""All members' adapters at a site in a few large products, for devices on which the number of launches is what costs.

On a CPU the loop over members in :mod:`striata.engine.stacked_linear` multiplies less and is faster; on a GPU nine members' small
products are mostly launches. Here a site costs the same handful of launches for any number of members: all members' products are
one grouped product over the token axis (`torch.nn.functional.grouped_mm`), and one draw makes all masks.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from .adapter import Adapter, Effect
from .groups import Groups
from .masks import apply_mask, inverted_scale, pass_from

_MULTIPLE = 8  # grouped products want rows of whole 16 bytes in bf16


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
        first = next(iter(adapters.values()))
        self.slots = tuple(slots)
        self._exact = {slot: (adapter.scale, adapter.dropout) for slot, adapter in adapters.items()}
        self.live = [p for adapter in adapters.values() for p in (adapter.a, adapter.b)]
        self.ranks = {slots.index(slot): adapter.a.shape[0] for slot, adapter in adapters.items()}
        rank = -(-max(self.ranks.values()) // _MULTIPLE) * _MULTIPLE
        a = torch.zeros(len(slots), rank, first.a.shape[1], device=first.a.device)
        b = torch.zeros(len(slots), rank, first.b.shape[0], device=first.a.device)
        scale, least = np.ones(len(slots), np.float32), np.full(len(slots), -32768, np.int16)
        inverted = np.ones(len(slots), np.float32)
        for slot, adapter in adapters.items():
            at = slots.index(slot)
            rows = slice(0, self.ranks[at])
            with torch.no_grad():
                a[at, rows].copy_(adapter.a)
                b[at, rows].copy_(adapter.b.t())
            adapter.a.data, adapter.b.data = a[at, rows], b[at, rows].t()
            scale[at], least[at] = adapter.scale, pass_from(adapter.dropout)
            inverted[at] = inverted_scale(adapter.dropout)
        self.a, self.b = a, b
        self._scale = torch.from_numpy(scale)[:, None, None].to(a.device)
        self._scale_in_training = torch.from_numpy(scale * inverted)[:, None, None].to(a.device)
        self._pass_from = torch.from_numpy(least).to(a.device)

    @staticmethod
    def fits(adapters: Mapping[int, Adapter]) -> bool:
        """Whether there are any, with sizes that grouped products take."""
        return bool(adapters) and all(size % _MULTIPLE == 0 for x in adapters.values() for size in (x.a.shape[1], x.b.shape[0]))

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
        live_rank = rank + int((a[rank:].any(1) & b[rank:].any(1)).sum())
        if not live_rank:
            return None
        scale, dropout = self._exact.get(slot, (1.0, 0.0))
        least, plain, in_training = (x[at].item() for x in (self._pass_from, self._scale, self._scale_in_training))
        if least != pass_from(dropout):
            dropout = (least + 32768) / 65536
        elif plain != np.float32(scale):
            scale = plain
        elif in_training != np.float32(scale) * np.float32(inverted_scale(dropout)):
            scale = in_training / inverted_scale(dropout)
        multiplied = (a[:rank], b[:rank].t())
        live = [] if adapter is None else self._live_of(at)
        ours = adapter is not None and live[0] is adapter.a and live[1] is adapter.b
        return Effect(
            in_features=a.shape[1],
            out_features=b.shape[1],
            rank=live_rank,
            scale=scale,
            dropout=dropout,
            trains=ours and all(p.requires_grad and _same_memory(p, m) for p, m in zip(live, multiplied, strict=True)),
        )

    def _live_of(self, at: int) -> list[nn.Parameter]:
        """A and B that get the gradients of the member at a place."""
        first = 2 * list(self.ranks).index(at)
        return self.live[first : first + 2]

    def scale(self, mask: Tensor | None) -> Tensor:
        """Factor of each member's product, (slots, 1, 1); with a mask that of its dropout is in it."""
        return self._scale if mask is None else self._scale_in_training

    def mask(self, bits: Tensor, groups: Groups) -> Tensor:
        """Mask of (rows, in) from uniform int16, each member's rows with its own dropout."""
        return bits >= self._pass_from.index_select(0, groups.owner)[:, None]


def _same_memory(x: Tensor, y: Tensor) -> bool:
    return x.data_ptr() == y.data_ptr() and x.shape == y.shape and x.stride() == y.stride()


class _Grouped(torch.autograd.Function):
    """x W' + b, plus for each member scale * (dropout(x) A') B' on its own rows; `live` are the members' A and B in order."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, bank: Bank, ends: Tensor, mask: Tensor | None, *live: Tensor
    ) -> Tensor:
        flat = x.reshape(-1, x.shape[-1])
        a, b = bank.a.to(x.dtype), torch.empty_like(bank.b, dtype=x.dtype)
        torch.mul(bank.b, bank.scale(mask), out=b)
        low = functional.grouped_mm(apply_mask(flat, mask), a.transpose(1, 2), offs=ends)
        out = functional.linear(flat, weight, bias).add_(functional.grouped_mm(low, b, offs=ends))
        ctx.save_for_backward(flat, weight, a, b, ends, mask, low)
        ctx.bank = bank
        return out.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        flat, weight, a, b, ends, mask, low = ctx.saved_tensors
        grad_out = grad.reshape(-1, grad.shape[-1])
        grad_low = functional.grouped_mm(grad_out, b.transpose(1, 2), offs=ends)
        grad_a = functional.grouped_mm(grad_low.t(), apply_mask(flat, mask), offs=ends).float()
        grad_b = functional.grouped_mm(low.t(), grad_out, offs=ends) * ctx.bank.scale(mask)
        shaped = None
        if ctx.needs_input_grad[0]:
            grad_in = grad_out @ weight
            grad_in += apply_mask(functional.grouped_mm(grad_low, a, offs=ends), mask)
            shaped = grad_in.view(*grad.shape[:-1], -1)
        grads: list[Tensor] = []
        for at, rank in ctx.bank.ranks.items():
            grads += [grad_a[at, :rank], grad_b[at, :rank].t()]
        return shaped, None, None, None, None, None, *grads


def grouped_linear(x: Tensor, weight: Tensor, bias: Tensor | None, bank: Bank, groups: Groups, mask: Tensor | None) -> Tensor:
    """A frozen layer with all members' adapters.

    Args:
        x: (..., rows, in).
        weight: of the layer, (out, in).
        bias: of the layer, (out,), or None.
        bank: the adapters.
        groups: which rows are whose.
        mask: of the adapters' input, (rows, in) bool, or None.

    Returns:
        (..., rows, out).
    """
    result: Tensor = _Grouped.apply(x, weight, bias, bank, groups.ends, mask, *bank.live)  # type: ignore[no-untyped-call]
    return result
