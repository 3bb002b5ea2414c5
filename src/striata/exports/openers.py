"""Exported folders as their users open them, to compare what they answer."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .writers import ONNX, QUANTIZED

Floats = npt.NDArray[np.float32]
Answer = Callable[[Sequence[str], Sequence[str] | None], Floats]
"""Texts and second texts as one padded batch -> calibrated logits, (texts, labels)."""


def open_transformers(folder: Path, max_length: int) -> Answer:
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


def open_sentence_transformers(folder: Path, max_length: int) -> Answer:
    """By sentence-transformers, whose embeddings are the logits."""
    from sentence_transformers import SentenceTransformer

    model: Any = SentenceTransformer(str(folder), device="cpu")

    def answer(texts: Sequence[str], pairs: Sequence[str] | None) -> Floats:
        inputs = list(texts) if pairs is None else list(zip(texts, pairs, strict=True))
        return np.asarray(model.encode(inputs, batch_size=len(inputs), show_progress_bar=False), np.float32)

    return answer


def open_onnx(folder: Path, max_length: int) -> Answer:
    """By ONNX Runtime and tokenizers, without torch and transformers."""
    import onnxruntime
    from tokenizers import Tokenizer

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS") or 0)
    file = next(folder / name for name in (QUANTIZED, ONNX) if (folder / name).is_file())
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    names = [tensor.name for tensor in session.get_inputs()]
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(max_length)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    pad = int(config.get("pad_token_id") or 0)
    tokenizer.enable_padding(pad_id=pad, pad_token=tokenizer.id_to_token(pad))

    def answer(texts: Sequence[str], pairs: Sequence[str] | None) -> Floats:
        encoded = tokenizer.encode_batch(list(texts) if pairs is None else list(zip(texts, pairs, strict=True)))
        rows = {
            "input_ids": [row.ids for row in encoded],
            "attention_mask": [row.attention_mask for row in encoded],
            "token_type_ids": [row.type_ids for row in encoded],
        }
        inputs = {name: np.array(rows[name], np.int64) for name in names}
        return np.asarray(session.run(["logits"], inputs)[0], np.float32)

    return answer


OPENERS: dict[str, Callable[[Path, int], Answer]] = {
    "transformers": open_transformers,
    "sentence-transformers": open_sentence_transformers,
    "onnx": open_onnx,
}
