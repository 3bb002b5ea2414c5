"""Which rows are whose, as grouped products take it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .batch import Segment, on_device


@dataclass(frozen=True, slots=True)
class Groups:
    """The members' parts of a row axis, in the order of a stack's slots.

    Args:
        ends: last row + 1 of each slot's part, (slots,) int32; a slot without rows ends where the one before it does.
        owner: index of each row's slot, (rows,) int64.
    """

    ends: Tensor
    owner: Tensor


def group_segments(segments: Sequence[Segment], slots: Sequence[int], device: torch.device) -> tuple[Groups, Groups] | None:
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
