"""A study of several labels a text, and its rows."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import yaml

import striata

from ..study.small import WORDS, make_base, study_of

LABELS = ("alpha", "beta", "gamma")


def write_several(path: Path, rows: int, seed: int) -> Path:
    """Texts whose labels, some of three or none, show in their words."""
    rng = np.random.default_rng(seed)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "labels"])
        for _ in range(rows):
            own = [place for place, share in enumerate((0.5, 0.3, 0.2)) if rng.random() < share]
            words = [WORDS[place * 25 + int(at)] for place in own for at in rng.integers(0, 3, 4)]
            words += [WORDS[int(at)] for at in rng.integers(75, 86, 3)]
            writer.writerow([" ".join(words), "|".join(LABELS[place] for place in own)])
    return path


def several_of(folder: Path, **changes: Any) -> dict[str, Any]:
    """A study of several labels a text; its encoder and data are made when they are not there."""
    if not (folder / "train.csv").exists():
        make_base(folder, dropout=0.1)
        write_several(folder / "train.csv", 160, 0)
        write_several(folder / "test.csv", 50, 1)
    settings = {
        "task": "multilabel", "baselines": ["majority", "lexical"], "layouts": ["0-2 r2 query value", "1-2 r2 query"],
        "recipe": {"max_steps": 4, "evaluate_every": 2}, "ensemble": {"size": 3, "method": "weighted"},
        "data": {"test": str(folder / "test.csv")},
    }  # fmt: skip
    return study_of(folder, **settings | changes)


def train_several(folder: Path) -> Path:
    """The folder, with such a study trained in `out`, and its file."""
    study = several_of(folder)
    striata.train(study)
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    return folder
