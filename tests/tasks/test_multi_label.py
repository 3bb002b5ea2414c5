"""Several labels a text: figures are scikit-learn's, losses are torch's, thresholds do not flatter, sets hold all labels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from sklearn import metrics as theirs

from striata.calibration import calibrate, cross_fitted_several, label_sets, set_figures, set_threshold
from striata.calibration.several import choose_thresholds, fit_temperatures
from striata.data.strata import iterative_parts
from striata.ensemble.weighting import fit_weights
from striata.errors import DataError, StriataError
from striata.figures.bootstrap import f1_draws
from striata.figures.folds import deal_folds
from striata.settings import Recipe
from striata.tasks import MULTI_LABEL, SINGLE_LABEL, check_one_label, metrics_of, task_named
from striata.training.losses import make_loss

NAMES = ("a", "b", "c", "d")


@pytest.fixture(scope="module")
def rows() -> tuple[np.ndarray, np.ndarray]:
    """Logits that say something, and targets of which one label is rare and one never occurs."""
    rng = np.random.default_rng(0)
    targets = (rng.random((300, 4)) < [0.5, 0.3, 0.05, 0.0]).astype(np.int64)
    logits = (rng.normal(size=(300, 4)) * 2 + 2 * (targets - 0.5)).astype(np.float32)
    return logits, targets


def test_figures_are_those_of_scikit_learn(rows: tuple[np.ndarray, np.ndarray]) -> None:
    logits, targets = rows
    decided, scores = (logits > 0).astype(int), MULTI_LABEL.scores(logits, targets)
    undefined = {"zero_division": np.nan}
    assert scores.accuracy == pytest.approx(theirs.accuracy_score(targets, decided))
    assert scores["micro_f1"] == pytest.approx(theirs.f1_score(targets, decided, average="micro"))
    assert scores.macro_f1 == pytest.approx(theirs.f1_score(targets, decided, average="macro", **undefined))
    assert scores["hamming_loss"] == pytest.approx(theirs.hamming_loss(targets, decided))
    ties = np.round(logits)
    both = targets[:, :3], ties[:, :3]
    assert MULTI_LABEL.score(ties, targets, "average_precision") == pytest.approx(theirs.average_precision_score(*both))
    present = targets[:, :3], logits[:, :3]
    assert scores["average_precision"] == pytest.approx(theirs.average_precision_score(*present, average="macro"))
    for by in MULTI_LABEL.rankings:
        assert MULTI_LABEL.score(logits, targets, by) == pytest.approx((-1 if by == "loss" else 1) * scores[by])
    measured = metrics_of(decided, logits, targets, NAMES)
    report = theirs.classification_report(targets, decided, target_names=NAMES, output_dict=True, zero_division=0)
    for name in NAMES:
        row = report[name]
        expected = {"precision": row["precision"], "recall": row["recall"], "f1": row["f1-score"], "rows": row["support"]}
        assert measured.per_label[name] == pytest.approx(expected)


def test_losses_and_weights_are_those_of_torch(rows: tuple[np.ndarray, np.ndarray]) -> None:
    logits, targets = torch.from_numpy(rows[0]), torch.from_numpy(rows[1])
    goals = targets.float()
    plain = torch.nn.BCEWithLogitsLoss()(logits, goals)
    device = torch.device("cpu")

    def loss(**settings: object) -> float:
        return float(make_loss(Recipe(**settings), MULTI_LABEL, rows[1], NAMES, device)(logits, targets))  # type: ignore[arg-type]

    assert loss() == pytest.approx(float(plain))
    assert MULTI_LABEL.scores(*rows).loss == pytest.approx(float(plain), rel=1e-5)
    ones = goals.sum(0)
    balanced = torch.nn.BCEWithLogitsLoss(pos_weight=(len(goals) - ones) / ones.clamp_min(1))(logits, goals)
    assert loss(class_weights="balanced") == pytest.approx(float(balanced))
    stated = torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor([1.0, 2.0, 3.0, 4.0]))(logits, goals)
    assert loss(class_weights={"d": 4, "c": 3, "b": 2, "a": 1}) == pytest.approx(float(stated))
    assert loss(label_smoothing=0.2) == pytest.approx(float(torch.nn.BCEWithLogitsLoss()(logits, goals * 0.8 + 0.1)))


def test_probabilities_are_sigmoids_and_rows_are_right_as_a_whole(rows: tuple[np.ndarray, np.ndarray]) -> None:
    logits, targets = rows
    expected = torch.sigmoid(torch.from_numpy(logits)).numpy()
    np.testing.assert_allclose(MULTI_LABEL.probabilities(logits), expected, rtol=1e-6)
    np.testing.assert_allclose(MULTI_LABEL.log_probabilities(logits), np.log(expected.astype(float)), rtol=1e-3)
    right = MULTI_LABEL.right(logits, targets)
    assert right.tolist() == [bool(((one > 0) == (two > 0)).all()) for one, two in zip(logits, targets, strict=True)]
    with pytest.raises(StriataError, match="a stress test needs one label of several for each text, and the task is multilabel"):
        check_one_label(task_named("multilabel"), "a stress test", StriataError)


def test_labels_have_one_spelling_and_order() -> None:
    values = ["b|a", "", "c", "10|9"]
    assert MULTI_LABEL.order(values[:3], None, "x") == ("a", "b", "c")
    assert MULTI_LABEL.order(values[3:], None, "x") == ("9", "10")
    assert MULTI_LABEL.order(values[:2], ("b", "a", "z"), "x") == ("b", "a")
    targets = MULTI_LABEL.encode(values[:3], NAMES, source="x", rows=np.arange(3))
    assert targets.tolist() == [[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0]]
    assert MULTI_LABEL.spell(targets, NAMES) == ["a|b", "", "c"]
    with pytest.raises(
        DataError, match=r"x: row 7 .* has label 'aa' .*, which the training rows do not have; expected some of a, b"
    ):
        MULTI_LABEL.encode(["a|aa"], NAMES, source="x", rows=np.array([7]))
    with pytest.raises(DataError, match="no row with a label"):
        MULTI_LABEL.order(["", ""], None, "x")


def test_each_label_has_the_temperature_of_the_smallest_loss(rows: tuple[np.ndarray, np.ndarray]) -> None:
    logits, targets = rows
    for label, temperature in enumerate(fit_temperatures(logits, targets)):
        signed = torch.from_numpy(np.where(targets[:, label] > 0, logits[:, label], -logits[:, label]).astype(float))

        def cost(log: float, signed: torch.Tensor = signed) -> float:
            return float(-torch.nn.functional.logsigmoid(signed * np.exp(-log)).sum()) + log**2 / 2

        best = minimize_scalar(cost, bounds=(-3, 3), method="bounded", options={"xatol": 1e-8}).x
        assert np.log(temperature) == pytest.approx(best, abs=1e-4)


def test_a_threshold_gives_the_largest_f1_and_its_figure_does_not_flatter(rows: tuple[np.ndarray, np.ndarray]) -> None:
    logits, targets = rows
    probabilities = MULTI_LABEL.probabilities(logits.astype(float))
    thresholds = choose_thresholds(probabilities, targets)
    assert thresholds[3] == 0.5  # no row has the label
    for label in range(3):
        true = targets[:, label] > 0
        decided = probabilities[:, label] >= np.sort(probabilities[:, label])[:, None]
        tried = 2 * (decided & true).sum(1) / (decided.sum(1) + true.sum())
        assert theirs.f1_score(true, probabilities[:, label] >= thresholds[label]) == pytest.approx(tried.max())
    noise = np.random.default_rng(1).normal(size=(400, 1)).astype(np.float32)
    truth = (np.arange(400) % 20 == 0).astype(np.int64)[:, None]
    own = MULTI_LABEL.probabilities(noise) >= choose_thresholds(MULTI_LABEL.probabilities(noise), truth)
    unseen = cross_fitted_several(noise, truth)[1]
    assert theirs.f1_score(truth, unseen) < theirs.f1_score(truth, own)
    calibration = calibrate(logits, targets, MULTI_LABEL)
    np.testing.assert_array_equal(
        calibration.decide(logits, MULTI_LABEL),
        (torch.sigmoid(torch.from_numpy(calibration.scaled(logits))).numpy() >= np.array(calibration.thresholds)).astype(int),
    )


def test_sets_hold_all_labels_at_the_wanted_rate() -> None:
    rng = np.random.default_rng(2)
    targets = (rng.random((4000, 5)) < 0.3).astype(np.int64)
    probabilities = MULTI_LABEL.probabilities(rng.normal(size=(4000, 5)) + targets)
    covered = []
    for start in range(0, 4000, 400):
        known, new = slice(start, start + 200), slice(start + 200, start + 400)
        threshold = set_threshold(probabilities[known], targets[known], 0.9)
        inside = label_sets(probabilities[new], threshold, several=True)
        figures = set_figures(inside, targets[new], 0.9)
        assert figures.coverage == np.mean(
            [set(np.flatnonzero(t)) <= set(np.flatnonzero(i)) for t, i in zip(targets[new], inside, strict=False)]
        )
        covered.append(figures.coverage)
    assert np.mean(covered) == pytest.approx(0.9, abs=0.02)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_split_has_every_label_on_both_sides_in_proportion(seed: int) -> None:
    rng = np.random.default_rng(seed)
    targets = (rng.random((500, 6)) < [0.6, 0.3, 0.1, 0.05, 0.01, 0.0]).astype(np.int64)
    targets[:2, 5] = 1
    part, rest = iterative_parts(targets, 100, seed)
    assert sorted([*part, *rest]) == list(range(500))
    assert len(part) == 100
    several = targets.sum(0) > 1
    assert targets[part].any(0)[several].all()
    assert targets[rest].any(0)[targets.any(0)].all()
    np.testing.assert_allclose(targets[part].sum(0)[:4], targets.sum(0)[:4] / 5, atol=2)
    again = iterative_parts(targets, 100, seed)
    np.testing.assert_array_equal(part, again[0])
    folds = deal_folds(targets)
    assert np.bincount(folds).tolist() == [100] * 5
    assert np.ptp([targets[folds == fold, 4].sum() for fold in range(5)]) <= 1


def test_weights_and_intervals_are_those_of_the_same_rows_one_by_one(rows: tuple[np.ndarray, np.ndarray]) -> None:
    logits, targets = rows
    flat, goals = MULTI_LABEL.as_one_label(logits, targets)
    assert -SINGLE_LABEL.log_likelihoods(flat, goals, scale=0.7).mean() == pytest.approx(
        -MULTI_LABEL.log_likelihoods(logits, targets, scale=0.7).mean()
    )
    both = np.stack([logits, np.random.default_rng(3).normal(size=logits.shape).astype(np.float32)])
    weights = fit_weights(*MULTI_LABEL.as_one_label(both, targets))
    assert weights[0] > 0.8
    assert weights.sum() == pytest.approx(1)
    decided = MULTI_LABEL.decide(both)
    draws = f1_draws(targets, decided, 4, draws=20)
    assert draws.shape == (20, 2)
    assert abs(draws[:, 0].mean() - MULTI_LABEL.score(logits, targets, "macro_f1")) < 0.05
