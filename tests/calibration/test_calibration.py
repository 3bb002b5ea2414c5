"""Temperature, calibration figures and abstention against references and simulations."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from scipy.stats import binomtest
from sklearn.metrics import brier_score_loss, log_loss

from striata.calibration import (
    Calibration,
    answer_threshold,
    calibrate,
    cross_fitted,
    fit_temperature,
    label_sets,
    quality,
    set_figures,
    set_threshold,
)
from striata.calibration.temperature import COVERAGES, PRECISIONS
from striata.disk.documents import strictly
from striata.errors import DataError
from striata.figures.folds import deal_folds


def world(rows: int, *, sharpness: float = 1.0, classes: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are true log-probabilities times `sharpness`, and labels drawn from the true probabilities."""
    rng = np.random.default_rng(seed)
    true = rng.normal(0, 2, (rows, classes))
    cumulated = softmax(true, axis=1).cumsum(1)
    labels = (rng.random((rows, 1)) > cumulated).sum(1).clip(max=classes - 1)
    return (true * sharpness).astype(np.float32), labels


@pytest.mark.parametrize("sharpness", [0.3, 1.0, 4.0])
def test_the_temperature_is_the_optimum_and_the_truth(sharpness: float) -> None:
    logits, labels = world(20_000, sharpness=sharpness)
    found = fit_temperature(logits, labels)

    def cost(log_temperature: np.ndarray) -> float:
        scaled = logits.astype(float) / np.exp(log_temperature)
        return -float(log_softmax(scaled, axis=1)[np.arange(len(labels)), labels].mean())

    reference = np.exp(minimize(cost, [0.0], method="Nelder-Mead").x[0])
    assert found == pytest.approx(reference, rel=1e-3)  # the prior weighs as much as one row of 20,000
    # The log loss as a function of log T has curvature of about Var(z)/T^2 > 0.25 a row: the standard error is below 0.015.
    assert found == pytest.approx(sharpness, rel=0.06)


def test_the_temperature_stays_finite_when_every_row_is_right() -> None:
    logits = np.eye(3, dtype=np.float32)[[0, 1, 2] * 10] * 5
    labels = np.array([0, 1, 2] * 10)
    assert 0.1 < fit_temperature(logits, labels) < 1
    assert 1 < fit_temperature(logits, (labels + 1) % 3) <= 20.01


@pytest.mark.parametrize("rows", [1, 3, 12])
def test_few_rows_are_weighed_against_the_prior(rows: int) -> None:
    """The cost as it is stated: the summed log loss and a standard normal prior on the temperature's logarithm."""
    logits, labels = world(rows, sharpness=0.7, seed=3)

    def cost(log_temperature: np.ndarray) -> float:
        scaled = logits.astype(float) / np.exp(log_temperature)
        return -float(log_softmax(scaled, axis=1)[np.arange(rows), labels].sum()) + float(log_temperature[0]) ** 2 / 2

    best = minimize(cost, [0.0], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-12}).x[0]
    assert fit_temperature(logits, labels) == pytest.approx(np.exp(best), rel=1e-4)
    assert abs(best) > 0.05


def test_log_loss_and_brier_score_are_scikit_learns() -> None:
    logits, labels = world(500, sharpness=2)
    probabilities = softmax(logits.astype(float), axis=1)
    found = quality(probabilities, labels)
    assert found.loss == pytest.approx(log_loss(labels, probabilities))
    one_by_one = [brier_score_loss(labels == k, probabilities[:, k]) for k in range(4)]
    assert found.brier == pytest.approx(sum(one_by_one))


def test_the_calibration_error_is_its_definition() -> None:
    logits, labels = world(400, sharpness=3, seed=1)
    probabilities = softmax(logits.astype(float), axis=1)
    probabilities[0] = [1, 0, 0, 0]  # the upper edge of the last bin belongs to it
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    expected = 0.0
    for at in range(15):
        inside = (confidence > at / 15) & (confidence <= (at + 1) / 15)
        if inside.any():
            expected += inside.mean() * abs(confidence[inside].mean() - right[inside].mean())
    found = quality(probabilities, labels)
    assert found.ece == pytest.approx(expected)
    assert sum(bar.rows for bar in found.bins) == 400
    assert len(found.bins) == 15
    assert all((bar.confidence is None) == (bar.rows == 0) for bar in found.bins)


def test_the_reliability_diagram_by_hand() -> None:
    """Fifteen bins of equal width; a bin's upper edge belongs to it, and the first holds 0 as well."""
    confidence = np.array([1 / 15, 0.0, 0.51, 0.52, 0.6, 0.61, 1.0])
    probabilities = np.stack([confidence, np.zeros(7)], axis=1)
    bins = quality(probabilities, np.array([0, 1, 0, 1, 0, 1, 0])).bins
    np.testing.assert_allclose(
        [(bar.lower, bar.upper) for bar in bins], [(at / 15, (at + 1) / 15) for at in range(15)], atol=1e-12
    )
    rows = {at: (bar.rows, bar.confidence, bar.accuracy) for at, bar in enumerate(bins) if bar.rows}
    expected = {0: (2, 1 / 30, 0.5), 7: (2, 0.515, 0.5), 8: (1, 0.6, 1.0), 9: (1, 0.61, 0.0), 14: (1, 1.0, 1.0)}
    assert rows == {at: (count, pytest.approx(mean), share) for at, (count, mean, share) in expected.items()}
    assert all((bar.confidence, bar.accuracy) == (None, None) for bar in bins if not bar.rows)


def test_each_row_is_scaled_by_a_temperature_of_the_others() -> None:
    logits, labels = world(53, sharpness=3, seed=4)
    number, ours = deal_folds(labels), cross_fitted(logits, labels)
    for row in range(53):
        others = number != number[row]
        temperature = fit_temperature(logits[others], labels[others])
        np.testing.assert_allclose(ours[row], softmax(logits[row].astype(float) / temperature), atol=1e-6)
    np.testing.assert_allclose(cross_fitted(logits[:1], labels[:1]), softmax(logits[:1].astype(float), axis=1), atol=1e-6)


@pytest.mark.parametrize("rows", [9, 300])
def test_a_calibration_is_made_of_its_parts(rows: int) -> None:
    """Sets are of the plain probabilities, thresholds of the calibrated ones."""
    logits, labels = world(rows, sharpness=3, seed=5)
    labels[rows // 10 :] = logits[rows // 10 :].argmax(1)
    calibration = calibrate(logits, labels)
    plain, sharp = (softmax(logits.astype(float) / t, axis=1) for t in (1.0, fit_temperature(logits, labels)))
    answers = [answer_threshold(sharp, labels, precision) for precision in PRECISIONS]
    assert list(calibration.answers) == [answer for answer in answers if answer is not None]
    assert len(calibration.answers) == (0 if rows == 9 else 2)
    coverages = [coverage for coverage in COVERAGES if rows >= {0.9: 9, 0.95: 19, 0.99: 99}[coverage]]
    assert list(calibration.sets) == [
        set_figures(label_sets(plain, set_threshold(plain, labels, coverage)), labels, coverage) for coverage in coverages
    ]
    assert (calibration.rows, calibration.before) == (rows, quality(plain, labels))


def test_calibration_mends_what_is_too_sure_and_leaves_what_is_not() -> None:
    sure = calibrate(*world(4000, sharpness=3))
    assert sure.after.ece < 0.03 < 0.1 < sure.before.ece
    assert sure.after.brier < sure.before.brier
    honest = calibrate(*world(4000, sharpness=1))
    assert honest.temperature == pytest.approx(1, abs=0.06)
    assert honest.after.loss == pytest.approx(honest.before.loss, abs=2e-3)


def test_figures_after_calibration_do_not_flatter() -> None:
    """With few rows a temperature fitted on the very rows looks better than it is; the cross-fitted does not."""
    fitted, crossed, true = [], [], []
    for seed in range(60):
        logits, labels = world(25, sharpness=2, seed=seed)
        new_logits, new_labels = world(2000, sharpness=2, seed=1000 + seed)
        temperature = fit_temperature(logits, labels)
        fitted.append(quality(softmax(logits / temperature, axis=1), labels).loss)
        crossed.append(quality(cross_fitted(logits, labels), labels).loss)
        true.append(quality(softmax(new_logits / temperature, axis=1), new_labels).loss)
    error = np.std(np.subtract(crossed, true)) / np.sqrt(60)
    assert np.mean(crossed) - np.mean(true) > -2 * error
    assert np.mean(fitted) < np.mean(crossed)


def test_the_json_form_gives_the_same_calibration() -> None:
    import json

    found = calibrate(*world(300, sharpness=2))
    assert strictly(Calibration)(json.loads(json.dumps(found.to_json(), allow_nan=False))) == found
    few = calibrate(*world(1))
    assert (few.rows, few.sets, few.answers) == (1, (), ())


def test_folds_are_of_one_size_and_spread_the_labels() -> None:
    labels = np.array([0] * 50 + [1] * 7 + [2] * 4)
    number = deal_folds(labels)
    assert sorted(np.bincount(number)) == [12, 12, 12, 12, 13]
    assert len(set(number[labels == 2])) == 4
    assert len(set(number[labels == 1])) == 5
    assert (number == deal_folds(labels)).all()
    assert (number != deal_folds(labels, seed=1)).any()


def test_answers_are_as_precise_as_promised() -> None:
    """Over many draws of validation rows the true precision falls short in at most a tenth."""
    rng = np.random.default_rng(0)
    draws, rows, short, answered = 300, 400, 0, []
    for _ in range(draws):
        confidence = rng.uniform(0.5, 1, rows)
        right = rng.random(rows) < confidence
        probabilities = np.stack([confidence, 1 - confidence], axis=1)
        found = answer_threshold(probabilities, np.where(right, 0, 1), 0.8)
        if found is None:
            continue
        answered.append(found.answered)
        short += (1 + max(found.threshold, 0.5)) / 2 < 0.8  # the mean confidence of the rows above the threshold
    assert short / draws <= 0.1 + 2 * np.sqrt(0.1 * 0.9 / draws)
    assert np.mean(answered) > 0.3  # the best threshold, 0.6, answers 0.8: some of it is given for certainty


@pytest.mark.parametrize(("rows", "seed"), [(7, 0), (60, 1), (200, 2), (333, 3), (400, 4), (401, 5)])
@pytest.mark.parametrize("precision", [0.3, 0.6, 0.8, 0.9])
def test_the_answer_threshold_by_brute_force(rows: int, seed: int, precision: float) -> None:
    """The largest of 5 %, 10 %, ... of the rows whose exact lower bound, scipy's, reaches the precision."""
    rng = np.random.default_rng(seed)
    top = np.round(rng.uniform(0.4, 1, rows), 2)  # with ties
    probabilities = np.stack([top, 1 - top - 0.001, np.full(rows, 0.001)], axis=1)
    labels = np.where(rng.random(rows) < top, 0, 2)
    order = np.sort(probabilities.max(1))[::-1]
    expected = None
    for share in range(1, 21):
        threshold = order[max(1, rows * share // 20) - 1]
        answers = probabilities.max(1) >= threshold
        right = int((probabilities.argmax(1) == labels)[answers].sum())
        bound = binomtest(right, int(answers.sum())).proportion_ci(1 - 2 * 0.1 / 20, method="exact").low
        if bound >= precision:
            expected = (precision, threshold, answers.mean())
    found = answer_threshold(probabilities, labels, precision)
    assert (found and (found.precision, found.threshold, found.answered)) == expected


def test_a_precision_that_cannot_be_shown_is_refused() -> None:
    probabilities = np.tile([0.9, 0.1], (30, 1))
    assert answer_threshold(probabilities, np.zeros(30, np.int64), 0.99) is None
    everyone = answer_threshold(probabilities, np.zeros(30, np.int64), 0.7)
    assert everyone is not None
    assert (everyone.threshold, everyone.answered) == (0.9, 1.0)
    assert answer_threshold(probabilities, np.ones(30, np.int64), 0.5) is None


@pytest.mark.parametrize("value", [0, 1, -0.1, 2])
def test_a_precision_is_a_share(value: Any) -> None:
    with pytest.raises(DataError, match="is not between 0 and 1"):
        answer_threshold(np.eye(2), np.arange(2), value)


def test_logits_that_are_not_finite_and_no_rows_are_refused() -> None:
    logits, labels = world(20)
    logits[7, 1] = np.nan
    with pytest.raises(DataError, match=r"1 validation rows are not finite, the first of row 7"):
        calibrate(logits, labels)
    with pytest.raises(DataError, match="no validation rows"):
        calibrate(logits[:0], labels[:0])


def test_a_calibration_of_many_labels_holds_few_tables_of_them_at_once() -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(0, 3, (400, 1_000)).astype(np.float32), rng.integers(0, 1_000, 400)
    calibrate(logits, labels)  # loads what is loaded once
    tracemalloc.start()
    calibrate(logits, labels)
    assert tracemalloc.get_traced_memory()[1] < 5 * 8 * logits.size
    tracemalloc.stop()
