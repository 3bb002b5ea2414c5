"""Ensembles: which runs, with which weights, and what they are together. No torch."""

from .combiner import Combiner, combine
from .folder import Ensemble, load_ensemble, rule_of, write_ensemble
from .select import Rule, check_budget, choose, nested

__all__ = [
    "Combiner", "Ensemble", "Rule", "check_budget", "choose", "combine", "load_ensemble", "nested", "rule_of", "write_ensemble",
]  # fmt: skip
