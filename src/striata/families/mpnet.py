"""MPNet (Song et al. 2020, arXiv:2004.09297): attention with a bias by relative position, RoBERTa's positions and head."""

from __future__ import annotations

from .family import Family, Size
from .roberta import ROBERTA

MPNET = Family(
    name="mpnet",
    prefix="mpnet",
    layer="encoder.layer.{i}",
    targets={
        "query": "attention.attn.q",
        "key": "attention.attn.k",
        "value": "attention.attn.v",
        "attention_output": "attention.attn.o",
        "ffn_in": "intermediate.dense",
        "ffn_out": "output.dense",
    },
    hidden=Size("hidden_size", 768),
    inner=Size("intermediate_size", 3072),
    depth=(Size("num_hidden_layers", 12),),
    packed=False,
    positions_after_padding=True,
    pooler=("pooler",),
    dropouts=("hidden_dropout_prob", 0.1),
    masked_head="lm_head.dense.weight",
    head=ROBERTA.head,
)
