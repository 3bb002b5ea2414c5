"""ELECTRA's discriminator (Clark et al. 2020, arXiv:2003.10555): BERT without a pooler and with a head of two layers."""

from __future__ import annotations

from dataclasses import replace

from .bert import BERT
from .family import Config, NativeHead, Size
from .roberta import two_layers


def _head(config: Config, hidden: int, labels: int, p: float) -> NativeHead:
    return two_layers(hidden, labels, p, between="gelu")


ELECTRA = replace(
    BERT,
    name="electra",
    prefix="electra",
    hidden=Size("hidden_size", 256),
    inner=Size("intermediate_size", 1024),
    pooler=(),
    masked_head="generator_predictions.dense.weight",
    head=_head,
)
