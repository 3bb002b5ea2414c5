"""Processes that know nothing of striata, and what they open."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import striata
from striata.data import read_table
from striata.exports import writers

from ..study.small import LABELS

ALONE = """
import json, sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BLOCKED:
            raise ImportError(name)
sys.meta_path.insert(0, Block())
folder, texts = sys.argv[1], json.loads(sys.argv[2])
"""
BASELINES = ("lexical", "frozen", "neighbours")
SCRIPT = "import runpy; sys.argv = ['predict.py', *texts]; runpy.run_path(f'{folder}/predict.py', run_name='__main__')"


def alone(code: str, folder: Path, texts: list[str], *blocked: str) -> np.ndarray:
    """Probabilities (texts, labels) that a process without striata, and without other packages, prints."""
    start = ALONE.replace("BLOCKED", repr({"striata", *blocked}))
    done = subprocess.run(
        [sys.executable, "-c", start + code, str(folder), json.dumps(texts)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return np.array([[row[label] for label in LABELS] for row in json.loads(done.stdout.splitlines()[-1])])


def load(folder: Path, **settings: Any) -> striata.Model:
    """A model in fp32, whatever the machine multiplies in by itself."""
    return striata.load(folder, device="cpu", precision="fp32", **settings)


def needs_open_sizes() -> None:
    if tuple(map(int, torch.__version__.split(".")[:2])) < writers.OPEN_SIZES:
        pytest.skip(f"torch {torch.__version__} may freeze the sizes of a batch")


def texts_of(folder: Path) -> list[str]:
    return read_table(str(folder / "test.csv"), striata.Columns()).texts


def run_of(folder: Path) -> Path:
    return sorted(path for path in (folder / "out" / "runs").iterdir() if path.name not in BASELINES)[0]
