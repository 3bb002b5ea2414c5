"""Which runs, with which weights, chosen on validation rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..choices import COMBINATIONS, METHODS, RANKINGS
from ..errors import EnsembleError
from ..figures.folds import deal_folds
from ..runs.joined import Pool
from .combiner import Combiner
from .greedy import greedy
from .stacking import FEWEST, check_rows, stack

FOLDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How members are chosen and combined.

    Args:
        method: of :data:`striata.choices.METHODS`, but none that merges weights.
        size: how many members; for greedy the most.
        by: validation figure that decides, of :data:`striata.choices.RANKINGS`.
        combine: of :data:`striata.choices.COMBINATIONS`; a stack has no choice.
        budget: most trainable parameters of all members together; None for no limit.

    Raises:
        EnsembleError: a value is unknown.
    """

    method: str = "top"
    size: int = 4
    by: str = "accuracy"
    combine: str = "logits"
    budget: int | None = None

    @property
    def options(self) -> str:
        """For `striata ensemble`."""
        limit = "" if self.budget is None else f" --budget {self.budget}"
        kind = "" if self.combine == "logits" else f" --combine {self.combine}"
        return f"--method {self.method} --size {self.size} --by {self.by}{kind}{limit}"

    def __post_init__(self) -> None:
        RANKINGS.check(self.by, EnsembleError)
        COMBINATIONS.check(self.combine, EnsembleError)
        if METHODS.check(self.method, EnsembleError).merges:
            raise EnsembleError(f"method '{self.method}' merges weights into one run, which is no ensemble of several")
        if self.method == "stack" and self.combine != "logits":
            raise EnsembleError("a stack combines log-probabilities by its own coefficients; leave the combination out")
        if self.size < 1:
            raise EnsembleError(f"an ensemble of {self.size} was asked for; expected at least 1")


def check_budget(trainable: Sequence[int], budget: int | None) -> None:
    """Checks that at least one run is within an ensemble's budget.

    Args:
        trainable: parameters of each run.
        budget: of the ensemble; None for no limit.

    Raises:
        EnsembleError: none is.
    """
    if budget is not None and min(trainable) > budget:
        raise EnsembleError(
            f"no run is within the ensemble's budget of {budget:,} trainable parameters; the smallest has {min(trainable):,}; "
            "raise the budget"
        )


def choose(pool: Pool, rule: Rule) -> Combiner:
    """Chooses members by a rule, on the rows of a pool.

    Raises:
        EnsembleError: there are too few runs, or none is within the budget.
    """
    check_budget(pool.trainable, rule.budget)
    if rule.method == "greedy":
        return greedy(pool, size=rule.size, by=rule.by, kind=rule.combine, budget=rule.budget)
    names = top(pool, rule)
    if rule.method == "stack":
        return stack(pool.members(names))
    return Combiner(kind=rule.combine, weights=dict.fromkeys(names, 1 / len(names)))


def top(pool: Pool, rule: Rule) -> list[str]:
    """The best runs, best first; equals by loss, then by name; with a budget, those that still fit.

    Raises:
        EnsembleError: there are fewer runs than the size.
    """
    if rule.size > len(pool.names):
        raise EnsembleError(
            f"an ensemble of {rule.size} was asked for, but there are {len(pool.names)} finished runs; change the size"
        )
    figures = {
        name: (
            -pool.task.score(logits, pool.targets, rule.by),
            -pool.task.score(logits, pool.targets, "loss"),
            name,
            trainable,
        )
        for name, logits, trainable in zip(pool.names, pool.logits, pool.trainable, strict=True)
    }
    chosen: list[str] = []
    left = sum(pool.trainable) if rule.budget is None else rule.budget
    for name in sorted(figures, key=figures.__getitem__):
        if len(chosen) < rule.size and figures[name][3] <= left:
            chosen.append(name)
            left -= figures[name][3]
    return chosen


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
    if rule.method == "stack":
        check_rows(pool, FEWEST)
    number = deal_folds(pool.targets, FOLDS)
    result = np.empty(pool.logits.shape[1:], np.float32)
    for fold in range(number.max() + 1):
        held = number == fold
        chosen = choose(pool.rows(~held), rule)
        unseen = pool.rows(held)
        result[held] = chosen.apply(unseen.by_name())
    return result
