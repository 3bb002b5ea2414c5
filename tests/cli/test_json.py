"""`--json`: one document on stdout, and what is in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from striata.cli.app import app
from striata.runs import StudyFolder

from ..study.small import study_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("json")
    study = study_of(folder, baselines=["majority", "lexical"], layouts=["0-2 r2 query"], ensemble={"size": 2})
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    return folder


def document(*arguments: object) -> Any:
    done = CliRunner().invoke(app, [*map(str, arguments), "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_a_pipeline_reads_where_everything_lies(folder: Path) -> None:
    trained = document("train", folder / "study.yaml")
    runs = {run.name: run for run in StudyFolder.open(trained["folder"]).runs()}
    assert {name: facts["accuracy"] for name, facts in trained["runs"].items()} == {
        name: run.metrics["accuracy"] for name, run in runs.items()
    }
    assert {facts["folder"] for facts in trained["runs"].values()} == {str(run.path) for run in runs.values()}
    assert (trained["failed"], trained["test"]) == ({}, {})
    model = trained["ensemble"]["folder"]
    predicted = document("predict", model, folder / "test.csv", "--out", folder / "out.csv")
    nothing = {"abstain_below": None, "priors": None}
    assert predicted == {"predictions": str(folder / "out.csv"), "rows": 40, "members": 2} | nothing
    assert (folder / "out.csv").is_file()
    assert Path(document("report", trained["folder"])["report"]).is_file()
    assert Path(document("card", model)["card"]).is_file()


def test_init_prints_the_settings_that_it_wrote(folder: Path) -> None:
    made = document("init", folder / "train.csv", "--base", "none", "--out", folder / "made.yaml")
    assert made["study"] == str(folder / "made.yaml")
    assert made["settings"]["data"]["train"] == str(folder / "train.csv")
