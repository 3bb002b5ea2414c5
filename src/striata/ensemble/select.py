"""Which runs, with which weights, chosen on validation rows."""

from __future__ import annotations

from pkgutil import resolve_name

import numpy as np
import numpy.typing as npt

from ..choices import METHODS
from ..errors import EnsembleError
from ..figures.folds import deal_folds
from ..runs.joined import Pool
from .combiner import Combiner
from .rule import Rule, check_budget, check_rows, check_task

FOLDS = 5


def choose(pool: Pool, rule: Rule) -> Combiner:
    """Chooses members by a rule, on the rows of a pool.

    Raises:
        EnsembleError: there are too few runs, none is within the budget, or the rule's method merges weights.
    """
    choice = METHODS[rule.method]
    if choice.merges:
        raise EnsembleError(f"method {rule.method} merges weights into one run, which is no ensemble of several")
    check_task(rule, pool.task)
    check_budget(pool.trainable, rule.budget)
    combiner: Combiner = resolve_name(choice.maker)(pool, rule)
    return combiner


def nested(pool: Pool, rule: Rule) -> npt.NDArray[np.float32]:
    """Combined logits of every row by an ensemble that was chosen without it: selection and weights inside five folds.

    Args:
        pool: runs on validation rows.
        rule: how members are chosen.

    Returns:
        (rows, labels), in the order of the pool's rows.

    Raises:
        EnsembleError: there are too few rows, or as :func:`choose`.
    """
    if len(pool.targets) < 2:
        raise EnsembleError("an ensemble's own accuracy cannot be estimated with one validation row; expected at least 2")
    check_task(rule, pool.task)
    check_rows(pool, rule, METHODS[rule.method].label_rows)
    number = deal_folds(pool.targets, FOLDS)
    result = np.empty(pool.logits.shape[1:], np.float32)
    for fold in range(number.max() + 1):
        held = number == fold
        chosen = choose(pool.rows(~held), rule)
        result[held] = chosen.apply(pool.rows(held).by_name())
    return result
