"""Labels in an order: decision, figures and loss against brute force, scikit-learn and formulas; one study through the tool."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import expit, log_softmax, softmax
from sklearn.metrics import accuracy_score, cohen_kappa_score, f1_score, mean_absolute_error

import striata
from striata.choices import RANKINGS
from striata.data import Columns, label_order, read_table
from striata.ensemble import combine_runs
from striata.errors import DataError, StudyError
from striata.exports.standalone import Classifier
from striata.report import collect
from striata.report.model_card import card, find_subject
from striata.report.page import render
from striata.robustness import measure_shift, run_stress
from striata.runs import StudyFolder, leaderboard
from striata.settings import Recipe, load_study
from striata.tasks import ORDINAL, SINGLE_LABEL
from striata.training.losses import Terms, cumulative, make_loss

from .. import command
from ..study.small import WORDS, make_base


@pytest.fixture(scope="module")
def rows() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(0, 2, (300, 5)), rng.integers(0, 5, 300)


def test_the_median_has_the_smallest_expected_distance(rows: tuple[np.ndarray, np.ndarray]) -> None:
    logits, _ = rows
    p = softmax(logits, axis=1)
    distances = np.abs(np.arange(5)[:, None] - np.arange(5)) @ p.T  # of each answer, (answers, rows)
    decided = ORDINAL.decide(logits)
    np.testing.assert_allclose(distances[decided, np.arange(300)], distances.min(0), atol=1e-12)
    assert (decided != logits.argmax(1)).any()
    np.testing.assert_array_equal(ORDINAL.decide(np.log(p)), decided)
    np.testing.assert_array_equal(ORDINAL.decide(logits.reshape(3, 100, 5)), decided.reshape(3, 100))


def test_figures_are_those_of_scikit_learn(rows: tuple[np.ndarray, np.ndarray]) -> None:
    logits, targets = rows
    decided = ORDINAL.decide(logits)
    expected = {
        "accuracy": accuracy_score(targets, decided),
        "macro_f1": f1_score(targets, decided, average="macro"),
        "mae": mean_absolute_error(targets, decided),
        "kappa": cohen_kappa_score(targets, decided, weights="quadratic", labels=np.arange(5)),
        "loss": -log_softmax(logits, axis=1)[np.arange(300), targets].mean(),
    }
    assert ORDINAL.scores(logits, targets) == pytest.approx(expected)
    assert set(ORDINAL.rankings) == set(expected)
    for name in ORDINAL.rankings:
        assert ORDINAL.score(logits, targets, name) == pytest.approx(RANKINGS[name].merit(expected[name]))
    with pytest.raises(DataError, match="kappa is no figure of task single-label; expected one of accuracy, macro_f1, loss"):
        SINGLE_LABEL.score(logits, targets, "kappa")
    one = np.zeros(9, np.int64)
    assert ORDINAL.scores(np.eye(3)[one] * 5, one)["kappa"] == 1


def test_labels_are_ordered_by_numbers_or_as_declared(tmp_path: Path) -> None:
    assert ORDINAL.order(["10", "2", "9", "2"], None, "x") == ("2", "9", "10")
    assert ORDINAL.order(["-1", "0.5", "-1.5"], ("0.5", "-1", "-1.5"), "x") == ("-1.5", "-1", "0.5")
    assert ORDINAL.order(["5 stars", "1 star", "10 stars"], None, "x") == ("1 star", "5 stars", "10 stars")
    assert ORDINAL.order(["good", "bad"], ("bad", "fair", "good"), "x") == ("bad", "good")
    for labels in (["good", "bad"], ["1", "1.0"], ["1", "good"]):
        with pytest.raises(DataError, match=r"nothing says which is lower; write numbers, or list all labels, .*`data\.order`"):
            ORDINAL.order(labels, None, "x")
    (tmp_path / "rows.csv").write_text("text,label\na,good\nb,bad\nc,fair\n")
    table = read_table(str(tmp_path / "rows.csv"), Columns())
    assert label_order(table, ORDINAL, ("bad", "fair", "good", "great")) == ("bad", "fair", "good")
    with pytest.raises(DataError, match=r"has label 'fair', which `data\.order` does not have"):
        label_order(table, ORDINAL, ("bad", "good"))


@pytest.mark.parametrize("recipe", [{}, {"label_smoothing": 0.2}, {"class_weights": {"a": 1, "b": 2, "c": 3, "d": 1, "e": 5}}])
def test_the_loss_is_that_of_cumulative_logits(rows: tuple[np.ndarray, np.ndarray], recipe: dict[str, Any]) -> None:
    """From the definition: the logit of P(y > k) from the softmax's probabilities, label by label."""
    logits, targets = rows
    p = softmax(logits, axis=1)
    smoothing = recipe.get("label_smoothing", 0)
    shares = np.eye(5)[targets] * (1 - smoothing) + smoothing / 5
    losses = np.zeros(300)
    for k in range(4):
        above, truth = p[:, k + 1 :].sum(1), shares[:, k + 1 :].sum(1)
        losses -= truth * np.log(above) + (1 - truth) * np.log(1 - above)
    weights = np.array(list(recipe.get("class_weights", dict.fromkeys("abcde", 1)).values()))[targets]
    z = torch.tensor(logits, dtype=torch.float32)
    loss = make_loss(Recipe(**recipe), ORDINAL, targets, tuple("abcde"), torch.device("cpu"))
    assert loss(z, torch.from_numpy(targets)).item() == pytest.approx((losses * weights).sum() / weights.sum(), rel=1e-5)
    rows_weights = torch.from_numpy(np.random.default_rng(1).uniform(0.5, 2, 300).astype(np.float32))
    both = weights * rows_weights.numpy()
    weighted = loss(z, torch.from_numpy(targets), rows=rows_weights).item()
    assert weighted == pytest.approx((losses * both).sum() / both.sum(), rel=1e-5)
    if not recipe:
        one_hot = torch.from_numpy(np.eye(5, dtype=np.float32)[targets])
        assert cumulative(z, one_hot, Terms()).item() == pytest.approx(losses.mean(), rel=1e-5)


def test_cumulative_probabilities_fall_whatever_the_logits_are() -> None:
    z = torch.randn(50, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 20
    upwards, downwards = z.logcumsumexp(-1)[:, :-1], z.flip(-1).logcumsumexp(-1).flip(-1)[:, 1:]
    assert (np.diff(expit((downwards - upwards).numpy()), axis=1) <= 0).all()
    z = (z[:4] / 10).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: cumulative(z, torch.tensor([0, 5, 2, 3]), Terms()), z)


STARS = ("1", "2", "3", "4", "5")


def write_stars(path: Path, rows: int, seed: int) -> Path:
    """Texts whose words tell the stars, with noise of a star either way."""
    rng = np.random.default_rng(seed)
    lines = ["text,label"]
    for star in rng.integers(0, 5, rows):
        shown = int(np.clip(star + rng.choice([-1, 0, 1], p=[0.2, 0.6, 0.2]), 0, 4))
        lines.append(" ".join(WORDS[i] for i in rng.integers(shown * 10, shown * 10 + 4, 6)) + f",{STARS[star]}")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("stars")
    base = make_base(folder)
    write_stars(folder / "train.csv", 160, 0)
    write_stars(folder / "test.csv", 60, 1)
    settings: dict[str, Any] = {
        "base": str(base), "head": "mean", "task": "ordinal",
        "data": {"train": str(folder / "train.csv"), "validation": 60, "max_length": 16},
        "layouts": ["0-1 r2 query", "0-2 r2 query value"],
        "baselines": ["majority", "lexical"],
        "recipe": {
            "optimizer": "adamw", "learning_rate": 0.03, "batch_size": 16, "max_steps": 12, "evaluate_every": 4,
            "best_by": "kappa", "precision": "fp32",
        },
        "ensemble": {"size": 2, "by": "kappa"}, "output": str(folder / "out"),
    }  # fmt: skip
    striata.train(settings)
    return settings


def test_a_study_in_an_order_goes_through_the_tool(study: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    out = Path(study["output"])
    folder = StudyFolder.open(out)
    for run in folder.finished():
        seen = run.validation()
        decided = ORDINAL.decide(seen.logits)
        assert run.metrics["mae"] == pytest.approx(mean_absolute_error(seen.labels, decided))
        assert run.metrics["kappa"] == pytest.approx(cohen_kappa_score(seen.labels, decided, weights="quadratic"), abs=1e-9) or (
            len(set(decided)) == 1 and run.metrics["kappa"] == 0
        )
        curve = {e["step"]: e["validation_kappa"] for e in run.history() if e.get("validation_kappa") is not None}
        if curve:
            assert run.facts.best_step == max(curve, key=lambda step: curve[step])
    assert all(set(row.special) == {"mae", "kappa"} for row in leaderboard(folder))
    page = render(collect(out))
    assert "quadratic kappa" in page
    assert "MAE" in page
    assert "quadratic kappa" in card(find_subject(out))
    for option in ([], ["--runs"]):
        assert command.run("leaderboard", out, *option) == 0
        shown = capsys.readouterr().out
        assert {"MAE", "kappa"} <= set(shown.split())
    combined = combine_runs(out, out=out.parent / "greedy", method="greedy", by="mae", combine="probabilities")
    assert combined.labels == STARS


def test_answers_are_the_medians_of_what_is_shown(study: dict[str, Any]) -> None:
    model = striata.load(study["output"])
    test = Path(study["output"]).parent / "test.csv"
    table = read_table(str(test), Columns())
    probabilities = model.predict_proba(table.texts)
    medians = (np.cumsum(probabilities.astype(np.float64), 1)[:, :-1] < 0.5).sum(1)
    predicted = model.predict(table.texts)
    assert predicted == [STARS[at] for at in medians]
    exported = Classifier.__new__(Classifier)  # what predict.py does with the same probabilities
    exported.labels, exported._ordered, exported._thresholds = list(STARS), True, None
    assert exported.decide(probabilities) == predicted
    measured = model.evaluate(str(test))
    targets = np.array([STARS.index(label) for label in table.labels or ()])
    figures = measured.to_json()
    assert figures["mae"] == pytest.approx(mean_absolute_error(targets, medians))
    assert figures["kappa"] == pytest.approx(cohen_kappa_score(targets, medians, weights="quadratic"))
    assert figures["accuracy"] == pytest.approx(1 - len(measured.wrong) / len(targets))
    np.testing.assert_allclose(
        model.confidence(model.logits(table.texts)), probabilities[np.arange(len(medians)), medians], rtol=1e-6
    )
    for label, inside in zip(predicted, model.predict_sets(table.texts, 0.8), strict=True):
        places = sorted(STARS.index(name) for name in inside)
        assert places == list(range(places[0], places[-1] + 1))
        assert label in inside


def test_stress_and_shift_judge_the_model_s_own_answers(study: dict[str, Any]) -> None:
    model = striata.load(study["output"])
    table = read_table(str(Path(study["output"]).parent / "test.csv"), Columns())
    model.__dict__["calibration"] = replace(model.calibration, temperature=6.0)  # another median, and the same largest logit
    targets = ORDINAL.encode(table.labels or (), model.labels, source="x", rows=table.ids)
    logits = model.logits(table.texts)
    right = np.array(model.predict(table.texts)) == np.array(table.labels)
    assert (right != ORDINAL.right(logits, targets)).any()
    assert model.right(logits, targets).tolist() == right.tolist()
    assert run_stress(model, table).clean.value == right.mean()
    known = measure_shift(model, table, table, permutations=19).known_accuracy
    assert known is not None
    assert known.value == right.mean()


def test_an_order_that_a_call_states_is_in_the_study_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [(f"{word} {at}", label) for at in range(6) for word, label in (("poor", "bad"), ("fine", "so-so"), ("great", "good"))]
    (tmp_path / "train.csv").write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))
    asked = (tmp_path / "train.csv", "--task", "ordinal", "--base", "none")
    assert command.run("init", *asked, "--out", tmp_path / "none.yaml") == 2
    assert "list all labels, lowest first" in capsys.readouterr().err
    assert command.run("init", *asked, "--order", "bad, so-so,good", "--out", tmp_path / "study.yaml") == 0
    assert load_study(tmp_path / "study.yaml").data.order == ("bad", "so-so", "good")
    assert command.run("init", *asked, "--order", "bad,bad", "--out", tmp_path / "twice.yaml") == 2
    assert "order is bad, bad; expected all labels, each once, lowest first" in capsys.readouterr().err
    fitted = {"task": "ordinal", "order": ["bad", "so-so", "good"], "base": "none", "minutes": 0.1, "output": tmp_path / "out"}
    for _ in range(2):  # the second call goes on
        out = striata.fit(tmp_path / "train.csv", **fitted)
    assert striata.load(out.model).labels == ("bad", "so-so", "good")


def test_settings_of_other_tasks_are_refused(study: dict[str, Any]) -> None:
    single = {key: value for key, value in study.items() if key != "task"}
    with pytest.raises(
        StudyError, match=r"recipe\.best_by kappa is not of task single-label; expected accuracy, macro_f1 or loss"
    ):
        load_study(single)
    plain = {**single, "recipe": {}, "ensemble": {}}
    with pytest.raises(StudyError, match=r"ensemble\.by mae is not of task single-label"):
        load_study({**plain, "ensemble": {"by": "mae"}})
    with pytest.raises(
        StudyError, match=r"recipe\.loss cumulative is not of task single-label; expected cross_entropy, focal or"
    ):
        load_study({**plain, "recipe": {"loss": "cumulative"}})
    assert load_study({**study, "recipe": {"loss": "cross_entropy"}}).recipe.loss is not None
    ordered = load_study({**study, "data": {"train": "a.csv", "order": [1, "two", 3]}})
    assert ordered.data.order == ("1", "two", "3")
    assert "order" not in json.dumps(load_study(plain).to_dict())
