"""How much a server takes at once."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import StriataError


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much a server takes at once, and how long anything may take.

    Args:
        max_queue: texts that may wait; a request that does not fit is refused with 429.
        max_batch: most texts that are answered in one pass.
        wait_ms: how long the first text of a batch waits for others when nothing is being answered, in milliseconds.
        timeout: seconds from the first byte of a request to its answer.
        max_bytes: of a request's body.

    Raises:
        StriataError: a value is out of its range.
    """

    max_queue: int = 1024
    max_batch: int = 64
    wait_ms: float = 0.0
    timeout: float = 30.0
    max_bytes: int = 8 * 2**20

    def __post_init__(self) -> None:
        for name in ("max_queue", "max_batch", "max_bytes"):
            if getattr(self, name) < 1:
                raise StriataError(f"{getattr(self, name)}: expected at least 1", argument=name)
        if not 0 <= self.wait_ms <= 10_000:
            raise StriataError(f"{self.wait_ms:g}: expected from 0 to 10,000 milliseconds", argument="wait_ms")
        if not 0 < self.timeout <= 86_400:
            raise StriataError(f"{self.timeout:g}: expected more than 0 and at most 86,400 seconds", argument="timeout")
