"""A process reads every byte of what it uses once, notices what has changed since, and believes no file that was added."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import striata
from striata.disk import files
from striata.disk.sealed import open_seal, read_sealed, sealing
from striata.ensemble import write_ensemble
from striata.errors import RunError, StudyError
from striata.report import write_report
from striata.runs import Run, StudyFolder, leaderboard

from ..report.studies import write_study
from ..study.small import study_of


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each file is read for its checksum, in a process that has read none yet."""
    counts: Counter[str] = Counter()
    digest = hashlib.file_digest

    def counted(file: Any, algorithm: str) -> Any:
        counts[str(Path(file.name).resolve())] += 1
        return digest(file, algorithm)

    monkeypatch.setattr(files.hashlib, "file_digest", counted)
    monkeypatch.setattr(files, "_DIGESTS", {})
    return counts


def settle(folder: Path) -> None:
    """Makes a folder's files old enough to be remembered."""
    earlier = time.time() - 10
    for file in folder.rglob("*"):
        os.utime(file, (earlier, earlier))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of four runs with an ensemble; not to be changed."""
    study = write_study(tmp_path_factory.mktemp("written") / "out", ["s1", "s9"], rows=80, steps=5)
    write_ensemble(study.path, size=2)
    settle(study.path)
    return study.path


def test_training_a_finished_study_reads_each_file_of_its_runs_once(tmp_path: Path, hashed: Counter[str]) -> None:
    study = study_of(tmp_path, recipe={"max_steps": 2, "evaluate_every": 2}, data={"test": str(tmp_path / "test.csv")})
    striata.train(study)
    settle(tmp_path)
    hashed.clear()
    files._DIGESTS.clear()
    striata.train(study)
    runs = tmp_path / "out" / "runs"
    sealed = {str(file.resolve()) for file in runs.rglob("*") if file.is_file() and file.name != "manifest.json"}
    assert len(list(runs.iterdir())) == 3
    assert {name: count for name, count in hashed.items() if str(runs) in name} == dict.fromkeys(sealed, 1)
    assert hashed[str((tmp_path / "roberta" / "model.safetensors").resolve())] == 1


def test_a_report_reads_each_file_once_and_a_leaderboard_reads_no_weights(written: Path, hashed: Counter[str]) -> None:
    leaderboard(StudyFolder.open(written))
    assert {Path(name).name for name in hashed} == {"run.json"}
    write_report(written)
    leaderboard(StudyFolder.open(written))
    assert set(hashed.values()) == {1}
    assert not any(name.endswith(".safetensors") for name in hashed)


USES: dict[str, Callable[[Run], object]] = {
    "adapter_model.safetensors": Run.tensors,
    "head.safetensors": Run.tensors,
    "validation.parquet": Run.validation,
    "receipt.json": Run.receipt,
    "plan.json": lambda run: run.plan,
}


@pytest.mark.parametrize("name", USES)
def test_damage_is_noticed_before_the_file_is_used_however_often_it_was_used(written: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(written, tmp_path / "out")
    path = tmp_path / "out" / "runs" / "s1-seed0"
    use = USES[name]
    use(Run.load(path))
    data = bytearray((path / name).read_bytes())
    data[len(data) // 2] ^= 1
    (path / name).write_bytes(data)
    run = Run.load(path)
    for attempt in (use, Run.check):
        with pytest.raises(RunError, match=f"is damaged: {name} is not what was written"):
            attempt(run)


def test_files_that_were_added_are_refused(written: Path, tmp_path: Path) -> None:
    shutil.copytree(written, tmp_path / "out")
    path = tmp_path / "out" / "runs" / "s1-seed0"
    (path / "README.md").write_text("a model card")
    (path / ".DS_Store").write_text("")
    Run.load(path)
    (path / "more").mkdir()
    (path / "more" / "head.safetensors").write_bytes(b"")
    with pytest.raises(RunError, match=r"holds more/head\.safetensors, which was not written with it; take it out"):
        Run.load(path)


def test_a_note_beside_the_runs_is_no_run(written: Path, tmp_path: Path) -> None:
    shutil.copytree(written, tmp_path / "out")
    runs = tmp_path / "out" / "runs"
    (runs / "notes.txt").write_text("the second one looks best")
    (runs / "empty").mkdir()
    (runs / "mine").mkdir()
    (runs / "mine" / "plots.png").write_bytes(b"")
    (runs / ".DS_Store").write_bytes(b"")
    study = StudyFolder.open(tmp_path / "out")
    assert len(leaderboard(study)) == 4
    assert study.strays() == [f"{runs / name} is no run, and is left out" for name in ("empty", "mine", "notes.txt")]
    (runs / "s1-seed0" / "manifest.json").unlink()  # of a run that was whole once
    with pytest.raises(RunError, match=r"s1-seed0 is no finished run: it has no manifest\.json"):
        leaderboard(study)


def test_what_lies_where_a_run_is_to_be_is_refused_before_it_is_trained(tmp_path: Path) -> None:
    place = tmp_path / "out" / "runs" / "one-seed0"
    study = study_of(tmp_path, layouts=[{"layout": "0-2 r2 query", "name": "one"}], recipe={"max_steps": 2, "evaluate_every": 2})
    striata.train(study)
    shutil.rmtree(place)
    place.mkdir()
    (place / "notes.txt").write_text("mine")
    with pytest.raises(StudyError, match="one-seed0 is no run, and a run of that name is to be trained; move it away"):
        striata.train(study)
    assert (place / "notes.txt").read_text() == "mine"
    (place / "notes.txt").unlink()
    assert list(striata.train(study).runs) == ["one-seed0"]


def test_a_folder_replaced_while_it_is_read_is_read_again(tmp_path: Path) -> None:
    def write(content: str) -> None:
        with sealing(tmp_path / "run", "run") as folder:
            (folder / "a").write_text(content)
            (folder / "b").write_text(content)

    write("old")
    attempts = []

    def read(seal: Any) -> tuple[str, str]:
        first = seal.file("a").read_text()
        attempts.append(first)
        if len(attempts) < 3:
            write(f"new {len(attempts)}")
        return first, seal.file("b").read_text()

    assert read_sealed(tmp_path / "run", "run", RunError, read) == ("new 2", "new 2")
    assert attempts == ["old", "new 1", "new 2"]
    before = open_seal(tmp_path / "run", "run", RunError)
    write("newer")
    with pytest.raises(RunError, match="was replaced while it was read; run the command again"):
        before.file("a")


def test_what_is_read_is_what_was_checked(tmp_path: Path) -> None:
    """A folder that is replaced between the check and the reading is not mixed with the new one."""

    def write(content: str) -> None:
        with sealing(tmp_path / "run", "run") as folder:
            (folder / "a").write_text(content)

    def replace(file: Path) -> str:
        write("new")
        return (file / "a" if file.is_dir() else file).read_text()

    for name in ("a", None):
        write("old")
        seal = open_seal(tmp_path / "run", "run", RunError)
        assert seal.read("a", Path.read_text) == "old"
        with pytest.raises(RunError, match="was replaced while it was read; run the command again"):
            seal.read(name, replace)


def test_a_file_that_may_not_be_read_is_not_called_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with sealing(tmp_path / "run", "run") as folder:
        (folder / "a").write_text("")
    seal = open_seal(tmp_path / "run", "run", RunError)

    def refuse(path: Path) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("striata.disk.sealed.sha256_file", refuse)
    with pytest.raises(RunError, match=r"cannot read .*/a: Permission denied; check that it is there and that you may read it"):
        seal.file("a")


def test_a_changed_file_is_read_anew(tmp_path: Path, hashed: Counter[str]) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"old")
    settle(tmp_path)
    for _ in range(2):
        assert files.sha256_file(file) == hashlib.sha256(b"old").hexdigest()
    assert hashed.total() == 1
    file.write_bytes(b"new")  # as long as before
    assert files.sha256_file(file) == hashlib.sha256(b"new").hexdigest()
    file.write_bytes(b"now")  # perhaps at the same time, as far as the file system's clock can tell
    assert files.sha256_file(file) == hashlib.sha256(b"now").hexdigest()
    other = tmp_path / "other"
    other.write_bytes(b"bad")
    settle(tmp_path)
    files.sha256_file(file)
    other.replace(file)
    assert files.sha256_file(file) == hashlib.sha256(b"bad").hexdigest()


def test_runs_that_stand_side_by_side_are_told_apart(written: Path) -> None:
    logits = [run.validation().logits for run in StudyFolder.open(written).runs()]
    assert len({array.tobytes() for array in logits}) == 4
    assert all(np.isfinite(array).all() for array in logits)
