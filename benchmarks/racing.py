"""What a race of learning rates and layouts costs in accuracy, against training every candidate to its end.

    python -m benchmarks.racing --seeds 2

Who stays in a race is what it would have been without one, so that one full grid on Reuters R8 tells what every race would have
chosen: its losses are read from the histories of the grid's runs.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np

import striata
from striata.demo import encoder_folder, write_data
from striata.runs import StudyFolder
from striata.settings.file import RaceSettings
from striata.study.race import Race

RATES = (1e-3, 3e-3, 1e-2)
LAYOUTS = {
    "attention": "0/1-1/1 r8 a8 query value",
    "wide": "0/1-1/1 r4 a4 query key value attention_output ffn_in ffn_out",
    "upper": "1/2-1/1 r8 a8 query key value attention_output ffn_in ffn_out",
}
_VALIDATION = 500


def grid(folder: Path, steps: int, seeds: int, *, rates: Sequence[float] = RATES, validation: int = _VALIDATION) -> Path:
    """Trains every candidate of every seed to its end."""
    study: dict[str, Any] = {
        "base": str(encoder_folder()), "head": "mean", "baselines": "none", "ensemble": False, "seeds": seeds,
        "data": {"train": str(write_data(folder) / "r8-train.csv"), "validation": validation, "max_length": 48},
        "layouts": [
            {"layout": layout, "name": f"{name}-{rate:g}", "recipe": {"learning_rate": rate}}
            for name, layout in LAYOUTS.items() for rate in rates
        ],
        "recipe": {
            "optimizer": "adamw", "batch_size": 16, "max_steps": steps, "evaluate_every": steps, "patience": None,
            "schedule": "linear", "warmup": 0.06, "encoder_dropout": 0, "precision": "fp32",
        },
        "output": str(folder / "out"),
    }  # fmt: skip
    return striata.train(study).folder


def regrets(folder: Path, steps: int) -> list[str]:
    """A line for each race: steps it takes of those of the grid, and what its best is behind the grid's best, in points."""
    runs = StudyFolder.open(folder).finished()
    grids = [[run for run in runs if run.facts.seed == seed] for seed in sorted({run.facts.seed for run in runs})]
    lines = []
    for until in (0.125, 0.25, 0.5):
        for survivors in (1, 2, 3):
            settings = RaceSettings(learning_rates=RATES, survivors=survivors, until=until)
            behind = [_behind(Race(settings, [run.name for run in own]), own, steps) for own in grids]
            share = Race(settings, [run.name for run in grids[0]]).total(steps) / (len(grids[0]) * steps)
            values = ", ".join(f"{value:.2f}" for value in behind)
            mean = float(np.mean(behind))
            lines.append(f"until {until:g}, {survivors} left: {share:.0%} of the steps, {mean:.2f} points behind ({values})")
    return lines


def _behind(race: Race, runs: Sequence[striata.Run], steps: int) -> float:
    """Points of accuracy between the best of all runs and the best of those that stay in a race."""
    left: set[str] = set()
    for rung in race.rungs(steps):
        left |= set(race.leaving([_trainee(run, rung, steps) for run in runs if run.name not in left]))
    stayed = [run.metrics["accuracy"] for run in runs if run.name not in left]
    return 100 * (max(run.metrics["accuracy"] for run in runs) - max(stayed))


def _trainee(run: striata.Run, step: int, steps: int) -> Any:
    """A member as it was in training after a step, as far as a race looks at it."""
    history = [entry for entry in run.history() if entry["loss"] is not None and (entry["step"] or 0) <= step]
    return SimpleNamespace(member=SimpleNamespace(name=run.name), step=step, steps=steps, history=history)


def main() -> None:
    """Trains and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        out = grid(Path(folder), options.steps, options.seeds)
        for run in StudyFolder.open(out).finished():
            print(f"{run.name}: {run.metrics['accuracy']:.4f}")
        print(*regrets(out, options.steps), sep="\n")


if __name__ == "__main__":
    main()
