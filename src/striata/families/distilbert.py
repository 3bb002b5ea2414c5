"""DistilBERT (Sanh et al. 2019, arXiv:1910.01108)."""

from __future__ import annotations

from .family import Config, Family, NativeHead, Size
from .head_steps import activation, dropout, linear


def _head(config: Config, hidden: int, labels: int, p: float) -> NativeHead:
    dense, out = linear("pre_classifier", hidden, hidden), linear("classifier", hidden, labels)
    return NativeHead("first", (dense, activation("relu"), dropout(p), out))


DISTILBERT = Family(
    name="distilbert",
    prefix="distilbert",
    layer="transformer.layer.{i}",
    targets={
        "query": "attention.q_lin",
        "key": "attention.k_lin",
        "value": "attention.v_lin",
        "attention_output": "attention.out_lin",
        "ffn_in": "ffn.lin1",
        "ffn_out": "ffn.lin2",
    },
    hidden=Size("dim", 768),
    inner=Size("hidden_dim", 3072),
    depth=(Size("n_layers", 6),),
    masked_head="vocab_transform.weight",
    dropouts=("seq_classif_dropout", 0.2),
    head=_head,
)
