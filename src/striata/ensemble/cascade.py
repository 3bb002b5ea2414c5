"""Cascades: a cheap run answers the texts it is sure of, and an ensemble sees the rest.

How sure it has to be comes from validation rows, each judged by stages that were fitted without it. Thresholds are tried from
high to low, and the last one before the first at which a loss of accuracy cannot be excluded any more is taken: fixed sequence
testing, which needs no correction for the number of thresholds (Angelopoulos et al. 2021, Learn then Test, arXiv:2110.01052). The
test is exact and looks at the rows that are answered early and on which the stages disagree
(:func:`striata.figures.pvalues.loss_pvalue`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ..calibration.temperature import cross_fitted, fit_temperature
from ..errors import EnsembleError, did_you_mean
from ..figures.pvalues import loss_pvalue
from ..runs.joined import Pool
from .combiner import CASCADE, LEVEL, Cascade, Combiner
from .rule import Rule
from .select import nested
from .weighting import choose_weighted

THRESHOLDS = 1 - np.exp(-np.arange(280, -1, -1) / 20)  # from 0.999999 to 0, in steps of 5 % of the chance of error

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """From which probability on the early stage answers.

    Args:
        value: the probability; None where no loss can be excluded, so that it answers nothing.
        lost: rows answered early, wrong, that the late stage has right.
        gained: rows answered early, right, that the late stage has wrong.
        unproven: largest share of the rows at which no more than the loss is lost on these rows, proof or not.
    """

    value: float | None
    lost: int
    gained: int
    unproven: float


def find_threshold(confidence: npt.NDArray[np.floating], early: Bools, late: Bools, loss: float) -> Threshold:
    """The threshold that answers most rows and is shown, with 95 % confidence, to lose less than `loss` of all rows.

    Args:
        confidence: largest probability of the early stage, (rows,).
        early: where the early stage is right, (rows,).
        late: where the late stage is right, (rows,).
        loss: share of rows.
    """
    rows = len(confidence)
    order = np.argsort(-confidence, kind="stable")
    answered = np.searchsorted(-confidence[order], -THRESHOLDS, side="right")  # rows at or above each threshold
    lost, gained = (np.concatenate([[0], np.cumsum(wrong[order])])[answered] for wrong in (late & ~early, early & ~late))
    best = Threshold(value=None, lost=0, gained=0, unproven=float(answered[lost - gained <= loss * rows].max(initial=0) / rows))
    for at, value in enumerate(THRESHOLDS):
        if loss_pvalue(int(lost[at]), int(gained[at]), rows, loss) > LEVEL:
            break
        best = replace(best, value=float(value), lost=int(lost[at]), gained=int(gained[at]))
    return best


def choose_cascade(pool: Pool, rule: Rule) -> Combiner:
    """An early run, and behind it the best runs with weights as of method "weighted", the early one possibly among them.

    Args:
        pool: the runs on validation rows.
        rule: how many are in the late stage, by which figure they are the best, the loss, the early run and the budget of both.

    Raises:
        EnsembleError: no run can be the early one, or there are fewer runs than the size, or none is within the budget.
    """
    name = early_run(pool, rule)
    behind, of_late = _late_stage(pool, rule, name)
    late = choose_weighted(behind, of_late)
    own, unseen = pool.by_name()[name], nested(behind, of_late)
    decide = pool.task.decide
    threshold = find_threshold(
        cross_fitted(own, pool.targets, pool.task).max(1), decide(own) == pool.targets, decide(unseen) == pool.targets, rule.loss
    )
    cascade = Cascade(
        early=name,
        threshold=threshold.value,
        early_temperature=fit_temperature(own, pool.targets, pool.task),
        late_temperature=fit_temperature(unseen, pool.targets, pool.task),
        loss=rule.loss,
        rows=len(pool.targets),
        answered=0,
        lost=threshold.lost,
        gained=threshold.gained,
        unproven=threshold.unproven,
    )
    return Combiner(
        kind=CASCADE,
        weights={**late.weights, name: late.weights.get(name, 0.0)},
        cascade=replace(cascade, answered=int(cascade.sure(own).sum())),
    )


def early_run(pool: Pool, rule: Rule) -> str:
    """The run that answers first: the one that the rule names, else of those that need no encoder the one with the smallest loss.

    Raises:
        EnsembleError: there is none, or nothing but it is left for the late stage.
    """
    if rule.cheap is not None:
        if rule.cheap not in pool.names:
            raise EnsembleError(
                f"{rule.cheap} is no finished run{did_you_mean(rule.cheap, pool.names)}; expected one of {', '.join(pool.names)}",
                argument="cheap",
            )
        name = rule.cheap
    else:
        score = pool.task.score
        free = [run for run, encoder in zip(pool.names, pool.encoders, strict=True) if encoder is None]
        if not free:
            raise EnsembleError(
                "no run answers without an encoder; a cascade needs a cheap one: put `lexical` among the study's baselines, or "
                "name a run of a smaller encoder as cheap"
            )
        logits = pool.by_name()
        name = max(free, key=lambda run: (score(logits[run], pool.targets, "loss"), run))
    own = pool.encoders[pool.names.index(name)]
    if all(encoder in (None, own) for encoder in pool.encoders):
        raise EnsembleError(
            f"no run needs {'an encoder' if own is None else 'another encoder than ' + name}, so that a cascade would save "
            "nothing; name another run as cheap, or take another method"
        )
    return name


def _late_stage(pool: Pool, rule: Rule, early: str) -> tuple[Pool, Rule]:
    """The runs from which the late stage is chosen, and how: none that shares the early run's encoder but the early run itself,
    which costs nothing there."""
    own = pool.encoders[pool.names.index(early)]
    runs = zip(pool.names, pool.encoders, strict=True)
    behind = pool.members([run for run, encoder in runs if run == early or encoder is None or encoder != own])
    budget = rule.budget
    if budget is not None:
        costs = dict(zip(behind.names, behind.trainable, strict=True))
        budget -= costs[early]
        if budget < 0:
            raise EnsembleError(
                f"early run {early} has {costs[early]:,} trained parameters, more than the budget of {rule.budget:,}; raise it"
            )
        behind = replace(behind, trainable=tuple((costs | {early: 0}).values()))
    return behind, Rule(method="weighted", size=rule.size, by=rule.by, budget=budget)
