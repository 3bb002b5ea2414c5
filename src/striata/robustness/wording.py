"""How two sets of texts differ in length and words, each difference beside what chance alone makes of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from ..data.copies import words

_SHOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """Lengths and words of known and other texts.

    Args:
        tokens_known: mean tokens of a text, after truncation.
        tokens_other: likewise.
        length_p_value: of the hypothesis that lengths in tokens are distributed alike (Kolmogorov and Smirnov, two samples).
        unseen_known: share of the words of one half of the known texts that the other half does not have.
        unseen_other: share of the words of the other texts that the same half of the known texts does not have.
        divergence_known: Jensen-Shannon divergence in bits between the words of the two halves of the known texts.
        divergence_other: between the words of a half of the known texts and of as many other texts.
        words: that add most to the divergence because the other texts have more of them.
    """

    tokens_known: float
    tokens_other: float
    length_p_value: float
    unseen_known: float
    unseen_other: float
    divergence_known: float
    divergence_other: float
    words: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """All fields."""
        return {**asdict(self), "words": list(self.words)}


def compare_wording(
    known: Sequence[str], other: Sequence[str], lengths: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]], *, seed: int
) -> Wording:
    """Compares lengths and words.

    Args:
        known: at least two texts.
        other: at least one.
        lengths: tokens of both.
        seed: of the halves.
    """
    from scipy.stats import ks_2samp

    rng = np.random.default_rng(seed)
    order = rng.permutation(len(known))
    size = min(len(known) // 2, len(other))
    base, twin = (_count(known, rows) for rows in (order[:size], order[size : 2 * size]))
    new = _count(other, rng.permutation(len(other))[:size])
    apart, parts = _divergence(base, new)
    return Wording(
        tokens_known=float(lengths[0].mean()),
        tokens_other=float(lengths[1].mean()),
        length_p_value=float(ks_2samp(lengths[0], lengths[1]).pvalue),
        unseen_known=_unseen(base, twin),
        unseen_other=_unseen(base, new),
        divergence_known=_divergence(base, twin)[0],
        divergence_other=apart,
        words=tuple(sorted(parts, key=lambda word: (-parts[word], word))[:_SHOWN]),
    )


def _count(texts: Sequence[str], rows: npt.NDArray[np.int64]) -> Counter[str]:
    return Counter(word for row in rows for word in words(texts[row]))


def _unseen(base: Counter[str], new: Counter[str]) -> float:
    return sum(count for word, count in new.items() if word not in base) / max(1, new.total())


def _divergence(first: Counter[str], second: Counter[str]) -> tuple[float, dict[str, float]]:
    """Jensen-Shannon divergence in bits, and what each word that the second has more of adds to it."""
    vocabulary = sorted(first.keys() | second.keys())
    p = np.array([first[word] for word in vocabulary]) / max(1, first.total())
    q = np.array([second[word] for word in vocabulary]) / max(1, second.total())
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = (np.where(p > 0, p * np.log2(p / middle), 0) + np.where(q > 0, q * np.log2(q / middle), 0)) / 2
    parts = {word: float(part) for word, part, more in zip(vocabulary, shares, q > p, strict=True) if more}
    return float(shares.sum()), parts
