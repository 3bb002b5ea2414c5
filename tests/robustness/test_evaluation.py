"""What `evaluate` prints, writes and keeps."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from scipy.stats import binomtest
from typer.testing import CliRunner

from striata.cli import inputs
from striata.cli.app import app
from striata.data import read_table
from striata.errors import StriataError
from striata.model.evaluation import write_errors
from striata.robustness import keep_evaluation
from striata.robustness.documents import EVALUATION, read_kept

from ..model.test_texts import TEXTS, model_of

TRUTH = ["World", "World", "Business", "World"]  # the second and the third are answered otherwise


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    file = tmp_path / "test rows.csv"
    pd.DataFrame({"text": TEXTS, "label": TRUTH}).to_csv(file, index=False)
    return file


def test_wrong_rows_are_listed_by_confidence(monkeypatch: pytest.MonkeyPatch, rows: Path) -> None:
    measured = model_of(monkeypatch).evaluate(str(rows))
    assert [(row.row, row.text, row.label, row.predicted) for row in measured.wrong] == [
        (1, "a, b 0", "World", "Business"), (2, "c 1", "Business", "Sports"),
    ]  # fmt: skip
    probabilities = model_of(monkeypatch).predict_proba(TEXTS)
    assert [row.probability for row in measured.wrong] == [probabilities[1].max(), probabilities[2].max()]
    bounds = binomtest(2, 4).proportion_ci(method="wilson")
    assert (measured.interval.low, measured.interval.high) == pytest.approx((bounds.low, bounds.high))


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_wrong_rows_are_written(monkeypatch: pytest.MonkeyPatch, rows: Path, tmp_path: Path, ending: str) -> None:
    measured = model_of(monkeypatch).evaluate(str(rows))
    file = tmp_path / f"wrong{ending}"
    write_errors(measured, file)
    read = {".csv": pd.read_csv, ".jsonl": lambda path: pd.read_json(path, lines=True), ".parquet": pd.read_parquet}[ending](file)
    assert list(read.columns) == ["row", "text", "label", "predicted", "probability"]
    assert read["text"].tolist() == [row.text for row in measured.wrong]
    assert read["probability"].tolist() == pytest.approx([row.probability for row in measured.wrong], abs=1e-6)
    with pytest.raises(StriataError, match=r"wrong\.txt: expected a name ending in \.csv or \.jsonl or \.parquet"):
        write_errors(measured, tmp_path / "wrong.txt")


def test_the_command_prints_the_interval_keeps_figures_and_writes_errors(
    monkeypatch: pytest.MonkeyPatch, rows: Path, tmp_path: Path
) -> None:
    study = tmp_path / "study"
    (study / "ensemble").mkdir(parents=True)
    (study / "study.json").write_text("{}")
    model = model_of(monkeypatch)
    model.folder = study / "ensemble"
    monkeypatch.setattr(type(model), "identity", "this model")
    model.runs["run"].checksum = "1"
    monkeypatch.setattr(inputs, "open_model", lambda *_, **__: model)
    wrong = tmp_path / "wrong.csv"
    done = CliRunner().invoke(app, ["evaluate", str(study / "ensemble"), str(rows), "--errors", str(wrong)])
    assert done.exit_code == 0, done.output
    assert "4 rows: accuracy 0.5000 (0.1500 to 0.8500)" in done.output
    assert len(read_table(str(wrong), model.columns)) == 2
    (facts,) = read_kept(study, "evaluate-*", EVALUATION)
    assert (facts.source, facts.rows, facts.accuracy.value) == (str(rows), 4, 0.5)
    assert (study / "checks" / "evaluate-run-test-rows.csv.json").is_file()
    assert "a, b" not in json.dumps(facts.model_dump(mode="json"))  # no texts beside the model
    done = CliRunner().invoke(app, ["evaluate", str(study / "ensemble"), str(rows), "--errors", str(rows)])
    assert done.exit_code != 0
    assert "would be lost" in str(done.exception) + done.output


def test_a_model_outside_of_a_study_keeps_nothing(monkeypatch: pytest.MonkeyPatch, rows: Path) -> None:
    model = model_of(monkeypatch)
    monkeypatch.setattr(type(model), "identity", "this model")
    assert keep_evaluation(model, model.evaluate(str(rows))) is None
