"""Answers of an ensemble as labels: how much each counts, and rows of them for fits that take one label a row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.special import xlogy

from ..baselines import Rows
from ..baselines.rows import Ints, Weights
from ..tasks import SINGLE_LABEL

Floats = npt.NDArray[np.floating]
_LEAST = 0.01  # of a row's weight; labels with less are left out


def certainty(probabilities: Floats) -> Weights:
    """How sure probabilities are, (rows, labels) -> (rows,): 1 less their entropy's share of the largest possible."""
    p = probabilities.astype(np.float64)
    entropy = -xlogy(p, p).sum(1) / np.log(p.shape[1])
    sure: Weights = np.clip(1 - entropy, 0, 1)
    return sure


def sharpened(probabilities: Floats) -> Floats:
    """Probabilities by half their temperature: squared, each row adding up to 1 again, (rows, labels).

    Learned from as they are, an ensemble's unsure answers make its students unsure of what it was right about (Berthelot et al.
    2019, arXiv:1905.02249).
    """
    squares = np.square(probabilities.astype(np.float64))
    sharp: Floats = squares / squares.sum(1, keepdims=True)
    return sharp


def agreement(decided: Ints, members: Mapping[str, Floats]) -> Weights:
    """Share of the members that give the answer of all together, (rows,).

    Args:
        decided: that answer, (rows,).
        members: logits by name, (rows, labels); NaN where a member was not asked.
    """
    answering = np.stack([~np.isnan(logits).any(1) for logits in members.values()])
    agreed = np.stack([SINGLE_LABEL.decide(np.nan_to_num(logits)) == decided for logits in members.values()])
    shares: Weights = (answering & agreed).sum(0) / np.maximum(answering.sum(0), 1)
    return shares


def one_label_a_row(rows: Rows, targets: Floats, weights: Weights) -> tuple[Rows, Ints]:
    """Rows with shares of labels as rows with one label each: a row comes once for each label, with that share of its weight.

    Args:
        rows: n rows.
        targets: shares of the labels, (n, labels).
        weights: how much each row counts, (n,).

    Returns:
        Rows with weights, and the places of their labels.
    """
    shares = targets.astype(np.float64) * weights[:, None]
    places, labels = np.nonzero((targets >= _LEAST) & (shares > 0))
    return replace(rows.take(places), weights=shares[places, labels]), labels.astype(np.int64)
