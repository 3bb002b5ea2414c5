"""Texts and a tiny encoder, and one speed for whatever is planned."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..study.small import make_base, write_texts
from .small import at_one_speed


@pytest.fixture(autouse=True)
def _one_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    at_one_speed(monkeypatch)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fit")
    make_base(folder, dropout=0.1)
    write_texts(folder / "train.csv", 150)
    write_texts(folder / "test.csv", 40, seed=1)
    return folder
