"""One seed gives one result, in whatever process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ..processes import python
from .world import World, state

_ROOT = Path(__file__).parents[2]
_TOLERANCE = 1e-4  # of probabilities, after 4 steps of training with sums in another order


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return World(tmp_path_factory.mktemp("world")).after("")


def made(texts: Path, place: Path, *, hash_seed: int) -> Path:
    """What a new interpreter makes, on one thread."""
    shutil.copytree(texts, place)
    paths = os.pathsep.join([str(_ROOT), str(_ROOT / "src")])
    changes = {"PYTHONHASHSEED": str(hash_seed), "OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
    command = [sys.executable, "-m", "tests.torture.determinism"]
    done = subprocess.run(command, cwd=place, env=os.environ | changes, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return place


def made_on_two_threads(texts: Path, place: Path) -> Path:
    shutil.copytree(texts, place)
    code = "import torch; torch.set_num_threads(2); from tests.torture.determinism import make; make()"
    done = python(code, cwd=place)
    assert done.returncode == 0, done.stderr
    return place


def threads_of(place: Path) -> str:
    run = next((place / "out" / "runs").glob("layout-*"))
    return str(json.loads((run / "run.json").read_text())["hardware"]["threads"])


def test_hashes_change_no_bit_and_threads_only_the_last_digits(texts: Path, tmp_path: Path) -> None:
    first = made(texts, tmp_path / "first", hash_seed=0)
    assert threads_of(first) == "1"
    assert state(made(texts, tmp_path / "second", hash_seed=12345)) == state(first)
    other = made_on_two_threads(texts, tmp_path / "threads")
    assert threads_of(other) == "2"
    tables = [pd.read_csv(place / "predicted.csv") for place in (first, other)]
    columns = [column for column in tables[0] if column.startswith("p_")]
    assert len(columns) == 3
    one, two = (table[columns].to_numpy() for table in tables)
    np.testing.assert_allclose(one, two, atol=_TOLERANCE)
    assert np.ptp(one) > 0.1  # there is something to compare
