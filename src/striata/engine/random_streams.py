"""Random bits: a stream of them for each member, which depends on its name, its seed and the step, and on nothing else.

Neither the neighbours in a stack nor what was drawn before matter, so that nothing of it has to be stored to go on after an
interruption.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor


def seed_of(*parts: str | int) -> int:
    """A seed in [0, 2**63) from names and numbers, the same on every machine."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


class RandomStream:
    """One member's stream of random bits; for one thread at a time.

    On a CPU the bits are raw words of SFC64, four 16-bit values to a word: `bernoulli_` costs twelve times as much, and torch's
    own 64-bit draws twice.

    Args:
        device: where the bits are needed.
        seed: where the stream begins.
    """

    def __init__(self, device: torch.device, seed: int = 0) -> None:
        self.device = device
        self._child: RandomStream | None = None
        if device.type != "cpu":
            self._generator = torch.Generator(device)
        self.restart(seed)

    def restart(self, seed: int) -> RandomStream:
        """Begins anew; equal seeds give equal streams."""
        self._seed = seed
        if self.device.type == "cpu":
            self._words = np.random.SFC64(seed)
        else:
            self._generator.manual_seed(seed)
        return self

    @property
    def seed(self) -> int:
        """Where the stream began."""
        return self._seed

    def child(self, *key: str | int) -> RandomStream:
        """The stream of something that has a name, from its start; valid until the next call."""
        if self._child is None:
            self._child = RandomStream(self.device)
        return self._child.restart(seed_of(self._seed, *key))

    def bits(self, count: int) -> Tensor:
        """The stream's next values, uniform int16 (count,)."""
        words = (count + 3) // 4
        if self.device.type == "cpu":
            return torch.from_numpy(self._words.random_raw(words).view(np.int16))[:count]
        values = torch.empty(4 * words, dtype=torch.int16, device=self.device)
        self._draw(values)
        return values[:count]

    def fill(self, out: Tensor) -> None:
        """Writes the stream's next values into int16 (count,)."""
        if self.device.type == "cpu" or len(out) % 4 or out.storage_offset() % 4:
            out.copy_(self.bits(len(out)))
        else:
            self._draw(out)

    def _draw(self, out: Tensor) -> None:
        out.view(torch.int64).random_(-(2**63), None, generator=self._generator)


class BitPool:
    """Random bits of all members for several places of one forward pass at once: one draw a member instead of one a place.

    The bits of a place depend on its name, the member and the step; who else is in the stack does not matter. A pool belongs
    to one pass, whose places come in one order.

    Args:
        streams: one per slot.
    """

    def __init__(self, streams: Mapping[int, RandomStream]) -> None:
        self._streams = streams
        self._drawn: dict[str, tuple[tuple[str | int, ...], Tensor]] = {}
        self._visits: dict[str, int] = {}

    def visit(self, name: str) -> int:
        """How often places of this name were visited in this pass before; counts one more visit."""
        before = self._visits.get(name, 0)
        self._visits[name] = before + 1
        return before

    def take(
        self, family: str, name: str, at: int, parts: Sequence[tuple[int, int, int]], width: int, *, together: int
    ) -> Tensor:
        """Uniform int16 (rows, width) for one of the places with a name.

        Args:
            family: of places that come one after another; the latest draw of each family is held.
            name: of the places.
            at: which of them, from 0.
            parts: (slot, first row, last row + 1) of each member, without gaps.
            width: values of a row.
            together: how many places are drawn at once.
        """
        group, column = divmod(at, together)
        rows, key = parts[-1][2], (name, width, group)
        if family not in self._drawn or self._drawn[family][0] != (*key, rows):
            bits = torch.empty(rows, together * width, dtype=torch.int16, device=self._streams[parts[0][0]].device)
            for slot, start, stop in parts:
                self._streams[slot].child(*key).fill(bits[start:stop].view(-1))
            self._drawn[family] = ((*key, rows), bits)
        return self._drawn[family][1][:, column * width : (column + 1) * width]
