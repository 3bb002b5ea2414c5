"""What losses for rare labels and for labels in an order are worth.

    python -m benchmarks.losses --seeds 2

Rare labels: Reuters R8, whose labels have from 41 to 2,840 of 5,485 rows; macro F1 by loss. An order: texts of words of praise
and blame, with stars from 1 to 5 that are noisy; the same rows as `task: single-label` and as `task: ordinal`.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np

import striata
from striata.demo import encoder_folder, write_data
from striata.tasks import ORDINAL

LOSSES: dict[str, dict[str, Any]] = {
    "cross_entropy": {}, "balanced": {"class_weights": "balanced"}, "focal": {"loss": "focal"},
    "adjusted-half": {"loss": {"name": "logit_adjusted", "tau": 0.5}}, "adjusted": {"loss": "logit_adjusted"},
}  # fmt: skip
WORDS = ("terrible", "awful", "bad", "poor", "okay", "fine", "decent", "good", "great", "excellent")


def study(folder: Path, name: str, steps: int, seeds: int, data: dict[str, Any], **settings: Any) -> dict[str, Any]:
    """Layouts of MiniLM, each trained to its end and measured there."""
    recipe = {
        "optimizer": "adamw", "learning_rate": 3e-3, "batch_size": 16, "max_steps": steps, "evaluate_every": steps,
        "patience": None, "schedule": "linear", "encoder_dropout": 0, "precision": "fp32",
    }  # fmt: skip
    return {
        "base": str(encoder_folder()), "head": "mean", "baselines": "none", "ensemble": False, "seeds": seeds, "data": data,
        "layouts": ["s1"], "recipe": recipe, "output": str(folder / name),
    } | settings  # fmt: skip


def _each(figures: Sequence[Mapping[str, float]], key: str) -> str:
    return ", ".join(f"{one[key]:.4f}" for one in figures)


def rare(folder: Path, steps: int, seeds: int) -> list[str]:
    """A line for each loss: accuracy and macro F1 on validation rows of R8, means over seeds."""
    data = {"train": str(write_data(folder) / "r8-train.csv"), "validation": 1000, "max_length": 32}
    layouts = [{"layout": "s1", "name": name, "recipe": own} for name, own in LOSSES.items()]
    runs = striata.train(study(folder, "rare", steps, seeds, data, layouts=layouts)).runs.values()
    lines = []
    for name in LOSSES:
        own = [run.metrics for run in runs if run.title == name]
        figures = ", ".join(f"{key} {np.mean([m[key] for m in own]):.4f}" for key in ("accuracy", "macro_f1", "loss"))
        lines.append(f"R8, {name}: {figures}; macro F1 by seed {_each(own, 'macro_f1')}")
    return lines


def write_stars(path: Path, rows: int, seed: int) -> None:
    """Texts of eight words whose mean praise tells the stars, give or take one."""
    rng = np.random.default_rng(seed)
    lines = ["text,label"]
    for praise in rng.uniform(0, 5, rows):
        words = np.clip(rng.normal(2 * praise, 1.5, 8), 0, 9).astype(int)
        star = int(np.clip(praise + rng.normal(0, 0.6), 0, 4.999)) + 1
        lines.append(f"{' '.join(WORDS[word] for word in words)},{star}")
    path.write_text("\n".join(lines) + "\n")


def stars(folder: Path, steps: int, seeds: int) -> list[str]:
    """A line for each task: figures of its own answers, and of its medians, on the same validation rows, means over seeds."""
    write_stars(folder / "train.csv", 1500, 0)
    write_stars(folder / "validation.csv", 2000, 1)
    data = {"train": str(folder / "train.csv"), "validation": str(folder / "validation.csv"), "max_length": 16}
    lines = []
    for task in ("single-label", "ordinal"):
        runs = striata.train(study(folder, task, steps, seeds, data, task=task)).runs.values()
        for answers in ("its own answers", "medians") if task == "single-label" else ("medians",):
            figures = []
            for run in runs:
                seen = run.validation()
                decided = seen.logits.argmax(1) if answers != "medians" else ORDINAL.decide(seen.logits)
                figures.append(ORDINAL.scores(np.log(np.eye(5)[decided] + 1e-9), seen.labels))
            shown = ", ".join(f"{key} {np.mean([f[key] for f in figures]):.4f}" for key in ("accuracy", "mae", "kappa"))
            lines.append(f"stars, {task}, {answers}: {shown}; MAE by seed {_each(figures, 'mae')}")
    return lines


PARTS = {"stars": stars, "rare": rare}


def main() -> None:
    """Trains everything and prints a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        for name in options.parts:
            for line in PARTS[name](Path(place), options.steps, options.seeds):
                print(line, flush=True)


if __name__ == "__main__":
    main()
