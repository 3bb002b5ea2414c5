"""How long it takes to open a study of many runs."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from striata.data import Columns
from striata.layout import make_plan
from striata.runs import RunFacts, StudyFolder
from striata.runs.adapter import write_adapter
from striata.runs.run import RunRecord, Validation, write_run
from striata.settings import Recipe, load_study

from .measure import Row, row
from .work import SEED_LAYOUTS

LIMIT = 2.0  # seconds
LABELS = ("World", "Sports", "Business", "Sci/Tech")
ROWS = 1000
_BASE = "roberta-base"
_OPEN = """
import sys, time
from striata.runs import StudyFolder, leaderboard
started = time.perf_counter()
rows = leaderboard(StudyFolder.open(sys.argv[1]))
print(len(rows), time.perf_counter() - started)
"""
_COMMAND = """
import sys, time
started = time.perf_counter()
from striata.cli.app import app
try:
    app(["leaderboard", sys.argv[1], "--json"])
except SystemExit:
    print(0, time.perf_counter() - started, file=sys.stderr)
"""


def write_runs(folder: Path, count: int, *, rank: int = 1) -> StudyFolder:
    """A study's folder with small runs, nine layouts with as many seeds as it takes.

    Args:
        folder: of the study; made.
        count: how many runs.
        rank: of their adapters.
    """
    rng = np.random.default_rng(0)
    targets = rng.integers(0, len(LABELS), ROWS)
    seeds = range(-(-count // len(SEED_LAYOUTS)))
    study = load_study({"base": _BASE, "head": "linear", "data": {"train": "train.csv", "validation": ROWS},
                        "layouts": list(SEED_LAYOUTS), "seeds": list(seeds), "output": str(folder)})  # fmt: skip
    opened = StudyFolder(folder)
    opened.write_settings(study.to_dict(), "1" * 64, "2" * 64)
    for seed in seeds:
        for layout in SEED_LAYOUTS[: count - seed * len(SEED_LAYOUTS)]:
            _write_run(opened, layout, seed, targets, study.to_dict())
    return opened


def _write_run(folder: StudyFolder, layout: str, seed: int, targets: np.ndarray, study: dict[str, object]) -> None:
    rng = np.random.default_rng([seed, len(layout)])
    plan = make_plan(layout, base=_BASE, labels=len(LABELS), head="linear")
    logits = rng.normal(size=(ROWS, len(LABELS))).astype(np.float32)
    logits[np.arange(ROWS), targets] += 2.0
    accuracy = float((logits.argmax(1) == targets).mean())
    facts = RunFacts(
        kind="adapter", name=f"{layout}-seed{seed}", title=layout, layout=layout, seed=seed, task="single-label",
        recipe=Recipe().model_dump(mode="json"), plan_hash=plan.hash, trainable=plan.trainable, lora=plan.lora, labels=LABELS,
        base=_BASE, head="linear", max_length=256, base_sha256="0" * 64, tokenizer_sha256="2" * 64,
        columns=Columns(),
        data_fingerprint="1" * 64, best_step=100, steps=100, metrics={"accuracy": accuracy, "loss": 0.5, "macro_f1": accuracy},
        stopped="max_steps", seconds=60.0, versions={}, hardware={}, split={"train": 8000, "validation": ROWS}, study=study,
    )  # fmt: skip
    history = [{"step": float(step), "loss": 1 / step, "learning_rate": 1e-3} for step in range(1, 101)]
    tensors = {f"base_model.model.{site.module}.lora_A.weight": np.zeros((site.rank, 768), np.float32) for site in plan.sites}
    tensors |= {"base_model.model.classifier.weight": np.zeros((len(LABELS), 768), np.float32)}
    receipt = {"trainable": plan.trainable, "sites": [], "head": {}, "head_steps": [], "base_weights_that_train": []}
    validation = Validation(ids=np.arange(ROWS), texts=np.arange(ROWS, dtype=np.uint64), labels=targets, logits=logits)
    record = RunRecord(facts=facts, plan=plan, receipt=receipt, history=history, validation=validation)
    write_run(folder.run_folder(facts.name), record, lambda inside: write_adapter(inside, plan, tensors))


def _seconds(code: str, folder: Path) -> float:
    """As the process itself counts them, each time in a new one."""
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)
    return float((done.stderr if "cli" in code else done.stdout).split()[-1])


def opening(alternations: int, *, runs: int = 500) -> list[Row]:
    """Rows of the leaderboard from Python, and of the whole command with its comparisons, each in a new process."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = write_runs(Path(temporary) / "out", runs).path
        taken: dict[str, Sequence[float]] = {
            name: [_seconds(code, folder) for _ in range(alternations)]
            for name, code in (("leaderboard", _OPEN), ("leaderboard-command", _COMMAND))
        }
    work = {
        "leaderboard": f"the leaderboard of {runs} runs, from Python",
        "leaderboard-command": f"`striata leaderboard` of {runs} runs, imports and comparisons included",
    }
    limits = {"leaderboard": LIMIT, "leaderboard-command": 5 * LIMIT}
    return [
        row(name, work[name], "s", seconds, [limits[name]] * len(seconds), [s / limits[name] for s in seconds],
            versus="the limit", target=1, better="lower")
        for name, seconds in taken.items()
    ]  # fmt: skip


ROWS_OF_TABLE = ("leaderboard", "leaderboard-command")
