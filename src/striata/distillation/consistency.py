"""Whether an answer stays what it is when its text gets a little worse."""

from __future__ import annotations

import numpy as np

from ..baselines.rows import Ints, Weights
from ..data import Table
from ..model import Model
from ..robustness.perturbations import PERTURBATIONS, perturbed
from ..tasks import SINGLE_LABEL

STRENGTH = 2  # of three, as `striata stress` has them


def consistency(model: Model, table: Table, decided: Ints, seed: int) -> Weights:
    """Share of the perturbations of :mod:`striata.robustness.perturbations` under which a text's answer stays the same.

    Args:
        model: gives the answers.
        table: n texts.
        decided: the answers to the texts as they are, places of labels, (n,).
        seed: of the perturbations.

    Returns:
        Shares from 0 to 1, (n,).
    """
    same = np.zeros(len(table), np.int64)
    for name in PERTURBATIONS:
        texts, pairs = perturbed(table, name, STRENGTH, seed=seed)
        changed = np.flatnonzero(model.differ((table.texts, table.pairs), (texts, pairs)))
        now = decided.copy()
        if len(changed):
            logits = model.logits([texts[i] for i in changed], None if pairs is None else [pairs[i] for i in changed])
            now[changed] = SINGLE_LABEL.decide(logits)
        same += now == decided
    shares: Weights = same / len(PERTURBATIONS)
    return shares
