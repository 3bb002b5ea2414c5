"""Studies that were interrupted, and studies that become larger."""

from __future__ import annotations

import json
import os
import signal
import textwrap
from pathlib import Path
from typing import Any

import pytest

import striata
from striata.disk.files import sha256_file
from striata.ensemble import load_ensemble
from striata.errors import RunError
from striata.runs import Run
from striata.runs.refusal import refusals
from striata.training.events import Event

from ..processes import python
from .small import make_base, study_of, tree, write_texts

KILLED = textwrap.dedent("""
    import json, os, signal, sys
    import striata, torch
    torch.set_num_threads(1)
    study, kind, member, step = json.loads(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    seen = []
    def listen(event):
        if event.kind == kind and (kind == "saved" or event.step == step):
            seen.append(event)
            if len(seen) == member:
                os.kill(os.getpid(), signal.SIGKILL)
    striata.train(study, listen=listen)
""")


def run_killed(study: dict[str, Any], kind: str = "nothing", nth: int = 1, step: int = 0) -> int:
    done = python(KILLED, json.dumps(study), kind, nth, step)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode


def test_killed_and_run_again_is_bitwise_the_same(tmp_path: Path) -> None:
    layouts: list[Any] = study_of(tmp_path)["layouts"]
    # Members of different lengths: one leaves the stack while the others go on.
    layouts[1] = {"layout": layouts[1], "name": "short", "recipe": {"max_steps": 10}}
    whole = study_of(tmp_path, layouts=layouts, output=str(tmp_path / "whole"))
    cut = study_of(tmp_path, layouts=layouts, output=str(tmp_path / "cut"))
    assert run_killed(whole) == 0
    # In the middle of a step's report, just after a member ended but before the checkpoint, after a save, late.
    for kind, nth, step in (("step", 2, 3), ("saved", 1, 0), ("finished", 1, 10), ("step", 1, 12), ("evaluated", 2, 20)):
        assert run_killed(cut, kind, nth, step) == -signal.SIGKILL
    assert run_killed(cut) == 0
    assert len(equal_runs(tmp_path / "whole", tmp_path / "cut")) == 3


def equal_runs(whole: Path, cut: Path) -> list[tuple[Run, Run]]:
    """The runs of two studies, which have the same names and the same bytes."""
    names, others = (sorted(p.name for p in (folder / "runs").iterdir()) for folder in (whole, cut))
    assert names == others
    pairs = [(Run.load(whole / "runs" / name), Run.load(cut / "runs" / name)) for name in names]
    for one, other in pairs:
        for file in ("adapter_model.safetensors", "validation.parquet", "history.parquet", "receipt.json"):
            assert sha256_file(one.path / file) == sha256_file(other.path / file), f"{one.name}/{file}"
        assert one.metrics == other.metrics
    return pairs


def test_killed_while_it_adapts_and_run_again_is_bitwise_the_same(tmp_path: Path) -> None:
    """Adapted members and those without adaptation, which wait; two of the adapted ones share what is learned."""
    make_base(tmp_path, dropout=0.1, masked=True)
    write_texts(tmp_path / "train.csv", 150)
    write_texts(tmp_path / "test.csv", 40, seed=1)
    more = write_texts(tmp_path / "more.csv", 60, seed=2, labels=False)
    layouts = [
        {"layout": "0-2 r2 a4 d0.1 query value", "name": "all"},
        {"layout": "0-2 r2 a4 d0.1 query value", "name": "slow", "recipe": {"learning_rate": 0.003}},
        {"layout": "1-2 r3 a4 query", "name": "upper"},
    ]
    adapt = {"unlabelled": str(more), "steps": 30, "batch_size": 8}
    changes = {"layouts": layouts, "adapt": adapt, "recipe": {"max_steps": 6, "evaluate_every": 3}}
    whole, cut = (study_of(tmp_path, output=str(tmp_path / name), **changes) for name in ("whole", "cut"))
    assert run_killed(whole) == 0
    # Before anything is saved, as the first save ends, in between, after the last step, as training begins, after an evaluation.
    for kind, nth, step in (("adapting", 1, 3), ("saved", 1, 0), ("adapting", 2, 28), ("adapting", 3, 30), ("step", 1, 2)):
        assert run_killed(cut, kind, nth, step) == -signal.SIGKILL
    assert run_killed(cut, "evaluated", 1, 3) == -signal.SIGKILL
    assert run_killed(cut) == 0
    pairs = equal_runs(tmp_path / "whole", tmp_path / "cut")
    assert len(pairs) == 6
    assert all(one.facts.adapted == other.facts.adapted for one, other in pairs)
    assert sum(one.facts.adapted is not None for one, _ in pairs) == 3
    assert refusals(one for one, _ in pairs) == refusals(other for _, other in pairs)
    ensembles = [load_ensemble(tmp_path / name / "ensemble") for name in ("whole", "cut")]
    assert ensembles[0].members == ensembles[1].members


def test_ctrl_c_saves_and_the_same_call_goes_on(tmp_path: Path) -> None:
    pressed: list[Event] = []

    def interrupt(event: Event) -> None:
        if event.kind == "step" and event.step == 7 and not pressed:
            pressed.append(event)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        striata.train(study_of(tmp_path), listen=interrupt)
    assert len(list((tmp_path / "out" / "stacks").glob("*/checkpoint.safetensors"))) == 1
    steps: list[int] = []
    trained = striata.train(study_of(tmp_path), listen=lambda e: steps.append(e.step) if e.kind == "step" else None)
    assert len(trained.runs) == 3
    assert min(steps) >= 8


def test_a_layout_can_be_added_to_an_interrupted_study(tmp_path: Path) -> None:
    def stop(event: Event) -> None:
        if event.kind == "step" and event.step == 7:
            os.kill(os.getpid(), signal.SIGINT)

    layouts = study_of(tmp_path)["layouts"]
    with pytest.raises(KeyboardInterrupt):
        striata.train(study_of(tmp_path, layouts=layouts[:1], recipe={"max_steps": 10}), listen=stop)
    trained = striata.train(study_of(tmp_path, layouts=layouts[:2], recipe={"max_steps": 10}))
    assert len(trained.runs) == 2
    for run in trained.runs.values():
        assert json.loads((run.path / "receipt.json").read_text())["trainable"] == run.plan.trainable


def test_seeds_and_more_layouts_can_be_added(tmp_path: Path) -> None:
    layouts = study_of(tmp_path)["layouts"]
    first = striata.train(study_of(tmp_path, layouts=layouts[:1], recipe={"max_steps": 5}))
    before = tree(tmp_path / "out" / "runs")
    more = striata.train(study_of(tmp_path, layouts=layouts[:2], seeds=[0, 1], recipe={"max_steps": 5}))
    assert len(more.runs) == 4
    assert set(first.runs) < set(more.runs)
    assert before.items() <= tree(tmp_path / "out" / "runs").items()


def test_a_damaged_checkpoint_says_what_to_do(tmp_path: Path) -> None:
    def stop(event: Event) -> None:
        if event.kind == "saved":
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        striata.train(study_of(tmp_path), listen=stop)
    (checkpoint,) = (tmp_path / "out" / "stacks").glob("*/checkpoint.safetensors")
    checkpoint.write_bytes(checkpoint.read_bytes()[:200])
    with pytest.raises(RunError, match=r"cannot be read .* delete it to train its unfinished members from the start"):
        striata.train(study_of(tmp_path))
