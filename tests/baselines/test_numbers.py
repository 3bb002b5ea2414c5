"""Baselines of numbers, against scikit-learn's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from striata.baselines import BASELINES, Frozen, Lexical, Majority, Neighbours, Rows
from striata.baselines.linear import ridge
from striata.baselines.network import train_network
from striata.baselines.wordfit import Limits
from striata.figures.folds import deal_folds

VALUES = np.random.default_rng(0).normal(0, 2, 60)  # what each word adds to a text's number


def made(count: int, seed: int, *, noise: float = 0.3) -> tuple[Rows, np.ndarray]:
    """Texts of eight words, whose number is 10 and the sum of what they add; embeddings from which it follows, too."""
    draws = np.random.default_rng([seed, count])
    words = draws.integers(0, len(VALUES), (count, 8))
    targets = 10 + VALUES[words].sum(1) + draws.normal(0, noise, count)
    mixing = np.random.default_rng(1).standard_normal((len(VALUES), 12))
    mixing[:, 0] += VALUES
    vectors = mixing[words].sum(1).astype(np.float32)
    texts = [" ".join(f"word{word}" for word in row) for row in words]
    return Rows(texts=texts, vectors=vectors, words=vectors[:, :4]), targets


def squared(scores: np.ndarray, targets: np.ndarray) -> float:
    assert scores.shape == (len(targets), 1)
    assert scores.dtype == np.float32
    return float(((scores[:, 0] - targets) ** 2).mean())


@pytest.mark.parametrize("kind", BASELINES)
def test_each_is_written_and_read_bit_for_bit_and_judged_without_its_rows(kind: str, tmp_path: Path) -> None:
    rows, targets = made(200, 0)
    if kind == "frozen":  # a network takes seconds, and has a test of its own
        rows = Rows(texts=rows.texts, vectors=rows.vectors)
    baseline = BASELINES[kind].fit(rows, targets, 1)
    assert (baseline.labels, baseline.notes) == (1, ())
    baseline.write(tmp_path)
    unseen, truth = made(100, 1)
    again = BASELINES[kind].read(tmp_path)
    np.testing.assert_array_equal(again.logits(unseen), baseline.logits(unseen))
    assert all("accuracy" not in tried for tried in again.receipt()["tried"])
    fold_error, error = squared(baseline.out_of_fold(rows, targets), targets), squared(baseline.logits(unseen), truth)
    assert 0.5 * error < fold_error < 3 * error
    assert error < (1.2 if kind == "majority" else 0.9) * truth.var()


def test_the_mean_is_that_of_the_rows_by_their_weights() -> None:
    rows, targets = made(50, 0)
    weights = np.arange(50.0)
    weighed = Majority.fit(Rows(texts=rows.texts, weights=weights), targets, 1)
    assert Majority.fit(rows, targets, 1).logits(rows)[:, 0] == pytest.approx(np.full(50, targets.mean()))
    assert weighed.logits(rows)[0, 0] == pytest.approx(np.average(targets, weights=weights))


def test_ridge_is_scikit_learns_of_sparse_and_of_dense_rows() -> None:
    rows, targets = made(120, 0)
    weights = np.random.default_rng(0).uniform(0.5, 2, 120)
    features = TfidfVectorizer().fit_transform(rows.texts).astype(np.float32)
    for matrix in (features, rows.vectors):
        peer = Ridge(alpha=1 / 3, solver="lsqr", tol=1e-10).fit(matrix, targets, weights)
        assert matrix is not None
        ours = ridge(matrix, targets, 3.0, 0, weights)
        np.testing.assert_allclose(ours.scores(matrix)[:, 0], peer.predict(matrix), atol=2e-2)


def test_words_are_as_good_as_scikit_learns_with_the_best_penalty_and_better_than_the_mean() -> None:
    rows, targets = made(250, 0)
    unseen, truth = made(300, 1)
    baseline = Lexical.fit(rows, targets, 1)
    peers = [
        make_pipeline(TfidfVectorizer(sublinear_tf=True), Ridge(alpha=alpha)).fit(rows.texts, targets).predict(unseen.texts)
        for alpha in (0.03, 0.1, 0.3, 1.0, 3.0)
    ]
    best = min(float(((peer - truth) ** 2).mean()) for peer in peers)
    assert squared(baseline.logits(unseen), truth) < 1.6 * best < 0.3 * truth.var()
    assert baseline.choice.solver == "ridge"


def test_more_rows_than_there_is_time_for_are_a_sample_and_rows_without_words_get_the_mean() -> None:
    rows, targets = made(250, 0)
    baseline = Lexical.fit(rows, targets, 1, limits=Limits(machine=6_000))
    assert "a ridge regression is fitted on" in baseline.notes[0]
    empty = Lexical.fit(Rows(texts=["", ""]), np.array([1.0, 4.0]), 1)
    assert empty.logits(Rows(texts=["anything"]))[0, 0] == 2.5
    assert empty.notes == ("the texts hold nothing that can be counted: every text gets the mean of the training rows",)


def test_embeddings_get_scikit_learns_ridge() -> None:
    rows, targets = made(300, 0)
    unseen, _ = made(200, 1)
    assert rows.vectors is not None
    assert unseen.vectors is not None
    lines = Frozen.fit(Rows(texts=rows.texts, vectors=rows.vectors), targets, 1)
    assert lines.solver == "ridge"
    standard = StandardScaler().fit(rows.vectors)
    peer = Ridge(alpha=len(targets) / lines.strength).fit(standard.transform(rows.vectors), targets)
    np.testing.assert_allclose(lines.logits(unseen)[:, 0], peer.predict(standard.transform(unseen.vectors)), rtol=1e-3, atol=1e-2)


def test_a_network_learns_what_no_line_does_in_the_numbers_own_unit() -> None:
    rows, _ = made(300, 0)
    assert rows.vectors is not None
    features = (rows.vectors - rows.vectors.mean(0)) / rows.vectors.std(0)
    bent = 5000 + 100 * np.abs(features[:, 0]).astype(np.float64)
    network = train_network(features, bent, 1, seed=0)
    assert squared(network.scores(features), bent) < 0.4 * bent.var()
    assert squared(ridge(features, bent, 1.0, 0).scores(features), bent) > 0.9 * bent.var()


def test_neighbours_are_scikit_learns_but_for_one_row_of_the_mean() -> None:
    rows, targets = made(200, 0)
    unseen, _ = made(50, 1)
    baseline = Neighbours.fit(rows, targets, 1)

    def weigh(distances: np.ndarray) -> np.ndarray:
        cosines = 1 - distances
        weights: np.ndarray = np.exp(baseline.sharpness * (cosines - cosines[:, :1]))
        return weights

    peer = KNeighborsRegressor(baseline.count, weights=weigh, metric="cosine").fit(rows.vectors, targets)
    sums = weigh(peer.kneighbors(unseen.vectors)[0]).sum(1)
    expected = (sums * peer.predict(unseen.vectors) + targets.mean()) / (sums + 1)
    np.testing.assert_allclose(baseline.logits(unseen)[:, 0], expected, atol=0.05)


def test_folds_of_numbers_are_alike_in_them() -> None:
    targets = np.random.default_rng(0).lognormal(0, 2, 503)
    number = deal_folds(targets, 5)
    assert np.bincount(number).tolist() == [101, 101, 101, 100, 100]
    medians = [np.median(targets[number == fold]) for fold in range(5)]
    assert max(medians) / min(medians) < 1.1
