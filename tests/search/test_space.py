"""Layouts as parameters and back, within the budget; successive halving against Optuna's own."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import yaml

from striata.errors import BudgetError, LayoutError, PlanError, StudyError
from striata.layout import Layout, Section, fit, make_plan
from striata.search import Space
from striata.search.halving import rungs, weak
from striata.search.propose import propose, quiet
from striata.settings import load_study
from striata.settings.search_settings import SearchSettings
from striata.study import plan_members

BASE = "sentence-transformers/all-MiniLM-L6-v2"
SMALL = {"sections": [1, 3], "ranks": [2, 8, 4], "targets": [["query"], ["query", "value"]], "dropout": [0.0, 0.2]}


def study_for(search: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"base": BASE, "head": "mean", "data": {"train": "x.csv"}, "search": search, "output": "x"} | changes


def space_of(search: dict[str, Any], **changes: Any) -> Space:
    return Space.of(load_study(study_for({**SMALL, **search}, **changes)), 4)


def drawn(space: Space, number: int) -> list[dict[str, Any]]:
    """Parameters as a random sampler gives them."""
    with quiet():
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    trials = []
    for _ in range(number):
        trials.append(study.ask())
        space.suggest(trials[-1])
    return [trial.params for trial in trials]


def test_every_proposal_is_a_layout_over_all_layers() -> None:
    space = space_of({})
    for values in drawn(space, 200):
        layout = space.layout(values)
        assert len(layout.sections) == values["sections"]
        covered = [layer for s in layout.sections for layer in range(int(s.first), int(s.last) + 1)]
        assert covered == list(range(6))
        assert {s.rank for s in layout.sections} <= {2, 4, 8}
        assert all(0 <= s.dropout <= 0.2 and s.alpha == 4 for s in layout.sections)
        plan = space.plan(values)
        assert Layout.parse(layout.text) == layout
        assert make_plan(plan.text, base=BASE, labels=4, head="mean").hash == plan.hash


def test_every_border_can_be_proposed() -> None:
    space = space_of({"sections": [3, 3]})
    found = {tuple(int(s.first) for s in space.layout(values).sections[1:]) for values in drawn(space, 400)}
    assert found == set(combinations(range(1, 6), 2))


def test_a_proposal_above_the_budget_gets_the_largest_ranks_that_fit() -> None:
    budget, free = 20_000, space_of({})
    space = space_of({}, budget=budget)
    scaled = 0
    for values in drawn(space, 200):
        plan, asked = space.plan(values), free.plan(values)
        assert plan.trainable <= budget == plan.budget
        assert [s.dropout for s in plan.sites] == [s.dropout for s in asked.sites]
        if asked.trainable <= budget:
            assert plan.hash == asked.hash
        else:
            scaled += 1
            assert plan.hash == fit(asked.text, base=BASE, labels=4, head="mean", budget=budget).hash
            assert "fitted to 20,000 parameters" in " ".join(plan.notes)
    assert 20 < scaled < 180


def test_an_alpha_that_follows_the_rank_does_so_after_fitting() -> None:
    space = space_of({"alpha": "rank"}, budget=15_000)
    plans = [space.plan(values) for values in drawn(space, 100)]
    assert any(plan.notes for plan in plans)
    assert all(site.scale == 1 for plan in plans for site in plan.sites)
    assert all(plan.trainable <= 15_000 for plan in plans)


def test_the_size_is_what_counting_finds() -> None:
    space = space_of({"sections": [2, 3], "dropout": [0.1, 0.1], "learning_rate": None})
    found = set()
    for targets, count in product(SMALL["targets"], (2, 3)):
        for ranks, cuts in product(product((2, 4, 8), repeat=count), combinations(range(1, 6), count - 1)):
            ends = (0, *cuts, 6)
            sections = tuple(Section(ends[at], ends[at + 1] - 1, rank, 4.0, 0.1, tuple(targets)) for at, rank in enumerate(ranks))
            found.add(make_plan(Layout(sections), base=BASE, labels=4, head="mean").hash)
    assert space.size == len(found)
    assert space.finite
    assert not space_of({}).finite


@pytest.mark.parametrize("text", ["0-5 r8 a4 query value", "0-1 r2 a4 d0.05 query | 2-5 r4 a4 d0.2 query", "s8", "s1:reversed"])
def test_a_layout_in_the_space_is_where_the_search_begins(text: str) -> None:
    space = space_of({"ranks": [2, 4, 8, 16], "sections": [1, 4]}, layouts=[text], recipe={"learning_rate": 0.003})
    (values,) = space.starts().values()
    first = propose(space, [])
    assert first is not None
    assert first.params == values
    assert space.plan(first.params).hash == make_plan(text, base=BASE, labels=4, head="mean").hash
    assert space.recipe(first.params).learning_rate == 0.003


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ("s5", "layout 's5' cannot be where the search begins: it has 4 section"),
        ("0-5 r3 a4 query", "rank 3 is none of search.ranks 2, 4, 8"),
        ("0-5 r2 query", "alpha 2 is not search.alpha 4"),
        ("0-5 r2 a4 d0.3 query", "dropout 0.3 is outside search.dropout 0 to 0.2"),
        ("0-5 r2 a4 key", "its targets are none of search.targets"),
        ("0-4 r2 a4 query", "one rank, alpha and dropout in every layer"),
        ({"layout": "s1", "recipe": {"learning_rate": 1.0}}, "learning rate 1 is outside 0.0001 to 0.01"),
        ({"layout": "s1", "recipe": {"batch_size": 8}}, "recipe differs in more than the learning rate"),
    ],
)
def test_a_layout_outside_the_space_says_why(layout: Any, message: str) -> None:
    with pytest.raises(StudyError, match=message):
        space_of({}, layouts=[layout])


@pytest.mark.parametrize(
    ("search", "changes", "error", "message"),
    [
        ({"sections": [1, 7]}, {}, StudyError, "7 sections do not fit over the 6 layers"),
        ({"ranks": [2, 999]}, {}, PlanError, "search: section .* rank 999 is above 384"),
        ({"targets": [["query"], ["qury"]]}, {}, LayoutError, r"unknown target 'qury' \(did you mean 'query'\?\)"),
        ({"targets": [["qkv"]]}, {}, PlanError, "search: .* bert encoders have no target 'qkv'"),
        ({}, {"budget": 8_000}, BudgetError, "query value is above the budget with rank 1 in every layer: .* trains 10,756"),
        ({}, {"budget": 1_000}, BudgetError, "search.targets: query is above the budget"),
    ],
)
def test_an_impossible_space_is_refused(
    search: dict[str, Any], changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        space_of(search, **changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ({"trails": 3}, r"unknown key 'search.trails' \(did you mean 'trials'\?\); expected one of trials, generation, seed"),
        ({"prune": {"reductoin": 3}}, r"unknown key 'search.prune.reductoin' \(did you mean 'reduction'\?\)"),
        ({"sections": [4, 1]}, "search.sections; expected two values, the lower one first"),
        ({"ranks": [2, 2]}, "search.ranks; expected values that are all different"),
        ({"dropout": [0, 1.0]}, "search.dropout.1 is 1.0; expected a number from 0 to below 1"),
        ({"alpha": "ranks"}, "search.alpha is 'ranks'; expected a number above 0 or rank"),
        (3, "study: search is 3; expected true or false or a group of keys or null"),
    ],
)
def test_a_wrong_setting_is_named(search: Any, message: str) -> None:
    with pytest.raises(StudyError, match=message):
        load_study(study_for(search))


def test_a_study_needs_layouts_or_a_search_and_a_search_one_seed() -> None:
    without = {key: value for key, value in study_for({}).items() if key != "search"}
    with pytest.raises(StudyError, match="key 'layouts' is missing; for instance `layouts: "):
        load_study(without)
    with pytest.raises(StudyError, match=r"seeds are \[0, 1\], but a search trains every layout once"):
        load_study(study_for({}, seeds=[0, 1]))


def test_the_ready_study_can_be_searched() -> None:
    study = load_study(Path(__file__).parents[2] / "studies" / "search.yaml")
    space = Space.of(study, 4)
    assert len(space.starts()) == len(study.layouts) == len(plan_members(study, 4))
    first = propose(space, [])
    assert first is not None
    assert first.user_attrs["trainable"] <= (study.budget or 0)


def test_the_rungs() -> None:
    assert rungs(after=1, reduction=3, evaluations=10) == [1, 3, 9]
    assert rungs(after=1, reduction=3, evaluations=9) == [1, 3]
    assert rungs(after=5, reduction=2, evaluations=5) == []


def test_a_rung_that_all_reach_together_keeps_one_in_so_many() -> None:
    rng = np.random.default_rng(0)
    for size, reduction in product(range(1, 30), (2, 3, 4)):
        values = rng.permutation(size).astype(float)
        kept = np.sort(values[~np.array(weak(values.tolist(), values.tolist(), reduction))])[::-1]
        assert kept.tolist() == sorted(values, reverse=True)[: max(1, size // reduction)]
    assert weak([0.5, 0.5, 0.5], [0.5, 0.5, 0.5], 3) == [False] * 3


def test_trials_that_arrive_one_by_one_end_where_optunas_pruner_ends_them() -> None:
    rng = np.random.default_rng(1)
    curves = rng.random((60, 9)).round(2)  # rounded, so that there are equals
    for after, reduction in ((1, 3), (1, 2), (2, 2)):
        pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=after, reduction_factor=reduction)
        with quiet():
            study = optuna.create_study(direction="maximize", pruner=pruner)
        places, seen = rungs(after=after, reduction=reduction, evaluations=9 + 1), {}
        for curve in curves:
            trial = study.ask()
            for at, value in enumerate(curve.tolist(), 1):
                trial.report(value, at)
                ends = False
                if at in places:
                    seen.setdefault(at, []).append(value)
                    (ends,) = weak([value], seen[at], reduction)
                assert trial.should_prune() == ends
                if ends:
                    break
            study.tell(trial, state=optuna.trial.TrialState.PRUNED if ends else None, values=None if ends else value)
        assert 0 < sum(t.state == optuna.trial.TrialState.COMPLETE for t in study.trials) < 30


def run_on(space: Space, objective: Any, number: int) -> list[Any]:
    """Trials proposed and told one after another."""
    trials: list[Any] = []
    while len(trials) < number and (asked := propose(space, trials)) is not None:
        value = objective(space, asked.params)
        state = optuna.trial.TrialState.FAIL if value is None else optuna.trial.TrialState.COMPLETE
        told = optuna.trial.create_trial(
            state=state, value=value, params=asked.params, distributions=asked.distributions, user_attrs=asked.user_attrs
        )
        told.number = len(trials)
        trials.append(told)
    return trials


def deep(space: Space, values: dict[str, Any]) -> float:
    """Greatest for large ranks in the last three layers, small ones before, and a learning rate of 1e-3."""
    by_layer = [next(iter(c.values())).rank for c in space.layout(values).by_layer(6)]
    wanted = np.log2([2, 2, 2, 8, 8, 8])
    return -float(np.abs(np.log2(by_layer) - wanted).sum()) - abs(np.log10(values["learning_rate"]) + 3)


def test_proposals_follow_from_the_seed_and_are_never_the_same_twice() -> None:
    one, again, other = (run_on(space_of({"seed": seed}), deep, 18) for seed in (0, 0, 1))
    assert [t.params for t in one] == [t.params for t in again]
    assert [t.params for t in one] != [t.params for t in other]
    assert len({(t.user_attrs["plan"], t.user_attrs["learning_rate"]) for t in one}) == 18


def test_a_small_space_is_used_up() -> None:
    search = {"sections": [1, 2], "ranks": [2, 4], "targets": [["query"]], "dropout": [0.1, 0.1], "learning_rate": None}
    space = space_of(search)
    trials = run_on(space, lambda space, values: float(space.plan(values).trainable), 100)
    assert len(trials) == space.size == 2 + 5 * 2
    assert len({t.user_attrs["plan"] for t in trials}) == space.size


def test_what_fails_is_avoided() -> None:
    def objective(space: Space, values: dict[str, Any]) -> float | None:
        return None if values["learning_rate"] > 1e-3 else 0.5

    trials = run_on(space_of({}), objective, 40)
    early, late = ([t.state.name for t in part].count("FAIL") for part in (trials[:10], trials[20:]))
    assert early / 10 > late / 20


def test_a_planted_optimum_is_found_sooner_than_by_chance() -> None:
    found, chance = [], []
    for seed in range(4):
        space = space_of({"seed": seed})
        found.append(max(t.value for t in run_on(space, deep, 40)))
        chance += [max(deep(space, values) for values in drawn(space, 200)[at : at + 40]) for at in range(0, 200, 40)]
    assert np.mean(found) > np.mean(chance)


def test_a_layout_given_twice_is_proposed_once() -> None:
    space = space_of({}, layouts=["0-5 r2 a4 query", "0-2 r2 a4 query | 3-5 r2 a4 query"], recipe={"learning_rate": 0.003})
    trials = run_on(space, deep, 2)
    assert trials[0].user_attrs["start"] == "0-5 r2 a4 query"
    assert "start" not in trials[1].user_attrs
    assert replace(space.plan(trials[0].params), layout="").text == "0-5 r2 a4 query"


def test_the_documented_study_is_valid_and_its_defaults_are_the_defaults() -> None:
    text = (Path(__file__).parents[2] / "docs" / "search.md").read_text()
    block = re.search(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert block is not None
    study = load_study(yaml.safe_load(block.group(1)))
    assert study.search is not None
    assert study.search.model_copy(update={"learning_rate": (1e-4, 1e-2)}) == SearchSettings()
    assert all(f"  {name}:" in text for name in SearchSettings.model_fields)
