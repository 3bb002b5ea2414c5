"""Runs without adapters stand beside those with: listed, compared, reported and combined."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from striata.baselines import Rows
from striata.baselines.majority import Majority
from striata.cli.app import app
from striata.ensemble import load_ensemble, write_ensemble
from striata.errors import RunError
from striata.evidence import compare_pair, compare_study
from striata.model.model import Model
from striata.report import write_report
from striata.report.model_card import card, find_subject
from striata.runs import Run, RunFacts, StudyFolder, leaderboard
from striata.runs.run import RunRecord, Validation, write_run

from ..study.synthetic import LABELS, logits_of, write_synthetic_study

ROWS = 200
WITHOUT_ENCODER = dict.fromkeys(("base", "base_sha256", "tokenizer_sha256", "max_length", "head"))
TRUTH = np.random.default_rng(0).integers(0, 3, ROWS)


@pytest.fixture
def study(tmp_path: Path) -> StudyFolder:
    """Two runs with adapters, and a linear model on words that is better than both."""
    rng = np.random.default_rng(1)
    logits = {("s8", seed): logits_of(rng.random(ROWS) < 0.7, TRUTH) for seed in (0, 1)}
    folder = write_synthetic_study(tmp_path / "out", logits, TRUTH)
    like, better = folder.runs()[0].facts, logits_of(rng.random(ROWS) < 0.9, TRUTH)
    changes = {
        "kind": "rules",
        "name": "words-seed0",
        "title": "words",
        "layout": "linear model on words",
        "recipe": {"C": 1.0},
        "plan_hash": "",
        "trainable": 300,
        "lora": 0,
        "metrics": {"accuracy": 0.9, "loss": 0.4, "macro_f1": 0.9},
        **WITHOUT_ENCODER,
    }
    record = RunRecord(
        facts=RunFacts(**(like.model_dump() | changes)),
        plan=None,
        receipt=None,
        history=(),
        validation=Validation(ids=np.arange(ROWS), texts=np.arange(ROWS, dtype=np.uint64), labels=TRUTH, logits=better),
    )

    def write_weights(folder: Path) -> None:
        (folder / "words.json").write_text(json.dumps({"goal": [0.0, 1.0, 0.0]}))

    write_run(folder.run_folder("words-seed0"), record, write_weights)
    return folder


def test_a_run_without_adapters_keeps_its_own_files_and_says_that_it_has_none(study: StudyFolder) -> None:
    run = Run.load(study.run_folder("words-seed0"))
    assert (run.kind, run.plan, run.trainable, run.labels) == ("rules", None, 300, LABELS)
    assert run.history() == []
    files = set(json.loads((run.path / "manifest.json").read_text())["files"])
    assert files == {"run.json", "words.json", "history.parquet", "validation.parquet", "calibration.json"}
    for use in (run.tensors, lambda: run.adapter_plan):
        with pytest.raises(RunError, match="is of kind 'rules', which has no adapters; give one of kind adapter or soup"):
            use()
    with pytest.raises(RunError, match="is of kind 'rules'; expected one of adapter, soup"):
        Model.load(run.path)
    (run.path / "words.json").write_text("{}")
    with pytest.raises(RunError, match=r"is damaged: words\.json is not what was written"):
        Run.load(run.path).file("words.json")


def test_runs_of_all_kinds_are_listed_compared_and_combined(study: StudyFolder) -> None:
    rows = leaderboard(study)
    assert (rows[0].run, rows[0].kind, rows[0].trainable) == ("words-seed0", "rules", 300)
    assert {row.kind for row in rows} == {"rules", "adapter"}
    comparison = compare_study(study)
    assert [(d.layout, d.reference) for d in comparison.differences] == [("words", "s8")]
    assert next(row for row in comparison.layouts if row.layout == "words").plan_hash == ""
    assert compare_pair(study, "words", "s8").layouts[0].trainable == 300
    assert compare_pair(study, "linear model on words", "s8").differences[0].layout == "words"
    ensemble = write_ensemble(study.path, size=2)
    assert "words-seed0" in ensemble.members
    assert load_ensemble(ensemble.folder).trainable == sum(run.trainable for run in ensemble.runs.values())
    shown = CliRunner().invoke(app, ["leaderboard", str(study.path)])
    assert "words" in shown.stdout, shown.output


def test_runs_of_all_kinds_are_reported(study: StudyFolder) -> None:
    page = write_report(study.path).read_text()
    assert "words-seed0" in page
    text = card(find_subject(study.run_folder("words-seed0")))
    assert "A text classifier of kind `rules`" in text
    assert "library_name: striata" in text
    assert "LoRA laid in sections" in card(find_subject(study.run_folder("s8-seed0")))


def test_a_damaged_baseline_is_noticed_before_it_answers(study: StudyFolder) -> None:
    like = Run.load(study.run_folder("words-seed0"))
    baseline = Majority.fit(Rows(texts=["w1"] * ROWS), TRUTH, len(LABELS))
    facts = like.facts.model_copy(update={"kind": "majority", "name": "majority", "title": "majority", **WITHOUT_ENCODER})
    record = RunRecord(facts=facts, plan=None, receipt=None, history=(), validation=like.validation())
    run = write_run(study.run_folder("majority"), record, baseline.write)
    assert Model.load(run.path).predict(["w2"]) == [LABELS[int(np.bincount(TRUTH).argmax())]]
    file = run.path / "baseline.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 0x80  # the sign of a label's share
    file.write_bytes(data)
    with pytest.raises(RunError, match=r"is damaged: baseline\.safetensors is not what was written"):
        Model.load(run.path)
