"""The best runs by themselves."""

from __future__ import annotations

from ..errors import EnsembleError
from ..runs.joined import Pool
from .combiner import Combiner
from .rule import Rule, check_task, figure_of


def best_runs(pool: Pool, rule: Rule) -> list[str]:
    """Names of the best runs, best first; equals by loss, then by name; with a budget, those that still fit.

    Raises:
        EnsembleError: there are fewer runs than the size.
    """
    check_task(rule, pool.task)
    if rule.size > len(pool.names):
        raise EnsembleError(
            f"an ensemble of {rule.size} was asked for, but there are {len(pool.names)} finished runs; change the size"
        )
    score, by = pool.task.score, figure_of(rule, pool.task)
    ranks = {
        name: (-score(logits, pool.targets, by), -score(logits, pool.targets, "loss"), name)
        for name, logits in pool.by_name().items()
    }
    cost = dict(zip(pool.names, pool.trainable, strict=True))
    chosen: list[str] = []
    left = sum(pool.trainable) if rule.budget is None else rule.budget
    for name in sorted(ranks, key=ranks.__getitem__):
        if len(chosen) < rule.size and cost[name] <= left:
            chosen.append(name)
            left -= cost[name]
    return chosen


def choose_top(pool: Pool, rule: Rule) -> Combiner:
    """The best runs with equal weights."""
    names = best_runs(pool, rule)
    return Combiner(kind=rule.combine, weights=dict.fromkeys(names, 1 / len(names)))
