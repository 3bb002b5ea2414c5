"""The end of a block, fused: dense layer, dropout, residual addition, layer norm."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .dropout import Pass, drop, integers, keep_masks, kept_scale, threshold

_CHILDREN = {"dense", "dropout", "LayerNorm"}


class _DropAdd(torch.autograd.Function):
    """residual + dropout(x); overwrites x, which the layer before it has just made and nobody else needs."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, residual: Tensor, keep: Tensor, p: float) -> Tensor:
        ctx.save_for_backward(keep)
        ctx.p = p
        if keep.dtype == torch.bool:
            return residual + drop(x, keep, p)
        bits = integers(x)
        bits.bitwise_and_(keep.to(bits.dtype))
        return torch.add(residual, x, alpha=kept_scale(p))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (keep,) = ctx.saved_tensors
        into = None
        if ctx.needs_input_grad[0]:
            into = drop(grad, keep, ctx.p)
        return into, grad, None, None


class ResidualOutput(nn.Module):
    """Stands in for the output modules of BERT's relatives; its layers keep their names.

    Args:
        replaced: has `dense`, `dropout` and `LayerNorm`, applied in this order with the residual added before the norm.
        current: the pass under way, shared by all modules of the encoder.
        last: whether what comes after it is only read at first tokens, so that the other tokens can be left out.
    """

    def __init__(self, replaced: nn.Module, current: Pass, *, last: bool) -> None:
        super().__init__()
        self.dense, self.LayerNorm = replaced.get_submodule("dense"), replaced.get_submodule("LayerNorm")
        self.dropout = replaced.get_submodule("dropout")
        self.current, self.last = current, last

    @staticmethod
    def fits(module: nn.Module) -> bool:
        """Whether a module has just the layers that this one has."""
        return {name for name, _ in module.named_children()} == _CHILDREN

    def forward(self, hidden_states: Tensor, input_tensor: Tensor) -> Tensor:
        """Hidden states (1, tokens, in) and the residual (1, tokens, size) -> (1, tokens or sequences, size)."""
        current, p = self.current, float(getattr(self.dropout, "p", 0.0))
        if self.last and current.firsts is not None:
            hidden_states, input_tensor = (x.index_select(1, current.firsts) for x in (hidden_states, input_tensor))
            current.only_firsts()
        x = self.dense(hidden_states)
        if current.draws and threshold(p):
            keep = keep_masks(current, x.shape, p)
            total: Tensor = _DropAdd.apply(x, input_tensor, keep, p)  # type: ignore[no-untyped-call]
        else:
            total = x + input_tensor if x.requires_grad else x.add_(input_tensor)
        normed: Tensor = self.LayerNorm(total)
        return normed
