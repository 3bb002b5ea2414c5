"""What surprises is said before it is trained, and nothing is said of a study that is as it should be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from striata.data import load_splits
from striata.errors import StudyError
from striata.settings import load_study
from striata.steps import plan_study
from striata.study import advise, plan_members, prepare

from .small import noting, study_of, write_texts

SOUND = {"data": {"validation": 50}, "recipe": {"max_steps": 40, "batch_size": 8}}  # 100 rows to train on: 13 steps are a pass


def advice_on(folder: Path, **changes: Any) -> list[str]:
    merged = {key: {**SOUND.get(key, {}), **value} if isinstance(value, dict) else value for key, value in changes.items()}
    study = load_study(study_of(folder, **{**SOUND, **merged}))
    prepared = prepare(study)
    return advise(prepared, plan_members(study, len(prepared.splits.labels)))


@pytest.mark.parametrize(
    ("recipe", "sentences"),
    [
        ({}, []),
        ({"max_steps": 260}, []),
        ({"max_steps": 261}, ["261 steps are 20 passes over the 100 training rows; a model may learn so few rows by heart"]),
        ({"max_steps": 2500, "patience": 10}, ["2,500 steps are 192 passes over the 100 training rows, unless patience ends it"]),
        ({"max_steps": 2500, "epochs": 20}, []),
        ({"evaluate_every": 40}, []),
        ({"evaluate_every": 41}, ["recipe.evaluate_every is 41, but training ends after 40 steps"]),
        ({"evaluate_every": 14, "epochs": 1}, ["recipe.evaluate_every is 14, but training ends after 13 steps"]),
        ({"warmup": 39}, []),
        ({"warmup": 20, "epochs": 1}, ["the warmup of 20 steps is not over when training ends after 13"]),
    ],
)
def test_recipes_that_do_not_do_what_they_seem_to(tmp_path: Path, recipe: dict[str, Any], sentences: list[str]) -> None:
    lines = advice_on(tmp_path, recipe=recipe)
    assert len(lines) == len(sentences)
    assert all(line.startswith(start) for line, start in zip(lines, sentences, strict=True))


def test_a_recipe_of_one_layout_is_named(tmp_path: Path) -> None:
    layouts: list[Any] = study_of(tmp_path)["layouts"]
    layouts[1] = {"layout": layouts[1], "name": "long", "recipe": {"max_steps": 2000}}
    (line,) = advice_on(tmp_path, layouts=layouts)
    assert line.startswith("long: 2,000 steps are")
    layouts[2] = {"layout": layouts[2], "name": "also", "recipe": {"max_steps": 2000}}
    (line,) = advice_on(tmp_path, layouts=layouts, seeds=[0, 1])
    assert line.startswith("long and 1 more: 2,000 steps are")


def test_data_that_is_cut_or_too_small(tmp_path: Path) -> None:
    (line,) = advice_on(tmp_path, data={"max_length": 9})
    lengths = [2 + len(text.split()) for text in load_splits(str(tmp_path / "train.csv"), 50, None).train.texts]
    share, median = sum(length > 9 for length in lengths), sorted(lengths)[50]  # of 100 rows
    assert line.startswith(
        f"{share}% of the training texts are cut at data.max_length 9 (half of all have more than {median} tok"
    )
    words = {"layouts": [], "baselines": ["lexical"], "ensemble": {"size": 1}}
    assert advice_on(tmp_path, data={"max_length": 9}, **words) == []  # whoever counts words reads them all
    (line,) = advice_on(tmp_path, data={"validation": 20})
    assert line.startswith("there are 20 validation rows: a single one moves the accuracy by 5.0%")
    lines = write_texts(tmp_path / "some.csv", 200, seed=3).read_text().splitlines()
    (tmp_path / "held.csv").write_text("\n".join(line for line in lines if not line.endswith("World")) + "\n")
    (line,) = advice_on(tmp_path, data={"validation": str(tmp_path / "held.csv")})
    assert line == "validation has no row of World: nothing is measured there of what the model makes of them"
    with pytest.raises(StudyError, match=r"data\.validation is 0; expected"):
        advice_on(tmp_path, data={"validation": 0})


def test_it_is_said_when_a_study_is_planned(tmp_path: Path) -> None:
    lines: list[str] = []
    plan_study(study_of(tmp_path, recipe={"evaluate_every": 100}, data={"validation": 50}), listen=noting(lines))
    assert lines[-1].startswith("recipe.evaluate_every is 100, but training ends after 20 steps")
