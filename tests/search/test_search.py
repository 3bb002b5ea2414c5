"""Searches end to end on a tiny encoder."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import signal
import sqlite3
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import torch
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from typer.testing import CliRunner

import striata
from striata.cli.app import app
from striata.disk.documents import with_checksum
from striata.disk.files import sha256_file
from striata.errors import StriataError, StudyError
from striata.runs import Run, StudyFolder, leaderboard
from striata.search.halving import rungs
from striata.search.propose import quiet
from striata.search.record import Record
from striata.settings import load_study

from ..processes import python
from ..study.small import noting, study_of

BUDGET = 2_000
SEARCH = {
    "trials": 10, "generation": 4, "sections": [1, 3], "ranks": [1, 2, 4], "learning_rate": [1e-3, 0.1],
    "prune": {"reduction": 2, "after": 1},
}  # fmt: skip


def search_of(folder: Path, **changes: Any) -> dict[str, Any]:
    """A search over the small encoder's three layers."""
    search = SEARCH | changes.pop("search", {})
    return study_of(folder, **({"layouts": [], "search": search, "budget": BUDGET} | changes))


def trials_of(out: Path) -> list[optuna.trial.FrozenTrial]:
    """The record as any Optuna program reads it."""
    with quiet():
        return optuna.load_study(study_name=None, storage=f"sqlite:///{out / 'search.db'}").trials


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """As in the process that is killed: sums are then the same to the last bit."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, striata.Trained]:
    """A search that has run, not to be changed; its first layout is given."""
    folder = tmp_path_factory.mktemp("search")
    return folder, striata.train(search_of(folder, layouts=["0 r1 a4 query | 1-2 r4 a4 query"]))


def test_every_trial_is_a_run_within_the_budget(finished: tuple[Path, striata.Trained]) -> None:
    folder, trained = finished
    assert list(trained.runs) == [f"trial-{number:04}" for number in range(10)]
    assert not trained.failed
    for run in trained.runs.values():
        assert run.plan.trainable <= BUDGET
        receipt = json.loads((run.path / "receipt.json").read_text())
        assert receipt["trainable"] == run.plan.trainable
        live = [(site["module"], site["rank"], site["scale"], site["dropout"]) for site in receipt["sites"]]
        assert live == [(site.module, site.rank, site.scale, site.dropout) for site in run.plan.sites]
        assert 1e-3 <= run.facts.recipe["learning_rate"] <= 0.1
        assert len(run.validation().logits) == 40
    assert trained.runs["trial-0000"].plan.text == "0 r1 a4 query | 1-2 r4 a4 query"
    assert [row.run for row in leaderboard(StudyFolder.open(folder / "out"))][:2] == list(trained.ensemble.members)  # type: ignore[union-attr]
    assert not (folder / "out" / "stacks").exists()


def test_optunas_record_says_what_the_runs_say(finished: tuple[Path, striata.Trained]) -> None:
    folder, trained = finished
    for trial, run in zip(trials_of(folder / "out"), trained.runs.values(), strict=True):
        pruned = run.facts.stopped == "pruned"
        assert trial.state == (TrialState.PRUNED if pruned else TrialState.COMPLETE)
        assert trial.user_attrs["plan"] == run.plan.hash
        assert trial.user_attrs["learning_rate"] == run.facts.recipe["learning_rate"]
        measured = {int(e["step"] or 0): e["validation_accuracy"] for e in run.history() if e["validation_accuracy"] is not None}
        best = np.maximum.accumulate(list(measured.values())).tolist()
        assert trial.intermediate_values == dict(zip(measured, best, strict=True))
        assert trial.value == (best[-1] if pruned else run.metrics["accuracy"])


def test_a_search_looks_for_what_decides(tmp_path: Path) -> None:
    settings = search_of(tmp_path, search={"trials": 3, "generation": 3}, recipe={"best_by": "loss", "max_steps": 10})
    trained = striata.train(settings)
    for trial, run in zip(trials_of(tmp_path / "out"), trained.runs.values(), strict=True):
        losses = {int(e["step"] or 0): -e["validation_loss"] for e in run.history() if e["validation_loss"] is not None}
        best = np.maximum.accumulate(list(losses.values())).tolist()
        assert trial.intermediate_values == dict(zip(losses, best, strict=True))
        assert trial.value == (best[-1] if run.facts.stopped == "pruned" else -run.metrics["loss"])
        assert run.facts.best_step == min(losses, key=lambda step: -losses[step])
    assert {name: run.checksum for name, run in striata.train(settings).runs.items()} == {
        name: run.checksum for name, run in trained.runs.items()
    }


def test_the_weak_end_at_rungs_and_their_places_are_taken(finished: tuple[Path, striata.Trained]) -> None:
    _, trained = finished
    assert rungs(after=1, reduction=2, evaluations=4) == [1, 2]
    ended = {name: (run.facts.stopped, run.facts.steps) for name, run in trained.runs.items()}
    assert {steps for how, steps in ended.values() if how == "pruned"} <= {5, 10}
    assert {steps for how, steps in ended.values() if how != "pruned"} == {20}
    accuracy = {name: trial.intermediate_values for name, trial in zip(ended, trials_of(finished[0] / "out"), strict=True)}
    first = {name: accuracy[name][5] for name in list(ended)[:4]}  # the first generation, at its first rung
    limit = sorted(first.values(), reverse=True)[1]
    for name, value in first.items():
        assert (ended[name] == ("pruned", 5)) == (value < limit), name
    assert sum(how == "pruned" for how, _ in ended.values()) >= 3


def test_a_finished_search_is_left_as_it_is_and_can_be_made_longer(
    finished: tuple[Path, striata.Trained], tmp_path: Path
) -> None:
    folder, trained = finished
    shutil.copytree(folder, tmp_path / "copy")
    base = {
        "base": str(folder / "roberta"),
        "layouts": ["0 r1 a4 query | 1-2 r4 a4 query"],
        "output": str(tmp_path / "copy" / "out"),
    }
    before = {run.name: run.checksum for run in trained.runs.values()}
    lines: list[str] = []
    study = search_of(folder, **base)
    again = striata.train(study, listen=noting(lines))
    assert {run.name: run.checksum for run in again.runs.values()} == before
    assert any("all 10 trials are finished" in line for line in lines)
    more = striata.train(study | {"search": study["search"] | {"trials": 12}})
    assert list(more.runs) == [f"trial-{number:04}" for number in range(12)]
    assert before.items() <= {run.name: run.checksum for run in more.runs.values()}.items()


# One process that imports once and forks a child for each time the search is killed.
KILLED = textwrap.dedent("""
    import json, os, signal, sys
    import alembic, peft, pyarrow.parquet, scipy.stats, sklearn.metrics, sklearn.model_selection, torch, transformers
    import striata, striata.model, striata.search.rolling
    from striata.search.record import Record
    torch.set_num_threads(1)
    study, points = json.loads(sys.argv[1]), json.loads(sys.argv[2])
    for kind, nth, step in points:
        child = os.fork()
        if child:
            print(os.waitpid(child, 0)[1], flush=True)
            continue
        seen = []
        def tell(what, at):
            if (what, at) == (kind, step):
                seen.append(at)
                if len(seen) == nth:
                    os.kill(os.getpid(), signal.SIGKILL)
        add = Record.add
        def adding(record, trial):
            added = add(record, trial)
            tell("added", 0)
            return added
        Record.add = adding
        striata.train(study, listen=lambda event: tell(event.kind, event.step))
        os._exit(0)
""")


def test_killed_and_run_again_proposes_and_trains_bitwise_the_same(finished: tuple[Path, striata.Trained]) -> None:
    folder, _ = finished
    cut = search_of(folder, layouts=["0 r1 a4 query | 1-2 r4 a4 query"], output=str(folder / "cut"))
    # While the first generation is proposed; when the first new member is in the record but in no checkpoint; when one of a
    # rung's weak members has ended and the others have not; between the evaluations of a rung; between two rungs.
    points = [("added", 2, 0), ("added", 3, 0), ("finished", 1, 5), ("evaluated", 2, 10), ("step", 1, 12)]
    done = python(KILLED, json.dumps(cut), json.dumps([*points, ("nothing", 1, 0)]))
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(signal.SIGKILL.value)] * len(points) + ["0"], done.stderr
    one, other = (trials_of(folder / name) for name in ("out", "cut"))
    assert len(one) == len(other) == 10
    for a, b in zip(one, other, strict=True):
        assert (a.state, a.params, a.value, a.intermediate_values) == (b.state, b.params, b.value, b.intermediate_values)
        assert a.user_attrs == b.user_attrs
        runs = [Run.load(folder / name / "runs" / f"trial-{a.number:04}") for name in ("out", "cut")]
        for file in ("adapter_model.safetensors", "validation.parquet", "history.parquet", "receipt.json", "plan.json"):
            assert len({sha256_file(run.path / file) for run in runs}) == 1, f"{a.number}/{file}"
        assert runs[0].facts.stopped == runs[1].facts.stopped


def test_a_trial_that_fails_gives_its_place_away(tmp_path: Path) -> None:
    recipe = {"optimizer": "sgd", "clip": None, "max_steps": 10, "batch_size": 4}
    search = {"trials": 6, "generation": 3, "learning_rate": [1e-3, 1e30], "prune": None}
    trained = striata.train(search_of(tmp_path, search=search, recipe=recipe))
    assert trained.failed
    assert trained.runs
    states = {f"trial-{t.number:04}": t.state for t in trials_of(tmp_path / "out")}
    assert states == dict.fromkeys(trained.failed, TrialState.FAIL) | dict.fromkeys(trained.runs, TrialState.COMPLETE)
    assert len(states) == 6
    assert {run.facts.steps for run in trained.runs.values()} == {10}
    assert striata.train(search_of(tmp_path, search=search, recipe=recipe)).failed == trained.failed


def copied(finished: tuple[Path, striata.Trained], to: Path) -> dict[str, Any]:
    folder, _ = finished
    shutil.copytree(folder / "out", to / "out")
    return search_of(folder, layouts=["0 r1 a4 query | 1-2 r4 a4 query"], output=str(to / "out"))


def test_what_does_not_belong_together_is_refused(finished: tuple[Path, striata.Trained], tmp_path: Path) -> None:
    study = copied(finished, tmp_path)
    out = tmp_path / "out"
    with pytest.raises(StudyError, match=r"written by another study: there search.ranks is \[1, 2, 4\], here \[1, 2\]"):
        striata.train(study | {"search": study["search"] | {"ranks": [1, 2], "prune": None}, "layouts": []})
    record = (out / "search.db").read_bytes()
    (out / "search.db").unlink()
    with pytest.raises(StudyError, match=r"run trial-0000 is no trial of .*search\.db; restore that file"):
        striata.train(study)
    with quiet():
        optuna.create_study(study_name="thesis", storage=f"sqlite:///{tmp_path / 'other.db'}")
    shutil.copy(tmp_path / "other.db", out / "search.db")
    with pytest.raises(StudyError, match=r"search\.db holds other Optuna studies \(thesis\), not this search"):
        striata.train(study)
    (out / "search.db").write_bytes(b"not a database" * 100)
    with pytest.raises(StudyError, match=r"record .*search\.db cannot be used \(.*not a database.*restore the file") as caught:
        striata.train(study)
    assert "\n" not in str(caught.value)
    (out / "search.db").write_bytes(record)
    shutil.rmtree(out / "runs" / "trial-0003")
    with pytest.raises(StudyError, match=r"trial-0003 is finished in .*search\.db, but its run is gone"):
        striata.train(study)


def test_the_record_of_another_search_is_refused(finished: tuple[Path, striata.Trained], tmp_path: Path) -> None:
    study = copied(finished, tmp_path)
    other = study | {"search": study["search"] | {"seed": 5}, "output": str(tmp_path / "new")}
    (tmp_path / "new").mkdir()
    content = json.loads((tmp_path / "out" / "study.json").read_text())
    content["study"]["search"]["seed"] = 5
    (tmp_path / "new" / "study.json").write_text(json.dumps(with_checksum(content)))
    shutil.copy(tmp_path / "out" / "search.db", tmp_path / "new")
    with pytest.raises(StudyError, match=r"search\.db was written by another study: there search.seed is 0, here 5"):
        striata.train(other)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE trial_values SET value = value + 0.01 WHERE trial_id = 2",
        "UPDATE trial_params SET param_value = param_value * 1.5 WHERE param_name = 'learning_rate' AND trial_id = 2",
        "UPDATE trial_params SET param_name = 'rate' WHERE param_name = 'learning_rate' AND trial_id = 2",
        "UPDATE trial_intermediate_values SET intermediate_value = 0.125 WHERE trial_id = 2 AND step = 5",
        "UPDATE trials SET state = 'FAIL' WHERE trial_id = 2",
    ],
)
def test_a_trial_that_is_not_what_its_run_says_is_refused(
    finished: tuple[Path, striata.Trained], tmp_path: Path, change: str
) -> None:
    study = copied(finished, tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / "out" / "search.db")) as database, database:
        assert database.execute(change).rowcount == 1
    with pytest.raises(StudyError, match=r"run trial-0001 is no trial of .*search\.db; restore that file from a copy"):
        striata.train(study)


def test_a_torn_page_of_the_record_is_noticed(finished: tuple[Path, striata.Trained], tmp_path: Path) -> None:
    study = copied(finished, tmp_path)
    record = tmp_path / "out" / "search.db"
    data = record.read_bytes()
    size = int.from_bytes(data[16:18], "big")
    for page in range(1, len(data) // size, 5):
        if not any(data[page * size : page * size + size]):
            continue
        record.write_bytes(data[: page * size] + b"\xff" * size + data[(page + 1) * size :])
        with pytest.raises(StudyError, match=r"search\.db cannot be used \(.*restore the file") as caught:
            Record(record, load_study(study))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("attribute", "value", "message"),
    [
        ("format_version", 2, "format_version is 2, and this striata knows formats up to 1"),
        ("format_version", None, "format_version is None; expected a whole number"),
        ("settings", {}, "keys 'base', .* are missing"),
    ],
)
def test_a_record_that_is_not_what_was_written_is_refused(
    finished: tuple[Path, striata.Trained], tmp_path: Path, attribute: str, value: object, message: str
) -> None:
    study = copied(finished, tmp_path)
    with quiet():
        storage = RDBStorage(f"sqlite:///{tmp_path / 'out' / 'search.db'}")
        optuna.load_study(study_name="striata", storage=storage).set_user_attr(attribute, value)
    with pytest.raises(StudyError, match=rf"search\.db cannot be used: .*{message}"):
        striata.train(study)


def test_without_optuna_there_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = search_of(tmp_path)
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(StriataError, match=r"needs optuna .*run: pip install 'striata\[search\]'") as caught:
        striata.train(study)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_check_shows_the_space_and_train_the_trials(finished: tuple[Path, striata.Trained], tmp_path: Path) -> None:
    import yaml

    folder, trained = finished
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(copied(finished, tmp_path)))
    shown = CliRunner().invoke(app, ["check", str(file)])
    assert shown.exit_code == 0, shown.output
    for part in (
        "10 trials, 4 at a time", "1 to 3 over 3 layers", "the best 1 in 2 goes on", "at most 54 layouts before dropout",
        "it begins with these layouts", "over 10 trials, if none is pruned",
    ):  # fmt: skip
        assert part in shown.output, part
    as_json = json.loads(CliRunner().invoke(app, ["check", str(file), "--json"]).stdout)
    assert as_json["search"]["layouts"] == 54
    assert as_json["search"]["cost"]["steps"] == 200
    shown = CliRunner().invoke(app, ["train", str(file)])
    assert shown.exit_code == 0, shown.output
    best = leaderboard(StudyFolder.open(folder / "out"))[0].run
    assert f"best of 10 trials: {best}, learning rate" in shown.output
    assert trained.runs[best].plan.text in shown.output
    wrong = CliRunner().invoke(app, ["check", str(file), "--set", "search.sections=[1, 9]"])
    assert isinstance(wrong.exception, StudyError) or wrong.exit_code == 2


def test_many_trials_fit_on_the_board() -> None:
    from rich.console import Console

    from striata.cli.progress import TerminalBoard
    from striata.training.events import Event

    board = TerminalBoard()
    for number in range(40):
        board.take(Event(kind="step", member=f"trial-{number:04}", step=1, steps=9, loss=1.0, learning_rate=0.1))
        if number < 32:
            board.take(Event(kind="finished", member=f"trial-{number:04}", step=1, steps=9, message="pruned", best=0.5))
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(board.__rich__())
    lines = console.export_text().splitlines()
    assert len(lines) == 1 + 20 + 2
    assert "and 20 that ended earlier" in lines[-2]
    assert sum("pruned" in line for line in lines) == 12
