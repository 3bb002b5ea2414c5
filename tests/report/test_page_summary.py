"""What the page says first, and in its tiles."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from scipy.stats import binomtest

from striata.data.audit import Audit, AuditedTable, write_audit
from striata.ensemble import write_ensemble
from striata.report import collect
from striata.report.page import render
from striata.runs import Run
from striata.runs.standings import write_test_metrics

from ..study.synthetic import logits_of, write_synthetic_run, write_synthetic_study
from .studies import LABELS, write_study


def summary_of(folder: Path) -> list[str]:
    said = render(collect(folder)).partition('<ul class="said">')[2].partition("</ul>")[0]
    return [re.sub(r"<.*?>", "", line).replace("\u00a0", " ").strip() for line in re.findall(r"<li.*?</li>", said, re.DOTALL)]


def test_the_first_sentence_says_what_to_use(tmp_path: Path) -> None:
    rows = np.arange(200)
    labels = rows % 3
    runs = {("s8", 0): logits_of(rows >= 20, labels), ("s1", 0): logits_of(rows < 160, labels)}
    study = write_synthetic_study(tmp_path / "study", runs, labels)
    low, high = binomtest(180, 200).proportion_ci(method="wilson")
    assert summary_of(study.path)[0] == (
        f"Use the best run, s8-seed0: 90.00 % of 200 validation rows right ({100 * low:.2f} % to {100 * high:.2f} %). It lies in "
        "study/runs/s8-seed0."
    )
    ensemble = write_ensemble(study.path, size=2)
    assert summary_of(study.path)[0].startswith("Use the ensemble of 2 runs: ")
    text = render(collect(study.path))
    bounds = binomtest(round(ensemble.nested["accuracy"] * 200), 200).proportion_ci(method="wilson")
    assert f"<i>{bounds.low * 100:.2f}\u00a0% to {bounds.high * 100:.2f}\u00a0%</i>" in text  # beside the headline


def test_test_rows_and_limits_in_the_tiles_are_the_studys(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study", ["s1"], seeds=(0,), rows=80, steps=20, budget=200_000)
    (run,) = study.runs()
    write_test_metrics(study, [run], {run.name: {"accuracy": 0.9, "loss": 0.3, "macro_f1": 0.9}})
    counted = {
        "source": "a.csv",
        "labels": dict.fromkeys(LABELS, 50),
        "truncated": 0,
        "empty": 0,
        "duplicates": 0,
        "conflicting": 0,
    }
    part = AuditedTable(rows=200, tokens={"mean": 5, "median": 5, "p95": 9, "longest": 9}, **counted)
    write_audit(study.path, Audit(parts={"train": part, "test": part}, shared={}, max_length=64, fingerprint="1"))
    text = render(collect(study.path)).replace("\u00a0", " ")
    low, high = binomtest(180, 200).proportion_ci(method="wilson")
    assert f"<b>90.00 %</b><i>{100 * low:.2f} % to {100 * high:.2f} %</i>" in text
    assert "of 200 k allowed" in text
    assert '<th class="n">seeds</th>' not in text  # one seed each says nothing


def test_an_ensemble_that_is_worse_beyond_chance_is_not_what_to_use(tmp_path: Path) -> None:
    rows = np.arange(400)
    labels = rows % 3
    good, bad = logits_of(rows >= 20, labels), logits_of(rows >= 200, labels) * 5
    study = write_synthetic_study(tmp_path / "study", {("s8", 0): good, ("s1", 0): bad}, labels)
    write_ensemble(study.path, size=2)
    report = collect(study.path)
    assert report.outdone
    assert report.judged.name == "s8-seed0"
    assert summary_of(study.path)[0].startswith("Use the best run, s8-seed0: 95.00 %")


def test_a_cascade_whose_runs_are_others_now_is_left_out_with_the_reason(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study", ["s1", "s2"], seeds=(0,), rows=80, steps=20)
    write_ensemble(study.path, out=study.path / "cascade", size=2)
    assert collect(study.path).cascade is not None
    run = Run.load(study.run_folder("s1-seed0"))
    seen = run.validation()
    write_synthetic_run(study.path, "s1", 0, seen.logits + 1, seen.labels, names=run.labels)
    report = collect(study.path)
    assert report.cascade is None
    assert "The cascade beside it is left out: run s1-seed0 is not the one" in re.sub(r"<.*?>", "", render(report))
