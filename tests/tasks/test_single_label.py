"""One label of several, against scikit-learn, scipy and torch."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from sklearn.metrics import accuracy_score, classification_report, confusion_matrix, f1_score, log_loss

from striata.choices import LOSSES
from striata.errors import DataError, RunError
from striata.settings import Recipe
from striata.tasks import SINGLE_LABEL, TASKS, label_numbers, task_named
from striata.training.losses import make_loss

NAMES = ("Business", "Sports", "World", "none")


@pytest.fixture(params=[1, 7, 300])
def measured(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(request.param)
    return rng.normal(0, 2, (request.param, 4)).astype(np.float32), rng.integers(0, 3, request.param)


def test_scores_are_scikit_learns(measured: tuple[np.ndarray, np.ndarray]) -> None:
    logits, targets = measured
    predicted, places = logits.argmax(1), np.arange(4)
    expected = {
        "accuracy": accuracy_score(targets, predicted),
        "loss": log_loss(targets, softmax(logits.astype(np.float64), axis=1), labels=places),
        "macro_f1": f1_score(targets, predicted, labels=places, average="macro", zero_division=0),
    }
    scores = SINGLE_LABEL.scores(logits, targets)
    assert scores.to_json() == pytest.approx(expected, rel=1e-12)
    for by in SINGLE_LABEL.rankings:
        assert SINGLE_LABEL.score(logits, targets, by) == (-1 if by == "loss" else 1) * scores.to_json()[by]
    metrics = SINGLE_LABEL.metrics(logits, targets, NAMES)
    assert metrics.scores == scores
    assert metrics.confusion == confusion_matrix(targets, predicted, labels=places).tolist()
    report = classification_report(targets, predicted, labels=places, target_names=NAMES, output_dict=True, zero_division=0)
    for name in NAMES:
        assert list(metrics.per_label[name].values()) == pytest.approx(list(report[name].values()))
    assert metrics.to_json()["rows"] == len(targets)


def test_log_likelihoods_are_those_of_all_rows_at_once_in_little_memory() -> None:
    rng = np.random.default_rng(0)
    for rows, labels in ((0, 3), (1, 100_000), (999, 1_000), (5, 1)):
        logits, targets = rng.normal(0, 9, (rows, labels)).astype(np.float32), rng.integers(0, labels, rows)
        expected = log_softmax(logits.astype(np.float64) * 0.3, axis=1)[np.arange(rows), targets]
        np.testing.assert_array_equal(SINGLE_LABEL.log_likelihoods(logits, targets, scale=0.3), expected)
    logits, targets = np.zeros((1_000, 1_000), np.float32), np.zeros(1_000, np.int64)
    tracemalloc.start()
    assert SINGLE_LABEL.score(logits, targets, "loss") == pytest.approx(-np.log(1_000), rel=1e-12)
    assert tracemalloc.get_traced_memory()[1] < logits.nbytes
    tracemalloc.stop()


def test_probabilities_keep_their_type_and_any_leading_dimensions() -> None:
    logits = np.random.default_rng(0).normal(0, 30, (2, 5, 3))
    for kind in (np.float32, np.float64):
        probabilities = SINGLE_LABEL.probabilities(logits.astype(kind))
        assert probabilities.dtype == kind
        np.testing.assert_array_equal(probabilities, softmax(logits.astype(kind), axis=2))
    log_probabilities = SINGLE_LABEL.log_probabilities(logits.astype(np.float32))
    np.testing.assert_array_equal(log_probabilities, log_softmax(logits.astype(np.float32).astype(np.float64), axis=2))
    np.testing.assert_array_equal(SINGLE_LABEL.decide(logits), logits.argmax(2))
    assert SINGLE_LABEL.decide(np.zeros((2, 3))).tolist() == [0, 0]  # the first of equals


def test_labels_in_order_and_as_targets() -> None:
    order = SINGLE_LABEL.order
    assert order(["10", "9", "-1"], None, "x") == ("-1", "9", "10")
    assert order(["b", "a", "10"], None, "x") == ("10", "a", "b")
    assert order(["10", "9", "--1"], None, "x") == ("--1", "10", "9")  # no integer, whatever it begins with
    assert order(["9", "1" + 18 * "0"], None, "x") == ("1" + 18 * "0", "9")  # more than 64 bits hold
    assert order(["b", "a", "b"], ("b", "a"), "x") == ("b", "a")
    targets = SINGLE_LABEL.encode(["b", "a", "b"], ("b", "a"), source="x", rows=np.arange(3))
    assert targets.dtype == np.int64
    assert targets.tolist() == [0, 1, 0]
    with pytest.raises(DataError, match="x has only one label"):
        order(["a", "a"], None, "x")
    assert order(["b", "a"], ("b", "c", "a"), "x") == ("b", "a")  # one that is declared and has no row cannot be learned
    with pytest.raises(DataError, match="x has only one label"):
        order(["b", "b"], ("b", "c"), "x")
    with pytest.raises(DataError, match=r"x: row 7 .* has label 'Sport' \(did you mean 'Sports'\?\)"):
        SINGLE_LABEL.encode(["Sport"], NAMES, source="x", rows=np.array([7]))


def test_every_task_names_a_loss_that_training_has() -> None:
    for name, task in TASKS.items():
        assert task_named(name) is task
        assert task.name == name
        assert task.loss in LOSSES
    with pytest.raises(RunError, match=r"unknown task 'single' \(did you mean 'single-label'\?\)"):
        task_named("single")


def test_the_loss_of_training_is_the_loss_of_validation(measured: tuple[np.ndarray, np.ndarray]) -> None:
    logits, targets = measured
    loss = make_loss(Recipe(), SINGLE_LABEL, targets, NAMES, torch.device("cpu"))
    assert float(loss(torch.from_numpy(logits), torch.from_numpy(targets))) == pytest.approx(
        SINGLE_LABEL.scores(logits, targets).loss, rel=1e-5
    )


@pytest.mark.parametrize(
    ("labels", "numbers"),
    [
        (("7", "42", "-1"), (7, 42, -1)),
        (("007", "042"), (7, 42)),
        (("--1", "2"), None),
        (("\u00b2", "\u00b3"), None),
        (("\u0661", "\u0662"), None),  # digits of another script
        (("1.0", "10.0", "2.0"), None),
        (("1_000", "2"), None),
        ((" 1", "2"), None),
        (("1\n", "2"), None),
        (("9" * 18, "1"), (10**18 - 1, 1)),
        (("9" * 19, "1"), None),
        (("1" * 4_400, "2"), None),
    ],
)
def test_what_an_integer_label_is(labels: tuple[str, ...], numbers: tuple[int, ...] | None) -> None:
    assert label_numbers(labels) == numbers
    order = SINGLE_LABEL.order(labels, None, "x")
    assert order == (tuple(sorted(labels)) if numbers is None else tuple(sorted(labels, key=int)))


def test_two_labels_are_never_one_number() -> None:
    with pytest.raises(DataError, match="labels '7' and '007' are one integer"):
        label_numbers(("7", "007", "42"))


def test_a_label_is_the_same_one_as_every_format_writes_it() -> None:
    for labels, values in ((("1.0", "2.0"), ("1", "2")), (("1", "2"), ("1.0", "2.00")), (("False", "True"), ("false", "TRUE"))):
        assert SINGLE_LABEL.encode(values, labels, source="x", rows=np.arange(2)).tolist() == [0, 1]
    for labels, value in ((("1", "1.0"), "1.00"), (("7", "8"), "007"), (("1", "2"), "1.5")):
        with pytest.raises(DataError, match=rf"has label '{value}'"):
            SINGLE_LABEL.encode([value], labels, source="x", rows=np.arange(1))
    with pytest.raises(DataError, match=r"has label '07' \(the number is that of '7': write it in one way in all files\)"):
        SINGLE_LABEL.encode(["07"], ("7", "8"), source="x", rows=np.arange(1))
