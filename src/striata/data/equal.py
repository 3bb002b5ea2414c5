"""Which texts are equal, so that copies of a row stay together."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import repeat

import numpy as np
import numpy.typing as npt


def normal(text: str) -> str:
    """What exact copies have in common: the text without case, and with single spaces."""
    return " ".join(text.casefold().split())


def equal_texts(texts: Sequence[str], pairs: Sequence[str] | None = None) -> npt.NDArray[np.int64]:
    """For each row the first row that has the same text (and second text), but for case and white space.

    Args:
        texts: n texts.
        pairs: n second texts.

    Returns:
        Places of rows, (n,).
    """
    first: dict[bytes, int] = {}
    result = np.empty(len(texts), np.int64)
    seconds = pairs if pairs is not None else repeat("", len(texts))
    for row, both in enumerate(zip(texts, seconds, strict=True)):
        key = "\0".join(map(normal, both)).encode(errors="surrogatepass")
        result[row] = first.setdefault(hashlib.blake2b(key, digest_size=16).digest(), row)
    return result
