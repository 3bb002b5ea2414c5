"""`striata demo`, with a tiny encoder in the place of MiniLM and few texts in the place of Reuters R8."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from striata import demo as parts
from striata.cli.app import app
from striata.errors import StudyError
from striata.runs import StudyFolder

from ..study.small import make_base, write_texts


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    data = tmp_path / "runs" / "demo-data"
    data.mkdir(parents=True)
    make_base(tmp_path)
    write_texts(data / "r8-train.csv", 120)
    write_texts(data / "r8-test.csv", 40, seed=1)
    write_texts(data / "r8-unlabelled.csv", 15, seed=2, labels=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(parts, "encoder_folder", lambda: tmp_path / "roberta")
    monkeypatch.setattr(parts, "write_data", lambda: Path("runs/demo-data"))
    return tmp_path


def test_the_demo_is_a_fit_with_a_report_and_predictions(place: Path) -> None:
    shown = CliRunner().invoke(app, ["demo", "--minutes", "0.2"])
    assert shown.exit_code == 0, shown.output
    assert "right on 40 test rows" in shown.stdout
    assert "report: runs/demo/report.html" in shown.stdout
    assert (place / "runs/demo/report.html").is_file()
    with (place / "runs/demo/predictions.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 15
    again = CliRunner().invoke(app, ["demo", "--minutes", "0.2", "--json"])
    assert again.exit_code == 0, again.output
    assert json.loads(again.stdout)["predictions"] == "runs/demo/predictions.csv"


def test_the_layouts_are_a_study_with_its_evidence(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    studies = Path(__file__).parents[2] / "studies"
    shutil.copytree(studies, place / "studies")
    few = ["layouts=['0-2 r1 query', '0-2 r2 query']", "recipe.max_steps=4", "recipe.evaluate_every=4", "data.validation=30"]
    few += ["ensemble.size=2", "baselines=[majority]", "budget=null"]
    shown = CliRunner().invoke(app, ["demo", "layouts", *(word for one in few for word in ("--set", one))])
    assert shown.exit_code == 0, shown.output
    kinds = {run.kind for run in StudyFolder(place / "runs" / "demo-layouts").runs()}
    assert kinds == {"adapter", "majority"}
    assert "The fine-tuned encoder (" in shown.stdout
    assert "rows of the official R8 test" in shown.stdout


def test_what_the_demo_does_not_know_is_said(place: Path) -> None:
    runner = CliRunner()
    unknown = runner.invoke(app, ["demo", "layout"])
    assert isinstance(unknown.exception, StudyError)
    assert "unknown demo 'layout' (did you mean 'layouts'?)" in str(unknown.exception)
    wrong = runner.invoke(app, ["demo", "--set", "budget=3"])
    assert isinstance(wrong.exception, StudyError)
    assert "is for `striata demo layouts`" in str(wrong.exception)
