"""A study's folder: its settings, its checkpoint, its runs."""

from __future__ import annotations

import contextlib
import fcntl
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import RunError, StudyError
from ..files import read_json, write_json, writing
from .file import Study
from .members import Member
from .run import Run

FORMAT = 1
_FILE = "study.json"
# These may change between two calls: layouts and seeds can be added, the rest does not touch what was trained.
_FREE = ("layouts", "controls", "seeds", "ensemble", "output")


@dataclass(frozen=True, slots=True)
class StudyFolder:
    """A study's folder.

    Args:
        path: of the folder.
    """

    path: Path

    @classmethod
    def open(cls, path: str | Path) -> StudyFolder:
        """A folder that a study wrote.

        Raises:
            StudyError: it is none.
        """
        folder = cls(Path(path))
        if not folder.path.is_dir():
            raise StudyError(f"there is no folder {path}; check the path, which counts from {Path.cwd()}")
        if not (folder.path / _FILE).is_file():
            raise StudyError(f"{path} is no study's folder: it has no {_FILE}; give the `output` of a study")
        folder.settings()
        return folder

    @property
    def checkpoint(self) -> Path:
        """The file from which unfinished members go on."""
        return self.path / "checkpoint.safetensors"

    def settings(self) -> dict[str, Any]:
        """The settings of the study that wrote the folder.

        Raises:
            StudyError: they cannot be read.
        """
        try:
            content = read_json(self.path / _FILE)
            if not isinstance(content, dict) or content["format_version"] != FORMAT:
                raise ValueError("another format")
            found = content["study"]
            assert isinstance(found, dict)
        except (OSError, ValueError, KeyError, AssertionError) as error:
            raise StudyError(f"{self.path / _FILE} cannot be read ({error}); restore it, or choose another output") from error
        return found

    def run_folder(self, name: str) -> Path:
        """Where a member's run lies, finished or not."""
        return self.path / "runs" / name

    def runs(self) -> list[Run]:
        """The finished runs, by name.

        Raises:
            RunError: one is damaged.
        """
        found = self.path / "runs"
        folders = sorted(p for p in found.iterdir() if not p.name.startswith(".")) if found.is_dir() else []
        return [Run.load(folder) for folder in folders]

    def unfinished(self, members: Sequence[Member]) -> list[Member]:
        """The members that have neither a run nor a recorded failure; a run of the same plan, recipe and seed will do, whatever
        it is called.

        Raises:
            StudyError: a run was trained by another plan or recipe than the member's.
            RunError: a run is damaged.
        """
        runs, failed = {run.name: run for run in self.runs()}, self.failed()
        for member in members:
            run = runs.get(member.name)
            if run is None:
                continue
            if run.plan.hash != member.plan.hash:
                raise StudyError(other_study(self.path, f"run {member.name} has another plan"))
            if run.facts["recipe"] != member.recipe.model_dump(mode="json"):
                raise StudyError(other_study(self.path, f"run {member.name} was trained by another recipe"))
        same = {(run.plan.hash, json.dumps(run.facts["recipe"], sort_keys=True), run.facts["seed"]) for run in runs.values()}
        return [
            member
            for member in members
            if member.name not in failed
            and (member.plan.hash, json.dumps(member.recipe.model_dump(mode="json"), sort_keys=True), member.seed) not in same
        ]

    def failed(self) -> dict[str, str]:
        """Members that ended without a run, with the reason."""
        file = self.path / "failed.json"
        if not file.exists():
            return {}
        try:
            content = read_json(file)
            assert isinstance(content, dict)
        except (OSError, ValueError, AssertionError) as error:
            raise StudyError(f"{file} cannot be read ({error}); delete it to try the failed members again") from error
        return {name: str(reason) for name, reason in content.items()}

    def record_failure(self, name: str, reason: str) -> None:
        """Remembers that a member ended without a run."""
        write_json(self.path / "failed.json", {**self.failed(), name: reason})


def other_study(path: Path, what: str) -> str:
    """What to say of a folder that another study wrote."""
    return f"folder {path} was written by another study: {what}; choose another `output`, or delete the folder to train anew"


def _claim(study: Study) -> StudyFolder:
    path = Path(study.output).expanduser()
    wanted = study.to_dict()
    if path.is_dir() and any(child.name != ".lock" for child in path.iterdir()):
        folder = StudyFolder.open(path)
        check_fixed(path, folder.settings(), wanted)
    elif path.exists() and not path.is_dir():
        raise StudyError(f"output {path} is a file; choose a folder")
    write_json(path / _FILE, {"format_version": FORMAT, "study": wanted})
    return StudyFolder(path)


def fixed(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a study that may not change between two calls."""
    kept = {key: value for key, value in settings.items() if key not in _FREE}
    if kept.get("search"):  # its trials can be raised; its one seed is part of what it proposes
        kept["search"] = {key: value for key, value in kept["search"].items() if key != "trials"}
        kept["seeds"] = settings["seeds"]
    return kept


def check_fixed(path: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuses to go on where another study began.

    Args:
        path: what that study wrote.
        before: all of its settings.
        now: those of the study at hand.

    Raises:
        StudyError: names the first setting that differs.
    """
    there, here = fixed(before), fixed(now)
    for key in here:
        if there.get(key) != here[key]:
            raise StudyError(other_study(path, _difference(key, there.get(key), here[key])))


def _difference(key: str, before: Any, now: Any) -> str:
    if isinstance(before, dict) and isinstance(now, dict):
        inner = next(k for k in (*now, *before) if before.get(k) != now.get(k))
        return _difference(f"{key}.{inner}", before.get(inner), now.get(inner))
    return f"there {key} is {before!r}, here {now!r}"


@contextlib.contextmanager
def open_study_folder(study: Study) -> Iterator[StudyFolder]:
    """A study's folder, held by one process at a time; one that is new goes again when nothing was trained.

    Raises:
        StudyError: another study wrote it, or another process trains in it.
        StriataError: it cannot be written.
    """
    path = Path(study.output).expanduser()
    if path.exists() and not path.is_dir():
        raise StudyError(f"output {path} is a file; choose a folder")
    new = not path.exists()
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
        lock = open(path / ".lock", "w")  # noqa: SIM115
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StudyError(f"another process is training in {path}; wait for it, or choose another output") from None
        folder = _claim(study)
        try:
            yield folder
        except BaseException:
            if new and not folder.checkpoint.exists() and not (path / "runs").exists():
                shutil.rmtree(path, ignore_errors=True)
            raise


def find_run(path: str | Path) -> Run:
    """A run by its folder; a study's folder gets a hint.

    Raises:
        RunError: it is missing, unfinished or damaged.
    """
    folder = Path(path)
    if (folder / _FILE).is_file():
        raise RunError(
            f"{folder} is a study's folder; give one of its runs ({folder / 'runs'}/NAME) or its ensemble ({folder / 'ensemble'})"
        )
    return Run.load(folder)
