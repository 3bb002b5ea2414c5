"""A tokenizer that is not the one a study was trained with is noticed, wherever its token ids would be used."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import striata
from striata.data import Tokenizer
from striata.ensemble.soup import write_soup
from striata.errors import RunError, StudyError
from striata.runs import Run

from ..study.small import WORDS, make_base, study_of


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    striata.train(study_of(folder, head="linear", layouts=["0-2 r2 query"], seeds=[0, 1], recipe={"max_steps": 4}))
    return folder


def swap_words(base: Path) -> None:
    """Gives two words each other's ids: the same vocabulary, with other vectors."""
    file = base / "tokenizer.json"
    content = json.loads(file.read_text())
    ids = content["model"]["vocab"]
    ids["w0"], ids["w1"] = ids["w1"], ids["w0"]
    file.write_text(json.dumps(content))


def test_another_tokenizer_changes_the_answers_and_is_refused(trained: Path, tmp_path: Path) -> None:
    base, out = trained / "roberta", trained / "out"
    kept = shutil.copy(base / "tokenizer.json", tmp_path)
    run = next(iter((out / "runs").iterdir()))
    model = striata.load(run, device="cpu")
    texts = [" ".join(WORDS[:1] * 3 + WORDS[5:8]), " ".join(WORDS[2:6])]
    before, (scorer,) = model.predict_proba(texts), model.scorers
    swap_words(base)
    try:
        scorer.tokenizer = Tokenizer.load(str(base), 32)
        assert np.abs(model.predict_proba(texts)[0] - before[0]).max() > 1e-3  # what would be answered unnoticed
        with pytest.raises(RunError, match=r"was trained with another tokenizer than that of .*roberta here \(SHA-256 "):
            striata.load(run)
        with pytest.raises(StudyError, match=r"the tokenizer of .* is not the one the runs were trained with"):
            write_soup(out, size=2)
        study = study_of(trained, head="linear", layouts=["0-2 r2 query"], seeds=[0, 1, 2], recipe={"max_steps": 4})
        with pytest.raises(StudyError, match=r"the tokenizer of .* is not the one that folder .* was trained with; give it"):
            striata.train(study)
    finally:
        shutil.copy(kept, base)
    assert np.array_equal(striata.load(run, device="cpu").predict_proba(texts), before)


def test_a_tokenizer_is_known_by_the_files_it_is_read_from(tmp_path: Path) -> None:
    base = make_base(tmp_path)
    first = Tokenizer.load(str(base), 16).sha256
    (base / "notes.txt").write_text("no file of a tokenizer")
    assert Tokenizer.load(str(base), 32).sha256 == first
    copied = shutil.copytree(base, tmp_path / "copied")
    assert Tokenizer.load(str(copied), 16).sha256 == first
    for name in ("tokenizer.json", "tokenizer_config.json"):
        before = (copied / name).read_text()
        (copied / name).write_text(before + " ")
        assert Tokenizer.load(str(copied), 16).sha256 != first, name
        (copied / name).write_text(before)
    assert Tokenizer.load(str(copied), 16).sha256 == first


def test_runs_of_two_tokenizers_do_not_share_a_pass(trained: Path) -> None:
    runs = [Run.load(path) for path in (trained / "out" / "runs").iterdir()]
    assert len({run.facts.tokenizer_sha256 for run in runs}) == 1
    assert runs[0].facts.tokenizer_sha256 == Tokenizer.load(str(trained / "roberta"), 32).sha256
