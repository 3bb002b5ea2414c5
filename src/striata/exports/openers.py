"""Exported folders as their users open them, to compare what they answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Answer = Callable[[Sequence[str], Sequence[str] | None], Floats]
"""Texts and second texts as one padded batch -> calibrated logits, (texts, labels)."""


def open_transformers(folder: Path, max_length: int | None) -> Answer:
    """By transformers' automatic classes."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model: Any = AutoModelForSequenceClassification.from_pretrained(folder).eval()

    def answer(texts: Sequence[str], pairs: Sequence[str] | None) -> Floats:
        second = None if pairs is None else list(pairs)
        inputs = tokenizer(list(texts), second, padding=True, truncation=True, return_tensors="pt")
        with torch.no_grad():
            return np.asarray(model(**inputs).logits.numpy(), np.float32)

    return answer


def open_sentence_transformers(folder: Path, max_length: int | None) -> Answer:
    """By sentence-transformers, whose embeddings are the logits."""
    from sentence_transformers import SentenceTransformer

    model: Any = SentenceTransformer(str(folder), device="cpu")

    def answer(texts: Sequence[str], pairs: Sequence[str] | None) -> Floats:
        inputs = list(texts) if pairs is None else list(zip(texts, pairs, strict=True))
        return np.asarray(model.encode(inputs, batch_size=len(inputs), show_progress_bar=False), np.float32)

    return answer


def open_onnx(folder: Path, max_length: int | None) -> Answer:
    """By numpy, ONNX Runtime and tokenizers, without torch and transformers, as the `predict.py` beside it does."""
    from .standalone import Classifier

    return Classifier(folder, max_length).logits


OPENERS: dict[str, Callable[[Path, int | None], Answer]] = {
    "transformers": open_transformers,
    "sentence-transformers": open_sentence_transformers,
    "onnx": open_onnx,
}
