"""The labels' shares among rows without labels, and probabilities corrected by them.

All of it assumes label shift: the texts of one label are alike in both sets of rows, p(text | label), and only the labels' shares
differ.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .conformal import Floats, Places

_ROUNDS, _STILL = 2000, 1e-9
_LEAST = 1e-12  # share of a label, so that its logarithm is finite


def shares_of(targets: Places, labels: int) -> npt.NDArray[np.float64]:
    """The labels' shares among labelled rows, (labels,); a label without rows has half a row.

    Args:
        targets: places of the labels, (rows,).
        labels: how many.
    """
    counts = np.maximum(np.bincount(targets, minlength=labels), 0.5)
    shares: npt.NDArray[np.float64] = counts / counts.sum()
    return shares


def shares_by_em(probabilities: Floats, known: Floats) -> npt.NDArray[np.float64]:
    """The shares with the largest likelihood, by expectation maximisation (Saerens, Latinne and Decaestecker 2002).

    Args:
        probabilities: calibrated, of rows without labels, (rows, labels).
        known: shares among the rows that the probabilities were calibrated on, (labels,).

    Returns:
        (labels,), adding up to 1.
    """
    shares = np.asarray(known, np.float64)
    p = np.asarray(probabilities, np.float64)
    for _ in range(_ROUNDS):
        new = corrected(p, known, shares).mean(0)
        moved = np.abs(new - shares).max()
        shares = new
        if moved < _STILL:
            break
    return shares


def shares_by_confusion(answers: Places, targets: Places, new: Places, labels: int) -> npt.NDArray[np.float64]:
    """The shares that explain how often each label is answered (black box shift estimation; Lipton, Wang and Smola 2018,
    arXiv:1802.03916).

    Args:
        answers: to labelled rows, (rows,).
        targets: places of their true labels, (rows,).
        new: answers to rows without labels, (new rows,).
        labels: how many.

    Returns:
        (labels,), adding up to 1: of the non-negative shares those with the smallest squared error.
    """
    from scipy.optimize import nnls

    joint = np.zeros((labels, labels))
    np.add.at(joint, (answers, targets), 1)
    rates = joint / np.maximum(joint.sum(0), 1)  # share of each answer among rows of a label
    shares, _ = nnls(rates, np.bincount(new, minlength=labels) / max(1, len(new)))
    total = float(shares.sum())
    result: npt.NDArray[np.float64] = shares / total if total > 0 else np.full(labels, 1 / labels)
    return result


def log_ratios(known: Floats, shares: Floats) -> npt.NDArray[np.float64]:
    """What Bayes' rule adds to the log-probabilities of labels whose shares change, (labels,)."""
    ratios: npt.NDArray[np.float64] = np.log(np.maximum(shares, _LEAST)) - np.log(np.maximum(known, _LEAST))
    return ratios


def corrected(probabilities: Floats, known: Floats, shares: Floats) -> npt.NDArray[np.float64]:
    """Probabilities, (rows, labels), for rows among which the labels have other shares than among the known ones, (labels,)."""
    weighed = np.asarray(probabilities, np.float64) * np.exp(log_ratios(known, shares))
    result: npt.NDArray[np.float64] = weighed / weighed.sum(1, keepdims=True)
    return result
