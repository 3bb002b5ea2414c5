"""Texts to look at, and what a page says of itself."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from striata.cli.app import app
from striata.data import Columns, read_table
from striata.report import collect, write_report
from striata.report.examples import excerpt, find_examples
from striata.runs import StudyFolder
from striata.tasks import SINGLE_LABEL

from ..study.synthetic import LABELS, write_synthetic_run, write_synthetic_study

ROWS = 60


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    """A study whose validation rows are every second one of a file."""
    folder = tmp_path_factory.mktemp("texts")
    rng = np.random.default_rng(0)
    texts = [f"text {at} <script>alert({at})</script>" for at in range(2 * ROWS)]
    truth = np.arange(2 * ROWS) % 3
    pd.DataFrame({"text": texts, "label": [LABELS[at] for at in truth]}).to_csv(folder / "train.csv", index=False)
    table = read_table(str(folder / "train.csv"), Columns())
    rows = np.arange(0, 2 * ROWS, 2)
    data = {"train": str(folder / "train.csv"), "validation": ROWS, "max_length": 64}
    made = write_synthetic_study(folder / "study", {}, truth[rows], layouts=["s1"], seeds=[0], data=data)
    logits = rng.normal(0, 1, (ROWS, 3)) + 1.5 * np.eye(3)[truth[rows]]
    write_synthetic_run(made.path, "s1", 0, logits, truth[rows], ids=rows, texts=table.text_hashes()[rows])
    return made


def test_errors_uncertain_and_typical_rows_are_those_of_the_model(study: StudyFolder) -> None:
    report = collect(study.path)
    examples = find_examples(report)
    seen = report.runs["s1-seed0"].validation()
    probabilities = SINGLE_LABEL.probabilities(seen.logits / np.float32(report.best.calibration.temperature))
    frame = pd.DataFrame(
        {
            "row": seen.ids, "label": [LABELS[at] for at in seen.labels],
            "predicted": [LABELS[at] for at in probabilities.argmax(1)],
            "top": probabilities.max(1), "gap": probabilities.max(1) - np.sort(probabilities, axis=1)[:, 1],
        }
    )  # fmt: skip
    wrong = frame[frame.label != frame.predicted].sort_values("top", ascending=False, kind="stable")[:10]
    assert len(wrong) == 10
    assert [(one.row, one.label, one.predicted) for one in examples.errors] == [
        (row.row, row.label, row.predicted) for row in wrong.itertuples()
    ]
    assert [one.probability for one in examples.errors] == pytest.approx(list(wrong.top))
    assert [one.row for one in examples.uncertain] == list(frame.sort_values("gap", kind="stable")[:10].row)
    for one in (*examples.errors, *examples.uncertain, *examples.typical):
        assert one.text.startswith(f"text {one.row} <script>")
    assert [one.label for one in examples.typical] == list(LABELS)
    for one in examples.typical:
        own = frame[(frame.label == one.label) & (frame.predicted == one.label)].top
        assert one.label == one.predicted
        assert own.quantile(0.4) <= one.probability <= own.quantile(0.7)


def test_texts_are_escaped_and_can_be_left_out(study: StudyFolder, tmp_path: Path) -> None:
    text = write_report(study.path, out=tmp_path / "with.html").read_text()
    assert "<script>alert" not in text
    assert text.count("&lt;script&gt;alert(") >= 20
    assert 'id="texts-errors"' in text
    done = CliRunner().invoke(app, ["report", str(study.path), "--no-texts", "--out", str(tmp_path / "without.html")])
    assert done.exit_code == 0, done.output
    without = (tmp_path / "without.html").read_text()
    assert "alert(" not in without
    assert 'href="#texts"' not in without


def test_title_author_note_and_date(study: StudyFolder, tmp_path: Path) -> None:
    file = write_report(study.path, out=tmp_path / "r.html", title="Mails & <b>", author="A. Nyone", note="First.\nSecond <i>.")
    head = unescape(re.sub(r"<style>.*?</style>", "", file.read_text(), flags=re.DOTALL).partition('<ul class="tiles">')[0])
    assert "<title>Mails & <b> – striata report</title>" in head
    assert "<h1>Mails & <b></h1>" in head
    assert re.search(r'<p class="by">A\. Nyone, 20\d\d-\d\d-\d\d</p>', head)
    assert '<p class="own">First.\nSecond <i>.</p>' in head
    assert "Second <i>" not in file.read_text()


def test_texts_that_are_not_where_they_were(study: StudyFolder, tmp_path: Path) -> None:
    file = Path(study.settings()["data"]["train"])
    before = file.read_bytes()
    try:
        file.write_text("text,label\nother,World\nanother,Sports\n")
        assert "other texts now" in find_examples(collect(study.path)).missing
        file.write_text("no table")
        assert "cannot be read as the study read it" in find_examples(collect(study.path)).missing
        file.unlink()
        assert "not where the study read them" in find_examples(collect(study.path)).missing
        assert "not where the study read them" in write_report(study.path, out=tmp_path / "r.html").read_text()
    finally:
        file.write_bytes(before)


def test_long_texts_are_cut_between_words() -> None:
    assert excerpt("  short\n text ") == "short text"
    long = excerpt("word " * 500)
    assert len(long) <= 283
    assert long.endswith("word …")
    assert excerpt("x" * 5000).endswith("…")
