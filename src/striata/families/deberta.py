"""DeBERTa v2 and v3 (He et al. 2020, arXiv:2006.03654; 2021, arXiv:2111.09543): attention with relative positions of its own."""

from __future__ import annotations

from .family import Config, Family, NativeHead, Size
from .head_steps import activation, dropout, linear


def _head(config: Config, hidden: int, labels: int, p: float) -> NativeHead:
    inner = int(config.get("pooler_hidden_size") or hidden)
    steps = (
        dropout(float(config.get("pooler_dropout") or 0)),
        linear("pooler.dense", inner, inner),
        activation(str(config.get("pooler_hidden_act") or "gelu")),
        dropout(p),
        linear("classifier", inner, labels),
    )
    return NativeHead("first", steps)


DEBERTA_V2 = Family(
    name="deberta-v2",
    prefix="deberta",
    layer="encoder.layer.{i}",
    targets={
        "query": "attention.self.query_proj",
        "key": "attention.self.key_proj",
        "value": "attention.self.value_proj",
        "attention_output": "attention.output.dense",
        "ffn_in": "intermediate.dense",
        "ffn_out": "output.dense",
    },
    hidden=Size("hidden_size", 1536),
    inner=Size("intermediate_size", 6144),
    depth=(Size("num_hidden_layers", 24),),
    packed=False,
    token_types=True,
    dropouts=("cls_dropout", "hidden_dropout_prob", 0.1),
    masked_head="cls.predictions.transform.dense.weight",
    head=_head,
)
