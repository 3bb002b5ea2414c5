"""Every command once with a model of each task: it works, or refuses in one line that names what it is."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

import striata

from ..command import run
from ..serving.made import client
from ..tasks.several import LABELS

REFUSED = "needs one label of several for each text, and the task is multilabel"

WORKS = (
    ("check", "study.yaml"), ("train", "study.yaml"), ("leaderboard", "out"), ("leaderboard", "out", "--runs", "--json"),
    ("compare", "out", "lexical", "majority"), ("evaluate", "out", "test.csv", "--sets", 0.9, "--errors", "errors.csv"),
    ("predict", "out", "test.csv", "--out", "said.csv", "--probabilities", "--sets", 0.9), ("report", "out"), ("card", "out"),
    ("ensemble", "out", "--method", "greedy", "--out", "greedy", "--by", "average_precision"),
    ("ensemble", "out", "--method", "top", "--out", "top", "--size", 2), ("ensemble", "out", "--method", "soup", "--size", 2),
    ("pack", "out", "--out", "packed"), ("init", "train.csv", "--task", "multilabel", "--base", "none", "--out", "new.yaml"),
    ("fit", "test.csv", "--task", "multilabel", "--base", "none", "--minutes", 0.1, "--out", "fitted"),
    ("explain", "out", "w0 w1", "--label", "beta"),
    ("explain", "out", "test.csv", "--method", "neighbours", "--html", "why.html"),
    ("suggest", "out", "test.csv", "--rows", 3, "--out", "next.csv"), ("stress", "out", "test.csv"),
)  # fmt: skip
REFUSES = (
    ("ensemble", "out", "--method", "stacking", "--out", "x"), ("ensemble", "out", "--combine", "probabilities", "--out", "x"),
    ("cascade", "out", "--out", "x"), ("distil", "out"),
    ("selftrain", "out", "--unlabelled", "test.csv"),
    ("shift", "out", "--unlabelled", "test.csv", "--known", "train.csv"), ("audit", "out"),
    ("predict", "out", "test.csv", "--out", "x.csv", "--abstain-below", 0.5),
    ("predict", "out", "test.csv", "--out", "x.csv", "--precision-at-least", 0.9),
    ("predict", "out", "test.csv", "--out", "x.csv", "--format", "id-label"),
)  # fmt: skip


@pytest.mark.parametrize("command", WORKS, ids=[" ".join(map(str, command)) for command in WORKS])
def test_works_with_several_labels(command: tuple[object, ...], several: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(several)
    assert run(*command) == 0


@pytest.mark.parametrize("command", REFUSES, ids=[" ".join(map(str, command)) for command in REFUSES])
def test_refuses_several_labels(
    command: tuple[object, ...], several: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(several)
    assert run(*command) == 2
    error = capsys.readouterr().err.strip()
    assert REFUSED in error
    assert error.count("\n") == 0
    assert not (several / "x").exists()


def test_predictions_are_labels_and_a_probability_of_each(several: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(several)
    run("predict", "out", "test.csv", "--out", "seen.csv", "--probabilities", "--sets", 0.9)
    model = striata.load("out")
    with open("seen.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    texts = [row["text"] for row in rows]
    assert [row["label"] for row in rows] == model.predict(texts)
    shown = np.array([[float(row[f"p_{label}"]) for label in LABELS] for row in rows])
    np.testing.assert_allclose(shown, model.predict_proba(texts), atol=1e-6)
    expected = [
        ["|".join(name for name, p, t in zip(LABELS, one, model.calibration.thresholds, strict=True) if p >= t)] for one in shown
    ]
    assert [[row["label"]] for row in rows] == expected
    sets = [set(json.loads(row["labels_predicted"])) for row in rows]
    assert sets == [set(one) for one in model.predict_sets(texts, 0.9)]
    measured = model.evaluate("test.csv", coverage=0.9)
    assert measured.accuracy == np.mean([row["label"] == row["labels"] for row in rows])
    assert measured.metrics.scores["micro_f1"] > 0.9


def test_an_adapter_alone_answers_and_goes_on(several: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(several)
    adapters = [path for path in Path("out/runs").iterdir() if "seed" in path.name]
    model = striata.load(adapters[0])
    seen = model._source.validation()
    assert seen.labels.shape == seen.logits.shape
    np.testing.assert_allclose(model.predict_proba(["w0 w1 w25"]).shape, (1, 3))
    assert 0 <= model.evaluate("test.csv").metrics.scores["average_precision"] <= 1


def test_a_page_draws_what_there_is(several: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(several)
    run("report", "out")
    page = Path("out/report.html").read_text()
    assert "Confusion matrix" not in page
    assert "micro F1" in page
    assert "a temperature for each label" in page


def test_a_server_answers_all_labels_and_counts_each(several: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(several)
    model = striata.load("out")
    texts = ["w0 w1 w25 w26", "w80 w81"]
    with client({"several": model}) as server:
        body = {"texts": texts, "coverage": 0.9, "votes": True}
        answers = server.post("/v1/classify", json=body).json()["answers"]
        assert [answer["label"] for answer in answers] == model.predict(texts)
        assert [answer["labels"] for answer in answers] == [label.split("|") if label else [] for label in model.predict(texts)]
        shown = [[answer["probabilities"][label] for label in LABELS] for answer in answers]
        np.testing.assert_allclose(shown, model.predict_proba(texts), rtol=1e-5)
        assert all(set(answer["votes"]) == set(model.runs) for answer in answers)
        why = server.post("/v1/explain", json={"text": texts[0], "label": "beta"}).json()
        assert why["label"] == "beta"
        body2 = {"inputs": [{"name": "text", "shape": [2], "datatype": "BYTES", "data": texts}]}
        outputs = server.post("/v2/models/several/infer", json=body2).json()["outputs"]
        assert outputs[0]["data"] == model.predict(texts)
        assert outputs[1]["shape"] == [2, len(LABELS)]
        np.testing.assert_allclose(np.reshape(outputs[1]["data"], (2, -1)), model.predict_proba(texts), rtol=1e-5)
        refused = server.post("/v1/classify", json=body | {"abstain_below": 0.5})
        assert (refused.status_code, refused.json()["code"]) == (422, "several_labels")
        metrics = server.get("/metrics").text
        assert 'label="alpha",model="several"' in metrics
        assert "alpha|" not in metrics
