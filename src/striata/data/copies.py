"""Exact and near copies among texts: MinHash finds candidates, the shingles themselves decide.

Nothing grows with the square of the rows: 128 numbers are kept for each text, and in a bucket of texts that share a band of them
each text meets at most 16 others.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .equal import normal

NEAR = 0.7  # least share of word triples in common
_WORDS = 3  # in a shingle
_BANDS, _WIDE = 32, 4  # two texts at 0.7 are missed with probability (1 - 0.7 ** 4) ** 32, two in ten thousand
_MOST = 16
_AT_ONCE = 1 << 15  # shingles hashed together: bounds the memory

Hashes = npt.NDArray[np.uint64]
Pairs = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A text that occurs among others.

    Args:
        row: its place.
        other: the place of the text it resembles most.
        similarity: share of word triples the two have in common (Jaccard).
        exact: whether they are equal but for case and white space.
    """

    row: int
    other: int
    similarity: float
    exact: bool


def words(text: str) -> list[str]:
    """The words of a text without case and punctuation."""
    return re.findall(r"\w+", text.casefold())


class _Sketches:
    """Shingles and MinHash bands of texts.

    Args:
        texts: any.
        known: hashes of words seen so far, shared by the sketches that are compared.
    """

    def __init__(self, texts: Iterable[str], known: dict[str, int]) -> None:
        self.shingles = [_shingles(text, known) for text in texts]
        self.bands = _bands(self.shingles)

    def similarity(self, at: int, others: _Sketches, other: int) -> float:
        own, other_own = self.shingles[at], others.shingles[other]
        common = len(np.intersect1d(own, other_own, assume_unique=True))
        return common / (len(own) + len(other_own) - common)


def _shingles(text: str, known: dict[str, int]) -> Hashes:
    hashes = []
    for word in words(text) or [normal(text)]:
        if word not in known:
            known[word] = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")
        hashes.append(known[word])
    words_hashed = np.array(hashes, np.uint64)
    mixed = words_hashed[: max(1, len(words_hashed) - _WORDS + 1)].copy()
    for step in range(1, min(_WORDS, len(words_hashed))):
        mixed = mixed * np.uint64(0x9E3779B97F4A7C15) + np.roll(words_hashed, -step)[: len(mixed)]
        mixed ^= mixed >> np.uint64(29)
    return np.unique(mixed)


def _bands(shingles: Sequence[Hashes]) -> Hashes:
    """(bands, texts): equal where two texts agree in all the minima of a band."""
    draws = np.random.default_rng(20000101)
    factors = draws.integers(1, 2**63, _BANDS * _WIDE, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    result = np.empty((_BANDS, len(shingles)), np.uint64)
    lengths = np.array([len(own) for own in shingles], np.int64)
    first = 0
    while first < len(shingles):
        last = first + max(1, int(np.searchsorted(np.cumsum(lengths[first:]), _AT_ONCE, side="right")))
        flat = np.concatenate(shingles[first:last])
        starts = np.cumsum(lengths[first:last]) - lengths[first:last]
        minima = np.stack([np.minimum.reduceat(flat * factor >> np.uint64(16), starts) for factor in factors])
        key = np.zeros((_BANDS, last - first), np.uint64)
        for at in range(_WIDE):
            key = (key ^ minima[at::_WIDE]) * np.uint64(0x9E3779B97F4A7C15)
        result[:, first:last] = key
        first = last
    return result


def _between(first: Hashes, second: Hashes) -> Pairs:
    """Pairs (row of mine, row of theirs) with an equal band, each once."""
    pairs = [np.zeros((0, 2), np.int64)]
    for queries, keys in zip(first, second, strict=True):
        order = np.argsort(keys, kind="stable")
        ranked = keys[order]
        low, high = np.searchsorted(ranked, queries, "left"), np.searchsorted(ranked, queries, "right")
        for step in range(min(_MOST, int((high - low).max(initial=0)))):
            rows = np.flatnonzero(low + step < high)
            pairs.append(np.stack([rows, order[low[rows] + step]], 1))
    return np.unique(np.concatenate(pairs), axis=0)


def _among(bands: Hashes) -> Pairs:
    """Pairs of rows with an equal band, each once, the smaller row first."""
    pairs = [np.zeros((0, 2), np.int64)]
    for keys in bands:
        order = np.argsort(keys, kind="stable")
        ranked = keys[order]
        for step in range(1, min(_MOST + 1, len(keys))):
            at = np.flatnonzero(ranked[:-step] == ranked[step:])
            if not len(at):
                break
            pairs.append(np.sort(np.stack([order[at], order[at + step]], 1), axis=1))
    return np.unique(np.concatenate(pairs), axis=0)


def find_copies(texts: Sequence[str], others: Sequence[str], *, near: float = NEAR) -> list[Copy]:
    """The texts that occur among others, word for word or nearly.

    Args:
        texts: to look for.
        others: to look in.
        near: least share of word triples in common.

    Returns:
        For each text that has a copy the best one, in the order of the texts.
    """
    first: dict[str, int] = {}
    for at, text in enumerate(others):
        first.setdefault(normal(text), at)
    copies: dict[int, Copy] = {}
    rest = []
    for row, text in enumerate(texts):
        other = first.get(normal(text))
        if other is None:
            rest.append(row)
        else:
            copies[row] = Copy(row=row, other=other, similarity=1.0, exact=True)
    known: dict[str, int] = {}
    places = list(first.values())
    sketches, other_sketches = _Sketches((texts[row] for row in rest), known), _Sketches((others[at] for at in places), known)
    for a, b in _between(sketches.bands, other_sketches.bands).tolist():
        similarity = sketches.similarity(a, other_sketches, b)
        before = copies.get(rest[a])
        if similarity >= near and (before is None or similarity > before.similarity):
            copies[rest[a]] = Copy(row=rest[a], other=places[b], similarity=similarity, exact=False)
    return [copies[row] for row in sorted(copies)]


def conflicting(texts: Sequence[str], labels: Sequence[str], *, near: float = NEAR) -> list[Copy]:
    """Pairs of texts that are copies of each other and have different labels, most alike first.

    Args:
        texts: any.
        labels: one for each text.
        near: least share of word triples in common.
    """
    first: dict[tuple[str, str], int] = {}
    for row, (text, label) in enumerate(zip(texts, labels, strict=True)):
        first.setdefault((normal(text), label), row)
    places = list(first.values())
    sketches = _Sketches((texts[row] for row in places), {})
    pairs = []
    for a, b in _among(sketches.bands).tolist():
        one, two = places[a], places[b]
        if labels[one] != labels[two] and (similarity := sketches.similarity(a, sketches, b)) >= near:
            pairs.append(Copy(row=one, other=two, similarity=similarity, exact=normal(texts[one]) == normal(texts[two])))
    return sorted(pairs, key=lambda copy: (not copy.exact, -copy.similarity, copy.row, copy.other))
