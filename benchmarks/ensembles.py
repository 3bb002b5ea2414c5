"""Ensembles by every method against the best single run, on rows that chose nothing.

    python -m benchmarks.ensembles runs/agnews-depth test.csv --json ensembles.json

Remakes the study's `ensemble` and `soup`; the ensemble that is left is the one by the last method.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import softmax

from striata import load
from striata.calibration import quality
from striata.data import Columns, Table, encode_labels, read_table
from striata.ensemble import write_ensemble
from striata.ensemble.soup import write_soup
from striata.errors import EnsembleError
from striata.evidence.paired import mcnemar
from striata.model.model import Model
from striata.runs import StudyFolder

METHODS = ("greedy", "stacking", "top")


def models(study: Path, size: int) -> Iterator[tuple[str, Callable[[], Path]]]:
    """The best run on validation rows, then what every method makes."""
    best = max(StudyFolder.open(study).runs(), key=lambda run: (run.metrics["accuracy"], -run.metrics["loss"]))
    yield f"best run ({best.name})", lambda: best.path
    yield f"soup of {size}", lambda: write_soup(study, size=size).run.path
    for method in METHODS:
        yield f"{method}, at most {size}", partial(_ensemble, study, size, method)


def _ensemble(study: Path, size: int, method: str) -> Path:
    return write_ensemble(study, size=size, method=method).folder


def measured(model: Model, table: Table) -> tuple[dict[str, Any], np.ndarray]:
    """Figures on test rows, before and after calibration, and which rows are right."""
    targets = encode_labels(table, model.labels)
    logits = np.asarray(model.logits(table.texts, table.pairs))
    raw, calibrated = (quality(p, targets) for p in (softmax(logits, axis=1), model.probabilities(logits)))
    right = logits.argmax(1) == targets
    figures = {
        "members": len(model.runs), "accuracy": float(right.mean()), "raw": raw.to_json(), "calibrated": calibrated.to_json(),
    }  # fmt: skip
    return figures, right


def main() -> None:
    """Prints one line a model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path)
    parser.add_argument("test", help="labelled rows that neither trained nor chose anything")
    parser.add_argument("--size", type=int, default=4)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    table = read_table(arguments.test, Columns(), split="test")
    report: dict[str, Any] = {}
    first: np.ndarray | None = None
    for name, make in models(arguments.study, arguments.size):
        try:
            figures, right = measured(load(make()), table)
        except EnsembleError as error:
            print(f"{name}: {error}")
            report[name] = {"refused": str(error)}
            continue
        first = right if first is None else first
        figures["p_against_best_run"] = mcnemar(int((first & ~right).sum()), int((right & ~first).sum()))
        report[name] = figures
        raw, calibrated = figures["raw"], figures["calibrated"]
        print(
            f"{name}: {figures['members']} members, accuracy {figures['accuracy']:.4f} (p {figures['p_against_best_run']:.2g}), "
            f"calibration error {raw['ece']:.4f} -> {calibrated['ece']:.4f}, "
            f"Brier {raw['brier']:.4f} -> {calibrated['brier']:.4f}",
            flush=True,
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
