"""`recipe: auto`: what is decided, that what is written stays, and that it trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import striata
from striata.errors import StudyError
from striata.settings import Recipe, load_study
from striata.settings.file import Study
from striata.study.advice import _on_rate
from striata.study.automatic import decide_recipe

from .small import study_of


def decided(rows: int, **changes: Any) -> Study:
    settings = {"base": "roberta-base", "data": "x.csv", "layouts": ["s1", "s2"], "recipe": "auto", "output": "out"}
    return decide_recipe(load_study(settings | changes), rows)


@pytest.mark.parametrize(
    ("rows", "steps", "dropped"), [(50, 200, None), (4_000, 1_500, None), (40_000, 2_500, 0.0), (1_000_000, 2_500, 0.0)]
)
def test_steps_are_passes_over_few_rows_and_a_limit_over_many(rows: int, steps: int, dropped: float | None) -> None:
    recipe = decided(rows).recipe
    assert (recipe.max_steps, recipe.encoder_dropout, recipe.auto) == (steps, dropped, False)
    assert recipe.evaluate_every * 10 >= steps > recipe.evaluate_every * 9


def test_rates_follow_the_encoder_and_race() -> None:
    study = decided(4_000)
    assert study.recipe.learning_rate == 1e-3
    assert study.race is not None
    assert study.race.learning_rates == (0.00033, 0.001, 0.003)
    assert study.race.survivors == 2
    three = decided(4_000, seeds=3, controls=["uniform"]).race
    assert three is not None
    assert three.survivors == 12


def test_what_is_written_stays() -> None:
    study = decided(4_000, recipe={"auto": True, "learning_rate": 5e-4, "max_steps": 70, "schedule": "cosine"})
    assert (study.recipe.learning_rate, study.recipe.max_steps, study.recipe.schedule) == (5e-4, 70, "cosine")
    assert study.race is None
    own = decided(4_000, race={"learning_rates": [0.1, 0.2], "survivors": 1})
    assert own.race is not None
    assert own.race.learning_rates == (0.1, 0.2)
    plain = load_study({"base": "roberta-base", "data": "x.csv", "layouts": ["s1"], "output": "out"})
    assert decide_recipe(plain, 4_000) is plain


def test_it_trains_and_the_same_call_goes_on(tmp_path: Path) -> None:
    study = study_of(tmp_path, ensemble=False, baselines="none") | {"recipe": "auto"}
    trained = striata.train(study)
    assert len(trained.runs) == 3
    assert len(trained.failed) == 6
    again = striata.train(study)
    assert {name: run.checksum for name, run in again.runs.items()} == {name: run.checksum for name, run in trained.runs.items()}


@pytest.mark.parametrize(
    ("optimizer", "rate", "warned"),
    [
        ("adamw", 1e-3, False), ("adamw", 2e-4, False), ("adamw", 1e-4, True), ("adamw", 1e-2, True),
        ("lion", 1e-4, False), ("lion", 3e-5, True), ("sgd", 10.0, False),
    ],
)  # fmt: skip
def test_odd_learning_rates_are_said(optimizer: str, rate: float, warned: bool) -> None:
    settings = {"base": "roberta-base", "data": "x.csv", "layouts": ["s1"], "output": "out"}
    lines = _on_rate(load_study(settings), Recipe.model_validate({"optimizer": optimizer, "learning_rate": rate}))
    assert bool(lines) == warned


def test_another_word_is_refused() -> None:
    with pytest.raises(StudyError, match="recipe"):
        decided(10, recipe="best")
