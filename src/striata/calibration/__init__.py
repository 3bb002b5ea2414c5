"""Probabilities that mean what they say, label sets, and when not to answer. Arrays in, figures out; needs no torch."""

from .conformal import SetFigures, check_share, label_sets, set_figures, set_threshold
from .intervals import IntervalFigures, half_width, interval_figures, intervals_around
from .several import cross_fitted_several
from .tasks import calibrate, measure_answers
from .temperature import Answers, Bin, Calibration, Quality, answer_threshold, cross_fitted, fit_temperature, quality

__all__ = [
    "Answers", "Bin", "Calibration", "IntervalFigures", "Quality", "SetFigures", "answer_threshold", "calibrate", "check_share",
    "cross_fitted", "cross_fitted_several", "fit_temperature", "half_width", "interval_figures", "intervals_around", "label_sets",
    "measure_answers",
    "quality", "set_figures", "set_threshold",
]  # fmt: skip
