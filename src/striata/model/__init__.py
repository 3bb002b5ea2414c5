"""Runs and ensembles in use: the only door for prediction."""

from .evaluation import Evaluation
from .model import Model

__all__ = ["Evaluation", "Model"]
