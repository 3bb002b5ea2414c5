"""Probabilities, label sets and abstention in use: from Python, in files, measured."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from scipy.special import softmax
from sklearn.metrics import log_loss

import striata
import striata.runs
from striata.calibration import label_sets, quality, set_threshold
from striata.ensemble import load_ensemble, write_ensemble
from striata.errors import DataError, StriataError
from striata.model import whole_file as predicting
from striata.model.model import Model
from striata.model.whole_file import predict_file
from striata.settings import load_study
from striata.study.members import plan_members

from ..study.small import LABELS, noting, study_of, write_texts


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of two runs with a greedy ensemble of their probabilities, not to be changed."""
    folder = tmp_path_factory.mktemp("predict")
    settings = {"method": "greedy", "combine": "probabilities", "by": "loss"}
    study = study_of(folder, ensemble=settings, recipe={"max_steps": 8, "evaluate_every": 8})
    striata.train({**study, "layouts": study["layouts"][:2]})
    return folder


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    return striata.load(folder / "out" / "ensemble", device="cpu", precision="fp32")


def texts_of(folder: Path) -> tuple[list[str], list[str]]:
    with open(folder / "test.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return [row["text"] for row in rows], [row["label"] for row in rows]


def test_the_studys_settings_make_the_ensemble(folder: Path, model: Model) -> None:
    texts, _ = texts_of(folder)
    assert model.combiner.kind == "probabilities"
    base = Path(next(iter(model.runs.values())).facts.base or "").name
    assert repr(model) == f"Model(ensemble of {len(model.runs)}, 3 labels, {base}, cpu fp32)"
    weights = model.combiner.weights
    each = {name: striata.load(folder / "out/runs" / name, device="cpu", precision="fp32").logits(texts) for name in weights}
    expected = sum(weight * softmax(each[name], axis=1) for name, weight in weights.items())
    np.testing.assert_allclose(model.predict_proba(texts, calibrated=False), expected, atol=1e-5)


def test_probabilities_are_calibrated_and_answers_unchanged(folder: Path, model: Model) -> None:
    texts, _ = texts_of(folder)
    logits = model.logits(texts)
    temperature = model.calibration.temperature
    assert temperature != 1
    np.testing.assert_allclose(model.predict_proba(texts), softmax(logits / temperature, axis=1), atol=1e-6)
    np.testing.assert_allclose(model.predict_proba(texts, calibrated=False), softmax(logits, axis=1), atol=1e-6)
    assert model.predict(texts) == [LABELS[i] for i in model.predict_proba(texts).argmax(1)]


def test_a_run_keeps_its_calibration_sealed(folder: Path) -> None:
    (run, *_) = sorted((folder / "out/runs").iterdir())
    assert "calibration.json" in json.loads((run / "manifest.json").read_text())["files"]
    opened = striata.load(run, precision="fp32")
    assert repr(opened).startswith(f"Model(run {run.name}, 3 labels, ")
    assert opened.calibration.rows == 40
    assert json.loads((run / "calibration.json").read_text())["temperature"] == opened.calibration.temperature


def test_a_study_stands_for_its_ensemble_or_its_best_run(folder: Path, model: Model, tmp_path: Path) -> None:
    texts, _ = texts_of(folder)
    whole = striata.load(folder / "out", precision="fp32")
    assert whole.identity == model.identity
    assert whole.folder == folder / "out" / "ensemble"
    shutil.copytree(folder / "out", tmp_path / "alone")
    shutil.rmtree(tmp_path / "alone" / "ensemble")
    best = striata.runs.leaderboard(striata.runs.StudyFolder.open(tmp_path / "alone"))[0].run
    single = striata.load(tmp_path / "alone", precision="fp32")
    expected = striata.load(tmp_path / "alone" / "runs" / best, precision="fp32").logits(texts)
    np.testing.assert_array_equal(single.logits(texts), expected)
    shutil.rmtree(tmp_path / "alone" / "runs")
    with pytest.raises(StriataError, match="no finished run"):
        striata.load(tmp_path / "alone")


def test_a_run_alone_answers_as_among_others_but_for_its_last_bits(folder: Path, model: Model) -> None:
    name, run = next(iter(model.runs.items()))
    single, (texts, _) = striata.load(run.path, precision="fp32"), texts_of(folder)
    among = model.member_logits(texts)[name]
    np.testing.assert_allclose(single.logits(texts), among, rtol=0, atol=1e-5 * np.abs(among).max())
    np.testing.assert_array_equal(striata.load(run.path, precision="fp32").logits(texts), single.logits(texts))


def test_sets_hold_what_the_validation_rows_say(folder: Path, model: Model) -> None:
    texts, _ = texts_of(folder)
    seen = load_ensemble(folder / "out/ensemble").validation()
    plain = softmax(model.logits(texts).astype(float), axis=1)
    threshold = set_threshold(softmax(seen.logits.astype(float), axis=1), seen.labels, 0.9)
    for chosen, p, inside in zip(model.predict_sets(texts, 0.9), plain, label_sets(plain, threshold), strict=True):
        assert set(chosen) == {LABELS[i] for i in np.flatnonzero(inside)}
        assert chosen == sorted(chosen, key=lambda name: -p[LABELS.index(name)])
        assert chosen[0] == LABELS[p.argmax()]
    with pytest.raises(DataError, match="need at least 99 validation rows, and the model has 40"):
        model.predict_sets(texts, 0.99)


def test_abstaining(folder: Path, model: Model) -> None:
    texts, _ = texts_of(folder)
    confidence = model.predict_proba(texts).max(1)
    border = float(np.median(confidence))
    said = model.predict(texts, abstain_below=border)
    assert [label is None for label in said] == (confidence < border).tolist()
    assert {label for label in said if label} <= set(LABELS)
    assert model.predict(texts, abstain_below=0) == model.predict(texts)
    with pytest.raises(DataError, match="is no probability"):
        model.predict(texts, abstain_below=1.5)
    with pytest.raises(DataError, match=r"no threshold can be shown to reach a precision of 0\.999 on the 40 validation rows"):
        model.answers(0.999)
    assert model.answers(0.2).answered > 0.5


def test_evaluate_measures_what_predict_gives(folder: Path, model: Model) -> None:
    texts, labels = texts_of(folder)
    found = model.evaluate(folder / "test.csv", coverage=0.8)
    places = np.array([LABELS.index(label) for label in labels])
    logits = model.logits(texts).astype(float)
    after, before = (log_loss(places, softmax(logits / t, axis=1)) for t in (model.calibration.temperature, 1))
    assert found.metrics.scores.loss == pytest.approx(after, rel=1e-4)
    assert found.uncalibrated.loss == pytest.approx(before, rel=1e-4)
    assert found.calibrated.ece == pytest.approx(quality(model.predict_proba(texts), places).ece, abs=1e-6)
    sets = model.predict_sets(texts, 0.8)
    assert found.sets is not None
    assert found.sets.coverage == np.mean([label in chosen for label, chosen in zip(labels, sets, strict=True)])
    assert found.sets.mean_size == np.mean([len(chosen) for chosen in sets])
    assert json.loads(json.dumps(found.to_json()))["calibrated"]["brier"] == found.calibrated.brier


def read(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".csv":
        with open(path, newline="") as file:
            rows: list[dict[str, Any]] = list(csv.DictReader(file))
        return [{**row, "label": row["label"] or None, "labels": json.loads(row["labels"])} for row in rows]
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    columns: list[dict[str, Any]] = pyarrow.parquet.read_table(path).to_pylist()
    return columns


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_file_with_sets_and_gaps_goes_on_where_it_was_cut(
    folder: Path, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(predicting, "PORTION", 15)
    source = write_texts(tmp_path / "new.csv", 40, seed=8, labels=False)
    texts = source.read_text().splitlines()[1:]
    border = float(np.quantile(model.predict_proba(texts).max(1), 0.4))
    wanted: dict[str, Any] = {"coverage": 0.9, "abstain_below": border, "probabilities": True}
    predict_file(model, source, tmp_path / f"whole.{kind}", **wanted)
    rows = read(tmp_path / f"whole.{kind}")
    assert [row["label"] for row in rows] == model.predict(texts, abstain_below=border)
    assert [row["labels"] for row in rows] == model.predict_sets(texts, 0.9)
    found = np.array([[float(row[f"p_{label}"]) for label in LABELS] for row in rows])
    np.testing.assert_allclose(found, model.predict_proba(texts), atol=1e-4)

    class Cut(Exception):
        pass

    def cut(done: int) -> None:
        if done == 30:
            raise Cut

    with pytest.raises(Cut):
        predict_file(model, source, tmp_path / f"cut.{kind}", progress=cut, **wanted)
    seen: list[int] = []
    predict_file(model, source, tmp_path / f"cut.{kind}", progress=seen.append, **wanted)
    assert seen == [30, 40]
    assert (tmp_path / f"cut.{kind}").read_bytes() == (tmp_path / f"whole.{kind}").read_bytes()


def test_what_cannot_be_written_is_said_before_the_first_text(model: Model, folder: Path, tmp_path: Path) -> None:
    told: list[int] = []
    out = tmp_path / "said.csv"
    out.write_text("old")
    for wanted, message in (
        ({"coverage": 0.99}, "need at least 99 validation rows"),
        ({"coverage": 1.0}, "is not between 0 and 1"),
        ({"abstain_below": -0.1}, "is no probability"),
        ({"coverage": 0.9, "id_label": True}, "have room for one label a row"),
    ):
        options: dict[str, Any] = wanted
        with pytest.raises(DataError, match=message):
            predict_file(model, folder / "test.csv", out, progress=told.append, **options)
    assert told == []
    assert out.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["said.csv"]


def test_labels_that_are_one_integer_are_refused_before_the_first_text(
    model: Model, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "labels", ("7", "007", "42"))
    told: list[int] = []
    with pytest.raises(DataError, match="labels '7' and '007' are one integer"):
        predict_file(model, folder / "test.csv", tmp_path / "said.csv", progress=told.append, id_label=True)
    assert (told, list(tmp_path.iterdir())) == ([], [])


def test_a_file_is_not_predicted_into_itself(model: Model, tmp_path: Path) -> None:
    source = tmp_path / "texts.csv"
    source.write_text("text\none two\n")
    (tmp_path / "link.csv").symlink_to(source)
    for out in (source, tmp_path / "link.csv", tmp_path / "." / "texts.csv"):
        with pytest.raises(StriataError, match="is read for it and would be lost; give another name"):
            predict_file(model, source, out)
    assert source.read_text() == "text\none two\n"


def test_training_says_that_it_replaces_an_ensemble_chosen_by_hand(tmp_path: Path) -> None:
    study, lines = study_of(tmp_path, ensemble={"size": 9}), list[str]()
    runs = striata.train(study, listen=noting(lines)).runs
    assert lines[-1] == f"an ensemble of 9 was asked for; finished runs: {len(runs)}"
    write_ensemble(tmp_path / "out", size=2, by="loss")
    striata.train(study, listen=noting(lines))
    assert lines[-1].endswith("write `ensemble: {method: top, size: 2, by: loss, combine: logits}` in it")
    count = len(lines)
    striata.train(study, listen=noting(lines))
    assert not any("took the place" in line for line in lines[count:])


def test_an_ensembles_budget_is_checked_before_training(tmp_path: Path) -> None:
    study = study_of(tmp_path, ensemble={"budget": 10})
    smallest = min(member.plan.trainable for member in plan_members(load_study(study), 3))
    with pytest.raises(StriataError, match=f"no run is within the ensemble's budget of 10 .* has {smallest:,}"):
        striata.train(study)
    assert not (tmp_path / "out").exists()
