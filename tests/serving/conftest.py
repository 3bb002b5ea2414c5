"""One study for all tests of the server."""

from __future__ import annotations

from pathlib import Path

import pytest

import striata
from striata.model import Model

from .made import train


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study, not to be changed."""
    return train(tmp_path_factory.mktemp("served"))


@pytest.fixture
def ensemble(study: Path) -> Model:
    """An ensemble of two runs on one encoder and a baseline."""
    return striata.load(study / "ensemble", device="cpu", precision="fp32")
