"""The validation rows used while training, and what is measured on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import striata
from striata.data import stratified_parts
from striata.training.validation import measure

from ..study.small import study_of


def cross_entropy(logits: np.ndarray, targets: np.ndarray) -> float:
    shifted = np.exp(logits.astype(np.float64))
    return float(-np.log(shifted[np.arange(len(targets)), targets] / shifted.sum(1)).mean())


@pytest.mark.parametrize("rows", [8, 30, 101, 399])
def test_a_part_has_the_labels_in_proportion(rows: int) -> None:
    targets = np.repeat([0, 1, 2, 3], [240, 100, 40, 20])  # sorted: the first rows are all of one label
    part = stratified_parts(targets, rows, 0)[0]
    assert len(part) == rows
    assert (np.diff(part) > 0).all()
    counts, shares = np.bincount(targets[part], minlength=4), np.array([240, 100, 40, 20]) * rows / 400
    assert (np.abs(counts - shares) < 1).all()
    assert counts.min() >= int(shares.min())


def test_a_part_is_fixed_by_its_seed() -> None:
    targets = np.random.default_rng(0).integers(0, 3, 200)
    assert (stratified_parts(targets, 50, 4)[0] == stratified_parts(targets, 50, 4)[0]).all()
    assert (stratified_parts(targets, 50, 4)[0] != stratified_parts(targets, 50, 5)[0]).any()
    in_parts = np.concatenate([stratified_parts(targets, 50, seed)[0] for seed in range(40)])
    assert len(np.unique(in_parts)) == 200  # every row has its turn


def test_a_part_of_more_rows_than_there_are_is_all_of_them() -> None:
    targets = np.array([1, 0, 1])
    for rows in (3, 4):
        assert stratified_parts(targets, rows, 0)[0].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("targets", "rows"),
    [([0] * 9 + [1], 5), ([0] + [2] * 9, 5), ([0, 1, 2, 3] * 5, 3), ([0, 1, 2, 3] * 5, 18)],
    ids=["a label with one row", "a label with one row, another with none", "fewer rows than labels", "fewer left than labels"],
)
def test_a_part_that_cannot_be_in_proportion_is_drawn_plainly(targets: list[int], rows: int) -> None:
    part = stratified_parts(np.array(targets), rows, 0)[0]
    assert len(np.unique(part)) == rows
    assert set(part.tolist()) <= set(range(len(targets)))


def test_what_is_measured() -> None:
    logits = np.array([[2.0, 0.0, -1.0], [0.5, 0.7, 0.1], [3.0, 4.0, 5.0], [900.0, -900.0, 0.0]], np.float32)
    seen = measure(logits, np.array([0, 2, 2, 0]))
    assert seen.scores["accuracy"] == 0.75
    assert seen.scores["loss"] == pytest.approx((cross_entropy(logits[:3], np.array([0, 2, 2])) * 3 + 0) / 4, rel=1e-6)


def test_a_member_is_measured_on_the_rows_its_recipe_says(tmp_path: Path) -> None:
    """With a rate of 0 the weights stay as they begin, so that the run's logits are those of every evaluation."""
    sizes = {"some": 13, "all": "all", "more": 1000}
    layouts = [{"layout": "0 r1 query", "name": name, "recipe": {"validation_rows": rows}} for name, rows in sizes.items()]
    recipe = {"max_steps": 2, "evaluate_every": 1, "warmup": 1, "learning_rate": 1e-30}
    study = study_of(tmp_path, layouts=layouts, recipe=recipe, ensemble={"size": 1}, data={"seed": 5})
    for name, run in striata.train(study).runs.items():
        whole = run.validation()
        assert len(whole.labels) == 40
        part = stratified_parts(whole.labels, 13, 5)[0] if name == "some-seed0" else np.arange(40)
        logits, targets = whole.logits[part], whole.labels[part]
        measured = [entry for entry in run.history() if entry["validation_loss"] is not None]
        assert len(measured) == 2
        for entry in measured:
            assert entry["validation_accuracy"] == pytest.approx(float((logits.argmax(1) == targets).mean()))
            assert entry["validation_loss"] == pytest.approx(cross_entropy(logits, targets), rel=1e-5)
        assert run.metrics["loss"] == pytest.approx(cross_entropy(whole.logits, whole.labels), rel=1e-5)
