"""Merged weights against dense products and numpy's full decomposition."""

from __future__ import annotations

import numpy as np
import pytest

from striata.ensemble.merge import PREFIX, mean_of_weights, merge, merged_plan
from striata.errors import BudgetError
from striata.layout import Plan, make_plan

BASE = "distilroberta-base"
LAYOUTS = ("0-2 r2 a8 query | 3-5 r3 a3 query value", "0-5 r4 a2 d0.1 query", "2-5 r1 a1 value ffn_in")


def planned(layout: str) -> Plan:
    return make_plan(layout, base=BASE, labels=3, head="linear")


def weights(plan: Plan, seed: int, width: int = 12) -> dict[str, np.ndarray]:
    """Matrices of the plan's ranks, but narrow."""
    rng = np.random.default_rng(seed)
    found = {f"{PREFIX}classifier.weight": rng.normal(size=(3, width)), f"{PREFIX}classifier.bias": rng.normal(size=3)}
    for site in plan.sites:
        found[f"{PREFIX}{site.module}.lora_A.weight"] = rng.normal(size=(site.rank, width))
        found[f"{PREFIX}{site.module}.lora_B.weight"] = rng.normal(size=(width - 1, site.rank))
    return {name: value.astype(np.float32) for name, value in found.items()}


def dense(plan: Plan, tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """scale * B A by module."""
    name = PREFIX + "{}.lora_{}.weight"
    return {
        site.module: site.scale
        * tensors[name.format(site.module, "B")].astype(float)
        @ tensors[name.format(site.module, "A")].astype(float)
        for site in plan.sites
    }


PLANS = [planned(layout) for layout in LAYOUTS]
TENSORS = [weights(plan, at) for at, plan in enumerate(PLANS)]
MEAN = {
    module: sum(dense(plan, tensors).get(module, 0) for plan, tensors in zip(PLANS, TENSORS, strict=True)) / 3
    for module in {site.module for plan in PLANS for site in plan.sites}
}


def test_a_merge_is_exact_where_the_rank_is_large_enough() -> None:
    into = merged_plan(PLANS, rank=8)
    assert {site.module for site in into.sites} == set(MEAN)
    assert {site.rank for site in into.sites} == {8}
    for module, product in dense(into, merge(PLANS, TENSORS, into)).items():
        np.testing.assert_allclose(product, MEAN[module], atol=1e-5)


def test_a_merge_to_a_smaller_rank_is_the_nearest_of_that_rank() -> None:
    into = merged_plan(PLANS)
    for site in into.sites:
        assert site.rank == max(own.rank for plan in PLANS for own in plan.sites if own.module == site.module)
    for site in into.sites:
        found = dense(into, merge(PLANS, TENSORS, into))[site.module]
        u, values, v = np.linalg.svd(MEAN[site.module])
        nearest = (u[:, : site.rank] * values[: site.rank]) @ v[: site.rank]
        np.testing.assert_allclose(found, nearest, atol=1e-5)


def test_heads_are_averaged_and_nothing_else_is_there() -> None:
    into = merged_plan(PLANS)
    merged = merge(PLANS, TENSORS, into)
    for name in ("classifier.weight", "classifier.bias"):
        expected = np.mean([tensors[PREFIX + name] for tensors in TENSORS], axis=0)
        np.testing.assert_allclose(merged[PREFIX + name], expected, atol=1e-6)
    assert len(merged) == 2 + 2 * len(into.sites)


def test_a_merge_of_one_run_is_that_run() -> None:
    into = merged_plan(PLANS[:1])
    again = dense(into, merge(PLANS[:1], TENSORS[:1], into))
    for module, product in dense(PLANS[0], TENSORS[0]).items():
        np.testing.assert_allclose(again[module], product, atol=1e-5)


def test_the_mean_of_weights() -> None:
    pair = [weights(PLANS[0], seed) for seed in (5, 6)]
    for name, value in mean_of_weights(pair).items():
        np.testing.assert_allclose(value, (pair[0][name] + pair[1][name]) / 2, atol=1e-6)


def test_a_merge_keeps_to_a_budget() -> None:
    cost = merged_plan(PLANS).trainable
    assert merged_plan(PLANS, budget=cost).trainable == cost
    with pytest.raises(BudgetError, match="1 above the budget"):
        merged_plan(PLANS, budget=cost - 1)
