"""The closed lists stand once: what is added to a table is known everywhere, and every entry is carried out."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from striata import choices
from striata.choices import (
    COMBINATIONS,
    CONTROLS,
    FORMS,
    HEADS,
    LOSSES,
    METHODS,
    OBJECTIVES,
    OPTIMIZERS,
    PRECISIONS,
    PREDICTIONS,
    RANKINGS,
    READERS,
    SCHEDULES,
    TARGETS,
    TASKS,
    TRACKERS,
    UNADAPTED,
    Choices,
    OptimizerChoice,
)  # fmt: skip
from striata.ensemble import combine
from striata.errors import StriataError, StudyError
from striata.layout import make_plan, resolve, shape_of
from striata.settings import Recipe, load_study
from striata.tasks import SINGLE_LABEL
from striata.tasks import TASKS as KNOWN_TASKS
from striata.training.optimizers import make_optimizer, make_schedule

TABLES = [value for value in vars(choices).values() if isinstance(value, Choices)]
STUDY: dict[str, Any] = {"base": "roberta-base", "data": {"train": "a.csv"}, "layouts": ["s8"], "output": "x"}
KEYS = (
    (HEADS, "head"),
    (TASKS, "task"),
    (CONTROLS, "controls"),
    (OPTIMIZERS, "recipe.optimizer"),
    (LOSSES, "recipe.loss"),
    (OBJECTIVES, "adapt.objective"),
    (SCHEDULES, "recipe.schedule"),
    (PRECISIONS, "recipe.precision"),
    (METHODS, "ensemble.method"),
    (COMBINATIONS, "ensemble.combine"),
    (RANKINGS, "ensemble.by"),
    (RANKINGS, "recipe.best_by"),
)


def with_value(key: str, name: str) -> dict[str, Any]:
    """A study with a name at a key."""
    group, _, last = key.rpartition(".")
    value = [name] if key == "controls" else name
    adapt = {"adapt": True} if key == "controls" else {}  # without, one of the controls would be of nothing
    return {**STUDY, group: {last: value}} if group else {**STUDY, **adapt, last: value}


@pytest.mark.parametrize(("table", "key"), KEYS, ids=[key for _, key in KEYS])
def test_a_study_takes_the_names_of_a_table_and_no_others(table: Choices[Any], key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, entry in table.items():
        if not getattr(entry, "merges", False):
            figures = {task.name for task in KNOWN_TASKS.values() if name in task.rankings} if table is RANKINGS else set()
            task = min(figures or getattr(entry, "tasks", ("single-label",)), key=list(KNOWN_TASKS).index)
            load_study({"task": task} | with_value(key, name))
    monkeypatch.setitem(table, "newcomer", next(iter(table.values())))
    monkeypatch.setitem(KNOWN_TASKS, "newcomer", SINGLE_LABEL)  # a task is an interface too
    monkeypatch.setattr(type(SINGLE_LABEL), "rankings", (*SINGLE_LABEL.rankings, "newcomer"))  # and a figure is a task's
    with pytest.raises(StudyError, match=r"expected .*newcomer \(did you mean 'newcomer'\?\)"):
        load_study(with_value(key, "newcommer"))
    load_study(with_value(key, "newcomer"))


def test_what_is_added_stands_in_the_help() -> None:
    code = """
import typer
from striata import choices
for table in vars(choices).values():
    if isinstance(table, choices.Choices):
        table[f"newcomer-{table.what.split()[0]}"] = next(iter(table.values()))
from striata.cli.app import app
for command in typer.main.get_command(app).commands.values():
    for parameter in command.params:
        print(parameter.help)
"""
    text = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    only_in_files = {"target", "schedule", "optimizer", "loss", "data", "baseline", "compression", "objective"}  # of no option
    assert set(re.findall(r"newcomer-(\w+)", text)) == {table.what.split()[0] for table in TABLES} - only_in_files


def test_every_head_control_and_target_is_planned() -> None:
    for head, entry in HEADS.items():
        plan = make_plan("s8", base="roberta-base", labels=4, head=head)
        assert plan.head.kind == head
        assert entry.pooling in (None, plan.head.pooling)
    shape = shape_of("roberta-base")
    plain = resolve("s8", shape)
    made = {control: resolve(f"s8:{control}", shape) for control in CONTROLS if control != UNADAPTED}  # which is no other layout
    assert len({layout.layout.text for layout in (plain, *made.values())}) == len(CONTROLS)
    families = [shape_of(base).family for base in ("roberta-base", "answerdotai/ModernBERT-base")]
    assert set().union(*(family.targets for family in families)) == set(TARGETS)


def test_every_optimizer_and_schedule_is_made() -> None:
    for name, entry in OPTIMIZERS.items():
        weight = nn.Parameter(torch.ones(2, 2))
        optimizer = make_optimizer(Recipe(optimizer=name), {"weight": weight})
        assert type(optimizer) is resolve_name(entry.factory)
        for key, value in {**entry.settings, **entry.fixed}.items():
            assert optimizer.param_groups[0][key] == value
    for name in SCHEDULES:
        recipe, rates = Recipe(optimizer="sgd", schedule=name, max_steps=10, warmup=0), []
        for step in (0, 9):
            optimizer = make_optimizer(recipe, {"weight": nn.Parameter(torch.ones(2, 2))})
            make_schedule(recipe, optimizer, rows=1000, step=step)
            rates.append(optimizer.param_groups[0]["lr"])
        assert (rates[0] == rates[1]) == (name == "constant")


def test_an_optimizer_is_one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = OptimizerChoice("Hinton", factory="torch.optim:RMSprop", settings={"alpha": 0.98}, fixed={"foreach": False})
    monkeypatch.setitem(OPTIMIZERS, "rmsprop", entry)
    recipe = load_study(with_value("recipe.optimizer", "rmsprop")).recipe
    optimizer = make_optimizer(recipe, {"weight": nn.Parameter(torch.ones(2, 2))})
    assert isinstance(optimizer, torch.optim.RMSprop)
    assert optimizer.defaults["alpha"] == 0.98


def test_every_other_entry_is_carried_out() -> None:
    rng = np.random.default_rng(0)
    logits, targets = rng.normal(size=(2, 50, 3)).astype(np.float32), rng.integers(0, 3, 50)
    assert len({combine(logits, [0.5, 0.5], kind).tobytes() for kind in COMBINATIONS}) == len(COMBINATIONS)
    assert len({SINGLE_LABEL.score(logits[0], targets, by) for by in SINGLE_LABEL.rankings}) == len(SINGLE_LABEL.rankings)
    assert set(RANKINGS) == {by for task in KNOWN_TASKS.values() for by in task.rankings}
    assert set(KNOWN_TASKS) == set(TASKS)
    for entry in READERS.values():
        assert callable(resolve_name(entry.reader))
    for precision in PRECISIONS.values():
        assert precision.dtype is None or isinstance(getattr(torch, precision.dtype), torch.dtype)
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    assert set(TRACKERS) <= set(LOGGER_TYPE_TO_CLASS)


def test_no_other_module_lists_the_names_again() -> None:
    """No tuple, list or Literal elsewhere holds two names of one table side by side."""
    for table in TABLES:
        names = "|".join(re.escape(name) for name in table)
        pair = re.compile(rf"[(\[]\s*\"({names})\",\s*\"({names})\"")
        for path in Path(choices.__file__).parent.rglob("*.py"):
            match = pair.search(path.read_text())
            assert path.name == "choices.py" or match is None or table in (RANKINGS, TARGETS), f"{path}: {match}"


def test_a_message_names_the_nearest() -> None:
    with pytest.raises(StriataError, match=r"^unknown format 'labls' \(did you mean 'labels'\?\); expected labels or id-label$"):
        FORMS.check("labls", StriataError)
    assert PREDICTIONS.help == ".csv (CSV), .jsonl (JSON Lines) or .parquet (Parquet)"
