"""The report and the card of a study of numbers."""

from __future__ import annotations

import re

import numpy as np
import pytest

from striata.ensemble import write_ensemble
from striata.report.contents import Report, collect
from striata.report.model_card import card, find_subject
from striata.report.number_figures import errors_by_size, scatter
from striata.report.page import render
from striata.runs import StudyFolder

from ..study.synthetic import write_synthetic_study

ROWS = 150
TRUTH = np.random.default_rng(0).normal(1000, 200, ROWS)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    rng = np.random.default_rng(1)
    errors = {"s8": 60.0, "s1": 90.0}
    answers = {
        (name, seed): 0.9 * TRUTH + 100 + error * rng.normal(size=ROWS) for name, error in errors.items() for seed in (0, 1)
    }
    written = write_synthetic_study(tmp_path_factory.mktemp("report") / "study", answers, TRUTH)
    write_ensemble(written.path, size=2)
    return written


@pytest.fixture(scope="module")
def report(study: StudyFolder) -> Report:
    return collect(study.path)


def test_the_page_shows_numbers_and_nothing_of_labels(report: Report) -> None:
    page = render(report)
    assert report.numeric
    for absent in (
        "Confusion matrix",
        "Reliability diagram",
        "Recall of each label",
        "macro F1",
        "Suspicious labels",
        "Under stress",
    ):
        assert absent not in page
    for present in ("Predicted against true numbers", "Mean error by the size of the true number", "RMSE against cost", "R²"):
        assert present in page
    value = report.judged.value
    assert (
        f"Use the ensemble of 2 runs: RMSE {value.value:.4f} on 150 validation rows ({value.low:.4f} to {value.high:.4f})" in page
    )
    assert re.search(r'id="standings".*?<th class="n">RMSE</th>', page, re.DOTALL)
    difference = report.comparison.differences[0]
    assert f'value="{difference.difference}"' in page
    assert difference.sentence in page
    assert "accuracy" not in re.sub(r"accuracy-cost|<style>.*?</style>|<script>.*?</script>", "", page, flags=re.DOTALL)


def test_points_are_rows_and_errors_their_means(report: Report) -> None:
    numbers = report.judged.numbers
    assert numbers is not None
    scene = scatter(numbers, "it")
    tips = [mark.tip for mark in scene.marks if getattr(mark, "tip", "").startswith("true ")]
    assert len(tips) == ROWS
    order = np.argsort(TRUTH, kind="stable")
    assert tips[0] == f"true {TRUTH[order[0]]:.6g}, predicted {numbers.answers[order[0]]:.6g}"
    bars = errors_by_size(numbers)
    first = np.array_split(order, 10)[0]
    mean = (numbers.answers - numbers.targets)[first].mean()
    assert any(f"{len(first)} rows, mean error {mean:+.4g}" in getattr(mark, "tip", "") for mark in bars.marks)


def test_intervals_hold_as_often_as_counted_by_hand(report: Report) -> None:
    numbers = report.judged.numbers
    assert numbers is not None
    rows = {one.nominal: one for one in numbers.sets}
    assert set(rows) == {0.9, 0.95, 0.99}
    errors = np.abs(numbers.answers - numbers.targets)
    assert rows[0.9].width == 2 * np.sort(errors)[int(np.ceil(151 * 0.9)) - 1]
    assert rows[0.9].coverage == pytest.approx(0.9, abs=0.06)


def test_a_card_has_the_figures_of_numbers(study: StudyFolder) -> None:
    text = card(find_subject(study.path))
    measured = find_subject(study.path).judged.metrics.scores
    for kind in ("rmse", "mse", "mae", "r_squared", "spearmanr"):
        assert f"- type: {kind}\n" in text
    assert f"value: {measured['rmse']}" in text
    assert "It answers a text with a number." in text
    assert "| rows | RMSE | MAE | R² | Spearman | 95 % interval of RMSE |" in text
    for absent in ("accuracy", "calibration error", "| label |", "classifier", "striata stress"):
        assert absent not in text
