"""A batch: one row of real tokens of many sequences, in which every member has a slice of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..data import Encoded


@dataclass(frozen=True, slots=True)
class Segment:
    """A member's part of a batch.

    Args:
        slot: the member's place in the stack.
        tokens: its slice of the token axis.
        sequences: its slice of the sequence axis.
    """

    slot: int
    tokens: slice
    sequences: slice


@dataclass(frozen=True, slots=True)
class Batch:
    """Sequences without padding.

    Args:
        ids: token ids, (tokens,) int64.
        positions: position of each token in its sequence, from 0, (tokens,) int64.
        types: token types for pairs of texts, (tokens,) int64, or None where all are 0.
        lengths: tokens of each sequence.
        firsts: index of each sequence's first token, (sequences,) int64.
        segments: the members' parts, in order, without gaps.
        embeddings: of the tokens before any layer, (tokens, size), for what asks how logits depend on them; None for those of
            their ids.
    """

    ids: Tensor
    positions: Tensor
    types: Tensor | None
    lengths: tuple[int, ...]
    firsts: Tensor
    segments: tuple[Segment, ...]
    embeddings: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Shared:
    """Layers that are one and the same for all members of a batch, who read the same texts in the same order.

    Args:
        once: the texts as one member's batch.
        layers: paths of the other layers, from the first in which a member differs.
    """

    once: Batch
    layers: tuple[str, ...]


def collate(parts: Sequence[tuple[int, Encoded]], device: torch.device) -> Batch:
    """Lays the texts of each member behind one another; the only collate there is.

    Args:
        parts: for each member its slot and its texts (at least one text each).
        device: where the tensors go.
    """
    segments, lengths = [], []
    token = sequence = 0
    for slot, encoded in parts:
        size = int(encoded.lengths.sum())
        segments.append(Segment(slot, slice(token, token + size), slice(sequence, sequence + len(encoded))))
        lengths.append(encoded.lengths)
        token, sequence = token + size, sequence + len(encoded)
    counts = np.concatenate(lengths).astype(np.int64)
    firsts = np.cumsum(counts) - counts
    positions = np.arange(token) - np.repeat(firsts, counts)
    typed = any(encoded.types is not None for _, encoded in parts)
    types = np.concatenate([_types(encoded) for _, encoded in parts]) if typed else None

    def indices(values: np.ndarray) -> Tensor:
        return on_device(torch.from_numpy(values.astype(np.int64)), device)

    return Batch(
        ids=indices(np.concatenate([encoded.ids for _, encoded in parts])),
        positions=indices(positions),
        types=None if types is None else indices(types),
        lengths=tuple(counts.tolist()),
        firsts=indices(firsts),
        segments=tuple(segments),
    )


def token_chunks(order: np.ndarray, lengths: np.ndarray, max_tokens: int) -> list[np.ndarray]:
    """Splits rows into runs of at most `max_tokens` tokens, at least one row each."""
    before = np.cumsum(lengths[order])
    borders, start, base = [], 0, 0
    while start < len(order):
        stop = max(start + 1, int(np.searchsorted(before, base + max_tokens, side="right")))
        borders.append(order[start:stop])
        base, start = int(before[stop - 1]), stop
    return borders


def on_device(values: Tensor, device: torch.device) -> Tensor:
    """A copy on the device that the host does not wait for; on a CPU the tensor itself."""
    return values if device.type == "cpu" else values.pin_memory().to(device, non_blocking=True)


def on_host(values: Tensor) -> Callable[[], list[float]]:
    """Begins to copy values to the host; the call that is returned waits for them, but not for what the device is given later."""
    if values.device.type == "cpu":
        return values.tolist
    copy = values.detach().to("cpu", non_blocking=True)
    arrived = torch.cuda.current_stream(values.device).record_event()

    def read() -> list[float]:
        arrived.synchronize()
        return copy.tolist()

    return read


def _types(encoded: Encoded) -> np.ndarray:
    return np.zeros(len(encoded.ids), np.int8) if encoded.types is None else encoded.types
