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
from striata.errors import RunError
from striata.runs import Run
from striata.training.events import Event

from ..processes import python
from .small import study_of, tree

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
    names = sorted(p.name for p in (tmp_path / "whole" / "runs").iterdir())
    assert len(names) == 3
    for name in names:
        one, other = (Run.load(tmp_path / folder / "runs" / name) for folder in ("whole", "cut"))
        for file in ("adapter_model.safetensors", "validation.parquet", "history.parquet", "receipt.json"):
            assert sha256_file(one.path / file) == sha256_file(other.path / file), f"{name}/{file}"
        assert one.metrics == other.metrics


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
