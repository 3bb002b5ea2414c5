"""Ensembles of numbers: against scipy's solver, closed forms and figures by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import nnls

from striata.ensemble import combine_runs, load_ensemble, write_ensemble
from striata.ensemble.weighting import fit_number_weights
from striata.errors import EnsembleError
from striata.figures.folds import deal_folds
from striata.tasks import REGRESSION

from ..study.synthetic import write_synthetic_study

ROWS = 240
TRUTH = np.random.default_rng(0).normal(100, 20, ROWS)
ERRORS = {"s1": 10.0, "s4": 12.0, "s8": 30.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("numbers") / "out"
    rng = np.random.default_rng(1)
    write_synthetic_study(out, {(name, 0): TRUTH + error * rng.normal(size=ROWS) for name, error in ERRORS.items()}, TRUTH)
    return out


def test_weights_have_the_smallest_squared_error_on_the_simplex() -> None:
    rng = np.random.default_rng(2)
    truth = rng.normal(50, 10, 100_000)  # so many that the pull to equal weights does not show
    members = truth + np.array([[3.0], [4.0], [6.0]]) * rng.normal(size=(3, 100_000))
    weights = fit_number_weights(members, truth)
    inverse = np.linalg.solve((members - truth) @ (members - truth).T, np.ones(3))
    np.testing.assert_allclose(weights, inverse / inverse.sum(), atol=1e-3)
    useless = np.stack([members[0], truth + 2 * (members[0] - truth)])  # the first alone is better than any mean
    assert fit_number_weights(useless, truth).tolist() == [1.0, 0.0]
    heavy = 1e6
    solved, _ = nnls(np.vstack([(members - truth).T, np.full((1, 3), heavy)]), np.r_[np.zeros(100_000), heavy])
    np.testing.assert_allclose(weights, solved, atol=1e-3)


def test_few_rows_leave_weights_near_equal_whatever_the_unit() -> None:
    rng = np.random.default_rng(3)
    truth = rng.normal(size=10)
    members = truth + rng.normal(size=(3, 10))
    weights = fit_number_weights(members, truth)
    assert np.abs(weights - 1 / 3).max() < 0.25
    np.testing.assert_allclose(fit_number_weights(1000 * members + 7, 1000 * truth + 7), weights, atol=1e-4)
    assert fit_number_weights(members[:1], truth).tolist() == [1.0]


@pytest.mark.parametrize("method", ["top", "greedy", "weighted"])
def test_an_ensemble_is_a_mean_of_numbers_and_is_estimated_without_its_rows(folder: Path, tmp_path: Path, method: str) -> None:
    ensemble = write_ensemble(folder, out=tmp_path / "made", method=method, size=2)
    assert (ensemble.by, ensemble.combination, ensemble.headline) == ("rmse", "logits", "rmse")
    assert sum(ensemble.members.values()) == pytest.approx(1)
    own = {name: run.validation().logits for name, run in ensemble.runs.items()}
    mean = sum(weight * own[name].astype(np.float64) for name, weight in ensemble.members.items())
    assert ensemble.metrics["rmse"] == pytest.approx(np.sqrt(((mean[:, 0] - TRUTH) ** 2).mean()), rel=1e-5)
    assert ensemble.nested["rmse"] == pytest.approx(REGRESSION.scores(ensemble.validation().logits, TRUTH)["rmse"])
    assert ensemble.nested["rmse"] < ensemble.single["rmse"]
    assert "calibration" not in ensemble.to_json()
    assert any("chosen without the rows it is measured on: " in line and "RMSE" in line for line in ensemble.lines())
    assert "RMSE" in repr(load_ensemble(tmp_path / "made"))
    with pytest.raises(EnsembleError, match="a calibration needs labels"):
        ensemble.calibration()


def test_top_by_hand_in_every_fold(folder: Path, tmp_path: Path) -> None:
    ensemble = write_ensemble(folder, out=tmp_path / "made", size=2)
    assert set(ensemble.members) == {"s1-seed0", "s4-seed0"}
    runs = [ensemble.runs[name].validation().logits for name in ("s1-seed0", "s4-seed0")]
    np.testing.assert_allclose(ensemble.validation().logits, (runs[0] + runs[1]) / 2, rtol=1e-6)  # both are best in every fold
    assert deal_folds(TRUTH).max() == 4


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"method": "stacking"}, "method stacking needs one label of several for each text, and the task is regression"),
        ({"method": "cascade"}, "method cascade needs one label of several for each text, and the task is regression"),
        ({"combine": "probabilities"}, "a mean of probabilities needs one label of several"),
        ({"by": "accuracy"}, "'accuracy' is no figure of the task regression; expected rmse, mae"),
    ],
)
def test_what_needs_labels_is_refused_by_name(folder: Path, tmp_path: Path, settings: dict[str, str], words: str) -> None:
    with pytest.raises(EnsembleError, match=words):
        combine_runs(folder, out=tmp_path / "made", **settings)  # type: ignore[arg-type]
