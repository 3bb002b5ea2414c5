"""Several labels a text: a temperature and a threshold for each label."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import log_expit

from ..figures.folds import deal_folds
from ..tasks import MULTI_LABEL
from .conformal import Floats, Places
from .temperature import LIMIT, Calibration, as_they_are, check_logits, quality

_STEPS = 45  # of the search for a temperature, after which its logarithm is known to 1e-8
_GOLDEN = (5**0.5 - 1) / 2


def calibrate_several(logits: Floats, targets: Places) -> Calibration:
    """Fits and measures on validation rows; see :func:`striata.calibration.calibrate`."""
    check_logits(logits, targets)
    temperatures = fit_temperatures(logits, targets)
    probabilities = MULTI_LABEL.probabilities(logits / temperatures)
    before, sets = as_they_are(logits, targets, MULTI_LABEL, MULTI_LABEL.decide(logits))
    return Calibration(
        temperature=1.0,
        rows=len(targets),
        before=before,
        after=quality(cross_fitted_several(logits, targets)[0], targets),
        answers=(),
        sets=sets,
        temperatures=tuple(temperatures.tolist()),
        thresholds=tuple(choose_thresholds(probabilities, targets).tolist()),
    )


def fit_temperatures(logits: Floats, targets: Places) -> npt.NDArray[np.float64]:
    """The temperature of each label with the smallest log loss, as :func:`striata.calibration.fit_temperature` has it, (labels,).

    Args:
        logits: (rows, labels).
        targets: 0 or 1, (rows, labels).
    """
    signed = np.where(targets > 0, logits, -logits).astype(np.float64)

    def cost(log_temperatures: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        costs: npt.NDArray[np.float64] = -log_expit(signed * np.exp(-log_temperatures)).sum(0) + log_temperatures**2 / 2
        return costs

    low, high = np.full(signed.shape[1], -LIMIT), np.full(signed.shape[1], LIMIT)
    for _ in range(_STEPS):  # golden sections, of all labels at once
        first, second = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        left = cost(first) < cost(second)
        low, high = np.where(left, low, first), np.where(left, second, high)
    temperatures: npt.NDArray[np.float64] = np.exp((low + high) / 2)
    return temperatures


def choose_thresholds(probabilities: Floats, targets: Places) -> npt.NDArray[np.float64]:
    """The probability from which on each label is given, so that its F1 is largest on these rows, (labels,); 0.5 where that is as
    good, and for a label without rows.

    Args:
        probabilities: (rows, labels).
        targets: 0 or 1, (rows, labels).
    """
    rows, labels = targets.shape
    p = np.asarray(probabilities, np.float64)
    order = np.argsort(-p, axis=0, kind="stable")
    falling = np.concatenate([np.take_along_axis(p, order, 0), np.zeros((1, labels))])
    hits = np.cumsum(np.take_along_axis(targets, order, 0), axis=0)
    f1 = 2 * hits / (np.arange(1, rows + 1)[:, None] + targets.sum(0))
    f1[falling[:-1] == falling[1:]] = -1  # no threshold lies between equals
    thresholds = np.full(labels, 0.5)
    decided = p >= 0.5
    plain = 2 * (decided & (targets > 0)).sum(0) / np.maximum(decided.sum(0) + targets.sum(0), 1)
    for label in np.flatnonzero(f1.max(0) > plain):
        best = int(np.flatnonzero(f1[:, label] == f1[:, label].max())[0])
        thresholds[label] = (falling[best, label] + falling[best + 1, label]) / 2
    return thresholds


def cross_fitted_several(logits: Floats, targets: Places) -> tuple[npt.NDArray[np.float64], Places]:
    """Calibrated probabilities and decisions, both (rows, labels), each row with temperatures and thresholds that were fitted
    without it, so that figures do not flatter."""
    probabilities = MULTI_LABEL.probabilities(logits.astype(np.float64))
    decisions = MULTI_LABEL.decide(logits)
    number = deal_folds(targets)
    for fold in range(number.max() + 1 if len(targets) > 1 else 0):
        held = number == fold
        temperatures = fit_temperatures(logits[~held], targets[~held])
        scaled = MULTI_LABEL.probabilities(logits.astype(np.float64) / temperatures)
        probabilities[held] = scaled[held]
        decisions[held] = scaled[held] >= choose_thresholds(scaled[~held], targets[~held])
    return probabilities, decisions
