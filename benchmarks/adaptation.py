"""Adapters that learn from texts without labels first, beside the same adapters without: accuracy on other rows.

    python -m benchmarks.adaptation train.csv --rows 200 1000 --seeds 5 --results adaptation.jsonl
    python -m benchmarks.adaptation train.csv --target later.csv --rows 1000 --results shift.jsonl

Unlabelled and test rows are the same for all seeds, of the same file or of another one with a distribution of its own (--target);
each seed draws its own labelled rows, a quarter of which choose the
checkpoint. Layout, recipe and seeds are those of both members, which train in one stack; the one that adapts reads the
training rows and the unlabelled ones first. Every draw is a line of the results, and one that is there is not measured again, so
that a call may be stopped at any time and repeated. Differences are paired by draw, with t intervals of 95 %.
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t as student

import striata
from striata.data import Columns, Table, read_table
from striata.demo import encoder_folder
from striata.runs.refusal import refusals

LAYOUT = "0-5 r8 a16 d0.05 query value"
_POOL = 3  # times the most labelled rows, of which each seed draws its own


def measure(
    base: str, labelled: Table, unlabelled: Table, test: Table, adapt: dict[str, Any], steps: int, seed: int, device: str
) -> dict[str, Any]:
    """Accuracy on the test rows with and without adaptation, and what it cost."""
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "unlabelled.csv"
        with file.open("w", newline="") as out:
            csv.writer(out).writerows([["text"], *([text] for text in unlabelled.texts)])
        recipe = {"optimizer": "adamw", "learning_rate": 3e-3, "schedule": "linear", "max_steps": steps, "patience": None}
        study = {
            "base": base, "head": "mean", "data": {"validation": 0.25, "max_length": 128, "seed": seed},
            "layouts": [{"layout": LAYOUT, "name": "member"}], "seeds": [seed], "baselines": "none", "ensemble": False,
            "recipe": {**recipe, "evaluate_every": max(1, steps // 4), "precision": "fp32"},
            "adapt": {"unlabelled": str(file), **adapt}, "controls": ["no-adapt"], "output": str(Path(place) / "out"),
        }  # fmt: skip
        rows = {name: {"text": table.texts, "label": table.labels} for name, table in (("train", labelled), ("test", test))}
        trained = striata.train(study, data=rows, device=device)
        with_, without = f"member-seed{seed}", f"member-no-adapt-seed{seed}"
        facts = trained.runs[with_].facts
        assert facts.adapted is not None
        return {
            "adapted": trained.test[with_]["accuracy"],
            "checked": trained.test[without if with_ in refusals(trained.runs.values()) else with_]["accuracy"],
            "without": trained.test[without]["accuracy"],
            "validation": facts.metrics,
            "validation without": trained.runs[without].facts.metrics,
            "first loss": facts.adapted.first_loss,
            "last loss": facts.adapted.last_loss,
            "seconds": facts.seconds,
            "seconds without": trained.runs[without].facts.seconds,
        }


def summary(lines: Sequence[dict[str, Any]]) -> dict[str, object]:
    """Means, and what adaptation gained in points with its interval; no interval of one draw."""
    gains: dict[str, object] = {}
    for side in ("adapted", "checked"):
        change = 100 * np.array([line[side] - line["without"] for line in lines])
        gains[f"{side}, gained points"] = round(float(change.mean()), 2)
        if len(lines) > 1:
            reach = student.ppf(0.975, len(lines) - 1) * change.std(ddof=1) / np.sqrt(len(lines))
            gains[f"{side}, +-"] = round(float(reach), 2)
    names = ("adapted", "checked", "without", "seconds")
    return {"draws": len(lines), **{name: round(float(np.mean([line[name] for line in lines])), 4) for name in names}, **gains}


def main() -> None:
    """Measures, one draw at a time, and prints a line for each and a summary for each number of labelled rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", help="labelled rows")
    parser.add_argument("--target", help="file of the unlabelled and the test rows; the same when left out")
    parser.add_argument("--rows", type=int, nargs="+", default=[200, 1000], help="labelled rows")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--unlabelled", type=int, default=5000)
    parser.add_argument("--test", type=int, default=1500)
    parser.add_argument("--steps", type=int, default=200, help="of training")
    parser.add_argument("--adapt-steps", type=int, default=200)
    parser.add_argument("--adapt-rate", type=float, help="learning rate of the adaptation; left out, the study's own")
    parser.add_argument("--base", help="the encoder's folder; MiniLM when left out")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--results", type=Path, help="file that keeps a line of every draw")
    arguments = parser.parse_args()
    rows, base = read_table(arguments.file, Columns()), arguments.base or str(encoder_folder())
    pool = _POOL * max(arguments.rows)
    drawn = np.random.default_rng(16).permutation(len(rows))
    other, rest = rows, drawn[pool:]
    if arguments.target is not None:
        other = read_table(arguments.target, Columns())
        rest = np.random.default_rng(17).permutation(len(other))
    unlabelled = other.take(rest[: arguments.unlabelled])
    test = other.take(rest[arguments.unlabelled : arguments.unlabelled + arguments.test])
    adapt = {"steps": arguments.adapt_steps, "learning_rate": arguments.adapt_rate}
    settings = {
        "target": arguments.target,
        "steps": arguments.steps,
        "adapt": adapt,
        "unlabelled": len(unlabelled),
        "test": len(test),
        "pool": pool,
    }
    kept = arguments.results.read_text().splitlines() if arguments.results is not None and arguments.results.exists() else []
    known = {json.dumps([line["settings"], line["rows"], line["seed"]]): line["figures"] for line in map(json.loads, kept)}
    for seed in range(arguments.seeds):
        for count in arguments.rows:
            key = json.dumps([settings, count, seed])
            if key not in known:
                own = np.random.default_rng([16, seed]).permutation(pool)[:count]
                started = time.process_time()
                known[key] = measure(
                    base, rows.take(drawn[own]), unlabelled, test, adapt, arguments.steps, seed, arguments.device
                )
                line = {"settings": settings, "rows": count, "seed": seed, "figures": known[key]}
                print(json.dumps({**line, "cpu_seconds": round(time.process_time() - started)}), flush=True)
                if arguments.results is not None:
                    with arguments.results.open("a") as out:
                        out.write(json.dumps(line) + "\n")
    for count in arguments.rows:
        lines = [known[key] for seed in range(arguments.seeds) if (key := json.dumps([settings, count, seed])) in known]
        print(json.dumps({"rows": count, **summary(lines)}), flush=True)


if __name__ == "__main__":
    main()
