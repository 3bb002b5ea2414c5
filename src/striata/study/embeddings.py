"""Mean embeddings of a study's texts by its frozen encoder, each computed once and kept in the study's folder."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..baselines import EmbeddingCache
from ..data import Table, Tokenizer
from ..layout import Head
from ..settings import Study

Halves = npt.NDArray[np.float16]

CACHE = "cache"
_PROBE = 64  # texts on which the speed is measured where all were embedded before


@dataclass(frozen=True, slots=True)
class Embedded:
    """Rows of a table as vectors.

    Args:
        means: of the frozen encoder's last hidden states, (rows, hidden size).
        words: means of the tokens' own embeddings, (rows, size of these).
    """

    means: Halves
    words: Halves


class StudyEmbeddings:
    """The encoder of a study, and what it has embedded.

    Args:
        study: with an encoder.
        folder: of the study, where embeddings are kept in `cache/`; None keeps none.
        precision: of :data:`striata.choices.PRECISIONS`.
        device: "cpu", "cuda" or "auto".

    Attributes:
        base_sha256: over the encoder's weights.

    Raises:
        EncoderError: the encoder or its tokenizer cannot be loaded.
    """

    def __init__(self, study: Study, folder: Path | None, *, precision: str, device: str) -> None:
        from ..engine import Encoder

        headless = Head(kind="mean", pooling="mean", steps=())
        self._encoder = Encoder.load(study.base, head=headless, precision=precision, device=device)
        self._tokenizer = Tokenizer.load(study.base, study.data.max_length)
        self.base_sha256 = self._encoder.sha256
        self._cache = None
        if folder is not None:
            self._cache = EmbeddingCache(
                folder / CACHE,
                encoder=self._encoder.sha256,
                tokenizer=self._tokenizer.sha256,
                max_length=study.data.max_length,
            )
        self._texts, self._seconds = 0, 0.0

    def of(self, table: Table) -> Embedded:
        """The rows of a table as vectors."""
        if self._cache is None:
            both = self._compute(table.texts, table.pairs).astype(np.float16)
        else:
            both = self._cache.embed(table.texts, table.pairs, self._compute)
        hidden = self._encoder.shape.hidden
        return Embedded(both[:, :hidden], both[:, hidden:])

    def texts_a_second(self, some: Table) -> float:
        """How fast texts were embedded; measured on `some` where none were, since an earlier call had embedded all."""
        if not self._texts:
            probe = some.take(np.arange(min(_PROBE, len(some))))
            self._compute(probe.texts, probe.pairs)
        return self._texts / self._seconds

    def _compute(self, texts: Sequence[str], pairs: Sequence[str] | None) -> npt.NDArray[np.floating]:
        from ..engine import embed, embed_words

        start = time.perf_counter()
        encoded = self._tokenizer.encode(list(texts), pairs)
        vectors = np.concatenate([embed(self._encoder, encoded), embed_words(self._encoder, encoded)], axis=1)
        self._texts, self._seconds = self._texts + len(texts), self._seconds + time.perf_counter() - start
        return vectors
