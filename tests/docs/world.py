"""A folder in which the names that the documents use are there: encoders, data, finished studies; all of it tiny."""

from __future__ import annotations

import csv
import os
import pickle
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

import striata

from ..command import run
from ..engine.models import make_encoder
from ..study.small import make_base, write_texts
from .blocks import ROOT, blocks_of

# The settings that every study of the documents has here, in the place of what they say or of the default.
SMALL: dict[str, Any] = {
    "data.validation": 60,
    "data.test": 24,
    "data.max_length": 32,
    "recipe.max_steps": 4,
    "recipe.evaluate_every": 2,
    "recipe.validation_rows": 24,
    "recipe.patience": None,
    "recipe.precision": "fp32",
    "search.trials": 3,
    "search.generation": 2,
    "baselines": ["lexical"],
}
_ONLY_WHERE_STATED = ("data.test", "search.trials", "search.generation")
NEW = 'A-0000,2026-11-02,"Stocks rise, bonds fall"\nA-0001,,Late goal wins the final\n'


def shrunk(study: dict[str, Any]) -> dict[str, Any]:
    """A study of the documents with the settings of :data:`SMALL`."""
    study = {key: dict(value) if isinstance(value, dict) else value for key, value in study.items()}
    for key, value in SMALL.items():
        group, _, name = key.rpartition(".")
        if not group:
            study[name] = value
        elif key not in _ONLY_WHERE_STATED or study.get(group, {}).get(name):
            study.setdefault(group, {})[name] = value
    return study


def readme_study() -> dict[str, Any]:
    """The study of the README."""
    study: dict[str, Any] = yaml.safe_load(next(block.text for block in blocks_of("README.md") if block.kind == "yaml"))
    return study


def write_study(path: Path, study: dict[str, Any]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(shrunk(study), sort_keys=False))


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Runs a block with `folder` as the working directory."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def call(command: str) -> int:
    """Runs a command, of striata in this process, and returns its exit code."""
    program, *arguments = shlex.split(command)
    if command.startswith("python -m zipfile "):
        return subprocess.run([sys.executable, *arguments], check=False).returncode
    assert program == "striata", command
    return run(*arguments)


def make_base_of(folder: Path, family: str) -> None:
    """An encoder of twelve layers, as those whose names the documents use."""
    parts = folder.parent / "parts"
    shutil.move(make_base(parts, family), folder)
    shutil.copytree(make_encoder(parts, family, layers=12), folder, dirs_exist_ok=True)
    shutil.rmtree(parts)


def make_world(folder: Path) -> Path:
    """Everything but finished studies."""
    make_base_of(folder / "FacebookAI/roberta-base", "roberta")
    make_base_of(folder / "sentence-transformers/all-MiniLM-L6-v2", "bert")
    shutil.copytree(folder / "FacebookAI/roberta-base", folder / "models/roberta-base")
    (folder / "fancyzhx/ag_news").mkdir(parents=True)
    write_texts(folder / "fancyzhx/ag_news/train.csv", 160)
    shutil.copy(folder / "fancyzhx/ag_news/train.csv", folder / "train.csv")
    shutil.copy(write_texts(folder / "test.csv", 40, seed=1), folder / "fancyzhx/ag_news/test.csv")
    (folder / "topics.csv").write_text((folder / "test.csv").read_text().replace("text,label", "text,topic"))
    write_texts(folder / "more.csv", 30, seed=2, labels=False)
    texts = write_texts(folder / "texts.csv", 40, seed=3, labels=False).read_text().splitlines()[1:]
    (folder / "new.csv").write_text("id,date,text\n" + NEW + "".join(f"B-{at},,{text}\n" for at, text in enumerate(texts)))
    with open(folder / "train.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for name, some in (("tickets.csv", rows), ("next-week.csv", rows[:20])):
        lines = [f"T-{at},{row['text']}" + (f",{row['label']}" if name == "tickets.csv" else "") for at, row in enumerate(some)]
        head = "ticket_id,subject" + (",team" if name == "tickets.csv" else "")
        (folder / name).write_text("\n".join([head, *lines]) + "\n")
    with open(folder / "test_unlabelled.pkl", "wb") as pickled:
        pickle.dump(pd.DataFrame({"text": texts}), pickled)
    (folder / "mine.yaml").write_text("name: mine\ndepth: 12\nlayout: 0-5 r2 query | 6-11 r4 query\n")
    write_study(folder / "study.yaml", readme_study())
    write_study(folder / "studies/search.yaml", yaml.safe_load((ROOT / "studies/search.yaml").read_text()))
    return folder


def train_world(folder: Path) -> Path:
    """The finished studies."""
    with inside(folder):
        agnews = {**readme_study(), "layouts": ["s1", "s8"], "controls": ["uniform", "reversed"]}
        striata.train(shrunk({**agnews, "ensemble": {"size": 4}}), device="cpu")
        for name, base in (("minilm", "sentence-transformers/all-MiniLM-L6-v2"), ("roberta", agnews["base"])):
            layouts = [{"layout": "0-11 r8 query", "name": "r8"}, "s8"]
            striata.train(shrunk({**readme_study(), "base": base, "layouts": layouts, "output": f"runs/{name}"}), device="cpu")
    shutil.copytree(folder / "runs/agnews", folder / "runs/mine")
    return folder


def names_for_python(folder: Path) -> dict[str, Any]:
    """What the Python blocks of a page may use without having made it."""
    import optuna

    frame, other = pd.read_csv(folder / "train.csv"), pd.read_csv(folder / "test.csv")
    return {"striata": striata, "optuna": optuna, "frame": frame, "other": other, "texts": list(other["text"])}


def is_layout(text: str) -> bool:
    return re.match(r"\d+(-\d+)? r\d", text) is not None
