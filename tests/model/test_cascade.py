"""Cascades in use: who reads which texts, what comes out, and when it warns."""

from __future__ import annotations

import csv
import json
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import softmax
from typer.testing import CliRunner

import striata
from striata.cli.app import app
from striata.ensemble import load_ensemble, write_ensemble
from striata.errors import StudyError
from striata.model.model import Model
from striata.model.scorers import EncoderScorer
from striata.model.whole_file import predict_file
from striata.report import write_report
from striata.report.model_card import card, find_subject

from ..study.small import study_of, write_texts


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of words, which are not sure of everything, and two adapters, with a cascade; not to be changed."""
    folder = tmp_path_factory.mktemp("cascade")
    changes: dict[str, Any] = {
        "baselines": ["lexical"],
        "ensemble": {"method": "cascade", "size": 2, "loss": 0.2},
        "recipe": {"max_steps": 8, "evaluate_every": 8},
        "data": {"test": str(folder / "test.csv")},
    }
    study = study_of(folder, **changes)
    trained = striata.train({**study, "layouts": study["layouts"][:2]})
    assert trained.ensemble is not None
    assert trained.test["ensemble"]["accuracy"] > 0.5
    return folder


@pytest.fixture
def model(folder: Path) -> Model:
    """The cascade, with a threshold that parts these texts."""
    model = striata.load(folder / "out" / "ensemble", precision="fp32")
    cascade = model.combiner.cascade
    assert cascade is not None
    texts = texts_of(folder)
    top = softmax(model.member_logits(texts)["lexical"] / cascade.early_temperature, axis=1).max(1)
    parting = replace(cascade, threshold=float(np.median(top)), answered=20, rows=40)
    model.combiner = replace(model.combiner, cascade=parting)
    return model


def texts_of(folder: Path) -> list[str]:
    with open(folder / "test.csv", newline="") as file:
        return [row["text"] for row in csv.DictReader(file)]


def test_the_study_file_makes_the_cascade(folder: Path) -> None:
    made = load_ensemble(folder / "out" / "ensemble")
    assert made.cascade is not None
    assert (made.method, made.cascade.early, made.cascade.loss) == ("cascade", "lexical", 0.2)
    assert made.cascade.answered > 0


def test_only_late_texts_pass_through_the_encoder(folder: Path, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    texts, passed = texts_of(folder), []
    plain = EncoderScorer.logits

    def counting(self: EncoderScorer, texts: Sequence[str], pairs: Sequence[str] | None) -> dict[str, np.ndarray]:
        passed.extend(texts)
        return plain(self, texts, pairs)

    monkeypatch.setattr(EncoderScorer, "logits", counting)
    cascade = model.combiner.cascade
    assert cascade is not None
    first = next(scorer for scorer in model.scorers if "lexical" in scorer.labels)
    sure = cascade.sure(first.logits(texts, None)["lexical"])
    assert 0 < sure.sum() < len(texts)
    model.logits(texts)
    assert passed == [text for text, early in zip(texts, sure, strict=True) if not early]
    passed.clear()
    model.warn = lambda sentence: None  # all of the next ones are answered early
    early = [text for text, answered in zip(texts, sure, strict=True) if answered]
    assert len(model.predict(early)) == len(early)
    assert passed == []
    assert model.logits([]).shape == (0, 3)


def test_predictions_are_those_of_the_stages(folder: Path, model: Model) -> None:
    texts, cascade = texts_of(folder), model.combiner.cascade
    assert cascade is not None
    logits = model.member_logits(texts)
    early = softmax(logits["lexical"] / cascade.early_temperature, axis=1)
    together = sum(weight * logits[name] for name, weight in model.combiner.weights.items())
    expected = softmax(together / cascade.late_temperature, axis=1)
    sure = early.max(1) >= cascade.threshold
    expected[sure] = early[sure]
    np.testing.assert_allclose(model.predict_proba(texts), expected, atol=1e-5)
    np.testing.assert_array_equal(model.predict_proba(texts), model.predict_proba(texts, calibrated=False))
    np.testing.assert_allclose(model.logits(texts), model.combiner.apply(logits), atol=1e-5)


def test_a_whole_file_is_predicted_likewise(folder: Path, model: Model, tmp_path: Path) -> None:
    assert predict_file(model, folder / "test.csv", tmp_path / "out.csv") == 40
    with open(tmp_path / "out.csv", newline="") as file:
        assert [row["label"] for row in csv.DictReader(file)] == model.predict(texts_of(folder))


def test_another_share_of_early_texts_is_said_once(folder: Path, model: Model) -> None:
    texts, cascade = texts_of(folder), model.combiner.cascade
    assert cascade is not None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.predict(texts)  # half of them, as of the validation rows
    model.combiner = replace(model.combiner, cascade=replace(cascade, answered=1000, rows=1000))
    with pytest.warns(
        UserWarning, match=r"^lexical answers 5\d\.\d% of 40 texts alone, 100\.0% of its validation rows: they differ"
    ):
        model.predict(texts)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.predict(texts)
    sentences: list[str] = []
    other = striata.load(folder / "out" / "ensemble", precision="fp32")
    other.combiner, other.warn = model.combiner, sentences.append
    other.evaluate(folder / "test.csv")
    assert len(sentences) == 1


def test_it_is_reported_and_has_a_card(folder: Path) -> None:
    made = load_ensemble(folder / "out" / "ensemble")
    assert made.cascade is not None
    page, text = write_report(folder / "out").read_text(), card(find_subject(folder / "out"))
    for sentence in made.cascade.sentences:
        assert sentence in page
        assert sentence in text


def test_the_command(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "made"
    options = ["--loss", "0.15", "--size", "2", "--cheap", "lexical", "--out", str(out)]
    done = CliRunner().invoke(app, ["cascade", str(folder / "out"), *options, "--json"])
    assert done.exit_code == 0, done.output
    made = load_ensemble(out)
    assert made.cascade is not None
    assert json.loads(done.stdout)["cascade"]["answered"] == made.cascade.answered
    assert made.cascade.loss == 0.15
    done = CliRunner().invoke(app, ["cascade", str(folder / "out"), *options])
    assert all(sentence in done.stdout for sentence in made.cascade.sentences)
    write_texts(tmp_path / "new.csv", 30, seed=5, labels=False)
    done = CliRunner().invoke(app, ["predict", str(out), str(tmp_path / "new.csv"), "--out", str(tmp_path / "said.csv")])
    assert done.exit_code == 0, done.output
    same = write_ensemble(folder / "out", method="cascade", size=2, loss=0.15, cheap="lexical", out=tmp_path / "same")
    assert same.combiner == made.combiner


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"baselines": ["majority", "frozen"]}, "a cascade needs a run that answers without an encoder; add `baselines: "),
        ({"ensemble": {"cheap": "lexicl"}}, r"ensemble\.cheap names no run of the study: lexicl \(did you mean 'lexical'\?\)"),
    ],
)
def test_a_study_whose_cascade_cannot_be_is_refused_before_training(
    folder: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    study = study_of(folder, baselines=["lexical"], ensemble={"method": "cascade"}, output=str(tmp_path / "other"))
    for key, value in changes.items():
        study[key] = {**study[key], **value} if isinstance(value, dict) else value
    with pytest.raises(StudyError, match=message):
        striata.train(study)
