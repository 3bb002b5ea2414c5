"""ModernBERT (Warner et al. 2024, arXiv:2412.13663): one layer for queries, keys and values, and a gated feed-forward block."""

from __future__ import annotations

from .family import Config, Family, NativeHead, Size
from .head_steps import activation, dropout, layer_norm, linear


def _head(config: Config, hidden: int, labels: int, p: float) -> NativeHead:
    steps = (
        linear("head.dense", hidden, hidden, bias=bool(config.get("classifier_bias", False))),
        activation(str(config.get("classifier_activation") or "gelu")),
        layer_norm("head.norm", hidden, bias=bool(config.get("norm_bias", False))),
        dropout(p),
        linear("classifier", hidden, labels),
    )
    return NativeHead("mean" if config.get("classifier_pooling") == "mean" else "first", steps)


MODERNBERT = Family(
    name="modernbert",
    prefix="model",
    layer="layers.{i}",
    targets={"qkv": "attn.Wqkv", "attention_output": "attn.Wo", "ffn_in": "mlp.Wi", "ffn_out": "mlp.Wo"},
    hidden=Size("hidden_size", 768),
    inner=Size("intermediate_size", 1152),
    depth=(Size("num_hidden_layers", 22),),
    gated=True,
    absolute_positions=False,
    dropouts=("classifier_dropout", 0.0),
    masked_head="decoder.bias",
    head=_head,
)
