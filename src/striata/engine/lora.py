"""A frozen linear layer with one low-rank adapter per member (LoRA, Hu et al. 2021, arXiv:2106.09685)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from .adapter import Adapter, Effect
from .dropout import Pass, keep_mask, kept, kept_scale, lowest_kept, threshold
from .grouped import Bank, grouped_linear


class _Part(NamedTuple):
    tokens: slice
    scale: float  # with that of what dropout keeps
    keep: Tensor | None


class _Stacked(torch.autograd.Function):
    """x W' + b, plus for each member scale * (dropout(x) A') B' on its own tokens."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, parts: tuple[_Part, ...], *matrices: Tensor) -> Tensor:
        flat = x.reshape(-1, x.shape[-1])
        out = functional.linear(flat, weight, bias)
        low = []
        for part, a, b in zip(parts, matrices[::2], matrices[1::2], strict=True):
            h = kept(flat[part.tokens], part.keep) @ a.to(x.dtype).t()
            out[part.tokens].addmm_(h, b.to(x.dtype).t(), alpha=part.scale)
            low.append(h)
        ctx.parts = parts
        ctx.save_for_backward(flat, weight, *matrices, *low)
        return out.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        count = len(ctx.parts)
        flat, weight, *rest = ctx.saved_tensors
        matrices, low = rest[: 2 * count], rest[2 * count :]
        out = grad.reshape(-1, grad.shape[-1])
        into = out @ weight if ctx.needs_input_grad[0] else None
        found: list[Tensor] = []
        for part, a, b, h in zip(ctx.parts, matrices[::2], matrices[1::2], low, strict=True):
            mine = out[part.tokens]
            back = (mine @ b.to(mine.dtype)).mul_(part.scale)
            found.append((back.t() @ kept(flat[part.tokens], part.keep)).to(a.dtype))
            found.append((mine.t() @ h).mul_(part.scale).to(b.dtype))
            if into is not None:
                into[part.tokens] += kept(back @ a.to(mine.dtype), part.keep)
        shaped = None if into is None else into.view(*grad.shape[:-1], -1)
        return shaped, None, None, None, *found


class StackedLinear(nn.Module):
    """Stands in for one of the encoder's linear layers.

    Args:
        base: the encoder's own layer, frozen.
        current: the pass under way, shared by all modules of the encoder.
        path: where it is in the encoder.
    """

    def __init__(self, base: nn.Linear, current: Pass, path: str = "") -> None:
        super().__init__()
        self.base, self.current, self.path = base, current, path
        self.adapters = nn.ModuleDict()
        self._bank: Bank | None = None

    def adapter(self, slot: int) -> Adapter | None:
        """The member's adapter here, if it has one."""
        name = str(slot)
        if name not in self.adapters:
            return None
        found = self.adapters[name]
        assert isinstance(found, Adapter)
        return found

    def members(self) -> dict[int, Adapter]:
        """The adapters here by slot, in the stack's order."""
        return {slot: found for slot in self.current.slots if (found := self.adapter(slot)) is not None}

    def effective(self, slot: int) -> Effect | None:
        """What the next forward pass will do for a member here, read from what it multiplies; None where it does nothing."""
        adapter = self.adapter(slot)
        if self._bank is not None:
            return self._bank.effective(slot, adapter)
        return None if adapter is None else adapter.effect()

    def regroup(self) -> None:
        """To be called when members came or left."""
        members = self.members()
        self._bank = Bank(self.current.slots, members) if self.current.banks and Bank.fits(members) else None

    def _bits(self, members: Mapping[int, Adapter], width: int) -> Tensor | None:
        """Random bits (rows, width) for all members, where they are drawn together and any of them are needed."""
        current = self.current
        if current.pools is None or not any(threshold(adapter.dropout) for adapter in members.values()):
            return None
        at = current.pools.count(self.path)  # ALBERT's layers are one module, called again and again
        return current.pools.take("lora", self.path, at, current.parts(), width, together=1)

    def _part(self, adapter: Adapter, slot: int, tokens: slice, width: int, bits: Tensor | None) -> _Part:
        if not self.current.draws or not threshold(adapter.dropout):
            return _Part(tokens, adapter.scale, None)
        if bits is None:
            rows = tokens.stop - tokens.start
            keep = keep_mask(rows * width, adapter.dropout, self.current.draws[slot]).view(rows, width)
        else:
            keep = bits[tokens] >= lowest_kept(adapter.dropout)
        return _Part(tokens, adapter.scale * kept_scale(adapter.dropout), keep)

    def forward(self, x: Tensor) -> Tensor:
        """x (..., tokens, in) -> (..., tokens, out)."""
        current, members, width = self.current, self.members(), x.shape[-1]
        bits = self._bits(members, width)
        if self._bank is not None and current.groups is not None:
            keep = None if bits is None else self._bank.keep(bits, current.groups[0])
            return grouped_linear(x, self.base.weight, self.base.bias, self._bank, current.groups[0], keep)
        # A member by itself owns all rows, also those that are no tokens (DeBERTa's relative positions).
        everything = slice(0, x.numel() // width) if len(current.segments) == 1 else None
        parts, matrices = [], []
        for segment in current.segments:
            adapter = members.get(segment.slot)
            if adapter is not None:
                parts.append(self._part(adapter, segment.slot, everything or segment.tokens, width, bits))
                matrices += [adapter.a, adapter.b]
        if not parts:
            return functional.linear(x, self.base.weight, self.base.bias)
        result: Tensor = _Stacked.apply(x, self.base.weight, self.base.bias, tuple(parts), *matrices)  # type: ignore[no-untyped-call]
        return result
