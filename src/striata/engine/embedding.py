"""Texts as vectors of the frozen encoder, without any member."""

from __future__ import annotations

import numpy as np
import torch

from ..data import Encoded
from .batch import collate, token_chunks
from .encoder import Encoder
from .head import mean_pool

_NOBODY = -1  # a slot that no member has: layers find no adapter for it


def embed(encoder: Encoder, encoded: Encoded, *, max_tokens: int = 16384) -> np.ndarray:
    """The mean of the frozen encoder's last hidden states over each text's tokens.

    Args:
        encoder: may carry a stack, whose adapters are not used.
        encoded: the texts.
        max_tokens: most tokens in one forward pass.

    Returns:
        (texts, hidden size) float32, texts in the order given.
    """
    result = np.empty((len(encoded), encoder.shape.hidden), np.float32)
    order = np.argsort(encoded.lengths, kind="stable")
    with torch.inference_mode():
        for rows in token_chunks(order, encoded.lengths, max_tokens):
            batch = collate([(_NOBODY, encoded.take(rows))], encoder.device)
            lengths = torch.tensor(batch.lengths, device=encoder.device)
            result[rows] = mean_pool(encoder.hidden(batch), lengths).cpu().numpy()
    return result


def embed_words(encoder: Encoder, encoded: Encoded, *, max_tokens: int = 16384) -> np.ndarray:
    """The mean of the embeddings of each text's tokens, before any layer: no pass through the encoder.

    Args:
        encoder: whose table of embeddings is read.
        encoded: the texts.
        max_tokens: most tokens looked up at once.

    Returns:
        (texts, size of an embedding) float32, texts in the order given.
    """
    table = encoder.words
    result = np.empty((len(encoded), table.embedding_dim), np.float32)
    with torch.inference_mode():
        for rows in token_chunks(np.arange(len(encoded)), encoded.lengths, max_tokens):
            batch = collate([(_NOBODY, encoded.take(rows))], encoder.device)
            lengths = torch.tensor(batch.lengths, device=encoder.device)
            result[rows] = mean_pool(table(batch.ids), lengths).cpu().numpy()
    return result
