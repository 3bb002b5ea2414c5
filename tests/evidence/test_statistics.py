"""The statistics against closed forms, brute force and scipy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score

from striata.evidence.paired import compare_two, crossed_parts
from striata.evidence.power import Design, Noise, compute_power, resolvable, rows_needed, seeds_needed
from striata.figures.bootstrap import f1_draws, f1_interval, resampled_f1
from striata.figures.intervals import share_of_parts
from striata.figures.pvalues import holm, mcnemar
from striata.figures.spread import Variance, half_width, p_value, seed_parts, spread


@pytest.mark.parametrize(("b", "c"), [(0, 0), (0, 1), (5, 0), (3, 9), (9, 3), (40, 41), (200, 260)])
def test_mcnemar_is_the_binomial_test_of_the_discordant_rows(b: int, c: int) -> None:
    expected = stats.binomtest(b, b + c).pvalue if b + c else 1.0
    assert mcnemar(b, c) == pytest.approx(expected, rel=1e-9)


def test_two_runs_by_counting() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.random(400) < 0.9, rng.random(400) < 0.85
    found = compare_two(first, second, 0.95)
    b, c = int((first & ~second).sum()), int((second & ~first).sum())
    assert found.value == pytest.approx(first.mean() - second.mean())
    assert found.p == pytest.approx(stats.binomtest(b, b + c).pvalue)
    middle, total = (b - c) / 402, (b + c + 2) / 402  # Bonett and Price: one row added to either kind
    half = stats.norm.ppf(0.975) * np.sqrt((total - middle**2) / 402)
    assert (found.low, found.high) == (pytest.approx(middle - half), pytest.approx(middle + half))
    other = compare_two(second, first, 0.95)
    assert (other.value, other.low, other.high, other.p) == pytest.approx((-found.value, -found.high, -found.low, found.p))


def test_holm_on_a_worked_example_and_its_definition() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    rng = np.random.default_rng(1)
    for _ in range(50):
        values = (rng.random(6) ** 3).tolist()
        corrected = holm(values)
        for level in (0.01, 0.05, 0.2):
            rejected: set[int] = set()
            for step, at in enumerate(np.argsort(values)):
                if values[at] > level / (6 - step):
                    break
                rejected.add(int(at))
            assert {at for at, p in enumerate(corrected) if p <= level} == rejected


def test_the_parts_of_a_variance_are_unbiased_and_those_of_the_two_way_table() -> None:
    rng = np.random.default_rng(2)
    found = []
    for _ in range(400):
        table = 0.3 * rng.standard_normal((4, 1)) + 2 * rng.standard_normal((1, 60)) + 1.5 * rng.standard_normal((4, 60))
        found.append(spread(table))
    one, grand = table, table.mean()
    left = one - one.mean(0) - one.mean(1)[:, None] + grand
    assert found[-1].rest == pytest.approx((left**2).sum() / (3 * 59))
    assert found[-1].seed_variance == pytest.approx(stats.tvar(one.mean(1)))
    assert found[-1].row_variance == pytest.approx(stats.tvar(one.mean(0)) - found[-1].rest / 4)
    assert np.mean([part.rest for part in found]) == pytest.approx(2.25, rel=0.03)
    assert np.mean([part.row_variance for part in found]) == pytest.approx(4, rel=0.05)
    assert np.mean([part.seed_variance for part in found]) == pytest.approx(0.09 + 2.25 / 60, rel=0.2)


def test_one_seed_scatters_over_rows_only() -> None:
    table = np.array([[1, 0, 1, 1, 0, 1.0]])
    found = spread(table)
    assert (found.seed_variance, found.rest) == (0, 0)
    assert found.row_variance == pytest.approx(table.var(ddof=1))


def test_one_part_alone_is_students_t() -> None:
    rng = np.random.default_rng(3)
    sample = rng.standard_normal(5) + 0.8
    parts = [Variance(float(sample.var(ddof=1)) / 5, 4)]
    expected = stats.ttest_1samp(sample, 0)
    interval = expected.confidence_interval(0.9)
    assert p_value(float(sample.mean()), parts) == pytest.approx(expected.pvalue, rel=1e-6)
    assert sample.mean() - half_width(parts, 0.1) == pytest.approx(interval.low)
    assert half_width([Variance(0.25, np.inf)], 0.05) == pytest.approx(0.5 * stats.norm.ppf(0.975))
    assert p_value(1.0, [Variance(0.25, np.inf)]) == pytest.approx(2 * stats.norm.sf(2), rel=1e-6)
    assert (p_value(0.0, parts), p_value(0.1, []), p_value(1e9, [Variance(1e-9, np.inf)])) == (1, 0, 0)


def test_the_p_value_is_where_the_interval_touches_zero() -> None:
    for difference, variances in itertools.product((0.01, 0.5, 3.0), ((0.1, 0.2), (0.001, 1.0), (2.0, 0.0))):
        parts = [Variance(variances[0], 3), Variance(variances[1], np.inf)]
        assert half_width(parts, p_value(difference, parts)) == pytest.approx(difference, rel=1e-6)


def test_seeds_are_pooled_and_a_wild_layout_stands_alone() -> None:
    steady = [[0.90, 0.91, 0.92], [0.80, 0.81, 0.83], [0.85, 0.86, 0.85], [0.7]]
    found = seed_parts(steady)
    pooled = sum(np.var(values, ddof=1) * 2 for values in steady[:3]) / 6
    assert all(part is found[0] for part in found)
    assert (found[0].variance, found[0].freedom) == (pytest.approx(pooled), 6)
    wild = seed_parts([*steady, [0.2, 0.9, 0.5]])
    assert (wild[4].variance, wild[4].freedom) == (pytest.approx(np.var([0.2, 0.9, 0.5], ddof=1)), 2)
    assert wild[0] == found[0]
    assert seed_parts([[0.9], [0.8]]) == [Variance(0.0, 0)] * 2
    assert len(crossed_parts(0.1, (wild[0], wild[1]), (3, 3))) == 2
    assert len(crossed_parts(0.1, (wild[0], wild[4]), (3, 3))) == 3


@pytest.mark.parametrize(("hits", "rows"), [(0, 20), (20, 20), (93, 100), (4600, 5000)])
def test_the_interval_of_one_run_is_wilsons(hits: int, rows: int) -> None:
    expected = stats.binomtest(hits, rows).proportion_ci(0.95, method="wilson")
    mean = hits / rows
    for parts in ([], [Variance(mean * (1 - mean) / rows, np.inf)]):
        interval = share_of_parts(mean, rows, parts)
        assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=1e-15)


def test_macro_f1_with_weights_is_scikit_learns() -> None:
    rng = np.random.default_rng(4)
    truth, predicted = rng.integers(0, 3, 50), rng.integers(0, 3, 50)
    weights = rng.multinomial(50, np.full(50, 1 / 50), 20).astype(np.float32)
    expected = [f1_score(truth, predicted, average="macro", sample_weight=w, zero_division=0) for w in weights]
    np.testing.assert_allclose(resampled_f1(truth, predicted, 4, weights), expected, rtol=1e-5)


def test_the_bootstrap_of_one_run_is_scipys() -> None:
    rng = np.random.default_rng(5)
    truth = rng.integers(0, 3, 300)
    predicted = np.where(rng.random(300) < 0.85, truth, rng.integers(0, 3, 300))
    middle = f1_score(truth, predicted, average="macro")
    measured, draws = np.array([middle]), f1_draws(truth, predicted[None], 3, draws=2000)
    interval = f1_interval(measured, draws, Variance(0.0, 0), 0.9)
    theirs = stats.bootstrap(
        (truth, predicted), lambda t, p: f1_score(t, p, average="macro"), paired=True, vectorized=False, n_resamples=600,
        confidence_level=0.9, method="percentile", rng=np.random.default_rng(0),
    ).confidence_interval  # fmt: skip
    assert (interval.low, interval.high) == pytest.approx((theirs.low, theirs.high), abs=0.006)
    wider = f1_interval(measured, draws, Variance(0.03**2, 4), 0.9)
    assert middle - wider.low == pytest.approx(np.hypot(middle - interval.low, stats.t.ppf(0.95, 4) * 0.03), rel=1e-5)


def test_mcnemars_power_is_that_of_all_tables() -> None:
    rows, discordance, difference = 60, 0.3, 0.2
    b, c = np.meshgrid(np.arange(rows + 1), np.arange(rows + 1), indexing="ij")
    one, two = (discordance + difference) / 2, (discordance - difference) / 2
    possible = b + c <= rows
    chances = stats.multinomial.pmf(np.stack([b, c, rows - b - c], -1)[possible], rows, [one, two, 1 - one - two])
    told = np.array([mcnemar(int(x), int(y)) <= 0.05 for x, y in zip(b[possible], c[possible], strict=True)])
    found = compute_power(difference, Design(rows=rows, seeds=1), Noise(by_seed=0, by_row=0, rest=discordance))
    assert found == pytest.approx(float((chances * told).sum()), abs=0.01)


def test_what_is_needed_is_enough_and_less_is_not() -> None:
    blur = Noise.assumed(discordance=0.04, lasting=0.25, seed_deviation=0.001)
    for seeds in (1, 3):
        design = Design(rows=2000, seeds=seeds, layouts=9, comparisons=9)
        least = resolvable(design, blur)
        assert least is not None
        assert compute_power(least, design, blur) == pytest.approx(0.8, abs=1e-3)
        assert compute_power(0.0, design, blur) <= 0.05 / 9 + 1e-6
        rows = rows_needed(least / 1.5, design, blur)
        assert rows is not None
        assert compute_power(least / 1.5, Design(rows=rows, seeds=seeds, layouts=9, comparisons=9), blur) >= 0.8
        assert compute_power(least / 1.5, Design(rows=int(rows * 0.95), seeds=seeds, layouts=9, comparisons=9), blur) < 0.8
    more = seeds_needed(least / 1.2, design, blur)
    assert more is not None
    assert compute_power(least / 1.2, Design(rows=2000, seeds=more, layouts=9, comparisons=9), blur) >= 0.8
    assert compute_power(least / 1.2, Design(rows=2000, seeds=more - 1, layouts=9, comparisons=9), blur) < 0.8


def test_no_number_of_rows_outweighs_seeds_and_no_number_of_seeds_rows() -> None:
    design = Design(rows=1000, seeds=2)
    assert rows_needed(0.001, design, Noise(by_seed=0.01**2, by_row=0, rest=0.02)) is None
    assert seeds_needed(0.001, design, Noise(by_seed=0, by_row=0.04, rest=0.02)) is None
    assert resolvable(Design(rows=3, seeds=1), Noise.assumed()) is None
