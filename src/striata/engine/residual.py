"""The end of a block, fused: dense layer, dropout, residual addition, layer norm."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .dropout import StackedDropout, hidden_mask
from .forward_pass import current_pass, go_on_with
from .masks import apply_dropout, as_integers, drop_count, inverted_scale


class _DropAdd(torch.autograd.Function):
    """residual + dropout(x); overwrites x, which the layer before it has just made and nobody else needs."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, residual: Tensor, mask: Tensor, p: float) -> Tensor:
        ctx.save_for_backward(mask)
        ctx.p = p
        if mask.dtype == torch.bool:
            return residual + apply_dropout(x, mask, p)
        bits = as_integers(x)
        bits.bitwise_and_(mask.to(bits.dtype))
        return torch.add(residual, x, alpha=inverted_scale(p))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (mask,) = ctx.saved_tensors
        return apply_dropout(grad, mask, ctx.p) if ctx.needs_input_grad[0] else None, grad, None, None


class ResidualOutput(nn.Module):
    """Stands in for the output modules of BERT's relatives; its layers keep their names.

    Args:
        replaced: has `dense`, `dropout` (stacked) and `LayerNorm`, applied in this order with the residual added before the norm.
        last: whether what comes after it is only read at first tokens, so that the other tokens can be left out.
    """

    def __init__(self, replaced: nn.Module, *, last: bool) -> None:
        super().__init__()
        self.dense, self.LayerNorm = replaced.get_submodule("dense"), replaced.get_submodule("LayerNorm")
        dropout = replaced.get_submodule("dropout")
        assert isinstance(dropout, StackedDropout)
        self.dropout, self.last = dropout, last

    def forward(self, hidden_states: Tensor, input_tensor: Tensor) -> Tensor:
        """Hidden states (1, tokens, in) and the residual (1, tokens, size) -> (1, tokens or sequences, size)."""
        running, p = current_pass(), self.dropout.p
        if self.last and running.first_tokens is not None:
            index, running = running.first_tokens.index, running.first_tokens.rest
            hidden_states, input_tensor = (x.index_select(1, index) for x in (hidden_states, input_tensor))
            go_on_with(running)
        x = self.dense(hidden_states)
        if running.streams and drop_count(p):
            mask = hidden_mask(running, x.shape, p)
            total: Tensor = _DropAdd.apply(x, input_tensor, mask, p)  # type: ignore[no-untyped-call]
        else:
            total = x + input_tensor if x.requires_grad else x.add_(input_tensor)
        normed: Tensor = self.LayerNorm(total)
        return normed
