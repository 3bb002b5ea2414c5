"""The cascade that a fit adds: written where it saves, not where it does not."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import numpy as np
import pytest

import striata
from striata.automl import cascade as cascading
from striata.automl import speed
from striata.automl.fitting import Request, fit_file
from striata.data import Columns, read_table

from ..study.small import make_base, write_texts


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cascade")
    make_base(folder)
    write_texts(folder / "train.csv", 1500)
    return folder


def fit_of(folder: Path, output: Path, monkeypatch: pytest.MonkeyPatch, base: str) -> striata.Fitted:
    monkeypatch.setattr(speed, "measure_speed", lambda *_: 1e-5)
    ticks = count(0, 0.01)
    request = Request(source=str(folder / "train.csv"), base=base, minutes=0.4, output=str(output))
    return fit_file(request, now=lambda: next(ticks))


def test_where_words_are_sure_of_many_texts_they_answer_these_alone(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cascading, "LOSSES", (0.02,))  # which 200 rows can show
    fitted = fit_of(folder, tmp_path / "out", monkeypatch, str(folder / "roberta"))
    assert fitted.cascade == tmp_path / "out" / "cascade"
    assert fitted.answered_early is not None
    assert fitted.most_lost == 0.02
    assert '<p id="cascade-beside">' in (tmp_path / "out" / "report.html").read_text()
    model = striata.load(fitted.cascade)
    texts = read_table(str(folder / "train.csv"), Columns()).texts[:400]
    logits = model.logits(texts)
    assert model.combiner.cascade is not None
    alone = striata.load(tmp_path / "out" / "runs" / model.combiner.cascade.early).logits(texts)
    assert (model.texts, model.early) == (400, int(model.combiner.cascade.sure(alone).sum()))
    assert model.early > 40
    assert np.isfinite(logits).all()


def test_without_an_encoder_there_is_none(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted = fit_of(folder, tmp_path / "out", monkeypatch, "none")
    assert (fitted.cascade, fitted.answered_early) == (None, None)
    assert not (tmp_path / "out" / "cascade").exists()
