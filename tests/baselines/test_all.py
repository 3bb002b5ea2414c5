"""What holds for every baseline."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.special import log_softmax

from striata.baselines import BASELINES, Baseline, Rows
from striata.errors import DataError, RunError
from striata.figures.folds import deal_folds

from .made import made

KINDS = list(BASELINES.values())
LEARNING = [kind for kind in KINDS if kind.kind != "majority"]


def loss(logits: np.ndarray, targets: np.ndarray) -> float:
    return float(-log_softmax(logits.astype(np.float64), axis=1)[np.arange(len(targets)), targets].mean())


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_read_answers_bitwise_as_what_was_written(kind: type[Baseline], tmp_path: Path) -> None:
    rows, targets = made(120, 3, 0)
    fitted = kind.fit(rows, targets, 3)
    fitted.write(tmp_path)
    new, _ = made(50, 3, 1)
    restored = kind.read(tmp_path)
    assert restored.logits(new).tobytes() == fitted.logits(new).tobytes()
    assert restored.receipt() == fitted.receipt()
    assert (restored.labels, restored.trainable, restored.seconds) == (3, fitted.trainable, fitted.seconds)
    assert restored.notes == fitted.notes
    assert not list(tmp_path.glob("*.pkl"))
    assert json.loads(json.dumps(fitted.receipt())) == fitted.receipt()


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_baseline(kind: type[Baseline], tmp_path: Path) -> None:
    rows, targets = made(150, 4, 0)
    for name in "ab":
        (tmp_path / name).mkdir()
        kind.fit(rows, targets, 4, seed=3).write(tmp_path / name)
    for file in (tmp_path / "a").iterdir():
        first, second = file.read_bytes(), (tmp_path / "b" / file.name).read_bytes()
        if file.name == "baseline.json":
            first, second = ({**json.loads(data), "seconds": 0} for data in (first, second))
        assert first == second, file.name


@pytest.mark.parametrize("kind", LEARNING)
@pytest.mark.parametrize("labels", [2, 7])
def test_it_learns_what_can_be_learned_and_its_probabilities_mean_something(kind: type[Baseline], labels: int) -> None:
    rows, targets = made(300, labels, 0)
    new, truth = made(400, labels, 1)
    logits = kind.fit(rows, targets, labels).logits(new)
    assert logits.dtype == np.float32
    assert logits.shape == (400, labels)
    assert (logits.argmax(1) == truth).mean() > 0.9
    assert loss(logits, truth) < 0.4


@pytest.mark.parametrize("kind", LEARNING)
def test_out_of_fold_logits_are_as_good_as_those_of_new_rows(kind: type[Baseline]) -> None:
    rows, targets = made(400, 3, 0)
    new, truth = made(400, 3, 1)
    fitted = kind.fit(rows, targets, 3)
    inside, outside = fitted.out_of_fold(rows, targets), fitted.logits(new)
    assert inside.shape == (400, 3)
    assert abs((inside.argmax(1) == targets).mean() - (outside.argmax(1) == truth).mean()) < 0.05
    assert abs(loss(inside, targets) - loss(outside, truth)) < 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_with_random_labels_everything_is_at_chance(kind: type[Baseline]) -> None:
    rows, targets = made(300, 2, 0, random=True)
    new, truth = made(1000, 2, 1, random=True)
    fitted = kind.fit(rows, targets, 2)
    for logits, goals in ((fitted.logits(new), truth), (fitted.out_of_fold(rows, targets), targets)):
        error = 4 * 0.5 / np.sqrt(len(goals))
        assert abs((logits.argmax(1) == goals).mean() - 0.5) < error
        assert loss(logits, goals) < np.log(2) + 0.05


@pytest.mark.parametrize("kind", KINDS)
def test_a_repeated_text_never_teaches_its_own_label(kind: type[Baseline]) -> None:
    once, labels = made(100, 2, 0, random=True)
    assert once.vectors is not None
    shouted = [f" {text.upper()} " for text in once.texts]  # equal but for case and white space
    rows = Rows(texts=[*once.texts, *shouted, *shouted], vectors=np.concatenate([once.vectors] * 3))
    targets = np.concatenate([labels] * 3)
    logits = kind.fit(rows, targets, 2).out_of_fold(rows, targets)
    assert abs((logits.argmax(1) == targets).mean() - 0.5) < 0.2
    folds = deal_folds(targets, 5, 0, rows.groups)
    assert all(len({int(folds[row]) for row in (at, at + 100, at + 200)}) == 1 for at in range(100))
    assert np.bincount(folds).tolist() == [60] * 5


@pytest.mark.parametrize("kind", KINDS)
def test_what_comes_of_odd_data(kind: type[Baseline]) -> None:
    one = Rows(texts=["a b c d"] * 8, vectors=np.ones((8, 4), np.float32))
    cases = [
        (one, np.array([0, 1] * 4), 2),  # one text, repeated
        (one, np.zeros(8, np.int64), 3),  # one label has rows
        (one.take(np.arange(1)), np.zeros(1, np.int64), 2),  # one row
        (one.take(np.arange(2)), np.arange(2), 2),  # equal texts, other labels
        (made(40, 2, 0)[0].take(np.arange(2)), np.arange(2), 2),  # one row a label
        (made(30, 15, 0)[0], np.arange(30) % 15, 20),  # two rows a label, five labels without rows
        (Rows(texts=["!!! ...", "??? ;;;", "!!!", "???"] * 5, vectors=np.eye(20, 4, dtype=np.float32)), np.arange(20) % 2, 2),
        (Rows(texts=[" ", "\n"] * 5, vectors=np.zeros((10, 4), np.float32)), np.arange(10) % 2, 2),
    ]
    for rows, targets, labels in cases:
        fitted = kind.fit(rows, targets, labels)
        for logits in (fitted.logits(rows), fitted.out_of_fold(rows, targets)):
            assert logits.shape == (len(rows), labels)
            assert np.isfinite(logits).all()
            assert np.isfinite(loss(logits, targets))


@pytest.mark.parametrize("kind", KINDS)
def test_thousands_of_labels(kind: type[Baseline]) -> None:
    rows, targets = made(2400, 1200, 0)
    new, truth = made(1200, 1200, 1)
    logits = kind.fit(rows, targets, 1200).logits(new)
    assert logits.shape == (1200, 1200)
    if kind.kind != "majority":
        assert (logits.argmax(1) == truth).mean() > 0.25


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_folder_is_said(kind: type[Baseline], tmp_path: Path) -> None:
    rows, targets = made(40, 2, 0)
    fitted = kind.fit(rows, targets, 2)
    with pytest.raises(RunError, match="cannot be read"):
        kind.read(tmp_path)
    fitted.write(tmp_path)
    settings = json.loads((tmp_path / "baseline.json").read_text())
    (tmp_path / "baseline.json").write_text(json.dumps({**settings, "kind": "other"}))
    with pytest.raises(RunError, match="field kind"):
        kind.read(tmp_path)
    (tmp_path / "baseline.json").write_text(json.dumps({"kind": kind.kind}))
    with pytest.raises(RunError, match="cannot be read"):
        kind.read(tmp_path)
    fitted.write(tmp_path)
    (tmp_path / "baseline.safetensors").write_bytes(b"\xff" * 20)
    with pytest.raises(RunError, match="cannot be read"):
        kind.read(tmp_path)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.embedded])
def test_rows_without_embeddings_are_refused(kind: type[Baseline]) -> None:
    rows, targets = made(40, 2, 0)
    fitted = kind.fit(rows, targets, 2)
    bare = Rows(texts=rows.texts)
    with pytest.raises(DataError, match="no embeddings"):
        kind.fit(bare, targets, 2)
    with pytest.raises(DataError, match="expected 16"):
        fitted.logits(Rows(texts=rows.texts, vectors=np.zeros((40, 3), np.float32)))
