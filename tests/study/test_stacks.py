"""Studies of several stacks, each trained by a process of its own; steps that meet only at the folder."""

from __future__ import annotations

import json
import os
import signal
import textwrap
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any

import pytest
import torch

import striata
from striata.disk.files import sha256_file
from striata.disk.locks import holding
from striata.errors import RunError, StudyError
from striata.runs import StudyFolder
from striata.steps import choose, collect, plan_study, train_stacks
from striata.training.events import Event

from ..processes import Process, talking
from .small import noting, study_of

SHORT = {"max_steps": 6, "evaluate_every": 2}
# Plans in two stacks, trains one of them when told to, and may die at a step of its own choice.
WORKER = textwrap.dedent("""
    import json, os, signal, sys
    import torch
    from striata.steps import plan_study, train_stacks
    study, (threads, at, step) = json.loads(sys.argv[1]), map(int, sys.argv[2:])
    torch.set_num_threads(threads)
    work = plan_study(study, stacks=2)
    print(json.dumps(work.stacks), flush=True)
    sys.stdin.readline()
    def listen(event):
        if event.kind == "step" and event.step == step:
            os.kill(os.getpid(), signal.SIGKILL)
    train_stacks(work, work.stacks[at : at + 1], listen=listen)
""")


def worker(study: dict[str, Any], at: int, step: int = 0) -> AbstractContextManager[tuple[Process, IO[str], IO[str]]]:
    return talking(WORKER, json.dumps(study), torch.get_num_threads(), at, step)


def files_of(folder: Path) -> dict[str, str]:
    """Checksums of what the adapters of a study consist of."""
    kinds = ("adapter_model.safetensors", "validation.parquet", "history.parquet", "receipt.json")
    runs = [run for run in StudyFolder.open(folder).runs() if run.kind == "adapter"]
    return {f"{run.name}/{kind}": sha256_file(run.path / kind) for run in runs for kind in kinds}


def test_two_processes_train_two_stacks_of_one_study_at_the_same_time(tmp_path: Path) -> None:
    one = study_of(tmp_path, recipe=SHORT, seeds=[0, 1], output=str(tmp_path / "one"))
    two = {**one, "output": str(tmp_path / "two")}
    alone = plan_study(one, stacks=2)
    for name in alone.stacks:
        train_stacks(alone, [name])
    with worker(two, 0) as first, worker(two, 1, step=4) as second:
        for _, _, telling in (first, second):
            assert tuple(json.loads(telling.readline())) == alone.stacks
        for _, told, _ in (first, second):
            print("go", file=told, flush=True)
        assert (first[0].wait(), second[0].wait()) == (0, -signal.SIGKILL)
    # The second died; what the first did stands, and anybody goes on with the other from its checkpoint.
    rest = plan_study(two, stacks=2)
    assert rest.stacks == alone.stacks[1:]
    assert len(collect(rest)) == 3
    steps: list[int] = []
    train_stacks(rest, listen=lambda e: steps.append(e.step) if e.kind == "step" else None)
    assert min(steps) == 3
    lines: list[str] = []
    work = plan_study(two, stacks=2, listen=noting(lines))
    assert work.stacks == ()
    assert f"all 6 members are finished in {tmp_path / 'two'}; nothing to train" in lines
    trained = choose(work, collect(work))
    assert set(trained.runs) == {member.name for member in work.members}
    assert len(trained.runs) == 6
    assert trained.ensemble is not None
    assert files_of(tmp_path / "two") == files_of(tmp_path / "one")
    assert not (tmp_path / "two" / "stacks").exists()


def test_a_stack_is_trained_by_one_process_at_a_time(tmp_path: Path) -> None:
    study = study_of(tmp_path, recipe=SHORT)
    work = plan_study(study, stacks=2)
    first, second = work.stacks
    with holding(tmp_path / "out" / "stacks" / first / ".lock"):
        with pytest.raises(StudyError, match=rf"another process is training in .*out \(stack {first}\); wait for it"):
            train_stacks(work, [first])
        with pytest.raises(StudyError, match="another process is training in"):
            striata.train(study)
        assert plan_study(study, stacks=2).stacks == (second,)
        train_stacks(work, [second])
    assert len(collect(work)) == 1
    assert plan_study(study, stacks=2).stacks == (first,)
    # What another process has trained meanwhile, or planned anew, is not trained again.
    with pytest.raises(StudyError, match=f"stack {second} of .* is no longer planned"):
        train_stacks(work, [second])
    assert len(striata.train(study).runs) == 3
    with pytest.raises(StudyError, match=f"stack {first} of .* is no longer planned"):
        train_stacks(work, [first])


def test_members_that_are_added_get_a_stack_beside_those_that_had_begun(tmp_path: Path) -> None:
    def stop(event: Event) -> None:
        if event.kind == "step" and event.step == 3:
            os.kill(os.getpid(), signal.SIGINT)

    layouts = study_of(tmp_path)["layouts"]
    work = plan_study(study_of(tmp_path, recipe=SHORT, layouts=layouts[:2]), stacks=2)
    with pytest.raises(KeyboardInterrupt):
        train_stacks(work, work.stacks[:1], listen=stop)
    more = study_of(tmp_path, recipe=SHORT, layouts=layouts)
    again = plan_study(more, stacks=1)
    assert again.stacks[:2] == work.stacks
    assert len(again.stacks) == 3
    # One process alone keeps what had begun, and makes one stack of the rest.
    alone = plan_study(more)
    assert alone.stacks[0] == work.stacks[0]
    assert len(alone.stacks) == 2
    assert {path.name for path in (tmp_path / "out" / "stacks").iterdir()} == set(alone.stacks)
    steps: list[int] = []
    train_stacks(alone, listen=lambda e: steps.append(e.step) if e.kind == "step" else None)
    assert steps == [4, 5, 6, *(step for step in range(1, 7) for _ in range(2))]
    assert len(collect(alone)) == 3


def test_wrong_stacks_are_named(tmp_path: Path) -> None:
    study = study_of(tmp_path, recipe=SHORT)
    with pytest.raises(StudyError, match="0 stacks were asked for; expected at least 1"):
        plan_study(study, stacks=0)
    work = plan_study(study, stacks=2)
    with pytest.raises(StudyError, match=f"no stack 'first' remains to be trained; expected one of {', '.join(work.stacks)}"):
        train_stacks(work, ["first"])
    search = plan_study(
        study_of(tmp_path, layouts=[], search={"trials": 2, "sections": [1, 2]}, output=str(tmp_path / "search")), stacks=2
    )
    assert search.stacks == ("search", "search-2")
    with pytest.raises(StudyError, match="no stack 'first' remains to be trained; expected one of search, search-2"):
        train_stacks(search, ["first"])
    file = tmp_path / "out" / "stacks" / work.stacks[0] / "stack.json"
    whole = file.read_text()
    for damage in ("[]", "{", whole.replace("layout-", "layouts-", 1)):
        file.write_text(damage)
        with pytest.raises(StudyError, match=r"stack\.json cannot be read: .+; delete its folder to plan anew the members"):
            plan_study(study, stacks=2)


def test_a_folder_in_which_nothing_was_trained_goes_again(tmp_path: Path) -> None:
    study = study_of(tmp_path, recipe=SHORT, layouts=["0-2 r2 query"], ensemble={"size": 1})
    weights = tmp_path / "roberta" / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-100])
    with pytest.raises(striata.StriataError, match="cannot be loaded"):
        striata.train(study)
    assert not (tmp_path / "out").exists()
    weights.write_bytes(whole)
    runs = striata.train(study).runs
    weights.write_bytes(whole[:-100])
    with pytest.raises(striata.StriataError, match="cannot be loaded"):
        striata.train({**study, "seeds": [0, 1]})
    assert set(collect(plan_study(study))) == set(runs)
    (tmp_path / "out" / "stacks").mkdir()  # as it is behind a process that was killed when its last stack had gone
    plan_study(study)
    assert not (tmp_path / "out" / "stacks").exists()


def test_a_damaged_run_is_not_collected(tmp_path: Path) -> None:
    study = study_of(tmp_path, recipe=SHORT, layouts=["0-2 r2 query"], ensemble={"size": 1})
    work = plan_study(study)
    train_stacks(work)
    (run,) = collect(work).values()
    (run.path / "history.parquet").write_bytes(b"")
    with pytest.raises(RunError, match=r"history\.parquet is not what was written"):
        collect(work)
