"""Two studies for all tests of exports, not to be changed."""

from __future__ import annotations

from pathlib import Path

import pytest

import striata

from ..study.small import make_base, study_of, write_texts
from .made import BASELINES


@pytest.fixture(scope="session")
def native(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with native heads: three runs and an ensemble of two."""
    folder = tmp_path_factory.mktemp("native")
    striata.train(study_of(folder))
    return folder


@pytest.fixture(scope="session")
def mean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of a BERT with token types and mean heads, with baselines, and an ensemble of all."""
    folder = tmp_path_factory.mktemp("mean")
    make_base(folder, "bert")
    write_texts(folder / "train.csv", 150)
    write_texts(folder / "test.csv", 40, seed=1)
    study = study_of(folder, base=str(folder / "bert"), head="mean", baselines=list(BASELINES), ensemble={"size": 6})
    striata.train(study)
    return folder
