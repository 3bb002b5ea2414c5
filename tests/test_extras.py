"""What striata does without its optional packages, and the line it says where one is missing."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml

from striata.extras import EXTRAS

from .hidden import run_without
from .study.small import study_of, write_texts
from .study.synthetic import logits_of, write_synthetic_study

ROOT = Path(__file__).parents[1]
OPTIONAL = (*sorted({*EXTRAS} - {"huggingface_hub"}), "peft", "markupsafe")  # transformers brings huggingface_hub


def names(requirements: Sequence[str]) -> set[str]:
    return {re.split(r"[<>=\[;! ]", line)[0].lower().replace("-", "_") for line in requirements}


def test_the_extras_are_those_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for_developers = ("dev", "all", "docs", "notebooks")
    listed = {package: extra for extra, lines in extras.items() if extra not in for_developers for package in names(lines)}
    assert listed == EXTRAS
    assert extras["all"] == [f"striata[{','.join(sorted(set(EXTRAS.values())))}]"]
    assert not names(project["dependencies"]) & set(OPTIONAL)


def test_training_and_predicting_need_no_extra(tmp_path: Path) -> None:
    study = study_of(tmp_path, recipe={"max_steps": 4, "evaluate_every": 2}, layouts=["0-2 r2 query", "1-2 r3 query value"])
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    write_texts(tmp_path / "new.csv", 30, labels=False)
    out, texts = tmp_path / "out", tmp_path / "test.csv"
    commands = (
        ["plan", "s8", "--base", "roberta-base", "--labels", 4],
        ["check", tmp_path / "study.yaml"],
        ["train", tmp_path / "study.yaml"],
        ["leaderboard", out],
        ["ensemble", out, "--size", 2],
        ["evaluate", out / "ensemble", texts],
        ["stress", out / "ensemble", texts, "--rows", 10],
        ["shift", out / "ensemble", "--known", texts, "--unlabelled", tmp_path / "new.csv", "--permutations", 20],
        ["predict", out / "ensemble", tmp_path / "new.csv", "--out", tmp_path / "predictions.parquet"],
    )
    results = run_without(*((OPTIONAL, command) for command in commands))
    assert [(code, err) for code, _, err in results if code] == []
    assert "30 rows predicted by 2 members" in results[-1][1]


MISSING = (
    ("fastapi", "serve out", "a server needs fastapi (No module named 'fastapi'); {serve}"),
    ("uvicorn", "serve out", "a server needs uvicorn (No module named 'uvicorn'); {serve}"),
    ("prometheus_client", "serve out", "a server needs prometheus_client (No module named 'prometheus_client'); {serve}"),
    ("cleanlab", "audit study.yaml", "the audit of labels needs cleanlab (No module named 'cleanlab'); {labels}"),
    ("jinja2", "report out", "a report needs jinja2 (No module named 'jinja2'); {report}"),
    ("matplotlib", "report out --png figures", "drawing PNG files needs matplotlib (No module named 'matplotlib'); {report}"),
    ("jinja2", "card out", "a model card needs jinja2 (No module named 'jinja2'); {report}"),
    ("huggingface_hub", "card out", "a model card needs huggingface_hub (No module named 'huggingface_hub'); {report}"),
    ("optuna", "train search.yaml", "a study with `search` needs optuna (No module named 'optuna'); {search}"),
    ("sqlalchemy", "train search.yaml", "a study with `search` needs sqlalchemy (No module named 'sqlalchemy'); {search}"),
    ("ray", "train study.yaml --ray local", "a cluster needs ray (No module named 'ray'); {ray}"),
    ("accelerate", "report out --track wandb", "tracker 'wandb' needs accelerate (No module named 'accelerate'); {trackers}"),
    (
        "tensorboard", "train study.yaml --track tensorboard",
        "tracker 'tensorboard' needs tensorboard (No module named 'tensorboard'); {trackers}",
    ),
    (
        "datasets", "train study.yaml --set data.train=ag/news",
        "data 'ag/news' is neither a file nor a folder here, and fetching it from the Hub needs datasets "
        "(No module named 'datasets'); {hub}",
    ),
)  # fmt: skip


def test_what_is_missing_is_named_with_the_line_that_installs_it(tmp_path: Path) -> None:
    study = study_of(tmp_path)
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    (tmp_path / "search.yaml").write_text(yaml.safe_dump(study | {"search": {"trials": 2}}))
    labels = np.arange(30) % 3
    write_synthetic_study(tmp_path / "out", {("s8", 0): logits_of(labels < 2, labels)}, labels)
    parts = [[str(tmp_path / p) if (tmp_path / p).exists() else p for p in command.split()] for _, command, _ in MISSING]
    extra = {name: f"run: pip install 'striata[{name}]'" for name in EXTRAS.values()}
    results = run_without(*(([hidden], part) for (hidden, _, _), part in zip(MISSING, parts, strict=True)))
    for (_, command, line), (code, _, err) in zip(MISSING, results, strict=True):
        assert (code, err) == (2, f"error: {line.format(**extra)}\n"), command
