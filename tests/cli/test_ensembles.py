"""`striata ensemble`, and what `striata predict` refuses, from the command line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from striata.ensemble import load_ensemble
from striata.runs import StudyFolder

from ..processes import striata as run
from ..study.synthetic import write_synthetic_study
from .test_cli import refused


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study of five runs in `out`."""
    folder = tmp_path_factory.mktemp("ensembles")
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 120)
    logits = np.eye(3)[labels] * 2 + rng.normal(0, 2, (5, 120, 3))
    layouts = (f"0-11 r{rank} query" for rank in range(2, 7))
    write_synthetic_study(
        folder / "out", {(layout, 0): each.astype(np.float32) for layout, each in zip(layouts, logits, strict=True)}, labels
    )
    (folder / "new.csv").write_text("text\nw1 w2\n")
    return folder


def test_both_figures_are_shown_and_a_budget_is_kept(study: Path) -> None:
    cost = {run.name: run.plan.trainable for run in StudyFolder.open(study / "out").runs()}
    budget = sum(sorted(cost.values())[:2])
    options = ("--method", "greedy", "--combine", "probabilities", "--budget", budget)
    shown = run("ensemble", "out", *options, cwd=study)
    assert shown.returncode == 0, shown.stderr
    made = load_ensemble(study / "out" / "ensemble")
    assert made.trainable == sum(cost[name] for name in made.members) <= budget
    lines = shown.stdout.splitlines()
    for name, weight in made.members.items():
        assert any(line.startswith(f"{name}  weight {weight:.3g}") for line in lines)
    assert any(line.startswith(f"together: validation accuracy {made.metrics['accuracy']:.4f}") for line in lines)
    accuracy = made.nested["accuracy"]
    error = (accuracy * (1 - accuracy) / 120) ** 0.5
    assert f"chosen without the rows it is measured on: {accuracy:.4f} (standard error {error:.4f})" in lines
    assert f"the best single run, chosen likewise: {made.single['accuracy']:.4f}" in lines
    assert f"temperature {made.calibration().temperature:.3f}: calibration error" in shown.stdout
    assert "flatters" in shown.stderr


def test_a_stack_as_json(study: Path) -> None:
    found = json.loads(run("ensemble", "out", "--method", "stacking", "--size", 2, "--json", cwd=study).stdout)
    made = load_ensemble(study / "out" / "ensemble")
    assert (found["method"], found["combination"], found["members"]) == ("stacking", "stacking", made.members)
    assert (found["nested"], found["metrics"], found["rows"]) == (made.nested, made.metrics, 120)
    assert found["calibration"] == made.calibration().to_json()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("ensemble", "out", "--method", "gredy"), "unknown method 'gredy' (did you mean 'greedy'?)"),
        (("ensemble", "out", "--combine", "votes"), "unknown combination 'votes'"),
        (("ensemble", "out", "--budget", 5), "no run is within the ensemble's budget of 5"),
        (("ensemble", "out", "--rank", 4), "--rank 4 is of merged weights"),
        (
            ("ensemble", "out", "--method", "soup", "--combine", "probabilities"),
            "--combine probabilities: method soup averages no outputs",
        ),
        (("ensemble", "nothing"), "there is no folder nothing"),
        (("predict", "out", "new.csv", "--out", "x.csv", "--format", "id-label", "--sets", 0.9), "has one label for every row"),
        (("predict", "out", "new.csv", "--out", "x.csv", "--uncalibrated"), "give it with --probabilities"),
        (("predict", "out", "new.csv", "--out", "x.csv", "--abstain-below", 0.5, "--precision-at-least", 0.9), "were both given"),
    ],
)
def test_what_is_refused_is_one_line_and_leaves_files_alone(study: Path, arguments: Sequence[object], message: str) -> None:
    before = sorted((str(p), p.stat().st_mtime_ns) for p in study.rglob("*"))
    assert message in refused(*arguments, cwd=study)
    assert sorted((str(p), p.stat().st_mtime_ns) for p in study.rglob("*")) == before
