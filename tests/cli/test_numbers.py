"""From a file with numbers to a model, its predictions, intervals, figures and a server."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import striata
from striata.automl.verdict import Fitted
from striata.baselines import wordfit
from striata.cli.app import app
from striata.errors import DataError
from striata.runs.joined import join

from ..serving.made import client

ADDED = np.random.default_rng(0).normal(0, 2, 12)  # what each word adds to a text's number


def rows(count: int, seed: int) -> tuple[list[str], np.ndarray]:
    drawn = np.random.default_rng(seed).integers(0, len(ADDED), (count, 5))
    return [" ".join(f"word{word}" for word in row) for row in drawn], np.round(50 + ADDED[drawn].sum(1), 2)


def write(path: Path, count: int, seed: int) -> Path:
    lines = [f"{text},{number}" for text, number in zip(*rows(count, seed), strict=True)]
    path.write_text("\n".join(["review,price", *lines]) + "\n")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("numbers")
    write(place / "train.csv", 160, 0)
    write(place / "test.csv", 40, 1)
    return place


@pytest.fixture(scope="module")
def fitted(folder: Path) -> Fitted:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wordfit, "RIDGES", (10.0,))
        return striata.fit(
            str(folder / "train.csv"), text="review", label="price", task="regression", base="none", minutes=1,
            test=str(folder / "test.csv"), output=str(folder / "fit"),
        )  # fmt: skip


def test_a_fit_says_its_error_on_test_rows_and_beside_the_mean(fitted: Fitted, folder: Path) -> None:
    texts, truth = rows(40, 1)
    answers = np.array(striata.load(fitted.model).predict(texts), np.float64)
    assert (fitted.name, fitted.figure, fitted.measured_on, fitted.rows) == ("run lexical", "rmse", "test", 40)
    assert fitted.value.value == pytest.approx(np.sqrt(((answers - truth) ** 2).mean()), rel=1e-5)
    assert fitted.value.low < fitted.value.value < fitted.value.high
    assert fitted.gain is not None
    assert fitted.gain.low > 0
    validated = {run.name: run for run in map(striata.Run.load, (folder / "fit" / "runs").iterdir())}
    pool = join(validated)
    error = {name: np.sqrt(((logits[:, 0] - pool.targets) ** 2).mean()) for name, logits in pool.by_name().items()}
    assert fitted.gain.value == pytest.approx(error["majority"] - error["lexical"], rel=1e-4)
    assert fitted.sentence.startswith("run lexical: RMSE ")
    assert "; better than majority: -" in fitted.sentence
    assert " RMSE (-" in fitted.sentence
    assert json.loads(json.dumps(fitted.to_json()))["rmse"]["value"] == fitted.value.value
    with pytest.raises(AttributeError, match="a fit of numbers has no accuracy"):
        _ = fitted.accuracy
    assert "task: regression" in (folder / "fit" / "study.yaml").read_text()
    assert "Predicted against true numbers" in (folder / "fit" / "report.html").read_text()


def test_intervals_are_written_beside_the_numbers_and_hold_them(fitted: Fitted, folder: Path) -> None:
    out = folder / "predicted.csv"
    result = CliRunner().invoke(
        app, ["predict", str(fitted.model), str(folder / "test.csv"), "--out", str(out), "--intervals", "0.8"]
    )
    assert result.exit_code == 0, result.output
    with out.open(newline="") as file:
        written = list(csv.DictReader(file))
    assert list(written[0]) == ["review", "price", "prediction", "low", "high"]
    model = striata.load(fitted.model)
    ends = model.predict_intervals([row["review"] for row in written], 0.8)
    np.testing.assert_allclose([[float(row["low"]), float(row["high"])] for row in written], ends, rtol=1e-6)
    seen = model.runs["lexical"].validation()
    residuals = np.sort(np.abs(seen.logits[:, 0].astype(np.float64) - seen.labels))
    half = residuals[int(np.ceil((len(residuals) + 1) * 0.8)) - 1]
    np.testing.assert_allclose(ends[:, 1] - ends[:, 0], 2 * half)
    gaps = model.predict_intervals(["word1", "", None], 0.8)
    assert np.isnan(gaps).tolist() == [[False, False], [True, True], [True, True]]
    measured = model.evaluate(str(folder / "test.csv"), coverage=0.8)
    held = np.mean([float(row["low"]) <= float(row["price"]) <= float(row["high"]) for row in written])
    assert measured.intervals is not None
    assert measured.intervals.to_json() == {"wanted": 0.8, "coverage": held, "width": pytest.approx(2 * half)}
    result = CliRunner().invoke(app, ["evaluate", str(fitted.model), str(folder / "test.csv"), "--intervals", "0.8"])
    assert f"intervals of coverage 0.8: {held:.4f} hold the true number" in result.output


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--sets", "0.9"], "--sets are sets of labels, and the task is regression; --intervals are what it has"),
        (["--intervals", "2"], "2 is not between 0 and 1"),
        (["--intervals", "0.999"], "intervals with coverage 0.999 need at least 999 validation rows"),
    ],
)
def test_what_cannot_be_had_is_refused_by_name(fitted: Fitted, folder: Path, options: list[str], words: str) -> None:
    out = folder / "refused.csv"
    result = CliRunner().invoke(app, ["predict", str(fitted.model), str(folder / "test.csv"), "--out", str(out), *options])
    assert result.exit_code != 0
    assert words in " ".join(str(result.exception or result.output).split())
    assert not out.exists()


def test_a_server_answers_with_numbers_and_intervals(fitted: Fitted) -> None:
    model = striata.load(fitted.model)
    texts = rows(5, 2)[0]
    with client({"price": model}) as server:
        body = server.post("/v1/classify", json={"texts": texts, "coverage": 0.8, "votes": True}).json()
        plain = server.post("/v1/classify", json={"texts": texts[:1]}).json()
        refused = server.post("/v1/classify", json={"texts": texts, "abstain_below": 0.5})
        promised = server.post("/v1/classify", json={"texts": texts, "coverage": 0.999})
        facts = server.get("/v1/models").json()["models"]
        why = server.post("/v1/explain", json={"text": texts[0]})
        inputs = [{"name": "text", "shape": [5], "datatype": "BYTES", "data": texts}]
        tensor = server.post("/v2/models/price/infer", json={"inputs": inputs})
        label = server.post("/v2/models/price/infer", json={"inputs": inputs, "outputs": [{"name": "label"}]})
        metrics = server.get("/metrics").text
    assert [row["value"] for row in body["answers"]] == model.predict(texts)
    np.testing.assert_allclose([[row["low"], row["high"]] for row in body["answers"]], model.predict_intervals(texts, 0.8))
    assert [row["votes"] for row in body["answers"]] == [{"lexical": {"value": row["value"]}} for row in body["answers"]]
    assert set(plain["answers"][0]) == {"value", "cut"}
    assert (refused.status_code, refused.json()["code"]) == (422, "a_number")
    assert (promised.status_code, promised.json()["code"]) == (409, "coverage")
    assert [(one["task"], one["labels"], one["temperature"]) for one in facts] == [("regression", [], None)]
    assert (why.status_code, why.json()["code"]) == (422, "a_number")
    assert tensor.json()["outputs"] == [
        {"name": "value", "shape": [5], "datatype": "FP64", "data": [row["value"] for row in body["answers"]]}
    ]
    assert (label.status_code, label.json()["code"]) == (422, "no_output")
    assert 'striata_texts_total{model="price"}' in metrics


def test_intervals_of_labels_are_refused() -> None:
    from striata.cli.inputs import coverage_of
    from striata.tasks import REGRESSION, SINGLE_LABEL

    assert (coverage_of(SINGLE_LABEL, 0.9, None), coverage_of(REGRESSION, None, 0.9)) == (0.9, 0.9)
    with pytest.raises(DataError, match="--intervals are of numbers, and the task is single-label; --sets are what it has"):
        coverage_of(SINGLE_LABEL, None, 0.9)
