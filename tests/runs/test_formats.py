"""What earlier versions wrote is read, used and gone on with; see `tests/runs/freeze.py`."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import striata
from striata.data.audit import read_audit
from striata.ensemble import load_ensemble, rule_of
from striata.model.model import Model
from striata.report import write_report
from striata.robustness.documents import AUDIT, SHIFT, STRESS, read_kept
from striata.runs import StudyFolder, leaderboard
from striata.runs.standings import test_metrics as read_test_metrics
from striata.settings import load_study

from .freeze import FOLDER, TEXTS

ARCHIVES = sorted(FOLDER.glob("*.zip"))


@pytest.fixture(params=ARCHIVES, ids=[archive.stem for archive in ARCHIVES])
def expected(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What a version's folder answered when it was written; the folder is where the test runs."""
    with zipfile.ZipFile(request.param) as archive:
        archive.extractall(tmp_path)
    monkeypatch.chdir(tmp_path)
    content: dict[str, Any] = json.loads(Path("expected.json").read_text())
    return content


def test_there_is_an_archive_and_it_is_small() -> None:
    assert ARCHIVES
    assert all(archive.stat().st_size < 300_000 for archive in ARCHIVES)


def test_a_finished_study_is_read(expected: dict[str, Any]) -> None:
    study = StudyFolder.open("done")
    runs = {run.name: run for run in study.runs()}
    assert {name: dict(run.metrics) for name, run in runs.items()} == expected["runs"]
    assert {row.run for row in leaderboard(study)} == set(runs)
    for run in runs.values():
        run.check()
        validation = run.validation()
        right = validation.logits.argmax(1) == validation.labels
        assert right.mean() == pytest.approx(run.metrics["accuracy"])
        assert run.calibration().rows == len(right)
        if run.plan is not None:
            receipt, history = run.receipt(), run.history()
            assert receipt is not None
            assert receipt.trainable == run.plan.trainable == run.trainable
            assert max(entry["validation_accuracy"] or 0 for entry in history) == run.metrics["accuracy"]
    assert study.failed() == {"wild-seed0": "the training loss became nan at step 3"}
    assert {run.kind for run in runs.values()} >= {"adapter", "majority", "lexical"}
    tested = read_test_metrics(study, list(runs.values()))
    assert {name: dict(figures) for name, figures in tested.items()} == {k: v for k, v in expected["test"].items() if k in runs}
    assert read_audit(study.path) is not None
    assert len(read_kept(study.path, "stress-*", STRESS)) == len(read_kept(study.path, "shift-*", SHIFT)) == 1
    assert len(read_kept(study.path, "audit", AUDIT)) == 1
    assert "<html" in write_report("done").read_text()


def test_its_models_answer_as_they_did(expected: dict[str, Any]) -> None:
    model = striata.load("done/ensemble", device="cpu", precision="fp32")
    assert list(model.labels) == expected["labels"]
    np.testing.assert_allclose(model.predict_proba(TEXTS), expected["probabilities"], atol=1e-5)
    for name, probabilities in expected["by_run"].items():
        run = Model.load(f"done/runs/{name}", device="cpu", precision="fp32")
        np.testing.assert_allclose(run.predict_proba(TEXTS), probabilities, atol=1e-5, err_msg=name)
    ensemble = load_ensemble("done/ensemble")
    assert set(ensemble.runs) <= set(expected["runs"])
    assert ensemble.calibration().rows == len(ensemble.validation().labels) == ensemble.rows
    rule = rule_of("done")
    assert rule is not None
    assert rule.size == 2


def test_a_finished_study_and_search_have_nothing_left_to_train(expected: dict[str, Any]) -> None:
    for folder in ("done", "searched"):
        before = {run.name: run.checksum for run in StudyFolder.open(folder).runs()}
        again = striata.train(load_study(StudyFolder.open(folder).settings()), device="cpu")
        assert {name: run.checksum for name, run in again.runs.items()} == before


def test_an_interrupted_study_goes_on_from_its_checkpoint(expected: dict[str, Any]) -> None:
    steps: list[int] = []
    study = load_study(StudyFolder.open("cut").settings())
    trained = striata.train(study, device="cpu", listen=lambda event: steps.append(event.step) if event.kind == "step" else None)
    assert min(steps) == 5  # the checkpoint was written after the fourth
    assert set(trained.runs) == set(expected["runs"])
    for name, figures in expected["runs"].items():  # another machine rounds otherwise
        assert trained.runs[name].metrics["loss"] == pytest.approx(figures["loss"], rel=0.02), name
