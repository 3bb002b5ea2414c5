"""Studies of numbers compared, against scipy's paired t and the bootstrap."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import bootstrap, ttest_rel

from striata.evidence import compare_pair, compare_study, measure_worth
from striata.evidence.measure import SQUARED
from striata.evidence.paired import compare_crossed
from striata.figures.spread import Variance, seed_parts, spread
from striata.runs import RunFacts, StudyFolder
from striata.runs.run import RunRecord, write_run
from striata.tasks import REGRESSION

from ..study.synthetic import write_synthetic_study

ROWS = 300
TRUTH = np.random.default_rng(0).normal(20, 5, ROWS)


def answers(error: float, seed: int) -> np.ndarray:
    """Off by so much, in part in the same way whatever the seed."""
    draws = np.random.default_rng(1).normal(size=ROWS) + np.random.default_rng([seed, int(100 * error)]).normal(size=ROWS)
    result: np.ndarray = TRUTH + error * draws / 2**0.5
    return result


def study_of(folder: Path, errors: dict[str, float], seeds: int = 2, **settings: object) -> StudyFolder:
    logits = {(layout, seed): answers(error, seed) for layout, error in errors.items() for seed in range(seeds)}
    return write_synthetic_study(folder / "out", logits, TRUTH, **settings)


def add_baseline(study: StudyFolder, error: float) -> None:
    like, logits = study.runs()[0], answers(error, 9)[:, None].astype(np.float32)
    changes = {
        "kind": "frozen", "name": "frozen", "title": "frozen", "layout": "frozen", "plan_hash": "", "lora": 0, "trainable": 300,
        "seconds": 10.0, "texts_per_second": 1000.0, "metrics": REGRESSION.scores(logits, TRUTH).to_json(),
    }  # fmt: skip
    facts = RunFacts(**(like.facts.model_dump() | changes))
    seen = replace(like.validation(), logits=logits)
    write_run(study.run_folder("frozen"), RunRecord(facts=facts, plan=None, receipt=None, history=(), validation=seen), None)


def test_layouts_are_ordered_by_rmse_and_differences_are_of_it(tmp_path: Path) -> None:
    study = study_of(tmp_path, {"s8": 2.0, "s1": 1.0, "s4": 2.01})
    comparison = compare_study(study)
    assert (comparison.figure, comparison.layouts[0].layout) == ("rmse", "s1")
    best = comparison.layouts[0]
    pooled = np.sqrt(np.mean([(answers(1.0, seed) - TRUTH) ** 2 for seed in range(2)]))
    assert best.value == pytest.approx(pooled, rel=1e-5)
    assert best.low < pooled < best.high
    assert best.figures["mae"] == pytest.approx(np.mean([np.abs(answers(1.0, seed) - TRUTH) for seed in range(2)]), rel=1e-5)
    by_layout = {one.layout: one for one in comparison.differences}
    first = comparison.layouts[[row.layout for row in comparison.layouts].index("s8")]
    assert by_layout["s1"].difference == pytest.approx(best.value - first.value)
    assert by_layout["s1"].low < by_layout["s1"].difference < by_layout["s1"].high < 0
    assert (by_layout["s1"].verdict, by_layout["s4"].verdict) == ("better", "not told apart")
    assert by_layout["s1"].sentence.startswith("s1 is better than s8 by 300 rows and 2 seeds: -1")
    assert " RMSE (" in by_layout["s1"].sentence
    assert by_layout["s4"].rows_needed is None or by_layout["s4"].rows_needed > ROWS
    json = comparison.to_json()
    assert "accuracy" not in json["layouts"][0]  # type: ignore[index]


def test_two_runs_are_compared_by_students_paired_t(tmp_path: Path) -> None:
    study = study_of(tmp_path, {"s8": 2.0, "s1": 1.9}, seeds=1)
    comparison = compare_pair(study, "s1-seed0", "s8-seed0")
    (one,) = comparison.differences
    logits = [np.float64(np.float32(answers(error, 0))) for error in (1.9, 2.0)]
    squares = [(own - TRUTH) ** 2 for own in logits]
    peer = ttest_rel(*squares)
    assert one.p == pytest.approx(peer.pvalue, rel=1e-4)
    total = np.sqrt(squares[0].mean()) + np.sqrt(squares[1].mean())
    assert (one.low, one.high) == pytest.approx(tuple(np.array(peer.confidence_interval(0.95)) / total), rel=1e-4)
    assert one.method == "paired t over rows"
    absolute = compare_pair(study_of(tmp_path / "mae", {"s8": 2.0, "s1": 1.9}, recipe={"best_by": "mae"}, seeds=1), "s1", "s8")
    assert absolute.figure == "mae"
    peer = ttest_rel(*(np.abs(own - TRUTH) for own in logits))
    assert absolute.differences[0].p == pytest.approx(peer.pvalue, rel=1e-4)


def test_the_interval_of_an_rmse_is_that_of_the_bootstrap() -> None:
    errors = np.random.default_rng(2).standard_t(8, 400)
    interval = SQUARED.interval(spread(-(errors**2)[None]), Variance(0.0, 0), level=0.95)
    peer = bootstrap((errors,), lambda e: np.sqrt((e**2).mean()), n_resamples=4000, vectorized=False, rng=0).confidence_interval
    assert (interval.low, interval.high) == pytest.approx((peer.low, peer.high), rel=0.02)


def test_the_encoder_is_compared_with_the_best_baseline_in_rmse(tmp_path: Path) -> None:
    study = study_of(tmp_path, {"s8": 1.0})
    add_baseline(study, 2.0)
    worth = measure_worth(study.runs())
    (gain,) = worth.gains
    assert (gain.verdict, gain.contender.figure, gain.bar.name) == ("better", "rmse", "frozen")
    assert gain.difference.value == pytest.approx(gain.contender.value - gain.bar.value)
    assert gain.difference.low < gain.difference.value < gain.difference.high < 0
    assert "is better than frozen, the baseline, by 300 validation rows: RMSE 0.94" in gain.sentence
    assert f"{gain.difference.value:+.4g} RMSE (95% interval" in gain.sentence
    bar = worth.to_json()["bar"]
    assert isinstance(bar, dict)
    assert bar["rmse"] == gain.bar.value


def test_false_alarms_come_as_rarely_as_they_may() -> None:
    """No true difference: seeds and rows scatter, and the test at 5 % errs in about one of twenty."""
    rng = np.random.default_rng(3)
    crossed = []
    for _ in range(400):
        rows, tables = rng.normal(size=80), []
        for _ in range(2):
            tables.append(-((rows + 0.5 * rng.normal(size=(3, 80)) + 0.2 * rng.normal(size=(3, 1))) ** 2))
        seeds = seed_parts([table.mean(1).tolist() for table in tables])
        crossed.append(compare_crossed(tables[0], tables[1], (seeds[0], seeds[1]), 0.95).p < 0.05)
    assert np.mean(crossed) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)
