"""Intervals of numbers: coverage in simulations, widths by hand and by numpy."""

from __future__ import annotations

import numpy as np
import pytest

from striata.calibration import half_width, interval_figures, intervals_around
from striata.errors import DataError


@pytest.mark.parametrize(("coverage", "rows"), [(0.9, 99), (0.8, 40), (0.95, 60)])
def test_coverage_is_what_was_asked_for(coverage: float, rows: int) -> None:
    """Over many draws of validation rows and one new row each: at least the coverage, and above it by at most 1 / (rows + 1)."""
    draws = 6000
    errors = np.random.default_rng(3).standard_t(3, (draws, rows + 1)) + 0.7  # heavy tails, and answers that are too large
    held = [interval_figures(row[-1:], half_width(row[:-1], coverage), coverage).coverage for row in errors]
    noise = np.sqrt(coverage * (1 - coverage) / draws)
    assert coverage - 3 * noise <= np.mean(held) <= coverage + 1 / (rows + 1) + 3 * noise


def test_the_width_by_hand_and_by_numpy() -> None:
    errors = np.array([0.1, -0.2, 0.3, -0.4, 0.5, 0.6, -0.7, 0.8, 0.9])
    assert half_width(errors, 0.5) == 0.5  # the fifth of ten places
    assert half_width(errors, 0.9) == 0.9
    with pytest.raises(DataError, match=r"need at least 19 validation rows, and the model has 9; ask for at most 0\.9,"):
        half_width(errors, 0.95)
    many = np.random.default_rng(0).normal(size=200)
    expected = np.quantile(np.abs(many), np.ceil(201 * 0.9) / 200, method="inverted_cdf")
    assert half_width(many, 0.9) == expected
    np.testing.assert_array_equal(intervals_around(np.array([1.0, -2.0]), 0.5), [[0.5, 1.5], [-2.5, -1.5]])
    figures = interval_figures(np.array([0.1, -0.6, 0.5, 2.0]), 0.5, 0.9)
    assert figures.to_json() == {"wanted": 0.9, "coverage": 0.5, "width": 1.0}


@pytest.mark.parametrize("coverage", [0, 1, -1, 1.5])
def test_a_coverage_is_a_share(coverage: float) -> None:
    with pytest.raises(DataError, match="is not between 0 and 1"):
        half_width(np.arange(3.0), coverage)
