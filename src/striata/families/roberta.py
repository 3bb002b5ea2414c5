"""RoBERTa (Liu et al. 2019, arXiv:1907.11692), XLM-RoBERTa and CamemBERT: BERT with fairseq's positions and another head."""

from __future__ import annotations

from dataclasses import replace

from .bert import BERT
from .family import Config, NativeHead
from .head_steps import activation, dropout, linear


def two_layers(hidden: int, labels: int, p: float, *, between: str) -> NativeHead:
    """A head of two layers on the first token, both after dropout.

    Args:
        hidden: size of the hidden states.
        labels: number of labels.
        p: of both dropouts.
        between: the activation.
    """
    dense, out = linear("classifier.dense", hidden, hidden), linear("classifier.out_proj", hidden, labels)
    return NativeHead("first", (dropout(p), dense, activation(between), dropout(p), out))


def _head(config: Config, hidden: int, labels: int, p: float) -> NativeHead:
    return two_layers(hidden, labels, p, between="tanh")


ROBERTA = replace(
    BERT, name="roberta", prefix="roberta", positions_after_padding=True, masked_head="lm_head.dense.weight", head=_head
)
XLM_ROBERTA = replace(ROBERTA, name="xlm-roberta")
CAMEMBERT = replace(ROBERTA, name="camembert")
