"""Temperature, calibration figures and abstention against references and simulations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from sklearn.metrics import brier_score_loss, log_loss

from striata.calibration import Calibration, answer_threshold, calibrate, cross_fitted, fit_temperature, quality
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
