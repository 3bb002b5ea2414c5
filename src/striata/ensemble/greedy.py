"""Greedy selection with replacement from a library of runs (Caruana, Niculescu-Mizil, Crew and Ksikes, ICML 2004)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..runs.joined import Pool
from .combiner import SCALES, Combiner
from .rule import Rule, figure_of

STEPS = 20  # a run can be taken in every one
BAGS = 10
SHARE = 0.5  # of the runs, in a bag
_Key = tuple[float, int, float]


def choose_greedy(pool: Pool, rule: Rule, *, seed: int = 0) -> Combiner:
    """Weights by how often a run was the best one to add.

    Starting from nothing, the run that makes the mean of all taken so far best is added, again and again; what the way was best
    at is kept. This is done once with all runs and once in each of ten bags of half of them, whose weights are averaged. The
    better of the two and of the best single run is returned, so that it is never worse on these rows than the best run. Of
    equals the one with fewer members is preferred, then the one with the smaller loss.

    Args:
        pool: the runs; at least one is within the budget.
        rule: most members, the figure that decides, what is averaged, and the budget.
        seed: of the bags.
    """
    search = _Search(pool, rule)
    limit = sum(pool.trainable) if rule.budget is None else rule.budget
    affordable = [at for at, cost in enumerate(pool.trainable) if cost <= limit]
    rng = np.random.default_rng(seed)
    alone = [np.eye(len(pool.names))[at] for at in affordable]
    bagged = np.zeros(len(pool.names))
    take = max(1, round(SHARE * len(affordable)))
    for _ in range(BAGS):
        bagged += search.walk(sorted(rng.choice(affordable, take, replace=False)), limit)
    candidates = [*alone, search.walk(affordable, limit), search.prune(bagged, limit)]
    best = max(candidates, key=search.key)  # the first of equals: a single run
    order = sorted(np.flatnonzero(best), key=lambda at: (-best[at], pool.names[at]))
    return Combiner(kind=rule.combine, weights={pool.names[at]: float(best[at]) for at in order})


class _Search:
    """What all walks have in common."""

    def __init__(self, pool: Pool, rule: Rule) -> None:
        self.scale = SCALES[rule.combine]
        self.outputs, self.targets, self.task = self.scale.of(pool.logits), pool.targets, pool.task
        self.trainable = np.array(pool.trainable)
        self.size, self.by = rule.size, figure_of(rule, pool.task)

    def figure(self, mean: npt.NDArray[np.floating], by: str) -> float:
        """Of a mean of outputs, larger is better; which label is the largest is the same in every scale, but not the median."""
        if by == "loss" or self.task.ordered:
            mean = self.scale.back(mean)
        return self.task.score(mean, self.targets, by)

    def key(self, weights: npt.NDArray[np.floating]) -> _Key:
        """Orders weights: by the figure, then fewer members, then the loss."""
        members = np.flatnonzero(weights)
        mean = np.einsum("mrl,m->rl", self.outputs[members].astype(np.float64), weights[members])
        return self.figure(mean, self.by), -len(members), self.figure(mean, "loss")

    def walk(self, allowed: Sequence[int], budget: int) -> npt.NDArray[np.float64]:
        """The best weights on the way of additions."""
        counts = np.zeros(len(self.outputs), np.int64)
        total = np.zeros(self.outputs.shape[1:], np.float64)
        best: tuple[_Key, npt.NDArray[np.float64]] | None = None
        for step in range(1, STEPS + 1):
            spent, members = int(self.trainable[counts > 0].sum()), int((counts > 0).sum())
            fit = [m for m in allowed if counts[m] or (members < self.size and spent + self.trainable[m] <= budget)]
            figures = {m: self.figure((total + self.outputs[m]) / step, self.by) for m in fit}
            top = max(figures.values())
            equal = [m for m in fit if figures[m] == top]
            old = [m for m in equal if counts[m]] or equal
            chosen = old[0] if len(old) == 1 else max(old, key=lambda m: self.figure((total + self.outputs[m]) / step, "loss"))
            counts[chosen] += 1
            total += self.outputs[chosen]
            key = (top, -int((counts > 0).sum()), self.figure(total / step, "loss"))
            if best is None or key > best[0]:
                best = key, counts / step
        assert best is not None
        return best[1]

    def prune(self, weights: npt.NDArray[np.float64], budget: int) -> npt.NDArray[np.float64]:
        """The heaviest members within the limits, their weights adding up to 1."""
        heaviest = np.zeros_like(weights)
        spent = 0
        for at in np.argsort(-weights, kind="stable"):
            if weights[at] and np.count_nonzero(heaviest) < self.size and spent + self.trainable[at] <= budget:
                heaviest[at] = weights[at]
                spent += int(self.trainable[at])
        result: npt.NDArray[np.float64] = heaviest / heaviest.sum()
        return result
