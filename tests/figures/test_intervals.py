"""Intervals against their closed forms and against simulations with known truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom

from striata.data import Table
from striata.figures.intervals import paired_difference, share
from striata.robustness.stress import find_slices

Z = 1.959963984540054


@pytest.mark.parametrize(("hits", "rows"), [(0, 5), (5, 5), (7, 10), (931, 1000)])
def test_wilson_is_its_closed_form(hits: int, rows: int) -> None:
    p = hits / rows
    middle = (p + Z**2 / (2 * rows)) / (1 + Z**2 / rows)
    reach = Z / (1 + Z**2 / rows) * math.sqrt(p * (1 - p) / rows + Z**2 / (4 * rows**2))
    found = share(hits, rows)
    assert found.value == p
    assert (found.low, found.high) == pytest.approx((max(0, middle - reach), min(1, middle + reach)), abs=1e-12)


def test_the_paired_difference_covers_the_truth() -> None:
    rng = np.random.default_rng(0)
    rows, draws = 300, 2000
    for broken, mended in ((0.08, 0.03), (0.02, 0.02), (0.3, 0.05)):
        table = rng.multinomial(rows, (broken, mended, 1 - broken - mended), draws)
        found = [paired_difference(int(b), int(m), rows) for b, m, _ in table]
        covered = sum(each.low <= mended - broken <= each.high for each in found)
        assert covered >= binom.ppf(1e-4, draws, 0.94)
        assert all(each.value == pytest.approx((m - b) / rows) for each, (b, m, _) in zip(found, table, strict=True))
    assert paired_difference(0, 0, 10).low < 0 < paired_difference(0, 0, 10).high


def slices_of(right: np.ndarray, rng: np.random.Generator) -> tuple[Table, np.ndarray]:
    labels = [str(i) for i in rng.integers(0, 4, len(right))]
    texts = [" ".join(["w"] * int(n)) for n in rng.integers(3, 60, len(right))]
    return Table(source="s", ids=np.arange(len(right)), texts=texts, labels=labels), right


def test_slices_are_counted_and_a_weak_one_is_found() -> None:
    rng = np.random.default_rng(0)
    table, right = slices_of(rng.random(1200) < 0.9, rng)
    labels = np.array(table.labels)
    right[labels == "2"] &= rng.random((labels == "2").sum()) < 0.8
    found, small = find_slices(table, right)
    assert not small
    assert found[0].name == "2"
    assert found[0].p_value < 1e-3
    assert found[0].accuracy.value == right[labels == "2"].mean()
    wide = share(int(right[labels == "2"].sum()), found[0].rows)
    assert found[0].accuracy.low < wide.low
    assert found[0].accuracy.high > wide.high
    assert sum(each.rows for each in found if each.by == "label") == 1200
    assert sum(each.rows for each in found if each.by == "length") == 1200


def test_slices_are_silent_where_all_are_alike() -> None:
    rng = np.random.default_rng(1)
    draws, truth = 150, 0.85
    alarms = missed = 0
    for _ in range(draws):
        found, _ = find_slices(*slices_of(rng.random(400) < truth, rng))
        alarms += min(each.p_value for each in found) < 0.05
        missed += any(not each.accuracy.low <= truth <= each.accuracy.high for each in found)
    assert alarms <= binom.ppf(0.9999, draws, 0.05)
    assert missed <= binom.ppf(0.9999, draws, 0.06)


def test_slices_with_few_rows_are_named_and_left_out() -> None:
    rng = np.random.default_rng(2)
    table, right = slices_of(rng.random(200) < 0.9, rng)
    labels = ["rare"] * 10 + ["common"] * 190
    found, small = find_slices(Table(source="s", ids=table.ids, texts=table.texts, labels=labels), right)
    assert small == ("rare",)
    assert "rare" not in {each.name for each in found}
