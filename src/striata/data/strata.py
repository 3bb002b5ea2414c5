"""Rows with several labels, or with numbers, dealt into two parts."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


def iterative_parts(targets: Ints, rows: int, seed: int) -> tuple[Ints, Ints]:
    """A part with each label in proportion, by iterative stratification (Sechidis, Tsoumakas and Vlahavas 2011): the rarest label
    is dealt first, each of its rows to the side that lacks it most. A label with one row stays in the rest, any other comes to
    both sides where there is room.

    Args:
        targets: 0 or 1 for each label of each row, (n, labels).
        rows: of the part, above 0 and below n.
        seed: same seed, same part.

    Returns:
        Places of the part's rows and of the others, both in ascending order.
    """
    order = np.random.default_rng(seed).permutation(len(targets))
    counts = targets.sum(0)
    lacking = np.stack([np.maximum(counts * rows / len(targets), counts > 1), np.zeros(len(counts))])
    lacking[1] = np.maximum(counts - lacking[0], 1)
    lacking[0, counts == 1] = 0
    room = np.array([rows, len(targets) - rows])
    side = np.full(len(targets), -1)
    for label in np.argsort(counts, kind="stable"):
        for row in order[(targets[order, label] > 0) & (side[order] < 0)].tolist():
            _deal(row, int(label), targets, side, lacking, room)
    left = order[side[order] < 0]
    side[left[: room[0]]], side[left[room[0] :]] = 0, 1
    return np.flatnonzero(side == 0), np.flatnonzero(side == 1)


def number_parts(targets: npt.NDArray[np.floating], rows: int, seed: int) -> tuple[Ints, Ints]:
    """A part that has low and high numbers as all rows have them: the rows by size, those of one number in any order, cut into as
    many stretches of near-equal length as the part has rows, and of each stretch one row.

    Args:
        targets: of the rows, (n,).
        rows: of the part, above 0 and at most n.
        seed: same seed, same part.

    Returns:
        Places of the part's rows and of the others, both in ascending order.
    """
    generator = np.random.default_rng(seed)
    mixed = generator.permutation(len(targets))
    order = mixed[np.argsort(targets[mixed], kind="stable")]
    edges = np.arange(rows + 1) * len(targets) // rows
    chosen = np.zeros(len(targets), bool)
    chosen[order[generator.integers(edges[:-1], edges[1:])]] = True
    return np.flatnonzero(chosen), np.flatnonzero(~chosen)


def _deal(row: int, label: int, targets: Ints, side: Ints, lacking: npt.NDArray[np.float64], room: Ints) -> None:
    """Gives a row to the side that lacks a label most, of equals to the one with more room; all arrays but targets change."""
    chosen = max((0, 1), key=lambda one: (room[one] > 0, lacking[one, label], room[one]))
    side[row] = chosen
    lacking[chosen] -= targets[row]
    room[chosen] -= 1
