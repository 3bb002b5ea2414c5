"""Numbers: figures against scikit-learn and scipy, losses against torch, scaling and splits against formulas; one study through
the tool."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

import striata
from striata.data import Columns, read_table
from striata.errors import StriataError, StudyError
from striata.evidence import compare_study
from striata.runs import StudyFolder, leaderboard
from striata.runs.standings import find_model
from striata.settings import load_study
from striata.study.automatic import decide_recipe
from striata.tasks import REGRESSION
from striata.training.events import Event

from .. import command
from ..study.small import WORDS, make_base
from ..study.synthetic import logits_of, write_synthetic_study

LAYOUT = "1-2 r2 query value"
Finished = tuple[Path, striata.Trained, list[Event]]


def test_a_study_of_numbers_is_decided_by_rmse_and_refuses_what_needs_labels() -> None:
    study: dict[str, Any] = {"base": "roberta-base", "task": "regression", "data": "x.csv", "layouts": [LAYOUT], "output": "out"}
    plain = load_study(study)
    assert (plain.recipe.best_by, plain.recipe.min_delta, plain.ensemble.by) == ("rmse", 0, "rmse")
    assert load_study(plain.to_dict()) == plain
    own = load_study({**study, "recipe": {"best_by": "spearman", "min_delta": 0.01, "loss": {"name": "huber", "delta": 2}}})
    assert (own.recipe.best_by, own.recipe.min_delta, own.recipe.loss and own.recipe.loss.delta) == ("spearman", 0.01, 2)
    auto = load_study({**study, "recipe": "auto"})
    decided = decide_recipe(auto, 5000)
    assert (decided.recipe.auto, decided.recipe.best_by, decided.recipe.min_delta) == (False, "rmse", 0)
    assert decided.race is not None
    for change, message in (
        ({"recipe": {"best_by": "accuracy"}}, "recipe.best_by accuracy is not of task regression; expected rmse, mae, r2"),
        ({"ensemble": {"by": "macro_f1"}}, "ensemble.by macro_f1 is not of task regression"),
        ({"recipe": {"loss": "focal"}}, "recipe.loss focal is not of task regression; expected mse or huber"),
        ({"recipe": {"class_weights": "balanced"}}, "recipe.class_weights needs labels, and the task is regression"),
        ({"recipe": {"label_smoothing": 0.1}}, "recipe.label_smoothing needs labels, and the task is regression"),
        ({"data": {"train": "x.csv", "order": ["a", "b"]}}, "data.order needs labels, and the task is regression"),
        ({"data": {"train": "x.csv", "label_separator": ";"}}, "data.label_separator needs labels"),
        ({"task": "single-label", "recipe": {"loss": "mse"}}, "recipe.loss mse is not of task single-label"),
        ({"task": "single-label", "recipe": {"best_by": "rmse"}}, "recipe.best_by rmse is not of task single-label"),
    ):  # fmt: skip
        with pytest.raises(StudyError) as error:
            load_study({**study, **change})
        assert message in str(error.value)


def write_pairs(path: Path, rows: int, *, seed: int) -> Path:
    """Pairs of texts whose number is how many words of the first ten they have, around 70; as STS-B has its columns."""
    rng = np.random.default_rng(seed)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["sentence1", "sentence2", "score"])
        for _ in range(rows):
            many = int(rng.integers(0, 7))
            words = [WORDS[i] for i in (*rng.integers(0, 3, many), *rng.integers(30, 33, 6 - many))]
            writer.writerow([" ".join(words[:3]), " ".join(words[3:]), 50 + 10 * many + round(float(rng.normal()), 2)])
    return path


def settings(folder: Path, **changes: Any) -> dict[str, Any]:
    recipe = {
        "optimizer": "adamw", "learning_rate": 0.02, "batch_size": 16, "max_steps": 40, "evaluate_every": 10, "patience": None,
        "precision": "fp32", "encoder_dropout": 0.0,
    }  # fmt: skip
    study: dict[str, Any] = {
        "base": str(folder / "roberta"), "task": "regression", "layouts": [LAYOUT], "baselines": "none", "ensemble": False,
        "data": {"train": str(folder / "train.csv"), "validation": 30, "test": str(folder / "test.csv"), "max_length": 32},
        "output": str(folder / "out"),
    }  # fmt: skip
    return study | changes | {"recipe": recipe | changes.get("recipe", {})}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A study of pairs that has run, not to be changed; beside it their files."""
    folder = tmp_path_factory.mktemp("numbers")
    make_base(folder)
    write_pairs(folder / "train.csv", 180, seed=0)
    write_pairs(folder / "test.csv", 40, seed=1)
    events: list[Event] = []
    return folder, striata.train(settings(folder), listen=events.append), events


def test_a_run_answers_in_the_numbers_own_unit(trained: Finished) -> None:
    folder, result, events = trained
    (run,) = result.runs.values()
    seen = run.validation()
    assert run.metrics == pytest.approx(REGRESSION.scores(seen.logits, seen.labels))
    assert run.metrics["r2"] > 0.5
    assert run.metrics["spearman"] > 0.7
    table = read_table(str(folder / "train.csv"), Columns(task="regression")).take(seen.ids)
    model = striata.load(run.path)
    np.testing.assert_allclose(model.logits(table.texts, table.pairs), seen.logits, atol=0.01)
    answers = model.predict([*table.texts[:2], ""], [*table.pairs[:2], ""])
    assert answers[:2] == pytest.approx(seen.logits[:2, 0].tolist(), abs=0.01)
    assert isinstance(answers[0], float)
    assert answers[2] is None
    ended = next(event for event in events if event.kind == "finished")
    assert (ended.figure, ended.value) == ("rmse", run.metrics["rmse"])
    best = min((entry["validation_rmse"], entry["step"]) for entry in run.history() if entry.get("validation_rmse") is not None)
    assert best == (pytest.approx(run.metrics["rmse"]), run.facts.best_step)
    assert "a number: RMSE " in repr(run)
    assert "a number" in repr(model)
    assert f"RMSE {run.metrics['rmse']:.4f}" in repr(result)
    (row,) = leaderboard(StudyFolder.open(folder / "out"))
    assert (row.by, row.value, row.test_value) == ("rmse", run.metrics["rmse"], result.test[run.name]["rmse"])
    assert "accuracy" not in repr((run, model, result, row)).lower()
    with pytest.raises(StriataError, match="accuracy is no figure of this task; it has rmse, mae, r2, spearman, loss"):
        _ = REGRESSION.scores(seen.logits, seen.labels).accuracy


def test_useless_texts_get_the_mean_of_the_numbers(trained: Finished, tmp_path: Path) -> None:
    folder = trained[0]
    numbers = np.random.default_rng(0).exponential(2.0, 60) + 1000
    data = {"train": (["w1 w2"] * 60, numbers), "validation": (["w1 w2"] * 4, [999.0, 1000, 1001, 1002])}
    recipe = {"batch_size": 60, "learning_rate": 0.02, "best_by": "loss", "max_steps": 40, "evaluate_every": 40}
    study = settings(folder, output=str(tmp_path / "out"), recipe=recipe)
    study["data"] = {"max_length": 32}
    (run,) = striata.train(study, data=data).runs.values()
    assert run.validation().logits[:, 0] == pytest.approx([numbers.mean()] * 4, abs=0.05 * numbers.std())
    assert run.metrics["spearman"] == 0


def test_interrupted_training_goes_on_bit_for_bit(trained: Finished, tmp_path: Path) -> None:
    def interrupt(event: Event) -> None:
        if event.kind == "saved":
            raise KeyboardInterrupt

    short = {"max_steps": 6, "evaluate_every": 2, "loss": "huber", "validation_rows": 10}
    whole = striata.train(settings(trained[0], recipe=short, output=str(tmp_path / "whole"))).runs
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            striata.train(settings(trained[0], recipe=short, output=str(tmp_path / "cut")), listen=interrupt)
    cut = striata.train(settings(trained[0], recipe=short, output=str(tmp_path / "cut"))).runs
    for name, run in whole.items():
        assert cut[name].history() == run.history()
        assert all(np.array_equal(tensor, cut[name].tensors()[key]) for key, tensor in run.tensors().items())


def test_a_file_gets_a_column_of_numbers(trained: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, result, _ = trained
    (run,) = result.runs.values()
    model = striata.load(run.path)
    table = read_table(str(folder / "test.csv"), Columns(task="regression"))
    expected = model.predict(table.texts, table.pairs)
    for ending in ("csv", "parquet"):
        out = tmp_path / f"out.{ending}"
        assert command.run("predict", run.path, folder / "test.csv", "--out", out) == 0
        read = {"csv": pd.read_csv, "parquet": pd.read_parquet}[ending]
        frame = read(out)
        assert frame["prediction"].tolist() == pytest.approx(expected, rel=1e-6)
        assert list(frame.columns) == ["sentence1", "sentence2", "score", "prediction"]
    capsys.readouterr()
    refused = ["--probabilities", "--sets 0.9", "--abstain-below 0.5", "--precision-at-least 0.9", "--format id-label"]
    for option in refused:
        out = tmp_path / "no.csv"
        assert command.run("predict", run.path, folder / "test.csv", "--out", out, *option.split()) == 2
        assert "the task is regression" in capsys.readouterr().err
        assert not out.exists()
    calls = (
        lambda: model.predict_proba(["a"], ["b"]),
        lambda: model.predict_sets(["a"], 0.9, ["b"]),
        lambda: model.predict(["a"], ["b"], abstain_below=0.5),
        lambda: model.explain(["a"], ["b"]),
        lambda: model.calibration,
        lambda: run.calibration(),
    )
    for call in calls:
        with pytest.raises(StriataError, match="the task is regression"):
            call()


def test_evaluation_shows_and_keeps_the_figures(trained: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, result, _ = trained
    (run,) = result.runs.values()
    assert command.run("evaluate", run.path, folder / "test.csv", "--errors", tmp_path / "errors.csv") == 0
    shown = capsys.readouterr()
    scores = result.test[run.name]
    figures = f"RMSE {scores['rmse']:.4f}, MAE {scores['mae']:.4f}, R² {scores['r2']:.4f}, Spearman {scores['spearman']:.4f}"
    assert f"40 rows: {figures}" in shown.out
    assert "95 % interval of the RMSE: " in shown.out
    assert "accuracy" not in (shown.out + shown.err).lower()
    errors = list(csv.DictReader((tmp_path / "errors.csv").read_text().splitlines()))
    assert len(errors) == 40
    sizes = [abs(float(row["error"])) for row in errors]
    assert sizes == sorted(sizes, reverse=True)
    assert np.sqrt(np.mean(np.square(sizes))) == pytest.approx(scores["rmse"], rel=1e-5)
    differences = [float(row["predicted"]) - float(row["label"]) for row in errors]
    assert differences == pytest.approx([float(row["error"]) for row in errors], abs=1e-4)
    assert command.run("evaluate", run.path, folder / "test.csv", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert {"rows", "rmse", "mae", "r2", "spearman", "loss", "interval", "figure", "source"} <= document.keys()
    assert not {"accuracy", "per_label", "confusion", "calibrated"} & document.keys()
    (kept,) = [json.loads(file.read_text()) for file in (folder / "out" / "checks").glob("evaluate-*test.csv.json")]
    assert kept["rmse"]["value"] == pytest.approx(scores["rmse"])
    assert command.run("leaderboard", folder / "out", "--runs", "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["by"], row["value"]) == ("rmse", run.metrics["rmse"])
    assert "accuracy" not in row


def test_check_shows_what_the_numbers_are(trained: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = trained[0]
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(settings(folder, output=str(tmp_path / "out"))))
    assert command.run("check", tmp_path / "study.yaml") == 0
    shown = capsys.readouterr()
    table = read_table(str(folder / "test.csv"), Columns(task="regression"))
    numbers = np.array(list(map(float, table.labels or ())))
    assert (
        f"test: 40 rows; numbers mean {numbers.mean():.6g}, sd {numbers.std():.6g}, least {numbers.min():.6g}, median "
        f"{np.median(numbers):.6g}, largest {numbers.max():.6g}" in shown.out
    )
    assert "accuracy" not in (shown.out + shown.err).lower()


def test_candidates_race_by_their_loss(trained: Finished, tmp_path: Path) -> None:
    race = {"learning_rates": [0.02, 1e-6], "survivors": 1, "until": 0.5}
    short = {"max_steps": 16, "evaluate_every": 8}
    result = striata.train(settings(trained[0], race=race, recipe=short, output=str(tmp_path / "out")))
    assert [run.facts.recipe["learning_rate"] for run in result.runs.values()] == [0.02]


def test_what_needs_labels_is_refused_by_name_before_anything_is_done(
    trained: Finished, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, result, _ = trained
    (run,) = result.runs.values()
    before = sorted((folder / "out").rglob("*"))
    for line in (
        "stress RUN TEST", "shift RUN --unlabelled TEST --known TEST", "suggest RUN TEST", "explain RUN TEST", "audit OUT",
        "distil OUT", "selftrain OUT --unlabelled TEST", "check STUDY --like OUT",
    ):  # fmt: skip
        places = {"RUN": run.path, "TEST": folder / "test.csv", "OUT": folder / "out", "STUDY": folder / "study.yaml"}
        (folder / "study.yaml").write_text(yaml.safe_dump(settings(folder, output=str(folder / "other"))))
        assert command.run(*(places.get(word, word) for word in line.split())) != 0, line
        refusal = capsys.readouterr().err
        assert "the task is regression" in refusal, (line, refusal)
        assert "Traceback" not in refusal
    assert sorted((folder / "out").rglob("*")) == before


def test_an_interrupted_search_of_numbers_goes_on(trained: Finished, tmp_path: Path) -> None:
    search = {"trials": 2, "generation": 1, "sections": [1, 2], "ranks": [1, 2], "targets": [["query"]], "learning_rate": None}
    study = settings(trained[0], search=search, recipe={"max_steps": 4, "evaluate_every": 2}, output=str(tmp_path / "out"))
    del study["layouts"]

    def interrupt(event: Event) -> None:
        if event.kind == "evaluated":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        striata.train(study, listen=interrupt)
    runs = striata.train(study).runs
    assert len(runs) == 2
    assert all("rmse" in run.metrics for run in runs.values())
    assert [row.run for row in leaderboard(StudyFolder.open(tmp_path / "out"))] == sorted(
        runs, key=lambda name: (runs[name].metrics["rmse"], name)
    )


def test_leaderboards_of_any_task_are_ordered_by_what_decides(tmp_path: Path) -> None:
    labels = np.repeat([0, 1, 2], [80, 10, 10])
    often, rarely = np.ones(100, bool), np.ones(100, bool)
    often[80:] = False  # right more often, but of one label only
    rarely[:30] = False
    logits = {("s1", 0): logits_of(often, labels), ("s2", 0): logits_of(rarely, labels)}
    folder = write_synthetic_study(tmp_path / "study", logits, labels)
    assert [row.layout for row in leaderboard(folder)] == ["s1", "s2"]
    settings = folder.settings()
    folder.write_settings({**settings, "recipe": {"best_by": "macro_f1"}}, folder.data_fingerprint(), folder.tokenizer_sha256())
    rows = leaderboard(folder)
    assert [row.layout for row in rows] == ["s2", "s1"]
    assert find_model(folder.path).name == "s2-seed0"
    assert rows[0].value > rows[1].value
    assert rows[0].accuracy < rows[1].accuracy
    compared = compare_study(folder)
    assert [row.layout for row in compared.layouts] == ["s2", "s1"]
    assert "best first by macro F1, which recipe.best_by names; intervals and differences are of accuracy" in compared.notes
