"""Ensembles: which runs, with which weights, and what they are together. No torch until weights are merged."""

from .combiner import Cascade, Combiner, combine
from .folder import Ensemble, copy_ensemble, load_ensemble, rule_of, write_ensemble
from .methods import combine_runs
from .rule import Rule, check_budget, check_task
from .select import choose, nested

__all__ = [
    "Cascade", "Combiner", "Ensemble", "Rule", "check_budget", "check_task", "choose", "combine", "combine_runs", "copy_ensemble",
    "load_ensemble", "nested", "rule_of", "write_ensemble",
]  # fmt: skip
