"""Weights of a mean of logits, against a grid and against what weights must do."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax

from striata.ensemble.rule import Rule
from striata.ensemble.weighting import choose_weighted, fit_weights

from .test_selection import pool_of


def made(seed: int, strengths: tuple[float, ...], rows: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Members that know the label as strongly as they are said to."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, 3, rows)
    logits = rng.normal(size=(len(strengths), rows, 3))
    for member, strength in enumerate(strengths):
        logits[member, np.arange(rows), targets] += strength
    return logits.astype(np.float32), targets


def loss(mixed: np.ndarray, targets: np.ndarray) -> float:
    """The least log loss over all temperatures of a grid."""
    scaled = (log_softmax(mixed * scale, axis=1)[np.arange(len(targets)), targets].mean() for scale in np.geomspace(0.2, 8, 200))
    return -max(scaled)


@pytest.mark.parametrize("seed", range(3))
def test_no_weights_of_a_grid_have_a_smaller_loss(seed: int) -> None:
    logits, targets = made(seed, (2.0, 1.0))
    weights = fit_weights(logits, targets)
    assert weights.sum() == pytest.approx(1)
    best = min(loss(w * logits[0] + (1 - w) * logits[1], targets) for w in np.linspace(0, 1, 101))
    assert loss(np.tensordot(weights, logits, 1), targets) <= best + 1e-3


def test_a_member_that_knows_nothing_gets_next_to_nothing() -> None:
    logits, targets = made(0, (3.0, 0.0), rows=2000)
    assert fit_weights(logits, targets)[1] < 0.1


def test_equal_members_share_and_sharpness_does_not_matter() -> None:
    logits, targets = made(1, (2.0,))
    np.testing.assert_allclose(fit_weights(np.stack([logits[0], logits[0]]), targets), 0.5, atol=1e-3)
    weights = fit_weights(np.stack([logits[0], 10 * logits[0]]), targets)
    assert weights[0] == pytest.approx(10 * weights[1], rel=0.05)


def test_a_member_that_gets_nothing_is_no_member() -> None:
    """One that has another's errors and knows less would be taken off it, if weights could be negative."""
    logits, targets = made(0, (2.0, 2.0), rows=2000)
    worse = logits[0] - 1.3 * np.eye(3)[targets]
    pool = pool_of(np.stack([*logits, worse]), targets)
    chosen = choose_weighted(pool, Rule(method="weighted", size=3)).weights
    assert set(chosen) == {"run00", "run01"}
    np.testing.assert_allclose([chosen[name] for name in pool.names[:2]], fit_weights(pool.logits, targets)[:2])
