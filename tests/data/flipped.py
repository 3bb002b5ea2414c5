"""Files with one bit changed."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from striata.data.folders import Reader
from striata.errors import DataError


def refused_when_flipped(file: Path, opened: Callable[[], Reader], count: int) -> int:
    """How often a file is refused, in one line, with a bit flipped and, half of the times, its end cut off; else it is read.

    Args:
        file: sound at first; left with other bytes.
        opened: a reader of it.
        count: of changed files.
    """
    whole, chance, refused = file.read_bytes(), random.Random(0), 0
    for _ in range(count):
        broken = bytearray(whole)
        broken[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        file.write_bytes(bytes(broken[: chance.choice([len(whole), chance.randrange(len(whole))])]))
        try:
            reader = opened()
            list(reader.chunks(reader.columns, rows=20))
        except DataError as error:
            assert "\n" not in str(error)
            refused += 1
    return refused
