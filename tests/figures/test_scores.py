"""Figures of predictions against scikit-learn's, whatever labels occur."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from striata.figures.bootstrap import f1_draws, resampled_f1
from striata.figures.scores import Scores, by_label, macro_f1


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), min_size=1, max_size=20))
@settings(max_examples=100, deadline=None)
def test_macro_f1_is_over_the_labels_that_occur(pairs: list[tuple[int, int]]) -> None:
    truth, predicted = np.array(pairs).T
    expected = f1_score(truth, predicted, average="macro")
    assert np.isclose(macro_f1(predicted, truth, 8), expected, rtol=1e-12)
    weights = np.random.default_rng(0).multinomial(len(pairs), np.full(len(pairs), 1 / len(pairs)), 5)
    for draw, figure in zip(weights, resampled_f1(truth, predicted, 8, weights.astype(np.float32)), strict=True):
        rows = np.repeat(np.arange(len(pairs)), draw)
        assert np.isclose(figure, f1_score(truth[rows], predicted[rows], average="macro"), rtol=1e-6)


def test_a_run_without_an_error_has_no_interval_below_one() -> None:
    truth = np.array([0] * 199 + [1])
    assert np.all(f1_draws(truth, truth[None], 2) == 1)


def test_labels_without_rows_are_named() -> None:
    truth = np.array([0, 2, 0])
    metrics = by_label(np.array([0, 2, 1]), truth, ["a", "b", "c", "d"], Scores(accuracy=1.0, loss=0.0, macro_f1=1.0))
    assert metrics.absent == ("b", "d")
