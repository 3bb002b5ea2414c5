"""How members are chosen, as settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from ..choices import COMBINATIONS, METHODS, RANKINGS, alternatives
from ..errors import EnsembleError
from ..runs.joined import Pool
from ..tasks import Task, check_one_label

LOSS = 0.001  # of a cascade: share of rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How members are chosen and combined.

    Args:
        method: of :data:`striata.choices.METHODS`.
        size: how many members; for greedy the most.
        by: validation figure that decides, of :data:`striata.choices.RANKINGS`; None for the task's first.
        combine: of :data:`striata.choices.COMBINATIONS`; a method that averages nothing has no choice.
        budget: most trainable parameters of all members together; None for no limit.
        loss: for a cascade: share of rows; it loses fewer against its late stage alone.
        cheap: for a cascade: the run that answers first; None for the best of those that need no encoder.

    Raises:
        EnsembleError: a value is unknown, or the method has no use for it.
    """

    method: str = "top"
    size: int = 4
    by: str | None = None
    combine: str = "logits"
    budget: int | None = None
    loss: float = LOSS
    cheap: str | None = None

    @property
    def settings(self) -> dict[str, str | int | float]:
        """What a study file says of it, without what its method has no use for."""
        unused = {"combine"} if not METHODS[self.method].averages else set()
        unused |= set() if METHODS[self.method].cascades else {"loss"}
        return {name: value for name, value in asdict(self).items() if value is not None and name not in unused}

    def __post_init__(self) -> None:
        if self.by is not None:
            RANKINGS.check(self.by, EnsembleError)
        COMBINATIONS.check(self.combine, EnsembleError)
        if not METHODS.check(self.method, EnsembleError).averages and self.combine != "logits":
            averaging = alternatives(name for name, choice in METHODS.items() if choice.averages)
            raise EnsembleError(
                f"{self.combine}: method {self.method} averages no outputs; leave it out, or use method {averaging}",
                argument="combine",
            )
        if self.size < 1:
            raise EnsembleError(f"an ensemble of {self.size} was asked for; expected at least 1")
        for argument, value, default in (("loss", self.loss, LOSS), ("cheap", self.cheap, None)):
            if value != default and not METHODS[self.method].cascades:
                cascading = alternatives(name for name, choice in METHODS.items() if choice.cascades)
                raise EnsembleError(f"{value} is of a cascade; leave it out, or use method {cascading}", argument=argument)
        if not 0 < self.loss < 1:
            raise EnsembleError(f"{self.loss:g} is no share of rows; expected a value between 0 and 1", argument="loss")


def check_task(rule: Rule, task: Task) -> None:
    """Refuses a rule that a task has no use for.

    Raises:
        EnsembleError: says which method, combination or figure.
    """
    if METHODS[rule.method].one_label:
        check_one_label(task, f"method {rule.method}", EnsembleError)
    if rule.combine == "probabilities":
        check_one_label(task, "a mean of probabilities", EnsembleError)
    figure_of(rule, task)


def figure_of(rule: Rule, task: Task) -> str:
    """The validation figure that decides.

    Raises:
        EnsembleError: it is none of the task's.
    """
    if rule.by is not None and rule.by not in task.rankings:
        raise EnsembleError(
            f"'{rule.by}' is no figure of the task {task.name}; expected {alternatives(task.rankings)}", argument="by"
        )
    return rule.by or task.rankings[0]


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


def check_rows(pool: Pool, rule: Rule, fewest: int) -> None:
    """Checks that every label has enough rows for a method.

    Args:
        pool: the runs on these rows.
        rule: names the method.
        fewest: rows of a label.

    Raises:
        EnsembleError: one has not.
    """
    if not fewest:
        return
    counts = np.bincount(pool.targets, minlength=len(pool.labels))
    if counts.min() < fewest:
        needed = METHODS[rule.method].label_rows
        others = alternatives(name for name, choice in METHODS.items() if not choice.label_rows and not choice.merges)
        raise EnsembleError(
            f"label '{pool.labels[int(counts.argmin())]}' has {counts.min()} validation rows; method {rule.method} needs at "
            f"least {needed} of each label; use method {others}"
        )
