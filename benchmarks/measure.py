"""What makes figures from a shared machine worth reading: alternation, medians, and the range of the ratios."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table.

    Args:
        name: of the row, as the command line takes it.
        work: what was measured.
        unit: of `ours` and `peer`.
        ours: median.
        peer: median of what it is compared with.
        versus: what it is compared with.
        ratio: median of the ratios of neighbouring measurements.
        lowest: least of them.
        highest: greatest of them.
        target: what the ratio should be.
        better: "higher" or "lower".
    """

    name: str
    work: str
    unit: str
    ours: float
    peer: float
    versus: str
    ratio: float
    lowest: float
    highest: float
    target: float
    better: str = "higher"

    @property
    def met(self) -> bool:
        """Whether the median reaches the target."""
        return self.ratio >= self.target if self.better == "higher" else self.ratio <= self.target

    def to_json(self) -> dict[str, Any]:
        """All fields, and whether the target was met."""
        return asdict(self) | {"met": self.met}


def row(
    name: str, work: str, unit: str, ours: Sequence[float], peer: Sequence[float], ratios: Sequence[float], **rest: Any
) -> Row:
    """A row from measurements that alternated: `ours[i]`, `peer[i]` and `ratios[i]` are of one alternation."""
    return Row(
        name=name, work=work, unit=unit, ours=statistics.median(ours), peer=statistics.median(peer),
        ratio=statistics.median(ratios), lowest=min(ratios), highest=max(ratios), **rest,
    )  # fmt: skip


def quotients(upper: Sequence[float], lower: Sequence[float]) -> list[float]:
    """upper[i] / lower[i]."""
    return [a / b for a, b in zip(upper, lower, strict=True)]


class Product:
    """One large matrix product: the arithmetic the machine reaches when nothing is in its way.

    Args:
        dtype: of the product.
        device: "cpu" or "cuda".
    """

    def __init__(self, dtype: torch.dtype, device: str) -> None:
        size = 8192 if device == "cuda" else 4096 if dtype == torch.bfloat16 else 2048
        self._a, self._b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
        self._flop, self._cuda = 2 * size**3, device == "cuda"
        self.rate()

    def rate(self) -> float:
        """FLOP per second, the best of three."""
        best = float("inf")
        for _ in range(3):
            started = time.perf_counter()
            torch.matmul(self._a, self._b)
            if self._cuda:
                torch.cuda.synchronize()
            best = min(best, time.perf_counter() - started)
        return self._flop / best
