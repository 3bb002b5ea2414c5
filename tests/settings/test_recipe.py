"""How many steps a recipe makes of its rows, and what rate each has, against closed forms."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from striata.errors import StudyError
from striata.settings import Recipe, load_study
from striata.training.optimizers import make_optimizer, make_schedule
from striata.training.order import rows_at


def recipe(**settings: Any) -> Recipe:
    return Recipe.model_validate({"max_steps": 1000, **settings})


@pytest.mark.parametrize(
    ("epochs", "rows", "batch", "most", "expected"),
    [
        (None, 10, 4, 1000, 1000),
        (1, 8, 4, 1000, 2),
        (1, 10, 4, 1000, 3),  # the last batch is short
        (2, 10, 4, 1000, 6),
        (0.5, 10, 4, 1000, 2),  # 1.5 steps
        (2.5, 16, 4, 1000, 10),
        (1, 3, 16, 1000, 1),
        (0.01, 3, 16, 1000, 1),
        (10, 10, 4, 7, 7),
    ],
)
def test_epochs_are_passes_over_the_rows(epochs: float | None, rows: int, batch: int, most: int, expected: int) -> None:
    assert recipe(epochs=epochs, batch_size=batch, max_steps=most, warmup=0).steps(rows) == expected


def test_an_epoch_of_steps_sees_every_row_once() -> None:
    whole = recipe(epochs=2, batch_size=4)
    steps = [rows_at(step, rows=10, batch_size=4, seed=0) for step in range(whole.steps(10))]
    for epoch in (steps[:3], steps[3:]):
        assert sorted(np.concatenate(epoch)) == list(range(10))


@pytest.mark.parametrize(
    ("warmup", "settings", "rows", "expected"),
    [
        (0, {}, 10, 0),
        (7, {}, 10, 7),
        (0.25, {}, 10, 250),
        (0.06, {"max_steps": 25}, 10, 2),  # 1.5, rounded up
        (0.5, {"epochs": 2, "batch_size": 4}, 10, 3),  # of the steps that the epochs make
        (1, {}, 10, 1),  # a number of steps, no fraction
    ],
)
def test_warmup_is_a_fraction_or_a_number_of_steps(warmup: float, settings: dict[str, Any], rows: int, expected: int) -> None:
    assert recipe(warmup=warmup, **settings).warmup_steps(rows) == expected


def rate(schedule: str, step: int, warm: int, steps: int) -> float:
    """The share of the learning rate at a step, counted from 0: a line from 0, then half a cosine, a line to 0, or 1."""
    if step < warm:
        return step / warm
    if schedule == "constant":
        return 1.0
    done = (step - warm) / (steps - warm)
    return 1 - done if schedule == "linear" else 0.5 * (1 + math.cos(math.pi * done))


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
@pytest.mark.parametrize(("warmup", "warm"), [(0, 0), (3, 3), (0.25, 5)])
@pytest.mark.parametrize("begin", [0, 2, 11])
def test_every_step_has_the_rate_of_its_schedule(schedule: str, warmup: float, warm: int, begin: int) -> None:
    settings = recipe(schedule=schedule, warmup=warmup, learning_rate=0.3, epochs=4, batch_size=2, optimizer="sgd")
    optimizer = make_optimizer(settings, {"w": torch.nn.Parameter(torch.zeros(2, 2))})
    walk = make_schedule(settings, optimizer, rows=10, step=begin)
    rates = []
    for _ in range(begin, 20):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        walk.step()
    np.testing.assert_allclose(rates, [0.3 * rate(schedule, step, warm, 20) for step in range(begin, 20)], atol=1e-12)


STUDY = "base: x\ndata: {{train: t.csv{data}}}\nlayouts: [{{layout: s1{layout}}}]\noutput: o\nrecipe: {{{recipe}}}\n"


def study_file(folder: Path, *, recipe: str = "", data: str = "", layout: str = "") -> Path:
    (folder / "study.yaml").write_text(STUDY.format(recipe=recipe, data=data, layout=layout))
    return folder / "study.yaml"


def test_a_number_is_the_label_or_column_that_it_spells(tmp_path: Path) -> None:
    study = load_study(
        study_file(tmp_path, recipe='class_weights: {0: 1, "1": 5, -3: 2, b: 4}', data=", text: 0, label: 1", layout=", name: 7")
    )
    assert study.recipe.class_weights == {"0": 1.0, "1": 5.0, "-3": 2.0, "b": 4.0}
    assert (study.data.text, study.data.label) == ("0", "1")
    assert study.layouts[0].name == "7"  # type: ignore[union-attr]
    own = load_study(study_file(tmp_path, layout=", recipe: {class_weights: {0: 2, 1: 3}}"))
    assert own.recipe_of(own.layouts[0]).class_weights == {"0": 2.0, "1": 3.0}


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ({"recipe": "class_weights: {no: 1, yes: 5}"}, r"recipe\.class_weights; expected text, not False: YAML reads no, "),
        ({"recipe": "class_weights: {on: 1, 2: 5}"}, r"recipe\.class_weights; expected text, not True: YAML reads yes, on and"),
        ({"recipe": "class_weights: {a: 1, 1.5: 5}"}, r"recipe\.class_weights; expected labels as text, not 1\.5; write it in"),
        ({"recipe": "class_weights: {~: 1, a: 5}"}, r"recipe\.class_weights; expected labels as text, not None; write it in"),
        ({"recipe": 'class_weights: {0: 1, "0": 5}'}, r"recipe\.class_weights; expected one weight for each label, not two"),
        ({"data": ", label: no"}, r"data\.label is False; expected text, not False: YAML reads no, .*write the word in quotes"),
        ({"layout": ", name: yes"}, r"layouts\.0\.name is True; expected text, not True: YAML reads yes, on and true as True"),
    ],
)
def test_a_word_that_yaml_does_not_read_as_text_is_named(tmp_path: Path, place: dict[str, str], message: str) -> None:
    with pytest.raises(StudyError, match=message) as caught:
        load_study(study_file(tmp_path, **place))
    assert "\n" not in str(caught.value)
