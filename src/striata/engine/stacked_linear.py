"""A frozen linear layer with one low-rank adapter per member (LoRA, Hu et al. 2021, arXiv:2106.09685)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from .adapter import Adapter, Effect
from .bank import Bank, grouped_linear
from .forward_pass import ForwardPass, current_pass
from .masks import apply_mask, draw_mask, drop_count, inverted_scale, pass_from


class _Part(NamedTuple):
    """A member's share of a layer's input: its rows, the factor of its product, and the mask of the product's input."""

    tokens: slice
    scale: float  # with that of dropout where there is a mask
    mask: Tensor | None


class _Stacked(torch.autograd.Function):
    """x W' + b, plus for each member scale * (dropout(x) A') B' on its own tokens."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, parts: tuple[_Part, ...], *matrices: Tensor) -> Tensor:
        flat = x.reshape(-1, x.shape[-1])
        out = functional.linear(flat, weight, bias)
        low = []
        for part, a, b in zip(parts, matrices[::2], matrices[1::2], strict=True):
            h = apply_mask(flat[part.tokens], part.mask) @ a.to(x.dtype).t()
            out[part.tokens].addmm_(h, b.to(x.dtype).t(), alpha=part.scale)
            low.append(h)
        ctx.parts = parts
        ctx.save_for_backward(flat, weight, *matrices, *low)
        return out.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        count = len(ctx.parts)
        flat, weight, *others = ctx.saved_tensors
        matrices, low = others[: 2 * count], others[2 * count :]
        grad_out = grad.reshape(-1, grad.shape[-1])
        grad_in = grad_out @ weight if ctx.needs_input_grad[0] else None
        grads: list[Tensor] = []
        for part, a, b, h in zip(ctx.parts, matrices[::2], matrices[1::2], low, strict=True):
            rows = grad_out[part.tokens]
            grad_low = (rows @ b.to(rows.dtype)).mul_(part.scale)
            grads.append((grad_low.t() @ apply_mask(flat[part.tokens], part.mask)).to(a.dtype))
            grads.append((rows.t() @ h).mul_(part.scale).to(b.dtype))
            if grad_in is not None:
                grad_in[part.tokens] += apply_mask(grad_low @ a.to(rows.dtype), part.mask)
        shaped = None if grad_in is None else grad_in.view(*grad.shape[:-1], -1)
        return shaped, None, None, None, *grads


class StackedLinear(nn.Module):
    """Stands in for one of the encoder's linear layers.

    Args:
        base: the encoder's own layer, frozen.
        path: where it is in the encoder.

    Attributes:
        adapters: the members' adapters here by slot (as text, since modules want names).
    """

    def __init__(self, base: nn.Linear, path: str = "") -> None:
        super().__init__()
        self.base, self.path = base, path
        self.adapters = nn.ModuleDict()
        self._bank: Bank | None = None

    def adapter(self, slot: int) -> Adapter | None:
        """The member's adapter here, if it has one."""
        name = str(slot)
        if name not in self.adapters:
            return None
        adapter = self.adapters[name]
        assert isinstance(adapter, Adapter)
        return adapter

    def effective(self, slot: int) -> Effect | None:
        """What the next forward pass will do for a member here, read from what it multiplies; None where it does nothing."""
        adapter = self.adapter(slot)
        if self._bank is not None:
            return self._bank.effective(slot, adapter)
        return None if adapter is None else adapter.effect()

    def regroup(self, slots: Sequence[int], *, banked: bool) -> None:
        """Takes in which members there are; to be called when members came or left, and no pass is under way.

        Args:
            slots: of all members of the stack, in order.
            banked: whether the members' products are to share launches, where sizes allow it.
        """
        members = {slot: adapter for slot in slots if (adapter := self.adapter(slot)) is not None}
        self._bank = Bank(slots, members) if banked and Bank.fits(members) else None

    def _bits(self, running: ForwardPass, width: int) -> Tensor | None:
        """Random bits (rows, width) for all members, where they are drawn together and any of them are needed."""
        dropouts = [adapter.dropout for adapter in self.adapters.values() if isinstance(adapter, Adapter)]
        if running.pool is None or not any(map(drop_count, dropouts)):
            return None
        at = running.pool.visit(self.path)  # ALBERT's layers are one module, called again and again
        return running.pool.take("lora", self.path, at, running.parts(), width, together=1)

    def _part(self, running: ForwardPass, slot: int, adapter: Adapter, tokens: slice, width: int, bits: Tensor | None) -> _Part:
        if not running.streams or not drop_count(adapter.dropout):
            return _Part(tokens, adapter.scale, None)
        if bits is None:
            rows = tokens.stop - tokens.start
            mask = draw_mask(rows * width, adapter.dropout, running.streams[slot]).view(rows, width)
        else:
            mask = bits[tokens] >= pass_from(adapter.dropout)
        return _Part(tokens, adapter.scale * inverted_scale(adapter.dropout), mask)

    def forward(self, x: Tensor) -> Tensor:
        """x (..., tokens, in) -> (..., tokens, out)."""
        running, width = current_pass(), x.shape[-1]
        merged = running.merged.get(self.path)
        if merged is not None:
            return functional.linear(x, merged, self.base.bias)
        bits = self._bits(running, width)
        if self._bank is not None and running.groups is not None:
            mask = None if bits is None else self._bank.mask(bits, running.groups)
            return grouped_linear(x, self.base.weight, self.base.bias, self._bank, running.groups, mask)
        # A member by itself owns all rows, also those that are no tokens (DeBERTa's relative positions).
        everything = slice(0, x.numel() // width) if len(running.segments) == 1 else None
        parts, matrices = [], []
        for segment in running.segments:
            adapter = self.adapter(segment.slot)
            if adapter is not None:
                parts.append(self._part(running, segment.slot, adapter, everything or segment.tokens, width, bits))
                matrices += [adapter.a, adapter.b]
        if not parts:
            return functional.linear(x, self.base.weight, self.base.bias)
        result: Tensor = _Stacked.apply(x, self.base.weight, self.base.bias, tuple(parts), *matrices)  # type: ignore[no-untyped-call]
        return result
