"""Label sets: coverage in simulations, thresholds by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from striata.calibration import label_sets, set_figures, set_threshold
from striata.calibration.conformal import fewest_rows
from striata.errors import DataError

from .test_calibration import world


@pytest.mark.parametrize(("coverage", "rows"), [(0.9, 99), (0.8, 40), (0.95, 60)])
def test_coverage_is_what_was_asked_for(coverage: float, rows: int) -> None:
    """Over many draws of validation rows and one new row each: at least the coverage, and above it by at most 1 / (rows + 1)."""
    draws = 6000
    logits, labels = world(draws * (rows + 1), sharpness=0.4, seed=3)  # unsure: the sets are never empty without the argmax
    probabilities = softmax(logits, axis=1).reshape(draws, rows + 1, 4)
    labels = labels.reshape(draws, rows + 1)
    held = []
    for p, y in zip(probabilities, labels, strict=True):
        inside = label_sets(p[-1:], set_threshold(p[:-1], y[:-1], coverage))
        held.append(inside[0, y[-1]])
    error = np.sqrt(coverage * (1 - coverage) / draws)
    assert coverage - 3 * error <= np.mean(held) <= coverage + 1 / (rows + 1) + 3 * error


def test_a_wrong_model_keeps_the_coverage_and_pays_in_size() -> None:
    sizes = []
    for sharpness in (1.0, -0.5):  # good, and worse than guessing
        logits, labels = world(20_000, sharpness=sharpness, seed=4)
        probabilities = softmax(logits, axis=1)
        threshold = set_threshold(probabilities[:10_000], labels[:10_000], 0.9)
        found = set_figures(label_sets(probabilities[10_000:], threshold), labels[10_000:], 0.9)
        assert found.coverage == pytest.approx(0.9, abs=3 * np.sqrt(2 * 0.09 / 10_000))
        sizes.append(found.mean_size)
    assert sizes[0] < 2 < 3 < sizes[1]


def test_the_threshold_by_hand() -> None:
    mine = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.15])
    probabilities = np.stack([mine, 1 - mine], axis=1)
    labels = np.zeros(9, np.int64)
    assert set_threshold(probabilities, labels, 0.5) == 0.5  # the fifth of ten places
    assert set_threshold(probabilities, labels, 0.8) == 0.2
    assert set_threshold(probabilities, labels, 0.9) == 0.15
    with pytest.raises(DataError, match=r"need at least 19 validation rows, and the model has 9; ask for at most 0\.9,"):
        set_threshold(probabilities, labels, 0.95)


def test_the_fewest_rows() -> None:
    assert [fewest_rows(c) for c in (0.5, 0.9, 0.95, 0.99)] == [1, 9, 19, 99]
    for coverage in np.linspace(0.01, 0.99, 50):
        rows = fewest_rows(float(coverage))
        set_threshold(np.full((rows, 2), 0.5), np.zeros(rows, np.int64), float(coverage))
        if rows > 1:
            with pytest.raises(DataError):
                set_threshold(np.full((rows - 1, 2), 0.5), np.zeros(rows - 1, np.int64), float(coverage))


def test_a_set_is_never_empty_and_its_figures_are_counted() -> None:
    probabilities = np.array([[0.5, 0.3, 0.2], [0.9, 0.05, 0.05], [0.34, 0.33, 0.33]])
    inside = label_sets(probabilities, 0.3)
    assert inside.tolist() == [[True, True, False], [True, False, False], [True, True, True]]
    assert label_sets(probabilities, 0.95).sum(1).tolist() == [1, 1, 1]
    figures = set_figures(inside[[0, 1, 2, 1]], np.array([2, 0, 1, 1]), 0.9)
    assert (figures.nominal, figures.coverage, figures.mean_size, figures.single) == pytest.approx((0.9, 0.5, 1.75, 0.5))
    assert figures.to_json() == {"wanted": 0.9, "coverage": 0.5, "mean_size": 1.75, "single": 0.5}


@pytest.mark.parametrize("coverage", [0, 1, -1, 1.5])
def test_a_coverage_is_a_share(coverage: float) -> None:
    with pytest.raises(DataError, match="is not between 0 and 1"):
        set_threshold(np.eye(2), np.arange(2), coverage)


@pytest.mark.parametrize("coverage", [5e-324, 1e-12, 1e-9])
def test_the_smallest_coverage_is_that_of_the_surest_row(coverage: float) -> None:
    probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.7, 0.3]])
    assert set_threshold(probabilities, np.array([0, 1, 0]), coverage) == 0.9
