"""Runs and ensembles in use: the only door for prediction."""

from .evaluation import Evaluation
from .explanation import Explanation, NearRow, WordWeight
from .model import Model

__all__ = ["Evaluation", "Explanation", "Model", "NearRow", "WordWeight"]
