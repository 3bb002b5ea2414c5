"""The training rows that lie nearest to a text: in the frozen encoder's embeddings, or without an encoder by counted words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from ..baselines import EmbeddingCache, Lexical
from ..data import Table
from ..errors import DataError, StriataError
from ..model import Model
from ..model.baseline_scorers import EmbeddingScorer, TextScorer
from ..model.explanation import NearRow
from ..model.scorers import EncoderScorer
from ..robustness.checks import splits_of, study_of
from ..study.embeddings import CACHE

Texts = tuple[Sequence[str], Sequence[str] | None]
_AT_ONCE = 256  # texts that are compared with all rows


def near_rows(model: Model, texts: Sequence[str], pairs: Sequence[str] | None, count: int) -> list[tuple[NearRow, ...]]:
    """For each text the nearest training rows by cosine, nearest first.

    Embeddings are means of the frozen encoder's last hidden states, kept in the study's `cache/` beside those of its baselines.

    Args:
        model: in its study's folder.
        texts: any number.
        pairs: the second texts, for models of pairs.
        count: rows for each text.

    Raises:
        DataError: the model lies in no study, its training rows cannot be read, or it neither has an encoder nor counts words.
    """
    table = _training_rows(model)
    vectors = _vectors(model)
    known, new = vectors((table.texts, table.pairs)), vectors((texts, pairs))
    labels = table.labels or []
    result = []
    for start in range(0, len(texts), _AT_ONCE):
        product: Any = new[start : start + _AT_ONCE] @ known.T
        cosines = product if isinstance(product, np.ndarray) else product.toarray()
        for row in cosines:
            best = np.argsort(-row, kind="stable")[:count]
            result.append(
                tuple(
                    NearRow(
                        row=int(table.ids[at]), text=table.texts[at], pair=None if table.pairs is None else table.pairs[at],
                        label=labels[at], similarity=float(min(1.0, row[at])),
                    )
                    for at in best.tolist()
                )
            )  # fmt: skip
    return result


def _training_rows(model: Model) -> Table:
    folder = study_of(model.folder)
    if folder is None:
        raise DataError(
            f"neighbours: {model.folder} lies in no study, whose training rows are looked up; give the study's own run or "
            "ensemble, or use gradients",
            argument="method",
        )
    try:
        return splits_of(model).train
    except StriataError as error:
        raise DataError(
            f"neighbours: the training rows of {folder} cannot be read ({error}); put them back, or use gradients",
            argument="method",
        ) from error


def _vectors(model: Model) -> Callable[[Texts], Any]:
    """What makes rows of unit length of texts, (texts, size), dense or sparse."""
    for scorer in model.scorers:
        if isinstance(scorer, EncoderScorer | EmbeddingScorer):
            return _embedded(model, scorer)
    for scorer in model.scorers:
        for baseline in scorer.baselines.values() if isinstance(scorer, TextScorer) else ():
            if isinstance(baseline, Lexical) and baseline.vectorizer is not None:
                vectorizer = baseline.vectorizer
                return lambda texts: _unit_rows(vectorizer.transform(*texts))
    raise DataError(
        f"neighbours: no member of {model.folder} has an encoder or counts words, so that no row is nearer than another",
        argument="method",
    )


def _embedded(model: Model, scorer: EncoderScorer | EmbeddingScorer) -> Callable[[Texts], Any]:
    from ..engine import embed, embed_words

    tokenizer, encoder = scorer.tokenizer, scorer.encoder

    def compute(texts: Sequence[str], pairs: Sequence[str] | None) -> npt.NDArray[np.floating]:
        encoded = tokenizer.encode(list(texts), pairs)
        return np.concatenate([embed(encoder, encoded), embed_words(encoder, encoded)], axis=1)

    folder = study_of(model.folder)
    assert folder is not None, "the training rows are its"
    cache = EmbeddingCache(
        folder / CACHE, encoder=encoder.sha256, tokenizer=tokenizer.sha256, max_length=tokenizer.max_length
    )  # fmt: skip

    def vectors(texts: Texts) -> Any:
        hidden = cache.embed(*texts, compute)[:, : encoder.shape.hidden].astype(np.float32)
        return hidden / np.maximum(np.linalg.norm(hidden, axis=1, keepdims=True), np.float32(1e-12))

    return vectors


def _unit_rows(features: Any) -> Any:
    lengths = np.sqrt(np.asarray(features.multiply(features).sum(axis=1)).ravel())
    return sp.diags_array(1 / np.maximum(lengths, 1e-12)) @ features
