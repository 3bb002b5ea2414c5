"""Attention and random bits of a forward pass by kernels, where a GPU has them; see :mod:`striata.engine.kernels`."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .batch import Batch, on_device
from .masks import drop_count, inverted_scale
from .random_streams import BitPool, RandomStream, seed_of

_PLACES = 2**31


@cache
def kernels_work(device: torch.device) -> bool:
    """Whether a kernel can be compiled and run here; where Triton is there and cannot, a warning says why."""
    if device.type != "cuda" or find_spec("triton") is None:
        return False
    try:
        from .kernels import random_bits

        one = torch.zeros(1, dtype=torch.int64, device=device)
        random_bits(one, one, 0, 8)
    except Exception as error:  # whatever Triton, the compiler or the driver object to: there is another way
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        warnings.warn(f"kernels cannot be compiled for {device}, steps there take longer without them: {why}", stacklevel=2)
        return False
    return True


@dataclass(frozen=True, slots=True, eq=False)
class Sequences:
    """A batch's sequences as the kernels of attention take them.

    Args:
        starts: first token of each, (sequences,) int64 on the host.
        lengths: tokens of each, (sequences,) int64 on the host.
        seeds: of each one's member, (sequences,) int64 on the host.
        numbers: of each one within its member, (sequences,) int64 on the host.
        device: where attention runs.
    """

    starts: np.ndarray
    lengths: np.ndarray
    seeds: np.ndarray
    numbers: np.ndarray
    device: torch.device
    _by_block: dict[int, Tensor] = field(default_factory=dict)

    def table(self, block: int) -> Tensor:
        """A line for each block of so many rows; see :func:`striata.engine.kernels.attend`. The layers share it."""
        if block not in self._by_block:
            blocks = -(-self.lengths // block)
            first = block * (np.arange(blocks.sum()) - np.repeat(np.cumsum(blocks) - blocks, blocks))
            parts = (self.starts, self.lengths, self.seeds, self.numbers)
            starts, lengths, seeds, numbers = (np.repeat(part, blocks) for part in parts)
            lines = np.stack([starts, lengths, first, seeds, numbers], 1)
            self._by_block[block] = on_device(torch.from_numpy(lines), self.device)
        return self._by_block[block]


def sequences_of(batch: Batch, streams: Mapping[int, RandomStream]) -> Sequences:
    """The sequences of a batch, with the seeds of the members' streams; without streams nothing is drawn."""
    lengths = np.array(batch.lengths, np.int64)
    counts = [segment.sequences.stop - segment.sequences.start for segment in batch.segments]
    seeds = [streams[segment.slot].seed if streams else 0 for segment in batch.segments]
    return Sequences(
        starts=np.cumsum(lengths) - lengths,
        lengths=lengths,
        seeds=np.repeat(np.array(seeds, np.int64), counts),
        numbers=np.concatenate([np.arange(count) for count in counts]),
        device=batch.ids.device,
    )


class SeededBits(BitPool):
    """Random bits of all members in one launch a place, however many members there are.

    Args:
        streams: one per slot.
    """

    def __init__(self, streams: Mapping[int, RandomStream]) -> None:
        super().__init__(streams)
        self._rows: dict[tuple[tuple[int, int, int], ...], tuple[Tensor, Tensor]] = {}

    def take(
        self, family: str, name: str, at: int, parts: Sequence[tuple[int, int, int]], width: int, *, together: int
    ) -> Tensor:
        """Uniform int16 (rows, width) for one of the places with a name; see :meth:`BitPool.take`."""
        from .kernels import random_bits

        seeds, numbers = self._of_rows(tuple(parts))
        return random_bits(seeds, numbers, seed_of(name, at) % _PLACES, width)

    def _of_rows(self, parts: tuple[tuple[int, int, int], ...]) -> tuple[Tensor, Tensor]:
        """The seed of each row's member, and the row's number within it."""
        if parts not in self._rows:
            device = self._streams[parts[0][0]].device
            counts = [stop - start for _, start, stop in parts]
            seeds = np.repeat(np.array([self._streams[slot].seed for slot, _, _ in parts], np.int64), counts)
            numbers = np.concatenate([np.arange(count) for count in counts])
            both = on_device(torch.from_numpy(np.stack([seeds, numbers])), device)
            self._rows[parts] = (both[0], both[1])
        return self._rows[parts]


class _FusedAttention(torch.autograd.Function):
    """q, k, v (tokens, heads, size) -> (tokens, heads, size); probabilities are computed again on the way back."""

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, sequences: Sequences, layer: int, scale: float, p: float, window: int | None
    ) -> Tensor:
        from .kernels import attend, block_of

        q, k, v = (x.contiguous() for x in (q, k, v))
        table = sequences.table(block_of(q))
        drop = drop_count(p)
        ctx.settings = {
            "scale": scale, "layer": layer, "drop": drop, "inverse": inverted_scale(p) if drop else 1.0, "window": window
        }  # fmt: skip
        out, normalizer = attend(q, k, v, table, **ctx.settings)
        ctx.save_for_backward(q, k, v, out, normalizer, table)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        from .kernels import attend_backward

        grads = attend_backward(grad.contiguous(), *ctx.saved_tensors, **ctx.settings)
        return *grads, None, None, None, None, None


def fused_attention(
    q: Tensor, k: Tensor, v: Tensor, sequences: Sequences, *, layer: int, scale: float, dropout: float, window: int | None
) -> Tensor:
    """Attention within the sequences of a batch, in one launch.

    Args:
        q: (tokens, heads, size).
        k: (tokens, heads, size).
        v: (tokens, heads, size).
        sequences: of the batch.
        layer: which of the encoder's attentions it is.
        scale: factor of the scores.
        dropout: share of the probabilities dropped, by the members' seeds.
        window: a token sees those less than this far away; None for all.

    Returns:
        (tokens, heads, size).
    """
    result: Tensor = _FusedAttention.apply(q, k, v, sequences, layer, scale, dropout, window)  # type: ignore[no-untyped-call]
    return result
