"""Makes `tests/data/formats/VERSION.zip`: a folder as today's striata writes it, which later ones must open.

    python -m tests.runs.freeze 0.1.0

The archive holds a tiny encoder and texts, a finished study with two adapters, two baselines, an ensemble, test figures, checks
and a failure (`done`), an interrupted study (`cut`), a search (`searched`), and what they answered (`expected.json`). Paths
in it are relative to its root, from which it is read too. The archive of a released version is never changed: a new format gets a
new one beside it. Until 0.1.0 is released, whoever changes a format on purpose deletes its archive and makes it anew.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import striata
from striata.data import Columns, read_table
from striata.model.model import Model
from striata.robustness import audit_labels, measure_shift, run_stress
from striata.runs import StudyFolder
from striata.training.events import Event

from ..study.small import make_base, write_texts

FOLDER = Path(__file__).parents[1] / "data" / "formats"
TEXTS = ("w0 w1 w2 w0 w1", "w25 w26 w27 w60", "w50 w51 w52 w0", "w3")
_LEFT_OUT = (".lock", ".partial", ".cache")


def study(output: str, **changes: Any) -> dict[str, Any]:
    """A study whose every path counts from the archive's root."""
    recipe = {
        "optimizer": "adamw", "learning_rate": 0.03, "batch_size": 8, "max_steps": 12, "evaluate_every": 4, "precision": "fp32",
        "patience": None,
    }  # fmt: skip
    return {
        "base": "roberta",
        "data": {"train": "train.csv", "validation": 40, "test": "test.csv", "max_length": 32},
        "layouts": ["0 r1 a4 query | 1-2 r2 a4 d0.1 query", {"layout": "0-2 r2 query", "name": "flat"}],
        "baselines": ["majority", "lexical"],
        "recipe": recipe,
        "ensemble": {"size": 2},
        "output": output,
    } | changes


def interrupt(event: Event) -> None:
    """Ends training once the first checkpoint is written."""
    if event.kind == "saved":
        os.kill(os.getpid(), signal.SIGINT)


def answers(folder: str) -> list[list[float]]:
    """Probabilities of the texts."""
    return Model.load(folder, device="cpu", precision="fp32").predict_proba(TEXTS).tolist()


def write(root: Path) -> None:
    """Writes the folder; the process works in it."""
    os.chdir(root)
    make_base(Path(), dropout=0.1)
    write_texts(Path("train.csv"), 120)
    write_texts(Path("test.csv"), 30, seed=1)
    done = striata.train(study("done"), device="cpu")
    model = striata.load("done/ensemble", device="cpu", precision="fp32")
    table = read_table("train.csv", Columns(), split="train")
    run_stress(model, table, rows=40)
    measure_shift(model, known=table, unlabelled=read_table("test.csv", Columns(), split="test"), rows=30, permutations=19)
    audit_labels("done", rows=60, device="cpu")
    StudyFolder(Path("done")).record_failure("wild-seed0", "the training loss became nan at step 3")
    with contextlib.suppress(KeyboardInterrupt):
        striata.train(study("cut", ensemble={"size": 1}), listen=interrupt, device="cpu")
    search = {"trials": 3, "generation": 2, "sections": [1, 2], "ranks": [1, 2], "targets": [["query"]]}
    striata.train(study("searched", layouts=[], baselines=[], search=search, ensemble={"size": 1}), device="cpu")
    expected = {
        "runs": {name: dict(run.metrics) for name, run in done.runs.items()},
        "test": done.test,
        "probabilities": answers("done/ensemble"),
        "labels": list(model.labels),
        "by_run": {
            name: Model.load(f"done/runs/{name}", device="cpu", precision="fp32").predict_proba(TEXTS).tolist()
            for name in done.runs
        },
    }
    Path("expected.json").write_text(json.dumps(expected, indent=1) + "\n")


def pack(root: Path, archive: Path) -> None:
    """Packs a folder, the same bytes for the same files."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        for file in sorted(path for path in root.rglob("*") if path.is_file()):
            name = file.relative_to(root).as_posix()
            if not any(part.endswith(_LEFT_OUT) for part in name.split("/")):
                packed.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), file.read_bytes(), zipfile.ZIP_DEFLATED, 9)


def main(version: str) -> None:
    """Writes the archive of a version; refuses to change one."""
    archive = (FOLDER / f"{version}.zip").resolve()
    if archive.exists():
        sys.exit(f"{archive} is there, and archives are never changed; give a new version, or delete one that was not released")
    here, root = Path.cwd(), Path(tempfile.mkdtemp())
    try:
        write(root)
        os.chdir(here)
        pack(root, archive)
    finally:
        os.chdir(here)
        shutil.rmtree(root)
    print(f"{archive}: {archive.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])
