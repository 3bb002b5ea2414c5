"""The exact test of a loss on paired rows, against enumeration of every outcome."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import binom, multinomial

from striata.figures.pvalues import NUISANCE, fewest_rows, loss_pvalue, same_share, smallest_margin

ROWS, MARGIN = 14, 0.15
OUTCOMES = [(b, c) for b, c in itertools.product(range(ROWS + 1), repeat=2) if b + c <= ROWS]


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    loss_pvalue.cache_clear()  # what another test has asked for is computed anew


def chance(b: int, c: int, gained: float) -> float:
    """Of an outcome where the share lost is just the margin above the share gained."""
    lost = gained + MARGIN
    return float(multinomial.pmf([b, c, ROWS - b - c], ROWS, [lost, gained, max(0.0, 1 - lost - gained)]))


def statistic(b: int, c: int) -> float:
    """The score statistic, its likeliest shares by numerical search."""

    def cost(gained: float) -> float:
        lost = gained + MARGIN
        return -float(
            b * np.log(lost) + (c * np.log(gained) if c else 0) + (ROWS - b - c) * np.log(max(1e-300, 1 - lost - gained))
        )

    top = (1 - MARGIN) / 2
    share = minimize_scalar(cost, bounds=(1e-12, top), method="bounded", options={"xatol": 1e-12}).x
    return float((b - c - ROWS * MARGIN) / np.sqrt(ROWS * (2 * share + MARGIN * (1 - MARGIN))))


def test_it_is_the_worst_chance_of_all_outcomes_that_are_no_less_extreme() -> None:
    statistics = {outcome: statistic(*outcome) for outcome in OUTCOMES}
    shares = np.linspace(1e-9, (1 - MARGIN) / 2, 60)
    chances = {outcome: np.array([chance(*outcome, share) for share in shares]) for outcome in OUTCOMES}
    for lost, gained in [(0, 0), (1, 0), (0, 2), (2, 1), (3, 3), (5, 0)]:
        extreme = [outcome for outcome in OUTCOMES if statistics[outcome] <= statistics[lost, gained] + 1e-6]
        total = np.sum([chances[outcome] for outcome in extreme], axis=0)
        inside = (binom.cdf(gained, ROWS, shares) >= NUISANCE / 2) & (binom.sf(gained - 1, ROWS, shares) >= NUISANCE / 2)
        assert loss_pvalue(lost, gained, ROWS, MARGIN) == pytest.approx(total[inside].max() + NUISANCE, abs=2e-3)


@pytest.mark.parametrize("gained", [0.0, 0.02, 0.1, 0.3])
def test_a_loss_of_the_margin_is_excluded_no_more_often_than_the_level(gained: float) -> None:
    for level in (0.05, 0.2):
        wrong = sum(chance(*outcome, gained) for outcome in OUTCOMES if loss_pvalue(*outcome, ROWS, MARGIN) <= level)
        assert wrong <= level + 1e-9


def test_more_losses_speak_less_against_a_loss_and_more_gains_more() -> None:
    for lost, gained in itertools.product(range(5), repeat=2):
        value = loss_pvalue(lost, gained, 400, 0.02)
        assert value <= loss_pvalue(lost + 1, gained, 400, 0.02) + 1e-9
        assert value >= loss_pvalue(lost, gained + 1, 400, 0.02) - 1e-9


@pytest.mark.parametrize("margin", [0.001, 0.01, 0.1])
def test_fewest_rows_are_just_enough(margin: float) -> None:
    rows = fewest_rows(margin, 0.05)
    assert loss_pvalue(0, 0, rows, margin) <= 0.05 < loss_pvalue(0, 0, rows - 1, margin)
    assert smallest_margin(rows, 0.05) <= margin < smallest_margin(rows - 1, 0.05)


def test_equal_shares() -> None:
    assert same_share(10, 20, 500, 1000) == pytest.approx(1)
    assert same_share(2, 20, 900, 1000) < 1e-9
    assert same_share(3, 3, 0, 4) == pytest.approx(1 / 35)
