"""Ensembles: which runs, with which weights, and what they are together. No torch."""

from .select import RANKINGS, Ensemble, combine, load_ensemble, select, write_ensemble

__all__ = ["RANKINGS", "Ensemble", "combine", "load_ensemble", "select", "write_ensemble"]
