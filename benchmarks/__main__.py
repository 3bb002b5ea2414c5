"""`python -m benchmarks [ROW ...]`: measures rows of the table beside the peer and writes them as JSON."""

from __future__ import annotations

import argparse
import json
import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch
from transformers.utils.logging import disable_progress_bar

from .cascade import ROWS_OF_CASCADE, cascade
from .contenders import RATES, ROWS_OF_CONTENDERS, baselines, time_to_accuracy
from .cost import CURVES, plot
from .opening import ROWS_OF_TABLE, opening
from .prediction import ROWS_OF_PREDICTION, prediction
from .rows import GROUPS, Effort
from .table import machine, markdown, plain
from .work import FILES, prepared

NAMES = [name for group in GROUPS for name in group.rows] + [
    *ROWS_OF_TABLE,
    *ROWS_OF_CASCADE,
    *ROWS_OF_CONTENDERS,
    *ROWS_OF_PREDICTION,
    *CURVES,
]


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line, with `--quick` already spelt out."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"one of {', '.join(NAMES)}; all by default")
    parser.add_argument("--model", type=Path, default=FILES / "roberta-base", help="folder with config.json and tokenizer")
    parser.add_argument("--texts", type=Path, default=FILES / "agnews" / "train.csv", help="CSV with columns text,label (0-3)")
    parser.add_argument("--alternations", type=int, help="ours, peer, ours, peer, ...: how often each (5)")
    parser.add_argument("--steps", type=int, help="the peer's steps in an alternation (6)")
    parser.add_argument("--peer-steps", type=int, help="of the peer in time-to-accuracy (2500)")
    parser.add_argument("--seeds", type=int, help="in time-to-accuracy (3)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of each process (all cores)")
    parser.add_argument("--predicted", type=int, help="texts that are predicted in an alternation (512)")
    parser.add_argument("--rows-of-text", type=int, default=8000, help="texts that are trained on")
    parser.add_argument("--quick", action="store_true", help="two alternations of two steps: does it run?")
    parser.add_argument("--json", type=Path, help="write the figures here; rows that are already there and not asked for stay")
    parser.add_argument("--markdown", action="store_true", help="print the table of --json for a document; measures nothing")
    parser.add_argument("--plot", type=Path, metavar="FOLDER", help="draw the curves of --json; measures nothing")
    a = parser.parse_args(words)
    unknown = [name for name in a.rows if name not in NAMES]
    if unknown:
        parser.error(f"there is no row '{unknown[0]}'; expected some of {', '.join(NAMES)}")
    if (a.markdown or a.plot) and not (a.json and a.json.is_file()):
        parser.error("--markdown and --plot show what was measured before: give its --json FILE")
    a.alternations = a.alternations or (2 if a.quick else 5)
    a.steps = a.steps or (2 if a.quick else 6)
    a.peer_steps = a.peer_steps or (2 if a.quick else 2500)
    a.seeds = a.seeds or (1 if a.quick else 3)
    a.predicted = a.predicted or (256 if a.quick else 512)
    return a


def main(words: Sequence[str] | None = None) -> None:
    """Measures, prints and writes, or shows what was written before."""
    a = arguments(words)
    if a.markdown or a.plot:
        report = json.loads(a.json.read_text())
        if a.markdown:
            print(markdown(report))
        if a.plot:
            print(*plot(report["curves"], a.plot), sep="\n")
        return
    logging.disable(logging.WARNING)
    disable_progress_bar()
    torch.set_num_threads(a.threads)
    report = measure(a)
    print(plain(report))


def measure(a: argparse.Namespace) -> dict[str, Any]:
    """Measures group by group; the file is written after each, so that nothing measured is lost."""
    names = set(a.rows or NAMES)
    effort = Effort(alternations=a.alternations, steps=a.steps, texts=a.predicted, threads=a.threads, source=a.texts)
    report: dict[str, Any] = {"rows": [], "curves": {}, "skipped": []}
    if a.json and a.json.is_file():
        report |= json.loads(a.json.read_text())
    report |= {
        "machine": machine(a.threads),
        "settings": {"alternations": a.alternations, "steps": a.steps, "texts": effort.texts, "quick": a.quick},
        "skipped": [],
    }
    if names.intersection(ROWS_OF_TABLE):
        measured = [row.to_json() for row in opening(a.alternations, runs=50 if a.quick else 500)]
        report["rows"] = _ordered([row for row in report["rows"] if row["name"] not in ROWS_OF_TABLE] + measured)
        _write(a.json, report)
    if names.intersection(ROWS_OF_CASCADE):
        measured = [row.to_json() for row in cascade(a.alternations, texts=effort.texts, quick=a.quick)]
        report["rows"] = _ordered([row for row in report["rows"] if row["name"] not in ROWS_OF_CASCADE] + measured)
        _write(a.json, report)
    if "baselines" in names:
        measured = [row.to_json() for row in baselines(a.alternations)]
        report["rows"] = _ordered([row for row in report["rows"] if row["name"] != "baselines"] + measured)
        _write(a.json, report)
    if "time-to-accuracy" in names:
        rates = RATES[:1] if a.quick else RATES
        measured = [row.to_json() for row in time_to_accuracy(a.texts, steps=a.peer_steps, seeds=a.seeds, rates=rates)]
        report["rows"] = _ordered([row for row in report["rows"] if row["name"] != "time-to-accuracy"] + measured)
        _write(a.json, report)
    if names.intersection(ROWS_OF_PREDICTION):
        measured = [row.to_json() for row in prediction(a.texts, a.alternations, effort.texts)]
        report["rows"] = _ordered([row for row in report["rows"] if row["name"] not in ROWS_OF_PREDICTION] + measured)
        _write(a.json, report)
    if names <= {*ROWS_OF_TABLE, *ROWS_OF_CASCADE, *ROWS_OF_CONTENDERS, *ROWS_OF_PREDICTION}:
        return report  # which need neither --model nor --texts
    with prepared(a.model, a.texts, rows=a.rows_of_text) as work:
        for group in GROUPS:
            if not names.intersection(group.rows):
                continue
            if group.device == "cuda" and not torch.cuda.is_available():
                report["skipped"].append(f"{', '.join(group.rows)}: not measured, this machine has no GPU that torch can use.")
                continue
            measured = [row.to_json() for row in group.measure(replace(work, device=group.device), effort)]
            report["rows"] = _ordered([row for row in report["rows"] if row["name"] not in group.rows] + measured)
            _write(a.json, report)
        for name, curve in CURVES.items():
            if name in names:
                report["curves"][name.removeprefix("cost-")] = curve(work, effort)
                _write(a.json, report)
    return report


def _ordered(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: NAMES.index(row["name"]))


def _write(path: Path | None, report: dict[str, Any]) -> None:
    if path is not None:
        path.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
