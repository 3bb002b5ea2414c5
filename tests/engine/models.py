"""Tiny encoders of every family, and texts for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForMaskedLM, AutoModelForSequenceClassification

from striata.data import Encoded

LABELS = 4
VOCABULARY = 90

needs_grouped_products = pytest.mark.skipif(
    not hasattr(torch.nn.functional, "grouped_mm"),
    reason="torch before 2.10 has no grouped products; members go one by one",
)


def make_encoder(folder: Path, family: str, *, layers: int = 4, dropout: float = 0.0, masked: bool = False) -> Path:
    """A model folder with random weights large enough that every part of it matters.

    Args:
        folder: parent of the new folder.
        family: a transformers model type.
        layers: depth.
        dropout: of the hidden states and attention probabilities.
        masked: with a masked-language head.
    """
    sizes = {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "intermediate_size": 48,
        "max_position_embeddings": 80,
        "num_labels": LABELS,
        "pad_token_id": 1,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "cls_token_id": 0,
        "sep_token_id": 2,
        "hidden_dropout_prob": dropout,
        "attention_probs_dropout_prob": dropout,
        "initializer_range": 0.15,
    }
    if family == "distilbert":
        sizes |= {"dim": 32, "n_layers": layers, "n_heads": 4, "hidden_dim": 48, "dropout": dropout}
        sizes |= {"attention_dropout": dropout, "seq_classif_dropout": dropout}
    if family in ("electra", "albert"):
        sizes |= {"embedding_size": 16, "classifier_dropout_prob": dropout, "classifier_dropout": dropout}
    if family == "modernbert":
        sizes |= {"local_attention": 16, "global_attn_every_n_layers": 2, "attention_dropout": dropout}
    if family == "deberta-v2":
        sizes |= {"relative_attention": True, "position_buckets": 16, "pos_att_type": ["p2c", "c2p"]}
        sizes |= {"pooler_hidden_size": 32, "share_att_key": True, "norm_rel_ebd": "layer_norm", "pooler_dropout": dropout}
    torch.manual_seed(0)
    kind = AutoModelForMaskedLM if masked else AutoModelForSequenceClassification
    model = kind.from_config(AutoConfig.for_model(family, **sizes))
    if masked:
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1 and not name.startswith(model.base_model_prefix):  # else 0, and nothing would show
                torch.nn.init.normal_(parameter, std=0.5)
    target = folder / family
    model.save_pretrained(target)
    return target


def random_texts(rng: np.random.Generator, rows: int, *, longest: int = 30) -> Encoded:
    """Token sequences of 1 to `longest` tokens, none of them padding."""
    lengths = rng.integers(1, longest + 1, rows)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    ids = rng.integers(3, VOCABULARY, int(starts[-1])).astype(np.int32)
    return Encoded(ids=ids, starts=starts, types=None, truncated=np.zeros(rows, bool))
