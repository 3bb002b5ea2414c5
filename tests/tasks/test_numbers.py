"""Numbers as labels, read and measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score, root_mean_squared_error
from torch.nn import functional

from striata.data import Columns, load_splits, read_table
from striata.data.strata import number_parts
from striata.errors import DataError
from striata.figures.intervals import rmse_interval
from striata.settings import Recipe
from striata.tasks import REGRESSION
from striata.tasks.regression import Scale
from striata.training.losses import make_loss


@pytest.fixture(scope="module")
def rows() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 9, 300).astype(float)  # many of one value
    return (targets + rng.normal(0, 2, 300)).astype(np.float32).round(1)[:, None], targets


def test_figures_are_those_of_scikit_learn_and_scipy(rows: tuple[np.ndarray, np.ndarray]) -> None:
    logits, targets = rows
    answers = logits[:, 0].astype(float)
    expected = {
        "rmse": root_mean_squared_error(targets, answers),
        "mae": mean_absolute_error(targets, answers),
        "r2": r2_score(targets, answers),
        "spearman": spearmanr(targets, answers).statistic,
        "loss": mean_squared_error(targets, answers),
    }
    assert REGRESSION.scores(logits, targets) == pytest.approx(expected)
    for name, value in expected.items():
        assert REGRESSION.score(logits, targets, name) == pytest.approx(value if name in ("r2", "spearman") else -value)
    with pytest.raises(DataError, match="accuracy is no figure of task regression; expected one of rmse, mae, r2"):
        REGRESSION.score(logits, targets, "accuracy")
    assert -REGRESSION.log_likelihoods(logits, targets).mean() == pytest.approx(expected["loss"])


def test_constants_have_figures() -> None:
    ones, many = np.ones(5), np.arange(5.0)
    flat = REGRESSION.scores(np.full((5, 1), 2.0, np.float32), many)
    assert (flat["spearman"], flat["r2"]) == (0, r2_score(many, np.full(5, 2.0)))
    assert REGRESSION.scores(many[:, None].astype(np.float32), ones)["r2"] == r2_score(ones, many) == 0
    assert REGRESSION.scores(ones[:, None].astype(np.float32), ones)["r2"] == r2_score(ones, ones) == 1


def test_the_interval_holds_the_rmse_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    inside = [(one := rmse_interval(rng.normal(0, 3, 60))).low <= 3 <= one.high for _ in range(1000)]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.03)
    assert rmse_interval(np.zeros(5)).high == 0


def loss_of(loss: Any, logits: torch.Tensor, targets: np.ndarray, weights: np.ndarray | None = None) -> torch.Tensor:
    made = make_loss(Recipe(loss=loss), REGRESSION, targets, ["number"], torch.device("cpu"), weights)
    return made(logits, torch.from_numpy(targets), rows=None if weights is None else torch.from_numpy(weights))


def test_losses_are_those_of_torch(rows: tuple[np.ndarray, np.ndarray]) -> None:
    logits, targets = torch.from_numpy(rows[0]), rows[1].astype(np.float32)
    goals = torch.from_numpy(targets)
    assert loss_of(None, logits, targets) == functional.mse_loss(logits[:, 0], goals)
    assert loss_of("huber", logits, targets) == functional.huber_loss(logits[:, 0], goals)
    wide = loss_of({"name": "huber", "delta": 2.5}, logits, targets)
    assert wide == functional.huber_loss(logits[:, 0], goals, delta=2.5)
    weights = np.tile(np.float32([1, 3]), 150)
    again = np.repeat(np.arange(300), weights.astype(int))
    for loss in (None, "huber"):
        weighted = loss_of(loss, logits, targets, weights)
        torch.testing.assert_close(weighted, loss_of(loss, logits[again], targets[again]))


def test_a_folded_head_answers_in_the_numbers_own_unit() -> None:
    targets, weights = np.array([100.0, 110.0, 150.0]), np.array([2.0, 1.0, 1.0])
    scale = REGRESSION.scale(targets, weights)
    assert (scale.mean, scale.deviation) == pytest.approx((115, np.std([100, 100, 110, 150])))
    layer = torch.nn.Linear(4, 1)
    names = {
        "m.pre_out.weight": np.ones((2, 2)),
        "m.out.weight": layer.weight.detach().numpy(),
        "m.out.bias": layer.bias.detach().numpy(),
    }
    folded = scale.folded(names, "out")
    np.testing.assert_array_equal(folded["m.pre_out.weight"], np.ones((2, 2)))
    x = torch.randn(5, 4)
    own = x.numpy() @ folded["m.out.weight"].T + folded["m.out.bias"]
    np.testing.assert_allclose(own, scale.restored(layer(x).detach().numpy()), rtol=1e-5)
    np.testing.assert_allclose(Scale(115, 20).standard(targets), [-0.75, -0.25, 1.75])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            "good",
            "row 1 (counted from 0; line 3), column 'score': the label is 'good'; expected a number, as the task is regression",
        ),
        ("", "row 1 (counted from 0; line 3), column 'score': missing label; expected a number in every row"),
        ("nan", "the label is 'nan'; expected a number"),
        ("inf", "the label is 'inf'; expected a number"),
        ("1_000", "the label is '1_000'; expected a number"),
        ("True", "the label is 'True'; expected a number"),
        ("1e999", "the label is inf; expected a number of at most 1e+30; write it in a larger unit"),
        ('"3,5"', "the label is '3,5'; expected a number with a decimal point: 3.5"),
        ('"1,234.5"', "the label is '1,234.5'; expected a number"),
    ],
)
def test_what_is_no_number_is_named_with_its_row(tmp_path: Path, value: str, message: str) -> None:
    file = tmp_path / "x.csv"
    file.write_text(f"text,score\none,1\ntwo,{value}\nthree,2\n")
    with pytest.raises(DataError) as error:
        read_table(str(file), Columns(task="regression"))
    assert message in str(error.value)
    assert str(file) in str(error.value)


def test_numbers_are_one_in_every_spelling(tmp_path: Path) -> None:
    spelled = ["3", "3.0", " 3.", "+3", "3e0", ".5", "-0.25"]
    (tmp_path / "x.csv").write_text("text,score\n" + "".join(f"t{at},{value}\n" for at, value in enumerate(spelled)))
    lines = [json.dumps({"text": f"t{at}", "score": float(value)}) for at, value in enumerate(spelled)]
    (tmp_path / "x.jsonl").write_text("\n".join(lines) + "\n")
    for name in ("x.csv", "x.jsonl"):
        table = read_table(str(tmp_path / name), Columns(task="regression"))
        assert table.labels == ["3.0"] * 5 + ["0.5", "-0.25"]
    memory = read_table((["a", "b"], np.array([1, 2.5], np.float32)), Columns(task="regression"))
    assert memory.labels == ["1.0", "2.5"]


def test_numbers_that_cannot_be_learned_are_refused(tmp_path: Path) -> None:
    def splits(numbers: list[float], **options: Any) -> Any:
        columns = Columns(task="regression", **options)
        return load_splits(read_table((list("abcdef"), numbers), columns), 2, None, columns=columns)

    with pytest.raises(DataError, match=r"has one number for all rows \(4\); a regression needs at least two different ones"):
        splits([4.0] * 6)
    with pytest.raises(DataError, match=r"which answers of 32 bits do not tell apart; subtract 1e\+09 from all of them"):
        splits([1e9 + at for at in range(6)])
    with pytest.raises(DataError, match=r"`data.order` needs labels, and the task is regression"):
        splits([1.0, 2, 3, 4, 5, 6], order=("1.0", "2.0"))


def test_low_and_high_numbers_come_to_both_sides() -> None:
    targets = np.random.default_rng(0).exponential(size=1000)
    part, rest = number_parts(targets, 100, 3)
    assert sorted([*part, *rest]) == list(range(1000))
    np.testing.assert_array_equal(np.bincount(np.argsort(np.argsort(targets))[part] // 10, minlength=100), np.ones(100))
    np.testing.assert_array_equal(part, number_parts(targets, 100, 3)[0])
    assert not np.array_equal(part, number_parts(targets, 100, 4)[0])
    shares = np.bincount(np.concatenate([number_parts(np.ones(40), 10, seed)[0] for seed in range(400)]), minlength=40) / 400
    np.testing.assert_allclose(shares, 0.25, atol=0.1)  # of equal numbers any row
    assert len(number_parts(targets, 1000, 0)[1]) == 0
