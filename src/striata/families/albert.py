"""ALBERT (Lan et al. 2019, arXiv:1909.11942): few different layers, each used several times."""

from __future__ import annotations

from .family import Config, Family, NativeHead, Size
from .head_steps import dropout, linear

_IN_GROUP = Size("inner_group_num", 1)


def _head(config: Config, hidden: int, labels: int, p: float) -> NativeHead:
    return NativeHead("pooler", (dropout(p), linear("classifier", hidden, labels)))


ALBERT = Family(
    name="albert",
    prefix="albert",
    layer="encoder.albert_layer_groups.{group}.albert_layers.{inside}",
    targets={
        "query": "attention.query",
        "key": "attention.key",
        "value": "attention.value",
        "attention_output": "attention.dense",
        "ffn_in": "ffn",
        "ffn_out": "ffn_output",
    },
    hidden=Size("hidden_size", 4096),
    inner=Size("intermediate_size", 16384),
    depth=(Size("num_hidden_groups", 1), _IN_GROUP),
    layers_in_group=_IN_GROUP,
    passes=Size("num_hidden_layers", 12),
    token_types=True,
    pooler=("pooler", "pooler_activation"),
    masked_head="predictions.dense.weight",
    dropouts=("classifier_dropout_prob", 0.1),
    head=_head,
)
