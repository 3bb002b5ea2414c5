"""Baselines of weighted rows: a row of weight 2 is that row twice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from striata.baselines import BASELINES, Baseline
from striata.baselines.frozen import Solver, _solve, discriminant
from striata.baselines.linear import centroids, machine
from striata.baselines.majority import log_shares
from striata.baselines.neighbours import _votes
from striata.baselines.network import train_network

from .made import made

LEARNING = [kind for kind in BASELINES.values() if kind.kind != "majority"]
COUNTS = np.random.default_rng(0).integers(1, 4, 60)
WEIGHTS = COUNTS.astype(np.float64)
TWICE = np.repeat(np.arange(60), COUNTS)


@pytest.fixture(scope="module")
def points() -> tuple[np.ndarray, np.ndarray]:
    rows, targets = made(60, 3, 0)
    assert rows.vectors is not None
    return rows.vectors.astype(np.float64), targets


@pytest.mark.parametrize(("solver", "strength"), [("logistic", 0.1), ("discriminant", 0.0)])
def test_models_of_embeddings_are_those_of_repeated_rows(
    points: tuple[np.ndarray, np.ndarray], solver: Solver, strength: float
) -> None:
    vectors, targets = points
    weighted, shown = _solve(vectors, targets, 3, solver, strength, 0, WEIGHTS)
    repeated, expected = _solve(vectors[TWICE], targets[TWICE], 3, solver, strength, 0, None)
    np.testing.assert_allclose(weighted.scores(vectors), repeated.scores(vectors), atol=0.02)
    assert shown == pytest.approx(expected)


def test_the_discriminant_of_equal_weights_is_scikit_learns(points: tuple[np.ndarray, np.ndarray]) -> None:
    vectors, targets = points
    for one, other in zip(discriminant(vectors, targets, np.ones(60)), discriminant(vectors, targets), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-8)


def test_models_of_words_are_those_of_repeated_rows(points: tuple[np.ndarray, np.ndarray]) -> None:
    vectors, targets = points
    features, many = sp.csr_array(vectors.astype(np.float32)), sp.csr_array(vectors[TWICE].astype(np.float32))
    one = machine(features, targets, 3, 0.01, 0, WEIGHTS).scores(features)
    np.testing.assert_allclose(one, machine(many, targets[TWICE], 3, 0.01, 0).scores(features), atol=0.02)
    assert np.abs(one - machine(features, targets, 3, 0.01, 0).scores(features)).max() > 0.02
    parts = (features, targets, WEIGHTS), (many, targets[TWICE], None)
    middles = [centroids([part], 16, 3).weights.toarray() for part in parts]
    np.testing.assert_allclose(middles[0], middles[1], rtol=1e-4)


def test_shares_and_votes_are_those_of_repeated_rows(points: tuple[np.ndarray, np.ndarray]) -> None:
    _, targets = points
    priors = log_shares(targets, 3, WEIGHTS)
    np.testing.assert_allclose(priors, log_shares(targets[TWICE], 3), rtol=1e-6)
    near = np.sort(np.random.default_rng(1).random((4, 60)).astype(np.float32), axis=1)[:, ::-1]
    places = np.argsort(np.random.default_rng(2).random((4, 60)), axis=1)
    one = _votes(places, near, targets, priors, 10.0, WEIGHTS)
    for at in range(4):
        times = COUNTS[places[at]]
        repeated = _votes(np.repeat(places[at], times)[None], np.repeat(near[at], times)[None], targets, priors, 10.0, None)
        np.testing.assert_allclose(one[at : at + 1], repeated, rtol=1e-4)


def test_a_network_of_equal_weights_is_that_without(points: tuple[np.ndarray, np.ndarray]) -> None:
    vectors, targets = points
    plain, same = [train_network(vectors, targets, 3, seed=0, weights=w).scores(vectors) for w in (None, np.full(60, 2.0))]
    np.testing.assert_allclose(plain, same, atol=1e-4)


@pytest.mark.parametrize("kind", LEARNING)
def test_wrong_labels_of_little_weight_do_no_harm(kind: type[Baseline], tmp_path: Path) -> None:
    rows, targets = made(240, 3, 0)
    wrong = np.arange(240) % 3 > 0
    rows = replace(rows, weights=np.where(wrong, 1e-4, 1.0))
    taught = np.where(wrong, (targets + 1) % 3, targets)
    new, truth = made(200, 3, 1)
    fitted = kind.fit(rows, taught, 3)
    assert (fitted.logits(new).argmax(1) == truth).mean() > 0.9
    plain = kind.fit(replace(rows, weights=None), taught, 3)
    assert (plain.logits(new).argmax(1) == truth).mean() < 0.5
    assert (fitted.out_of_fold(rows, taught).argmax(1) == targets).mean() > 0.9
    fitted.write(tmp_path)
    assert kind.read(tmp_path).logits(new).tobytes() == fitted.logits(new).tobytes()
