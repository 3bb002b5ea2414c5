"""What a notebook's cell shows: a line for each result, with the figures one would look for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import striata
from striata.ensemble import write_ensemble
from striata.evidence import compare_study
from striata.figures.intervals import Interval
from striata.runs import StudyFolder, leaderboard
from striata.steps import Trained

from .model.test_texts import TEXTS, model_of
from .study.synthetic import logits_of, write_synthetic_study


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    """Two runs, right on 180 and 160 of 200 rows."""
    rows = np.arange(200)
    labels = rows % 3
    runs = {("s8", 0): logits_of(rows >= 20, labels), ("s1", 0): logits_of(rows < 160, labels)}
    return write_synthetic_study(tmp_path / "out", runs, labels)


def test_plan() -> None:
    plan = striata.plan("s8", base="FacebookAI/roberta-base", labels=4, budget=1_000_000)
    assert repr(plan) == (
        "Plan(s8, roberta-base, 4 labels: 759,556 parameters of at most 1,000,000, 165,888 in adapters at 12 sites, "
        "593,668 in the head)"
    )


def test_what_a_study_gives(folder: StudyFolder) -> None:
    runs = {run.name: run for run in folder.runs()}
    parameters = f"{runs['s8-seed0'].trainable:,} parameters"
    assert repr(runs["s8-seed0"]) == f"Run(s8-seed0, adapter, 3 labels: accuracy 0.9000 on 200 rows, {parameters})"
    assert repr(leaderboard(folder)[0]) == f"Standing(s8-seed0, adapter: accuracy 0.9000, {parameters})"
    assert repr(compare_study(folder)) == (
        "Comparison(2 layouts on 200 rows, the best s8 with accuracy 0.9000; 1 of 1 differences told apart)"
    )
    ensemble = write_ensemble(folder.path, size=2)
    accuracy = ensemble.nested["accuracy"]
    shown = f"Ensemble(2 runs by top, 3 labels: accuracy {accuracy:.4f} on 200 rows it was not chosen by)"
    assert repr(ensemble) == shown
    trained = Trained(folder=folder.path, runs=runs, failed={"s2-seed0": "its loss is nan"}, ensemble=ensemble, test={})
    best = "2 runs, the best s8-seed0 with accuracy 0.9000"
    assert repr(trained) == f"Trained({folder.path}: {best}; {shown}; 1 failed)"
    nothing = Trained(folder=folder.path, runs={}, failed={"s2-seed0": "its loss is nan"}, ensemble=None, test={})
    assert repr(nothing) == f"Trained({folder.path}: 0 runs; 1 failed)"


def test_fitted() -> None:
    fitted = striata.Fitted(
        folder=Path("runs/train"), model=Path("runs/train/ensemble"), name="the ensemble of 4",
        value=Interval(value=0.9, low=0.833, high=0.942),
        measured_on="validation", rows=120, cheapest_bar=None, gain=None,
    )  # fmt: skip
    assert repr(fitted) == (
        "Fitted(the ensemble of 4: accuracy 0.9000 (0.8330 to 0.9420) on 120 validation rows; runs/train/ensemble)"
    )


def test_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = model_of(monkeypatch).evaluate(pd.DataFrame({"text": TEXTS, "label": ["World", "Business", "World", "World"]}))
    scores = measured.metrics.scores
    shown = f"Evaluation(accuracy 0.7500 (0.3006 to 0.9544) on 4 rows, macro F1 {scores.macro_f1:.4f}, loss {scores.loss:.4f})"
    assert repr(measured) == shown
