"""Accuracy without labels, from how sure a model is: average thresholded confidence (Garg et al. 2022), and beside it the
difference of mean confidences (Guillory et al. 2021), which errs in other places."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import xlogy

from ..figures.intervals import LEVEL, Interval
from ..tasks import SINGLE_LABEL

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
ASSUMPTIONS = (
    "a confidence threshold fitted on labelled rows separates right from wrong as well on the new rows; this fails for labels "
    "that changed their meaning or are new, for texts on which the model is sure and wrong, and where errors are spread over all "
    "confidences; the interval covers the sampling of rows, not this assumption. The second estimate assumes that accuracy falls "
    "as much as mean confidence does. Where the two are far apart, believe neither"
)


def certainty(logits: npt.NDArray[np.floating]) -> Floats:
    """Negative entropy of the softmax, (rows, labels) -> (rows,); 0 when a model is sure."""
    log_p = SINGLE_LABEL.log_probabilities(logits)
    result: Floats = xlogy(np.exp(log_p), np.exp(log_p)).sum(1)
    return result


def confidence(logits: npt.NDArray[np.floating]) -> Floats:
    """The highest probability, (rows, labels) -> (rows,)."""
    result: Floats = SINGLE_LABEL.probabilities(logits.astype(np.float64)).max(1)
    return result


def by_mean_confidence(confident: Floats, right: Bools, new: Floats) -> float:
    """The accuracy on labelled rows, less the fall of the mean confidence from these to new rows."""
    return float(np.clip(right.mean() + new.mean() - confident.mean(), 0, 1))


def fit_threshold(certain: Floats, right: Bools) -> float:
    """The certainty below which as many rows lie as are wrong."""
    wrong = int((~right).sum())
    return float("inf") if wrong == len(right) else float(np.sort(certain)[wrong])


def estimate_accuracy(certain: Floats, right: Bools, new: Floats, *, seed: int, draws: int = 500) -> Interval:
    """The share of new rows above the threshold, with a bootstrap interval over both sets of rows.

    Args:
        certain: of labelled rows that the model was not trained on, (n,).
        right: whether the model is, (n,).
        new: certainty of the rows to judge, (m,).
        seed: of the bootstrap.
        draws: of the bootstrap.
    """
    rng = np.random.default_rng(seed)
    ranked = np.sort(new)
    shares = np.empty(draws)
    for at in range(draws):
        rows = rng.integers(0, len(right), len(right))
        above = 1 - float(np.searchsorted(ranked, fit_threshold(certain[rows], right[rows]), "left")) / len(new)
        shares[at] = rng.binomial(len(new), above) / len(new)
    low, high = np.quantile(shares, [0.5 - LEVEL / 2, 0.5 + LEVEL / 2])
    value = float((new >= fit_threshold(certain, right)).mean())
    return Interval(value=value, low=min(value, float(low)), high=max(value, float(high)))


def check_estimate(certain: Floats, right: Bools, *, seed: int) -> float:
    """What the method says of labelled rows themselves: fitted on one random half, applied to the other, and the reverse."""
    order = np.random.default_rng(seed).permutation(len(right))
    halves = order[::2], order[1::2]
    hits = sum(
        int((certain[new] >= fit_threshold(certain[old], right[old])).sum()) for old, new in (halves, (halves[1], halves[0]))
    )
    return hits / len(right)
