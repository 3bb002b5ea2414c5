"""Studies and files on a Ray cluster: the numbers of one machine, whatever is killed meanwhile."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

import striata
from striata.disk.files import sha256_file
from striata.errors import ClusterError
from striata.model.finished import NOTES
from striata.model.many_files import files_of, predict_files
from striata.scale.cluster import check_shared, connected
from striata.steps import choose, collect, plan_study, train_stacks
from striata.training.events import Event

from ..command import run
from ..study.small import study_of, write_texts
from ..study.test_stacks import files_of as files_of_study

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.filterwarnings("ignore:.*:ResourceWarning", "ignore:.*:DeprecationWarning", "ignore:.*:FutureWarning"),
]


Trained = tuple[striata.Trained, list[Event], dict[str, Any]]


def workers(task: str) -> list[int]:
    """Process numbers of this process's workers that are at a task: Ray names the process by it."""
    numbers = []
    for place in Path("/proc").iterdir():
        try:
            command = (place / "cmdline").read_text() if place.name.isdigit() else ""
            if command.startswith(f"ray::striata {task}") and os.getpid() in (parent(place.name), parent(parent(place.name))):
                numbers.append(int(place.name))
        except OSError:
            continue
    return numbers


def parent(number: object) -> int:
    """Process number of a process's parent."""
    return int(Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.fixture(scope="module")
def trained(cluster: None, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A study trained by the cluster, of which a worker was killed behind a checkpoint; its events, and its settings."""
    folder = tmp_path_factory.mktemp("cluster")
    recipe = {"max_steps": 240, "evaluate_every": 40}
    study = study_of(folder, recipe=recipe, output=str(folder / "cluster"))
    events: list[Event] = []
    killed: list[int] = []

    def listen(event: Event) -> None:
        events.append(event)
        if event.kind == "saved" and not killed:
            saved = sorted((folder / "cluster" / "stacks").glob("*/checkpoint*"))
            killed.extend(workers(saved[0].parent.name)[:1] if saved else ())
            for number in killed:
                os.kill(number, signal.SIGKILL)

    result = striata.train(study, ray="auto", stacks=2, cores=1, listen=listen)
    assert killed
    return result, events, study


def test_the_runs_are_those_of_one_machine_though_a_worker_was_killed(
    trained: Trained,
) -> None:
    result, events, study = trained
    alone = {**study, "output": str(result.folder.with_name("alone"))}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        work = plan_study(alone, stacks=2)
        for name in work.stacks:
            train_stacks(work, [name])
        reference = choose(work, collect(work))
    finally:
        torch.set_num_threads(threads)
    assert files_of_study(result.folder) == files_of_study(Path(alone["output"]))
    assert result.ensemble is not None
    assert reference.ensemble is not None
    assert result.ensemble.metrics == reference.ensemble.metrics
    assert not (result.folder / "stacks").exists()
    notes = [event.message for event in events if event.kind == "note"]
    assert "1 machine: 2 stacks, 2 at a time, each with 1 core" in notes
    assert any("the stack goes on from its last checkpoint" in note for note in notes)
    assert any("going on with" in note for note in notes)
    assert {event.member for event in events if event.kind == "finished"} == set(result.runs)


def test_files_are_predicted_as_by_one_machine(trained: Trained, cluster: None, capsys: pytest.CaptureFixture[str]) -> None:
    folder = trained[0].folder
    for at in range(3):
        write_texts(folder.parent / f"part{at}.csv", 20, seed=at, labels=False)
    pattern, out = str(folder.parent / "part*.csv"), folder.parent / "shared"
    command = ("predict", folder, pattern, "--out", out, "--ray", "auto", "--only", "text")
    assert run(*command) == 0
    assert f"60 rows of 3 files predicted by 2 members, in {out}" in capsys.readouterr().out.replace("\n", " ")
    alone = folder.parent / "alone-files"
    assert predict_files(striata.load(folder), files_of(pattern, alone), {"only": ("text",)}) == 60
    times = []
    for at in range(3):
        assert sha256_file(out / f"part{at}.csv") == sha256_file(alone / f"part{at}.csv")
        times.append((out / f"part{at}.csv").stat().st_mtime_ns)
    assert run(*command) == 0
    assert [(out / f"part{at}.csv").stat().st_mtime_ns for at in range(3)] == times  # none was predicted again


def test_files_go_to_an_address_as_by_one_machine(
    trained: Trained, cluster: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, here = trained[0].folder, trained[0].folder.parent
    (here / "store").mkdir()
    (here / "answers" / NOTES).mkdir(parents=True)  # a store of objects has no folders
    for at in range(2):
        write_texts(here / "store" / f"rows{at}.csv", 20, seed=at, labels=False)
    pattern, out = f"file://{here}/store/rows*.csv", here / "answers"
    command = ("predict", folder, pattern, "--out", f"file://{out}", "--ray", "auto", "--only", "text")
    monkeypatch.setenv("XDG_CACHE_HOME", str(here / "caches"))
    assert run(*command) == 0
    assert "40 rows of 2 files predicted by 2 members" in capsys.readouterr().out.replace("\n", " ")
    alone = here / "alone-store"
    assert predict_files(striata.load(folder), files_of(pattern, alone), {"only": ("text",)}) == 40
    assert sha256_file(out / "rows0.csv") == sha256_file(alone / "rows0.csv")
    before = (out / "rows0.csv").stat().st_mtime_ns
    (out / "rows1.csv").write_text("half of i")
    assert run(*command) == 0
    assert (out / "rows0.csv").stat().st_mtime_ns == before  # what is whole stays, what was cut off is done again
    assert sha256_file(out / "rows1.csv") == sha256_file(alone / "rows1.csv")


def test_a_folder_that_a_machine_does_not_see_is_named(cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "study.json"
    file.write_text("{}")
    with connected("auto", "a cluster") as machines:
        check_shared(machines, file)
        monkeypatch.setattr(Path, "read_bytes", lambda _: b"what the driver sees")  # the machine reads another file
        with pytest.raises(ClusterError, match=f"does not see folder {tmp_path}, or another one of that name"):
            check_shared(machines, file)


def test_errors_of_a_stack_are_one_line(trained: Trained, cluster: None) -> None:
    result, _, study = trained
    more = {**study, "layouts": [*study["layouts"], "0-2 r2 query key"]}
    Path(study["base"], "model.safetensors").rename(result.folder.parent / "away")
    try:
        with pytest.raises(striata.StriataError, match=r"^stack-\w+ on .*: .*roberta"):
            striata.train(more, ray="auto", cores=1)
    finally:
        (result.folder.parent / "away").rename(Path(study["base"], "model.safetensors"))


def test_a_search_has_a_stack_in_every_place_and_a_killed_worker_costs_no_trial(cluster: None, tmp_path: Path) -> None:
    search = {"trials": 5, "generation": 2, "sections": [1, 2], "ranks": [1, 2, 4]}
    study = study_of(tmp_path, layouts=[], search=search, recipe={"max_steps": 40, "evaluate_every": 10})
    finished: list[str] = []
    killed: list[int] = []

    def listen(event: Event) -> None:
        if event.kind == "finished":
            finished.append(event.member)
        if event.kind == "saved" and not killed:
            killed.extend(workers("search")[:1])
            for number in killed:
                os.kill(number, signal.SIGKILL)

    trained = striata.train(study, ray="auto", stacks=2, cores=1, listen=listen)
    assert killed
    assert list(trained.runs) == [f"trial-{number:04}" for number in range(5)]
    assert set(finished) <= set(trained.runs)  # what the killed worker had yet to tell is lost, the run is not
    assert not (tmp_path / "out" / "stacks").exists()
    assert (tmp_path / "out" / "search.journal").exists()
