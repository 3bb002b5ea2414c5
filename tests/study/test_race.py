"""Candidates that race: who leaves when, and that a race changes nothing for those who stay."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import striata
from striata.errors import StudyError
from striata.runs import StudyFolder
from striata.settings import load_study
from striata.settings.file import RaceSettings
from striata.study.race import Race
from striata.training import loop
from striata.training.events import Event

from .small import study_of

RACE = {"learning_rates": [0.0001, 0.03], "survivors": 2, "until": 0.5}


def raced(folder: Path, **changes: Any) -> dict[str, Any]:
    return study_of(folder, **{"race": RACE, "ensemble": False, "output": str(folder / "raced")} | changes)


@pytest.mark.parametrize(
    ("candidates", "survivors", "until", "steps", "rungs"),
    [
        (6, 2, 0.5, 20, [5, 10]),
        (9, 2, 0.25, 400, [25, 50, 100]),
        (4, 4, 0.5, 20, []),
        (3, 4, 0.5, 20, []),
        (2, 1, 0.25, 10, [3]),
        (8, 1, 0.25, 4, [1]),  # too short for three rungs: they fall together
    ],
)
def test_the_weaker_half_leaves_at_fractions_of_the_training(
    candidates: int, survivors: int, until: float, steps: int, rungs: list[int]
) -> None:
    settings = RaceSettings(learning_rates=(0.1,), survivors=survivors, until=until)
    assert Race(settings, [f"m{at}" for at in range(candidates)]).rungs(steps) == rungs


def runner(name: str, losses: list[float], steps: int) -> Any:
    history = [{"step": at + 1, "loss": loss} for at, loss in enumerate(losses)]
    history.insert(2, {"step": 2, "validation_loss": 0.0})
    return SimpleNamespace(member=SimpleNamespace(name=name), step=len(losses), steps=steps, history=history)


def test_the_latest_losses_decide() -> None:
    race = Race(RaceSettings(learning_rates=(0.1,), survivors=1, until=0.5), ["slow", "fast", "wild"])
    early = {"slow": [1.0, 0.9, 0.8, 0.7], "fast": [3.0, 3.0, 0.5, 0.4], "wild": [0.1, 0.1, 5.0, 6.0]}
    leaving = race.leaving([runner(name, losses, 16) for name, losses in early.items()])
    assert list(leaving) == ["wild"]
    assert "step 4: mean loss 5.5000 on its latest rows, the best one's 0.4500" in leaving["wild"]
    assert race.leaving([runner(name, losses[:3], 16) for name, losses in early.items()]) == {}
    assert list(race.leaving([runner("slow", [0.6] * 8, 16), runner("fast", [0.5] * 8, 16)])) == ["slow"]


def test_members_that_are_not_in_the_race_stay() -> None:
    race = Race(RaceSettings(learning_rates=(0.1,), survivors=1, until=0.5), ["a", "b"])
    field = [runner(name, [loss] * 8, 16) for name, loss in (("a", 1.0), ("b", 2.0), ("guest", 9.0))]
    assert list(race.leaving(field)) == ["b"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("race")


@pytest.fixture(scope="module")
def trained(folder: Path) -> Any:
    return striata.train(raced(folder), device="cpu")


def test_survivors_become_runs_and_the_others_say_why_not(trained: Any) -> None:
    assert len(trained.runs) == 2
    assert len(trained.failed) == 4
    assert all("left the race at step" in reason for reason in trained.failed.values())
    assert all(name.split("-lr")[1].startswith("0.03") for name in trained.runs)


def test_a_survivor_is_what_it_would_be_alone(folder: Path, trained: Any) -> None:
    for name, run in trained.runs.items():
        title = name.rpartition("-seed")[0]
        alone = {"layout": run.facts.layout, "name": title, "recipe": {"learning_rate": 0.03}}
        study = study_of(folder, layouts=[alone], ensemble=False, output=str(folder / f"alone-{title}"))
        other = striata.train(study, device="cpu")
        np.testing.assert_array_equal(other.runs[name].validation().logits, run.validation().logits)


@pytest.mark.parametrize("stop_at", [3, 5, 8, 12])
def test_interrupted_at_any_step_it_ends_the_same(folder: Path, trained: Any, tmp_path: Path, stop_at: int) -> None:
    study = raced(folder, output=str(tmp_path / "out"))

    def stop(event: Event) -> None:
        if event.kind == "step" and event.step == stop_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        striata.train(study, listen=stop, device="cpu")
    again = striata.train(study, device="cpu")
    assert set(again.failed.items()) == set(trained.failed.items())
    for name, run in trained.runs.items():
        np.testing.assert_array_equal(again.runs[name].validation().logits, run.validation().logits)
    assert not StudyFolder(tmp_path / "out").stacks.exists()


def test_members_of_a_seed_see_the_same_rows(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[int, list[tuple[int, ...]]] = {}
    original = loop.rows_at

    def watch(step: int, **settings: Any) -> np.ndarray:
        rows = original(step, **settings)
        seen.setdefault(step, []).append(tuple(rows.tolist()))
        return rows

    monkeypatch.setattr(loop, "rows_at", watch)
    layouts = [{"layout": f"0-2 r{rank} query", "name": f"rank{rank}"} for rank in (2, 3)]
    striata.train(study_of(folder, layouts=layouts, ensemble=False, output=str(folder / "rows"), recipe={"max_steps": 5}))
    assert all(len(rows) == 2 and rows[0] == rows[1] for rows in seen.values())
    assert len({rows[0] for rows in seen.values()}) == 5


def test_a_race_within_a_search_is_refused(folder: Path) -> None:
    with pytest.raises(StudyError, match="a search ends weak trials itself"):
        load_study(raced(folder, search=True))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"learning_rates": []}, "learning_rates"),
        ({"learning_rates": [0.1, 0.1]}, "learning_rates"),
        ({"learning_rates": [0.1], "survivors": 0}, "survivors"),
        ({"learning_rates": [0.1], "until": 1.0}, "until"),
        ({"learning_rates": [-1]}, "learning_rates"),
    ],
)
def test_wrong_settings_are_named(folder: Path, value: dict[str, Any], message: str) -> None:
    with pytest.raises(StudyError, match=message):
        load_study(raced(folder, race=value))
