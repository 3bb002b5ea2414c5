"""A cascade against its late stage alone: Reuters R8 and MiniLM, both from packages that `make demo` installs."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import striata
from striata.data import Columns, encode_labels, read_table
from striata.demo import encoder_folder, write_data
from striata.ensemble import write_ensemble
from striata.model.model import Model

from .measure import Row, quotients, row

ROWS_OF_CASCADE = ("cascade",)
LOSS = 0.001
_VALIDATION = 3100  # fewer than 3,015 cannot show such a loss


def _study(folder: Path, steps: int) -> dict[str, Any]:
    """Words, and two runs of MiniLM."""
    return {
        "base": str(encoder_folder()),
        "head": "mean",
        "data": {"train": str(write_data(folder) / "r8-train.csv"), "validation": _VALIDATION, "max_length": 64},
        "baselines": ["lexical"],
        "layouts": ["0/1-1/1 r8 query value"],
        "seeds": [0, 1],
        "recipe": {
            "optimizer": "adamw", "learning_rate": 0.003, "batch_size": 16, "max_steps": steps, "evaluate_every": steps,
            "patience": None, "precision": "fp32",
        },
        "ensemble": False,
        "output": str(folder / "out"),
    }  # fmt: skip


def _rate(model: Model, texts: Sequence[str]) -> tuple[float, np.ndarray]:
    """Texts a second, and the places of their labels."""
    started = time.perf_counter()
    logits = model.logits(texts)
    return len(texts) / (time.perf_counter() - started), model.task.decide(logits)


def cascade(alternations: int, *, texts: int, quick: bool = False) -> list[Row]:
    """Trains, makes both, and measures them on the first test texts, one after the other."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        out = striata.train(_study(folder, 20 if quick else 100)).folder
        early = write_ensemble(out, method="cascade", size=3, loss=LOSS, out=folder / "cascade")
        late = write_ensemble(out, method="weighted", size=3, out=folder / "late")
        ours, theirs = (striata.load(made.folder, precision="fp32") for made in (early, late))
        ours.warn = print
        table = read_table(str(folder / "r8-test.csv"), Columns(), split="test").take(np.arange(texts))
        targets, accuracy = encode_labels(table, ours.labels), {}
        rates: dict[str, list[float]] = {"ours": [], "theirs": []}
        for measurement in range(alternations + 1):
            for key, model in (("ours", ours), ("theirs", theirs)):
                rate, decided = _rate(model, table.texts)
                accuracy[key] = float((decided == targets).mean())
                if measurement:  # the first is warm-up
                    rates[key].append(rate)
        assert early.cascade is not None
        share = early.cascade.share
    what = (
        f"a cascade, loss below {LOSS:.2%}: {share:.1%} of {_VALIDATION:,} validation rows answered early; accuracy on "
        f"{texts:,} R8 test texts {accuracy['ours']:.4f} against {accuracy['theirs']:.4f}"
    )
    ratios = quotients(rates["ours"], rates["theirs"])
    versus = "its late stage alone, words and two runs of MiniLM"
    return [row("cascade", what, "texts a second", rates["ours"], rates["theirs"], ratios, versus=versus, target=3)]
