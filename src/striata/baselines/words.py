"""Texts as TF-IDF: words, pairs of words and parts of words, or characters where words have no spaces."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

PART = "#"  # before a part of a word among the terms; scikit-learn's words have none
_CHUNK = 4096  # texts that are counted at once: bounds the memory of Python's own objects
# Thai, Lao, Burmese, Khmer, Japanese and Chinese
UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
_LETTERS = re.compile(r"[^\W\d_]")
_SHARE = 0.3  # of letters of such scripts, from which on characters are counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """What is counted in a text.

    Args:
        name: for people.
        analyzer: scikit-learn's: "word" or "char".
        ngrams: shortest and longest sequence.
        min_df: fewest rows of a sequence.
        fragment: length of the parts of words that are counted beside them, in characters; None for no parts.
    """

    name: str
    analyzer: Literal["word", "char"]
    ngrams: tuple[int, int]
    min_df: int
    fragment: int | None = None


WORDS = Analysis(name="words and pairs of words", analyzer="word", ngrams=(1, 2), min_df=2)
PARTS = Analysis(name="words, pairs of words, and parts of words", analyzer="word", ngrams=(1, 2), min_df=2, fragment=5)
CHARACTERS = Analysis(name="1 to 3 characters", analyzer="char", ngrams=(1, 3), min_df=2)


def unspaced(texts: Sequence[str]) -> bool:
    """Whether the texts' words have no spaces between them, as in Chinese, Japanese and Thai."""
    joined = " ".join(text[:1000] for text in texts[:: max(1, len(texts) // 1000)])
    return len(UNSPACED.findall(joined)) > _SHARE * max(1, len(_LETTERS.findall(joined)))


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How often each term occurs in each text; counted once, pruned in several ways.

    Args:
        analysis: what was counted; its `min_df` has not been applied.
        terms: all terms, in the order of the columns.
        first: sparse, (n, terms).
        second: of second texts, or None.
    """

    analysis: Analysis
    terms: npt.NDArray[np.object_]
    first: Any
    second: Any | None

    @classmethod
    def of(cls, analysis: Analysis, texts: Sequence[str], pairs: Sequence[str] | None) -> Counts | None:
        """Counts in texts (and second texts); None where there is nothing to count."""
        counter = _counter(analysis)
        try:
            counts = counter.fit_transform([*texts, *(pairs or ())])
        except ValueError:  # "empty vocabulary"
            return None
        counts = sp.csr_array(counts)
        counts.sort_indices()
        terms = counter.get_feature_names_out()
        second = None if pairs is None else counts[len(texts) :]
        return cls(analysis=analysis, terms=terms, first=counts[: len(texts)], second=second)

    def __len__(self) -> int:
        return int(self.first.shape[0])

    @property
    def entries(self) -> int:
        """How many numbers are not 0."""
        return int(self.first.nnz) + (0 if self.second is None else int(self.second.nnz))

    def take(self, places: npt.NDArray[np.int64]) -> Counts:
        """Those of the texts at `places`."""
        return replace(self, first=self.first[places], second=None if self.second is None else self.second[places])

    def weigh(self, min_df: int, most: int) -> tuple[Vectorizer, Any] | None:
        """The vocabulary of these texts and their features, as the vectorizer gives them; None where no term is left.

        Args:
            min_df: fewest texts of a term.
            most: largest number of columns; the most frequent terms are taken.
        """
        blocks = [self.first] if self.second is None else [self.first, self.second]
        held = np.sum([np.bincount(block.indices, minlength=len(self.terms)) for block in blocks], axis=0)
        chosen = np.flatnonzero(held >= min_df)
        if len(chosen) > (limit := max(1, most // (1 if self.second is None else 3))):
            often = np.sum([np.bincount(block.indices, block.data, len(self.terms)) for block in blocks], axis=0)[chosen]
            chosen = np.sort(chosen[np.argsort(-often, kind="stable")[:limit]])
        if not len(chosen):
            return None
        texts = len(self) * len(blocks)
        idf = (np.log((1 + texts) / (1 + held[chosen])) + 1).astype(np.float32)
        analysis = replace(self.analysis, min_df=min_df)
        vectorizer = Vectorizer(analysis, self.terms[chosen].tolist(), idf, paired=self.second is not None)
        first, *second = (block[:, chosen] for block in blocks)
        return vectorizer, vectorizer.features(first, second[0] if second else None)


class Vectorizer:
    """TF-IDF with a fixed vocabulary: (1 + log count) times idf, each text of length 1, as scikit-learn's `TfidfVectorizer`.

    Parts of words are a block of their own, also of length 1 in each text: there are many more of them than words.

    Pairs of texts are three blocks with one vocabulary: the first text, the second, and what both have (the geometric mean of
    the two values).

    Args:
        analysis: what is counted.
        terms: the vocabulary, in the order of the columns.
        idf: (terms,) float32.
        paired: whether rows are pairs of texts.
    """

    def __init__(self, analysis: Analysis, terms: Sequence[str], idf: npt.NDArray[np.float32], *, paired: bool) -> None:
        self.analysis, self.terms, self.idf, self.paired = analysis, list(terms), idf, paired
        self._counter = _counter(analysis, {term: at for at, term in enumerate(self.terms)})
        parts = analysis.fragment is not None
        self._blocks = np.array([parts and term.startswith(PART) for term in self.terms], np.int64)

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self.terms) * (3 if self.paired else 1)

    def transform(self, texts: Sequence[str], pairs: Sequence[str] | None) -> Any:
        """Sparse float32 features, (n, width); a row does not depend on its neighbours.

        Args:
            texts: n texts.
            pairs: n second texts where rows are pairs.
        """
        parts = [sp.csr_array((0, self.width), dtype=np.float32)]
        for at in range(0, len(texts), _CHUNK):
            first = self._counter.transform(texts[at : at + _CHUNK])
            some = (pairs or [""] * len(texts))[at : at + _CHUNK]
            parts.append(self.features(first, self._counter.transform(some) if self.paired else None))
        return sp.vstack(parts, format="csr")

    def features(self, first: Any, second: Any | None) -> Any:
        """Counts, (n, terms), as features, (n, width)."""
        one = self._weighted(first)
        if second is None:
            return one
        two = self._weighted(second)
        return sp.csr_array(sp.hstack([one, two, one.multiply(two).sqrt()], format="csr"))

    def _weighted(self, counts: Any) -> Any:
        result = sp.csr_array(counts, dtype=np.float32, copy=True)
        result.data = (np.log(result.data) + 1) * self.idf[result.indices]
        block = 2 * np.repeat(np.arange(result.shape[0]), np.diff(result.indptr)) + self._blocks[result.indices]
        lengths = np.sqrt(np.bincount(block, result.data.astype(np.float64) ** 2, 2 * result.shape[0]))
        result.data = (result.data / lengths[block]).astype(np.float32)
        return result


def _counter(analysis: Analysis, vocabulary: dict[str, int] | None = None) -> Any:
    from sklearn.feature_extraction.text import CountVectorizer

    settings = {"dtype": np.float32, "vocabulary": vocabulary}
    if analysis.fragment is None:
        return CountVectorizer(analyzer=analysis.analyzer, ngram_range=analysis.ngrams, **settings)
    words = CountVectorizer(analyzer=analysis.analyzer, ngram_range=analysis.ngrams).build_analyzer()
    parts = CountVectorizer(analyzer="char_wb", ngram_range=(analysis.fragment, analysis.fragment)).build_analyzer()
    return CountVectorizer(analyzer=lambda text: [*words(text), *(PART + part for part in parts(text))], **settings)
