"""Probabilities that mean what they say, label sets, and when not to answer. Arrays in, figures out; needs no torch."""

from .calibrate import Answers, Bin, Calibration, Quality, answer_threshold, calibrate, cross_fitted, fit_temperature, quality
from .conformal import SetFigures, label_sets, set_figures, set_threshold
from .folds import folds

__all__ = [
    "Answers", "Bin", "Calibration", "Quality", "SetFigures", "answer_threshold", "calibrate", "cross_fitted", "fit_temperature",
    "folds", "label_sets", "quality", "set_figures", "set_threshold",
]  # fmt: skip
