"""Contenders that cost seconds: the bar for every encoder."""

from .embeddings import EmbeddingCache
from .frozen import Frozen
from .lexical import Lexical
from .majority import Majority
from .neighbours import Neighbours
from .rows import Baseline, Rows

BASELINES: dict[str, type[Baseline]] = {kind.kind: kind for kind in (Majority, Lexical, Frozen, Neighbours)}

__all__ = ["BASELINES", "Baseline", "EmbeddingCache", "Frozen", "Lexical", "Majority", "Neighbours", "Rows"]
