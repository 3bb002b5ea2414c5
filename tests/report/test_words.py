"""The report's errors with the words that decided them."""

from __future__ import annotations

import re
import shutil
from html import unescape
from pathlib import Path

import pytest

import striata
from striata.report import collect, write_report
from striata.report.examples import find_examples

from ..study.small import study_of, write_texts


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs that err: one counts words, one has an encoder and is the better one."""
    folder = tmp_path_factory.mktemp("words")
    settings = study_of(folder, layouts=[], baselines=["majority", "lexical"], ensemble=False)
    rows = write_texts(folder / "train.csv", 150).read_text().splitlines()
    labels = [row.split(",")[1] for row in rows[1:]]
    noisy = [f"{row.split(',')[0]},{labels[at - 1] if at % 4 == 0 else labels[at]}" for at, row in enumerate(rows[1:])]
    (folder / "train.csv").write_text("\n".join([rows[0], *noisy]) + "\n")
    return striata.train(settings).folder


def test_what_counts_words_always_explains_its_errors(study: Path) -> None:
    report = collect(study)
    assert report.judged.name == "lexical"
    errors = find_examples(report).errors
    assert errors
    model = striata.load(study / "runs" / "lexical")
    for error in errors:
        assert error.explained is not None
        assert error.explained == model.explain([error.explained.text], label=error.predicted)[0]
        assert error.explained.probability == pytest.approx(error.probability, abs=1e-5)
    page = write_report(study).read_text()
    table = re.search(r'<table id="texts-errors".*?</table>', page, re.DOTALL)
    assert table is not None
    assert 'class="for strong"' in table[0]
    cells = re.findall(r'<td class="wide words" dir="auto">(.*?)</td>', table[0], re.DOTALL)
    assert [unescape(re.sub("<[^>]+>", "", cell)) for cell in cells] == [error.text for error in errors]


def test_a_model_that_does_not_open_leaves_its_errors_as_they_are(study: Path, tmp_path: Path) -> None:
    other = tmp_path / "study"
    shutil.copytree(study, other)
    report = collect(other)
    (other / "runs" / "lexical" / "vocabulary.json").unlink()
    errors = find_examples(report).errors
    assert errors
    assert all(error.explained is None for error in errors)
