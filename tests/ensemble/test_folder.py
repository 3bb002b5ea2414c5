"""Ensembles on disk: joined by name and row number, nothing overwritten when something is wrong, old folders open."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from striata.choices import METHODS
from striata.disk.files import sha256_file
from striata.ensemble import Ensemble, load_ensemble, write_ensemble
from striata.errors import StriataError

from ..study.synthetic import write_synthetic_run, write_synthetic_study

LAYOUTS = ("0-11 r2 query", "0-11 r3 query", "0-11 r4 query", "0-11 r5 query", "0-11 r6 query")
NAMES = ("Business", "Sports", "World")


def draw(rows: int = 90, runs: int = 5, seed: int = 0) -> tuple[dict[tuple[str, int], np.ndarray], np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, rows)
    logits = np.eye(3)[labels] * 2 + rng.normal(0, 2, (runs, rows, 3))
    return {(layout, 0): each.astype(np.float32) for layout, each in zip(LAYOUTS, logits, strict=False)}, labels


def tree(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): sha256_file(p) for p in sorted(folder.rglob("*")) if p.is_file()}


def combined(made: Ensemble) -> np.ndarray:
    logits = {name: run.validation().logits for name, run in made.runs.items()}
    result: np.ndarray = made.combiner.apply(logits)
    return result


@pytest.mark.parametrize("method", [name for name, method in METHODS.items() if not (method.merges or method.cascades)])
def test_what_is_written_is_read(tmp_path: Path, method: str) -> None:
    logits, labels = draw()
    write_synthetic_study(tmp_path / "out", logits, labels)
    combine = "probabilities" if METHODS[method].averages else "logits"
    made = write_ensemble(tmp_path / "out", method=method, size=3, combine=combine)
    again = load_ensemble(tmp_path / "out" / "ensemble")
    assert (again.method, again.members, again.metrics, again.nested) == (made.method, made.members, made.metrics, made.nested)
    assert again.combination == ("stacking" if method == "stacking" else combine)
    np.testing.assert_array_equal(combined(made), combined(again))
    assert float((combined(again).argmax(1) == labels).mean()) == again.metrics["accuracy"]
    seen = again.validation()
    assert float((seen.logits.argmax(1) == seen.labels).mean()) == again.nested["accuracy"]
    assert again.calibration().rows == again.rows == 90
    assert again.trainable == sum(run.plan.trainable for run in again.runs.values())
    assert set(again.single) == {"accuracy", "loss", "macro_f1"}


def test_rows_are_joined_by_number_and_runs_by_name(tmp_path: Path) -> None:
    logits, labels = draw()
    ids = np.random.default_rng(1).permutation(500)[:90]
    write_synthetic_study(tmp_path / "out", logits, labels, ids=ids, names=NAMES)
    one = write_ensemble(tmp_path / "out", method="greedy")
    for at, ((layout, seed), each) in enumerate(logits.items()):  # the same rows, each run's in another order
        order = np.random.default_rng(at).permutation(90)
        write_synthetic_run(tmp_path / "other", layout, seed, each[order], labels[order], ids=ids[order])
    (tmp_path / "other" / "study.json").write_bytes((tmp_path / "out" / "study.json").read_bytes())
    other = write_ensemble(tmp_path / "other", method="greedy")
    assert other.members == one.members
    assert other.metrics == one.metrics
    assert other.nested == one.nested


def wrong_labels(folder: Path, logits: np.ndarray, labels: np.ndarray) -> None:
    write_synthetic_run(folder, LAYOUTS[4], 0, logits, labels, names=("Business", "Sport", "World"))


def other_rows(folder: Path, logits: np.ndarray, labels: np.ndarray) -> None:
    write_synthetic_run(folder, LAYOUTS[4], 0, logits, labels, ids=np.arange(90) + 3)


def other_truth(folder: Path, logits: np.ndarray, labels: np.ndarray) -> None:
    write_synthetic_run(folder, LAYOUTS[4], 0, logits, np.where(np.arange(90) == 17, (labels + 1) % 3, labels))


def not_finite(folder: Path, logits: np.ndarray, labels: np.ndarray) -> None:
    wrong = logits.copy()
    wrong[17, 1] = np.nan
    write_synthetic_run(folder, LAYOUTS[4], 0, wrong, labels)


def twice(folder: Path, logits: np.ndarray, labels: np.ndarray) -> None:
    write_synthetic_run(folder, LAYOUTS[4], 0, logits, labels, ids=np.arange(90) // 2)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (wrong_labels, r"have different labels \(Sport, Sports in one of them only\)"),
        (other_rows, r"were validated on different rows: row 0 is in one of them only \(6 such rows\)"),
        (other_truth, r"have different true labels for validation row 17 \(.*; 1 such rows\)"),
        (not_finite, r"has logits that are not finite for 1 validation rows, the first for row 17; train it again"),
        (twice, "has a validation row twice"),
    ],
)
@pytest.mark.parametrize("method", [name for name, method in METHODS.items() if not (method.merges or method.cascades)])
def test_a_run_that_does_not_belong_is_named_and_nothing_is_overwritten(
    tmp_path: Path, spoil: Any, message: str, method: str
) -> None:
    logits, labels = draw(runs=4)
    write_synthetic_study(tmp_path / "out", logits, labels)
    write_ensemble(tmp_path / "out", size=2)
    spoil(tmp_path / "out", next(iter(logits.values())), labels)
    before = tree(tmp_path)
    with pytest.raises(StriataError, match=message) as caught:
        write_ensemble(tmp_path / "out", method=method)
    assert "\n" not in str(caught.value)
    assert tree(tmp_path) == before


def test_an_empty_study_and_one_run(tmp_path: Path) -> None:
    logits, labels = draw(runs=1)
    folder = write_synthetic_study(tmp_path / "out", {}, labels, layouts=[LAYOUTS[0]], seeds=[0])
    with pytest.raises(StriataError, match="there is no finished run to choose from"):
        write_ensemble(folder.path)
    write_synthetic_run(folder.path, LAYOUTS[0], 0, logits[LAYOUTS[0], 0], labels)
    with pytest.raises(StriataError, match="an ensemble of 4 was asked for, but there are 1 finished runs"):
        write_ensemble(folder.path)
    alone = write_ensemble(folder.path, method="greedy")
    assert list(alone.members.values()) == [1.0]
    assert alone.nested == alone.single == alone.metrics


def test_a_stacks_numbers_stand_under_names(tmp_path: Path) -> None:
    logits, labels = draw(runs=3)
    write_synthetic_study(tmp_path / "out", logits, labels)
    made = write_ensemble(tmp_path / "out", method="stacking", size=2)
    content = json.loads((made.folder / "ensemble.json").read_text())
    assert set(content["stacking"]["coefficients"]) == set(content["members"]) == set(made.members)
    assert all(set(rows) == set(NAMES) == set(rows["World"]) for rows in content["stacking"]["coefficients"].values())
    seen = {name: run.validation().logits for name, run in made.runs.items()}
    shuffled = dict(reversed(seen.items()))
    np.testing.assert_array_equal(made.combiner.apply(shuffled), made.combiner.apply(seen))


def test_the_same_call_gives_the_same_ensemble(tmp_path: Path) -> None:
    logits, labels = draw()
    write_synthetic_study(tmp_path / "out", logits, labels)
    write_ensemble(tmp_path / "out", method="greedy")
    before = tree(tmp_path)
    write_ensemble(tmp_path / "out", method="greedy")
    assert tree(tmp_path) == before
