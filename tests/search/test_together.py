"""One search that several processes train at the same time, on one folder."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import IO, Any

import optuna
import pytest
from optuna.storages.journal import JournalFileBackend, JournalStorage
from optuna.trial import FrozenTrial, TrialState

import striata
from striata.errors import StudyError
from striata.runs import Run
from striata.search.propose import quiet
from striata.search.record import JOURNAL, Record, share_record
from striata.settings import load_study
from striata.steps import plan_study
from striata.study.stack_folder import BusyError, StackFolder

from ..processes import talking
from ..study.small import study_of

SEARCH = {"trials": 7, "generation": 2, "sections": [1, 2], "ranks": [1, 2, 4], "prune": {"reduction": 2, "after": 1}}
# Tells what happens, and waits when its first trials are proposed, and behind the first checkpoint after an evaluation.
WORKER = """
import json, sys
import striata
seen = set()
def listen(event):
    point = "proposed" if event.kind == "note" and event.message.startswith("trial-") else event.kind
    if point == "finished":
        print("finished", event.member, flush=True)
    if point == "proposed" and point not in seen or point == "saved" and "evaluated" in seen and point not in seen:
        print(point, flush=True)
        sys.stdin.readline()
    seen.update({point} - {"saved"} if "evaluated" not in seen else {point})
striata.train(json.loads(sys.argv[1]), stacks=2, listen=listen)
print("through", flush=True)
"""


def search_of(folder: Path, **changes: Any) -> dict[str, Any]:
    """A search over the small encoder's three layers."""
    search = SEARCH | changes.pop("search", {})
    return study_of(folder, layouts=[], search=search, recipe={"max_steps": 10}, **changes)


def trials_of(out: Path) -> list[FrozenTrial]:
    """The record as any Optuna program reads it."""
    with quiet():
        storage = JournalStorage(JournalFileBackend(str(out / JOURNAL)))
        return optuna.load_study(study_name="striata", storage=storage).trials


def lines_until(told: IO[str], last: str) -> list[str]:
    """What a worker says, the last line included."""
    lines = []
    for line in told:
        lines.append(line.strip())
        if lines[-1] == last:
            return lines
    raise AssertionError(f"it ended before '{last}': {lines}")


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], list[str]]:
    """A search that one process ended, beside one that was killed twice: folder, settings, and the lines of all."""
    folder = tmp_path_factory.mktemp("together")
    study = search_of(folder)
    content, lines = json.dumps(study), []
    with talking(WORKER, content) as (_, second_reads, second):
        with talking(WORKER, content) as (first, _, told):
            lines += lines_until(told, "proposed")
            lines += lines_until(second, "proposed")  # the other stack is trained at the same time
            first.send_signal(signal.SIGKILL)  # its trials are in the record, and in no checkpoint
        with talking(WORKER, content) as (again, reads, told):
            lines += lines_until(told, "proposed")
            print(file=reads, flush=True)
            lines += lines_until(told, "saved")
            again.send_signal(signal.SIGKILL)  # now they are
        print("\n", file=second_reads, flush=True)
        lines += lines_until(second, "through")
    return folder, study, lines


Together = tuple[Path, dict[str, Any], list[str]]


def test_every_trial_is_trained_once_though_a_process_is_killed_twice(together: Together) -> None:
    folder, _, lines = together
    names = [f"trial-{number:04}" for number in range(7)]
    assert sorted(line for line in lines if line.startswith("finished")) == [f"finished {name}" for name in names]
    trials = trials_of(folder / "out")
    assert [trial.number for trial in trials] == list(range(7))
    assert all(trial.state.is_finished() for trial in trials)
    assert {trial.user_attrs["stack"] for trial in trials} == {"search", "search-2"}
    assert len({(trial.user_attrs["plan"], trial.user_attrs["learning_rate"]) for trial in trials}) == 7
    for trial, name in zip(trials, names, strict=True):
        run = Run.load(folder / "out" / "runs" / name)
        run.check()
        assert run.plan.hash == trial.user_attrs["plan"]
        assert (run.facts.stopped == "pruned") == (trial.state == TrialState.PRUNED)
    assert not (folder / "out" / "stacks").exists()
    assert not (folder / "out" / "search.db").exists()


def test_one_process_goes_on_with_what_several_began(together: Together, tmp_path: Path) -> None:
    folder, study, _ = together
    shutil.copytree(folder / "out", tmp_path / "out")
    longer = study | {"search": study["search"] | {"trials": 8}, "output": str(tmp_path / "out")}
    assert len(striata.train(longer).runs) == 8
    assert len(trials_of(tmp_path / "out")) == 8


def test_several_go_on_with_what_one_process_began(together: Together, tmp_path: Path) -> None:
    study = together[1]
    alone = study | {"search": study["search"] | {"trials": 2}, "output": str(tmp_path / "out")}
    striata.train(alone)
    with quiet():
        before = optuna.load_study(study_name="striata", storage=f"sqlite:///{tmp_path / 'out' / 'search.db'}").trials
    assert len(striata.train(alone | {"search": study["search"] | {"trials": 3}}, stacks=2).runs) == 3
    after = trials_of(tmp_path / "out")
    assert not (tmp_path / "out" / "search.db").exists()
    for one, other in zip(before, after[:2], strict=True):
        assert (one.state, one.params, one.value, one.intermediate_values, one.user_attrs) == (
            other.state, other.params, other.value, other.intermediate_values, other.user_attrs,
        )  # fmt: skip


def test_a_trial_that_is_not_what_its_run_says_is_refused(together: Together, tmp_path: Path) -> None:
    folder, study, _ = together
    shutil.copytree(folder / "out", tmp_path / "out")
    journal = tmp_path / "out" / JOURNAL
    value = trials_of(tmp_path / "out")[1].intermediate_values[5]
    journal.write_text(journal.read_text().replace(f'"intermediate_value":{value}', '"intermediate_value":0.125'))
    with pytest.raises(StudyError, match=r"no trial of .*search\.journal; restore that file from a copy"):
        striata.train(study | {"output": str(tmp_path / "out")})
    journal.write_text("no journal\n" + journal.read_text())
    with pytest.raises(StudyError, match=r"record .*search\.journal cannot be used \(.*restore the file") as caught:
        striata.train(study | {"output": str(tmp_path / "out")}, stacks=2)
    assert "\n" not in str(caught.value)


def test_a_line_that_was_cut_off_is_no_obstacle(together: Together, tmp_path: Path) -> None:
    folder, study, _ = together
    shutil.copy(folder / "out" / JOURNAL, tmp_path)
    record = Record(tmp_path / JOURNAL, load_study(study))
    with (tmp_path / JOURNAL).open("ab") as file:
        file.write(b'{"op_code":7,"worker')  # the disk was full
    assert len(record.trials()) == 7
    template = record.trials()[0]
    record.add(optuna.trial.create_trial(state=TrialState.RUNNING, params=template.params, distributions=template.distributions))
    assert len(record.trials()) == len(Record(tmp_path / JOURNAL, load_study(study)).trials()) == 8


def test_who_is_killed_while_he_proposes_holds_nobody_up(together: Together, tmp_path: Path) -> None:
    folder, study, _ = together
    shutil.copy(folder / "out" / JOURNAL, tmp_path)
    code = """
import json, sys
from pathlib import Path
from striata.search.record import Record
from striata.settings import load_study
with Record(Path(sys.argv[1]), load_study(json.loads(sys.argv[2]))).alone():
    print("alone", flush=True)
    sys.stdin.readline()
"""
    with talking(code, tmp_path / JOURNAL, json.dumps(study)) as (process, _, told):
        lines_until(told, "alone")
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        record = Record(tmp_path / JOURNAL, load_study(study))
        with record.alone():
            assert len(record.trials()) == 7


def test_what_one_process_trains_alone_is_not_shared_meanwhile(together: Together, tmp_path: Path) -> None:
    study = together[1] | {"output": str(tmp_path / "out")}
    work = plan_study(study)
    with StackFolder(work.folder.stacks / "search").held(), pytest.raises(BusyError):
        share_record(work.folder)
    assert not (tmp_path / "out" / JOURNAL).exists()


def test_stacks_without_a_cluster_are_for_a_search(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="stacks are for a search"):
        striata.train(study_of(tmp_path), stacks=2)
