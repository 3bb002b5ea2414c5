"""BERT (Devlin et al. 2018, arXiv:1810.04805), and ERNIE, which is built like it."""

from __future__ import annotations

from dataclasses import replace

from .family import Config, Family, NativeHead, Size
from .head_steps import dropout, linear


def _head(config: Config, hidden: int, labels: int, p: float) -> NativeHead:
    return NativeHead("pooler", (dropout(p), linear("classifier", hidden, labels)))


BERT = Family(
    name="bert",
    prefix="bert",
    layer="encoder.layer.{i}",
    targets={
        "query": "attention.self.query",
        "key": "attention.self.key",
        "value": "attention.self.value",
        "attention_output": "attention.output.dense",
        "ffn_in": "intermediate.dense",
        "ffn_out": "output.dense",
    },
    hidden=Size("hidden_size", 768),
    inner=Size("intermediate_size", 3072),
    depth=(Size("num_hidden_layers", 12),),
    token_types=True,
    pooler=("pooler",),
    block_ends=("attention.output", "output"),
    masked_head="cls.predictions.transform.dense.weight",
    dropouts=("classifier_dropout", "hidden_dropout_prob", 0.1),
    head=_head,
)
ERNIE = replace(BERT, name="ernie", prefix="ernie")
