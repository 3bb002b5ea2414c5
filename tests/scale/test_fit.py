"""`fit` whose adapters a cluster trains."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest
import torch

import striata
import striata.automl.places
from striata.automl.fitting import Request, fit_file
from striata.automl.places import Cluster
from striata.automl.timing import Costs, Training
from striata.errors import StudyError
from striata.scale.cluster import Machine, connected
from striata.scale.dealing import memory_of, places_of
from striata.scale.training import train_planned_on_cluster
from striata.settings import load_study
from striata.steps import plan_study, prepare_study, train_stacks
from striata.study import plan_members
from striata.study.race import Race
from striata.training.events import Event, nobody

from ..study.small import make_base, study_of, write_texts
from ..study.test_stacks import files_of

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.filterwarnings("ignore:.*:ResourceWarning", "ignore:.*:DeprecationWarning", "ignore:.*:FutureWarning"),
]


def test_its_adapters_are_those_of_one_process_with_the_same_stacks(
    cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_base(tmp_path, dropout=0.1)
    write_texts(tmp_path / "train.csv", 150)
    request = Request(
        source=str(tmp_path / "train.csv"), base=str(tmp_path / "roberta"), minutes=10, output=str(tmp_path / "cluster")
    )

    def share_rest(costs: Costs, seconds: float, *, places: int, remote: Costs) -> Training:
        assert (places, costs.rows) == (2, 120)
        assert 0 < remote.seconds_a_token < 1
        assert remote.measured_row is not None
        assert 0 < remote.row < remote.measured_row < 10
        return Training(members=2, steps=20, rates=(1.0,), dropout=False)

    monkeypatch.setattr(striata.automl.places, "share_rest", share_rest)
    events, ticks = list[Event](), count(0, 0.01)
    fitted = fit_file(request, listen=events.append, ray="auto", cores=1, now=lambda: next(ticks))
    notes = [event.message for event in events if event.kind == "note"]
    assert "1 machine: 2 stacks, 2 at a time, each with 1 core" in notes
    assert striata.load(fitted.model).predict(["good film"])

    study = load_study(fitted.folder / "study.yaml").model_copy(update={"output": str(tmp_path / "alone")})
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        work = plan_study(study, stacks=2)
        train_stacks(work, work.stacks)
    finally:
        torch.set_num_threads(threads)
    one = files_of(fitted.folder)
    assert len({name.partition("/")[0] for name in one}) == 2
    assert one == files_of(tmp_path / "alone")

    again = fit_file(request, ray="auto", cores=1, now=lambda: next(ticks))
    assert again.model == fitted.model
    assert files_of(fitted.folder) == one


def test_members_end_when_the_time_is_over(cluster: None, tmp_path: Path) -> None:
    work = plan_study(study_of(tmp_path, recipe={"max_steps": 10_000, "evaluate_every": 10}))
    with connected("auto", "a cluster") as machines:
        train_planned_on_cluster(work, machines, cores=1, listen=nobody, device="cpu", until=0.0)
    runs = list(work.folder.runs())
    assert {run.name for run in runs} == {member.name for member in work.members}
    assert {(run.facts.stopped, run.facts.steps) for run in runs} == {("time", 1)}


def test_a_race_on_a_cluster_is_run_to_its_end_though_the_time_is_over(cluster: None, tmp_path: Path) -> None:
    study = study_of(
        tmp_path, recipe={"max_steps": 400, "evaluate_every": 400}, race={"learning_rates": [0.01, 0.03], "survivors": 1}
    )
    work = plan_study(study)
    race = Race(work.prepared.study.race, [member.name for member in work.members])  # type: ignore[arg-type]
    with connected("auto", "a cluster") as machines:
        train_planned_on_cluster(work, machines, cores=1, listen=nobody, device="cpu", until=0.0)
    (run,) = work.folder.runs()
    assert (run.facts.stopped, run.facts.steps) == ("time", race.rungs(400)[-1])


def test_members_for_which_two_places_have_no_room_are_dealt_into_more_stacks(tmp_path: Path) -> None:
    prepared = prepare_study(study_of(tmp_path))
    members = plan_members(prepared.study, len(prepared.splits.labels))
    one = memory_of(members, prepared).of(1) + 1
    for room, stacks in ((100 * one, 2), (one, len(members))):
        machine = Machine(name="here", identity="1", cores=2, gpus=0, memory=2 * room)
        assert Cluster(places_of([machine], cores=1), "cpu").stacks(prepared) == stacks


def test_what_is_wrong_with_a_cluster_is_said_before_anything_is_written(tmp_path: Path) -> None:
    write_texts(tmp_path / "train.csv", 30)
    out = tmp_path / "out"
    for ray, cores, message in (
        (None, 2, r"cores says how a cluster is used; name the cluster, too"),
        ("auto", 0, r"cores is 0; expected at least 1"),
    ):
        with pytest.raises(StudyError, match=message):
            striata.fit(str(tmp_path / "train.csv"), output=out, ray=ray, cores=cores)
        assert not out.exists()
