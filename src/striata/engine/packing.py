"""A batch's sequences in buckets of near-equal length, for attention.

The grid of padded lengths is fixed, so that a sequence's bucket depends on its own length only; that keeps a member's dropout
masks independent of its neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .batch import Batch, on_device


@dataclass(frozen=True, slots=True)
class Bucket:
    """Sequences that are padded to one length inside attention.

    Args:
        rows: sequences in the bucket.
        length: tokens each is padded to.
        first: place of its first token among all buckets' places.
        bias: 0 for keys and -inf for padding, (rows, 1, 1, length) in the encoder's dtype, or None when there is no padding.
        members: (slot, first row, last row + 1) of each member in the bucket.
    """

    rows: int
    length: int
    first: int
    bias: Tensor | None
    members: tuple[tuple[int, int, int], ...]


class Places(NamedTuple):
    """Where heads of tokens lie among the buckets, which are (rows, heads, length) one behind another.

    Args:
        gather: for each place the head of a token, token * heads + head; padding points at its sequence's first token.
        scatter: for each head of a token its place, (tokens * heads,).
        padding: places that are no tokens, or None.
    """

    gather: Tensor
    scatter: Tensor
    padding: Tensor | None


@dataclass(frozen=True, slots=True)
class Packing:
    """A batch's sequences in buckets.

    Args:
        buckets: by padded length.
        tokens: token index of every place, (rows, length) int64 of each bucket, on the host.
        inside: which places are tokens, (rows, length) bool of each bucket, on the host.
        count: tokens in all.
        device: where attention runs.
    """

    buckets: tuple[Bucket, ...]
    tokens: tuple[np.ndarray, ...]
    inside: tuple[np.ndarray, ...]
    count: int
    device: torch.device
    _by_heads: dict[int, Places] = field(default_factory=dict)

    def places(self, heads: int) -> Places:
        """Indices for this many heads; the layers of an encoder share them."""
        if heads not in self._by_heads:
            self._by_heads[heads] = self._places(heads)
        return self._by_heads[heads]

    def _places(self, heads: int) -> Places:
        """Made on the host, which then need not wait for the device to say how many there are."""
        head = np.arange(heads)[:, None]
        gather = np.concatenate([(tokens[:, None] * heads + head).ravel() for tokens in self.tokens])
        real = np.concatenate([np.broadcast_to(i[:, None], (len(i), heads, i.shape[1])).ravel() for i in self.inside])
        place = np.flatnonzero(real)
        scatter = np.empty(self.count * heads, np.int64)
        scatter[gather[place]] = place

        def indices(values: np.ndarray) -> Tensor:
            return on_device(torch.from_numpy(values), self.device)

        padding = None if len(place) == len(real) else indices(np.flatnonzero(~real))
        return Places(indices(gather), indices(scatter), padding)


def padded_length(length: int, *, coarse: bool = False) -> int:
    """The bucket of a sequence: its length rounded up so that at most an eighth (or seven tokens) is padding.

    Args:
        length: tokens.
        coarse: round up to a power of two, at least 16, where fewer launches are worth more padding; beyond 128, where
            padding costs more, also to the steps halfway between.
    """
    if coarse:
        above = max(16, 1 << (length - 1).bit_length())
        return above * 3 // 4 if above > 128 and length <= above * 3 // 4 else above
    grain = max(8, 1 << max(0, length.bit_length() - 4))
    return -(-length // grain) * grain


def pack(batch: Batch, dtype: torch.dtype = torch.float32, *, coarse: bool = False) -> Packing:
    """Groups a batch's sequences by padded length, members in order inside each bucket.

    Args:
        batch: the sequences.
        dtype: of attention's scores.
        coarse: whether lengths are rounded up further, see :func:`padded_length`.
    """
    owner = [s.slot for s in batch.segments for _ in range(s.sequences.stop - s.sequences.start)]
    groups: dict[int, list[int]] = {}
    for sequence, length in enumerate(batch.lengths):
        groups.setdefault(padded_length(length, coarse=coarse), []).append(sequence)
    lengths, device = np.array(batch.lengths), batch.ids.device
    starts = np.cumsum(lengths) - lengths
    buckets, tokens, insides, first = [], [], [], 0
    for length in sorted(groups):
        members: list[tuple[int, int, int]] = []
        for row, sequence in enumerate(groups[length]):
            if members and members[-1][0] == owner[sequence]:
                members[-1] = (owner[sequence], members[-1][1], row + 1)
            else:
                members.append((owner[sequence], row, row + 1))
        chosen, place = groups[length], np.arange(length)
        inside = place < lengths[chosen][:, None]
        bias = None
        if not inside.all():
            bias = on_device(torch.from_numpy(np.where(inside, 0.0, -np.inf)[:, None, None]).to(dtype), device)
        buckets.append(Bucket(rows=len(chosen), length=length, first=first, bias=bias, members=tuple(members)))
        tokens.append(starts[chosen][:, None] + place * inside)
        insides.append(inside)
        first += len(chosen) * length
    return Packing(tuple(buckets), tuple(tokens), tuple(insides), int(lengths.sum()), device)
