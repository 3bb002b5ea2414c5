"""Dropout in which each member's rows are masked from its own random stream."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

from .forward_pass import ForwardPass, current_pass
from .masks import draw_mask, draw_row_mask, drop_count, masked_dropout, pass_from


def hidden_mask(running: ForwardPass, shape: Sequence[int], p: float) -> Tensor:
    """The mask of hidden states in a pass with random streams.

    Args:
        running: the pass.
        shape: (1, rows, ...) with each member's rows in its segment, or any shape where one member has it all.
        p: share of the elements that are dropped.
    """
    parts, count = running.parts(), math.prod(shape)
    if running.pool is not None:
        at, width = running.pool.visit("hidden"), count // parts[-1][2]
        mask = running.pool.take("hidden", "hidden", at, parts, width, together=8) >= pass_from(p)
    elif len(parts) == 1:
        mask = draw_mask(count, p, running.streams[parts[0][0]])
    else:
        mask = draw_row_mask(running.streams, parts, count // parts[-1][2], p)
    return mask.view(*shape)


class StackedDropout(nn.Module):
    """Stands in for an encoder's `nn.Dropout`. Whether it drops is up to the running pass, not to the module's own mode.

    Args:
        p: share of the elements that are dropped.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Masks x (1, rows, ...) by segments, or any shape where one member has it all."""
        running = current_pass()
        if not running.streams or drop_count(self.p) == 0:
            return x
        return masked_dropout(x, hidden_mask(running, x.shape, self.p), self.p)

    def extra_repr(self) -> str:
        return f"p={self.p}"
