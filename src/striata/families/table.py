"""All families, by transformers' model type."""

from __future__ import annotations

from collections.abc import Mapping

from .albert import ALBERT
from .bert import BERT, ERNIE
from .deberta import DEBERTA_V2
from .distilbert import DISTILBERT
from .electra import ELECTRA
from .family import Family
from .modernbert import MODERNBERT
from .mpnet import MPNET
from .roberta import CAMEMBERT, ROBERTA, XLM_ROBERTA

_ALL = (BERT, ERNIE, ROBERTA, XLM_ROBERTA, CAMEMBERT, ELECTRA, DISTILBERT, ALBERT, MODERNBERT, DEBERTA_V2, MPNET)

FAMILIES: Mapping[str, Family] = {family.name: family for family in _ALL}
