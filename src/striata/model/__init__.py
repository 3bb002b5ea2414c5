"""Runs and ensembles in use: the only door for prediction."""

from .model import Evaluation, Model

__all__ = ["Evaluation", "Model"]
