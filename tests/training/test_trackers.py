"""What trackers are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from striata.settings import load_study
from striata.training import trackers
from striata.training.events import Event


class Recorder:
    """A tracker that remembers."""

    def __init__(self) -> None:
        self.config: dict[str, Any] = {}
        self.lines: list[tuple[dict[str, float], int]] = []
        self.finished = False

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        self.config = values

    def log(self, values: dict[str, float], step: int) -> None:
        self.lines.append((values, step))

    def finish(self) -> None:
        self.finished = True


def test_a_tracker_is_told_the_whole_recipe_and_each_members_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder()
    monkeypatch.setattr(trackers, "check_trackers", lambda names: None)
    monkeypatch.setattr(trackers, "_start", lambda *_: recorder)
    recipe = {"optimizer": {"name": "adamw", "betas": [0.9, 0.95]}, "class_weights": {"World": 2}}
    study = load_study({"base": "b", "data": "a.csv", "layouts": "s8", "output": "x", "recipe": recipe})
    config = study.model_dump(mode="json", include={"base", "head", "recipe"})
    with trackers.tracking(["wandb"], "x", Path("x"), config) as listen:
        listen(Event(kind="step", member="s8-seed0", step=3, loss=0.5, learning_rate=1e-4))
        listen(Event(kind="evaluated", member="s8-seed0", step=3, value=0.9, validation_loss=0.4))
        listen(Event(kind="finished", member="s8-seed0", step=3, value=0.9))
    assert recorder.config["base"] == "b"
    assert recorder.config["recipe.optimizer.name"] == "adamw"
    assert recorder.config["recipe.optimizer.betas"] == "[0.9, 0.95]"
    assert recorder.config["recipe.class_weights.World"] == 2
    assert recorder.config["recipe.max_steps"] == 2500
    assert "recipe.epochs" not in recorder.config
    assert all(isinstance(value, str | int | float) for value in recorder.config.values())
    assert recorder.lines == [
        ({"s8-seed0/train/loss": 0.5, "s8-seed0/train/learning_rate": 1e-4}, 3),
        ({"s8-seed0/validation/accuracy": 0.9, "s8-seed0/validation/loss": 0.4}, 3),
    ]
    assert recorder.finished
