"""Planted label errors are found, and little else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import striata
from striata.data.equal import equal_texts
from striata.figures.folds import deal_folds
from striata.robustness.label_noise import cross_fitted, find_suspicious
from striata.robustness.labels import audit_labels

from ..study.small import study_of


@dataclass(frozen=True)
class Planted:
    vectors: np.ndarray
    truth: np.ndarray
    given: np.ndarray
    texts: list[str]


def planted(seed: int, share: float) -> Planted:
    """Four labels of unequal size, whose best possible accuracy is about 97 %, with a share of the labels moved."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(4, 1600, p=[0.4, 0.3, 0.2, 0.1])
    centres = np.eye(4, 12) * 3.6
    given = np.where(rng.random(1600) < share, (truth + rng.integers(1, 4, 1600)) % 4, truth)
    return Planted(centres[truth] + rng.standard_normal((1600, 12)), truth, given, [f"text {i}" for i in range(1600)])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_planted_errors_are_found(seed: int) -> None:
    made = planted(seed, 0.08)
    probabilities = cross_fitted(made.vectors, made.given, made.texts, 4, seed=seed)
    rows, quality = find_suspicious(made.given, probabilities)
    wrong = made.given != made.truth
    assert wrong[rows].mean() >= 0.8  # precision
    assert wrong[rows].sum() / wrong.sum() >= 0.85  # recall
    assert wrong[rows[:60]].mean() >= 0.95  # the first to be looked at
    assert (np.diff(quality[rows]) >= 0).all()
    likely = probabilities.argmax(1)
    assert (likely[rows] != made.given[rows]).all()
    assert (likely[rows] == made.truth[rows])[wrong[rows]].mean() > 0.95  # and the right label is suggested


def test_clean_labels_raise_few_alarms() -> None:
    made = planted(3, 0.0)
    rows, _ = find_suspicious(made.given, cross_fitted(made.vectors, made.given, made.texts, 4, seed=0))
    assert len(rows) <= 0.03 * 1600


def test_probabilities_are_those_of_rows_not_fitted_on() -> None:
    made = planted(4, 0.05)
    found = cross_fitted(made.vectors, made.given, made.texts, 4, seed=0)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=300))
    expected = cross_val_predict(model, made.vectors, made.given, cv=5, method="predict_proba")
    assert np.abs(found - expected).mean() < 0.02  # other fifths
    np.testing.assert_allclose(found.sum(1), 1)
    noise = np.random.default_rng(0)
    vectors, labels = noise.standard_normal((200, 150)), noise.integers(0, 2, 200)  # anything fitted on its own rows knows these
    right = cross_fitted(vectors, labels, [str(i) for i in range(200)], 2, seed=0).argmax(1) == labels
    assert 0.35 < right.mean() < 0.65


def test_equal_texts_are_judged_together_and_rare_labels_pass() -> None:
    texts = [f"Text  {i % 40}" if i % 2 else f"text {i % 40}" for i in range(200)]
    labels = np.arange(200) % 40 % 4
    labels[7] = 4  # the only row of its label
    folds = deal_folds(labels, 5, 0, equal_texts(texts))
    assert all(len({int(folds[i]) for i in range(at, 200, 40)}) == 1 for at in range(40))
    assert set(folds.tolist()) == set(range(5))
    found = cross_fitted(np.random.default_rng(0).standard_normal((200, 3)), labels, texts, 5, seed=0)
    assert found[7, 4] == 0
    find_suspicious(labels, found)


def test_what_the_baselines_embedded_is_not_embedded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = study_of(tmp_path, layouts=[], baselines=["frozen"], ensemble=False, recipe={"precision": "fp32"})
    folder = striata.train(study).folder

    def refuse(*_: object) -> None:
        raise AssertionError("a text was embedded twice")

    monkeypatch.setattr("striata.engine.embed", refuse)
    assert audit_labels(folder, precision="fp32").parts
