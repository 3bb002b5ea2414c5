"""Ranks scaled to use a budget up."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from ..errors import BudgetError
from .heads import head_of
from .named import Resolved, resolve
from .plan import Plan, plan_of
from .sections import Layout, Section, from_layers
from .shapes import shape_of


def fit(spec: str | Path | Layout, *, base: str, labels: int, head: str = "native", budget: int) -> Plan:
    """The same shape of layout with its ranks multiplied by the largest factor that stays within a budget.

    Every rank r becomes max(1, floor(factor * r)), at most the smaller dimension of its sites; alphas and dropouts stay.
    The factor is exact: with the next larger one that changes a rank, the total is above the budget.

    Args:
        spec: see :func:`striata.layout.resolve`.
        base: a Hub name or a local model folder.
        labels: number of labels.
        head: of :data:`striata.choices.HEADS`.
        budget: the most trainable parameters, head included.

    Raises:
        BudgetError: even rank 1 everywhere is above the budget.
        LayoutError, PlanError, EncoderError: as :func:`striata.layout.make_plan`.
    """
    shape = shape_of(base)
    resolved, top = resolve(spec, shape), head_of(shape, head, labels)
    unscaled = plan_of(resolved, shape, top, labels, None)
    sizes: dict[int, int] = defaultdict(int)  # parameters of one rank, by the rank before scaling
    caps: dict[int, int] = {}
    for site in unscaled.sites:
        sizes[site.rank] += site.in_features + site.out_features
        smaller = min(site.in_features, site.out_features)
        caps[site.rank] = min(caps.get(site.rank, smaller), smaller)

    def ranks(factor: Fraction) -> dict[int, int]:
        return {rank: min(cap, max(1, int(factor * rank))) for rank, cap in caps.items()}

    def total(factor: Fraction) -> int:
        return top.parameters + sum(new * sizes[rank] for rank, new in ranks(factor).items())

    if total(Fraction(0)) > budget:
        raise BudgetError(
            f"layout {unscaled.layout} trains {total(Fraction(0)):,} parameters even with rank 1 in every section "
            f"({top.parameters:,} of them the head); raise the budget of {budget:,}, or use fewer targets or another head"
        )
    factors = sorted({Fraction(0)} | {Fraction(k, rank) for rank, cap in caps.items() for k in range(1, cap + 1)})
    low, high = 0, len(factors)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if total(factors[middle]) <= budget else (low, middle)
    return plan_of(_scaled(resolved, ranks(factors[low]), budget), shape, top, labels, budget)


def _scaled(resolved: Resolved, ranks: dict[int, int], budget: int) -> Resolved:
    def new(section: Section) -> Section:
        return replace(section, rank=ranks[section.rank]) if section.rank else section

    layers = tuple({target: new(section) for target, section in claims.items()} for claims in resolved.layers)
    if all(old == rank for old, rank in ranks.items()):
        remark = f"the ranks are already the largest of this shape within {budget:,}"
    else:
        changes = ", ".join(f"{old} to {rank}" for old, rank in sorted(ranks.items()))
        remark = f"fitted to {budget:,} parameters: rank {changes}; alphas unchanged"
    return replace(resolved, layout=from_layers(layers), layers=layers, notes=(*resolved.notes, remark))
