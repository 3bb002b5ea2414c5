"""When a member is evaluated, when it stops, and how long it took, from accuracies written beforehand and a clock of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import striata
from striata.engine import Stack
from striata.settings import Recipe
from striata.training import loop
from striata.training.events import Event
from striata.training.state import Trainee
from striata.training.validation import Seen, Validator

from ..study.small import study_of

LAYOUT, MOST = "0 r1 query", 12


Scripts = dict[str, list[float]]


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Scripts:
    """What each member's evaluations are to give, by its name without the seed; the loss falls at each."""
    accuracies: Scripts = {}
    calls: Counter[str] = Counter()

    def during(self: Validator, _: Stack, due: Sequence[Trainee]) -> list[Seen]:
        measured = []
        for t in due:
            name = t.member.name.removesuffix("-seed0")
            measured.append(
                Seen(
                    {"accuracy": accuracies[name][calls[name]], "loss": 1 / (1 + calls[name])},
                    np.zeros((len(self.targets), 3), np.float32),
                )
            )
            calls[name] += 1
        return measured

    monkeypatch.setattr(Validator, "during", during)
    return accuracies


def study(folder: Path, recipes: dict[str, dict[str, Any]], **recipe: Any) -> dict[str, Any]:
    """Members by name, evaluated at every step unless their recipes say otherwise."""
    shared = {"max_steps": MOST, "evaluate_every": 1, "batch_size": 2, **recipe}
    layouts = [{"layout": LAYOUT, "name": name, "recipe": own} for name, own in recipes.items()]
    return study_of(folder, layouts=layouts, recipe=shared, ensemble={"size": 1})


def stops_after(values: Sequence[float], patience: int, least: float) -> tuple[int, str]:
    """The rule in words: a gain counts if it is larger than `least`, measured from the last accuracy that counted; `patience`
    evaluations in a row that do not count end it. Keras' EarlyStopping has the same."""
    counted = [0]
    for at, value in enumerate(values):
        if value - values[counted[-1]] > least:
            counted.append(at)
    ends = [*counted, len(values)]
    for at, after in pairwise(ends):
        if after - at > patience:
            return at + patience + 1, "patience"
    return len(values), "max_steps"


SLOW = [0.5 + 0.0009 * at for at in range(MOST)]
CASES: dict[str, tuple[list[float], dict[str, Any], tuple[int, str]]] = {
    "small-gains-add-up": (SLOW, {"patience": 10, "min_delta": 0.001}, (MOST, "max_steps")),
    "small-gains-too-slow": (SLOW, {"patience": 3, "min_delta": 0.004}, (4, "patience")),
    "small-gains-fast-enough": (SLOW, {"patience": 5, "min_delta": 0.004}, (MOST, "max_steps")),
    "any-gain-counts": ([0.5 + 1e-9 * at for at in range(MOST)], {"patience": 1, "min_delta": 0.0}, (MOST, "max_steps")),
    "no-gain": ([0.7] * MOST, {"patience": 4, "min_delta": 0.0}, (5, "patience")),
    "a-fall-is-no-gain": ([0.9, 0.5, 0.6, 0.7, 0.8, 0.85, *[0.95] * 10], {"patience": 5}, (6, "patience")),
    "a-gain-begins-anew": ([0.5, 0.5, 0.5, 0.6, 0.6, 0.6, 0.7, *[0.7] * 10], {"patience": 3}, (10, "patience")),
    "no-patience": ([0.7] * MOST, {"patience": None}, (MOST, "max_steps")),
}


def test_members_stop_when_gains_stop(tmp_path: Path, scripts: Scripts) -> None:
    scripts |= {name: values for name, (values, _, _) in CASES.items()}
    trained = striata.train(study(tmp_path, {name: recipe for name, (_, recipe, _) in CASES.items()}))
    ended = {name: (run.facts.steps, run.facts.stopped) for name, run in trained.runs.items()}
    assert ended == {f"{name}-seed0": expected for name, (_, _, expected) in CASES.items()}
    for values, recipe, expected in CASES.values():
        if recipe["patience"] is not None:
            assert stops_after(values[:MOST], recipe["patience"], recipe.get("min_delta", 0.001)) == expected


def test_the_last_gain_survives_interruptions(tmp_path: Path, scripts: Scripts) -> None:
    scripts["m"] = [0.5, 0.5009, *[0.5018] * 7]
    saved: list[Event] = []

    def interrupt(event: Event) -> None:
        if event.kind == "saved" and len(saved) < 5:
            saved.append(event)
            raise KeyboardInterrupt

    settings = study(tmp_path, {"m": {"patience": 3, "min_delta": 0.001}}, max_steps=9)
    for _ in range(5):
        with pytest.raises(KeyboardInterrupt):
            striata.train(settings, listen=interrupt)
    (run,) = striata.train(settings).runs.values()
    assert (run.facts.steps, run.facts.stopped) == (6, "patience")  # 0.5018 counts over 0.5; three evaluations later


def test_the_best_weights_are_kept_however_small_the_gain(tmp_path: Path, scripts: Scripts) -> None:
    scripts["m"] = [0.5, 0.5005, 0.5003, 0.5]
    (run,) = striata.train(study(tmp_path, {"m": {"patience": 3, "min_delta": 0.001}})).runs.values()
    assert (run.facts.best_step, run.facts.steps) == (2, 4)


def test_evaluations_come_at_every_so_many_steps_and_at_the_end(tmp_path: Path, scripts: Scripts) -> None:
    expected = {(3, 7): [3, 6, 7], (4, 8): [4, 8], (10, 5): [5], (1, 3): [1, 2, 3]}
    names = {f"every-{every}-of-{steps}": (every, steps) for every, steps in expected}
    scripts |= {name: [0.5] * 10 for name in names}
    recipes = {name: {"evaluate_every": every, "max_steps": steps} for name, (every, steps) in names.items()}
    for name, run in striata.train(study(tmp_path, recipes)).runs.items():
        evaluated = [entry["step"] for entry in run.history() if entry["validation_accuracy"] is not None]
        assert evaluated == expected[names[name.removesuffix("-seed0")]], name


class Clock:
    """A clock on which nothing takes time but a training step: 3 seconds."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


def test_time_is_shared_by_those_in_the_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    forward = Stack.forward

    def timed(self: Stack, batch: Any, draws: Any = None, *rest: Any, **options: Any) -> Any:
        if draws is not None:
            clock.now += 3.0
        return forward(self, batch, draws, *rest, **options)

    monkeypatch.setattr(loop, "time", clock)
    monkeypatch.setattr(Stack, "forward", timed)
    left: list[tuple[int, float | None]] = []

    def listen(event: Event) -> None:
        if event.kind == "step" and event.member == "long-seed0":
            left.append((event.step, event.seconds_left))

    settings = study(tmp_path, {"short": {"max_steps": 4}, "long": {"max_steps": 10}}, evaluate_every=5)
    trained = striata.train(settings, listen=listen)
    assert trained.runs["short-seed0"].facts.seconds == pytest.approx(4 * 3 / 2)
    assert trained.runs["long-seed0"].facts.seconds == pytest.approx(4 * 3 / 2 + 6 * 3)
    assert left == [(step, pytest.approx(3 * (10 - step))) for step in range(1, 11)]


MERITS = {"accuracy": 1, "macro_f1": 1, "loss": -1}


def kept_and_stopped(history: Sequence[dict[str, float]], by: str, patience: int, least: float) -> tuple[int, int]:
    """Step of the kept evaluation and of the last one, by brute force over all that were recorded: the first of the largest
    figure (of equal ones that with the smallest loss) among those before the end, which comes after `patience` evaluations of
    which none is more than `least` better than the last that was."""
    values = [MERITS[by] * entry[by] for entry in history]
    counted, last = 0, len(values) - 1
    for at in range(len(values)):
        if values[at] - values[counted] > least:
            counted = at
        elif at - counted >= patience:
            last = at
            break
    best = max(range(last + 1), key=lambda at: (values[at], -history[at]["loss"], -at))
    return best + 1, last + 1


@pytest.mark.parametrize("by", MERITS)
@pytest.mark.parametrize("least", [0.0, 0.05])
def test_the_figure_that_decides_keeps_and_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str, least: float) -> None:
    rng = np.random.default_rng(3)
    names = [f"m{number}" for number in range(6)]
    recorded = {name: [dict(zip(MERITS, rng.choice(8, 3) / 8, strict=True)) for _ in range(MOST)] for name in names}
    calls: Counter[str] = Counter()

    def during(self: Validator, _: Stack, due: Sequence[Trainee]) -> list[Seen]:
        measured = []
        for t in due:
            name = t.member.name.removesuffix("-seed0")
            measured.append(Seen(recorded[name][calls[name]], np.full((len(self.targets), 3), calls[name], np.float32)))
            calls[name] += 1
        return measured

    monkeypatch.setattr(Validator, "during", during)
    recipe = {"best_by": by, "patience": 3, "min_delta": least, "learning_rate": 1e-9}
    events: list[Event] = []
    trained = striata.train(
        study(tmp_path, {name: {"clip": 1.0 + at} for at, name in enumerate(names)}, **recipe), listen=events.append
    )
    ends = set()
    for name in names:
        run = trained.runs[f"{name}-seed0"]
        expected = kept_and_stopped(recorded[name], by, 3, least)
        assert (run.facts.best_step, run.facts.steps) == expected
        assert (run.validation().logits == expected[0] - 1).all()  # what is kept is what was measured then
        ends.add(run.facts.stopped)
        seen = [entry[f"validation_{by}"] for entry in run.history() if entry["validation_loss"] is not None]
        assert seen == [entry[by] for entry in recorded[name][: expected[1]]]
        told = [event.figures[by] for event in events if event.kind == "evaluated" and event.member == run.name]
        assert told == seen
    assert "patience" in ends


def test_what_is_no_number_is_worst() -> None:
    for by in MERITS:
        recipe = Recipe(best_by=by)
        assert recipe.merit({by: float("nan")}) == -np.inf < recipe.merit({by: 0.5})
