"""A study's folder: its settings, its checkpoint, its runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..disk.documents import Document, Exact, strictly
from ..disk.sealed import NAME as MANIFEST
from ..disk.system import reading
from ..disk.workplace import sweep
from ..errors import RunError, StudyError
from ..settings import Study, load_study
from .run import RUN, Run

SETTINGS = "study.json"
FAILED = "failed"


class _Settings(Exact):
    study: dict[str, Any]
    data_fingerprint: str
    tokenizer_sha256: str
    counted_from: str = ""


def _checked(fields: dict[str, Any]) -> _Settings:
    settings = strictly(_Settings)(fields)
    return settings.model_copy(update={"study": load_study(settings.study).to_dict()})


class _Failure(Exact):
    member: str
    reason: str


_SETTINGS = Document(kind="study", parse=_checked, error=StudyError, advice="restore it from a copy, or choose another output")
_FAILURE = Document(kind="failure", parse=strictly(_Failure), error=StudyError, advice="delete it to try that member again")


@dataclass(frozen=True, slots=True)
class StudyFolder:
    """A study's folder.

    Args:
        path: of the folder.
    """

    path: Path

    @classmethod
    def open(cls, path: str | Path) -> StudyFolder:
        """A folder that a study wrote; what processes left in it that were killed is put in order.

        Raises:
            StudyError: it is none.
        """
        folder = cls(Path(path))
        with reading(folder.path, StudyError):
            if not folder.path.is_dir():
                raise StudyError(f"there is no folder {path}; check the path, which counts from {Path.cwd()}")
            if not (folder.path / SETTINGS).is_file():
                raise StudyError(f"{path} is no study's folder: it has no {SETTINGS}; give the `output` of a study")
        folder.settings()
        sweep(folder.path)
        return folder

    @property
    def stacks(self) -> Path:
        """Where the stacks lie that are planned or under training, each in a folder of its name."""
        return self.path / "stacks"

    def settings(self) -> dict[str, Any]:
        """The settings of the study that wrote the folder, with paths as they stand in its file.

        Raises:
            StudyError: they cannot be read.
        """
        return _SETTINGS.read(self.path / SETTINGS).study

    def study(self) -> Study:
        """The study that wrote the folder, its paths found from the current folder, and this folder as its output.

        Raises:
            StudyError: as :meth:`settings`.
        """
        content = _SETTINGS.read(self.path / SETTINGS)
        study = load_study(content.study)
        if content.counted_from:
            study = study.counted_from(self.path / content.counted_from, here=("output",))
        return study.model_copy(update={"output": str(self.path)})

    def data_fingerprint(self) -> str:
        """SHA-256 over the rows that its members are trained on.

        Raises:
            StudyError: as :meth:`settings`.
        """
        return _SETTINGS.read(self.path / SETTINGS).data_fingerprint

    def tokenizer_sha256(self) -> str:
        """SHA-256 over the files of the tokenizer that made the token ids of these rows.

        Raises:
            StudyError: as :meth:`settings`.
        """
        return _SETTINGS.read(self.path / SETTINGS).tokenizer_sha256

    def write_settings(
        self, settings: Mapping[str, Any], data_fingerprint: str, tokenizer_sha256: str, counted_from: str = ""
    ) -> None:
        """Writes what :meth:`settings`, :meth:`data_fingerprint` and :meth:`tokenizer_sha256` read.

        Args:
            settings: of the study.
            data_fingerprint: SHA-256 over its rows.
            tokenizer_sha256: over the files of its tokenizer.
            counted_from: the folder that its paths count from, as a path from this one; empty for whatever is the current one.
        """
        fields = {
            "study": dict(settings),
            "data_fingerprint": data_fingerprint,
            "tokenizer_sha256": tokenizer_sha256,
            "counted_from": counted_from,
        }
        _SETTINGS.write(self.path / SETTINGS, fields)

    def run_folder(self, name: str) -> Path:
        """Where a member's run lies, finished or not."""
        return self.path / "runs" / name

    def runs(self) -> list[Run]:
        """The finished runs, by name; files that lie beside them are nobody's.

        Raises:
            RunError: one is damaged.
        """
        return [Run.load(path) for path in self._beside() if is_run(path)]

    def strays(self) -> list[str]:
        """A sentence on each file and folder that lies beside the runs and is none."""
        return [f"{path} is no run, and is left out" for path in self._beside() if not is_run(path)]

    def _beside(self) -> list[Path]:
        with reading(self.path, RunError):
            inside = (self.path / "runs").iterdir() if (self.path / "runs").is_dir() else ()
            return sorted(path for path in inside if not path.name.startswith("."))

    def finished(self) -> list[Run]:
        """:meth:`runs`, of which there is at least one.

        Raises:
            StudyError: none is finished.
            RunError: one is damaged.
        """
        runs = self.runs()
        if not runs:
            raise StudyError(f"{self.path} has no finished run yet; run `striata train` with its study")
        return runs

    def failed(self) -> dict[str, str]:
        """Members that ended without a run, by name, with the reason.

        Raises:
            StudyError: a record of one cannot be read.
        """
        with reading(self.path, StudyError):
            files = sorted(file for file in (self.path / FAILED).glob("*.json") if not file.name.startswith("."))
        failures = [_FAILURE.read(file) for file in files]
        return {failure.member: failure.reason for failure in failures}

    def record_failure(self, name: str, reason: str) -> None:
        """Remembers that a member ended without a run."""
        _FAILURE.write(self.path / FAILED / f"{name}.json", {"member": name, "reason": reason})


def is_run(path: Path) -> bool:
    """Whether a folder is a run's, sound or not: what only lies beside runs has neither their manifest nor their facts.

    Raises:
        RunError: it cannot be read.
    """
    with reading(path, RunError):
        return (path / MANIFEST).exists() or (path / RUN).exists()


def find_run(path: str | Path) -> Run:
    """A run by its folder; a study's folder gets a hint.

    Raises:
        RunError: it is missing, unfinished or damaged.
    """
    folder = Path(path)
    if (folder / SETTINGS).is_file():
        raise RunError(
            f"{folder} is a study's folder; give one of its runs ({folder / 'runs'}/NAME) or its ensemble ({folder / 'ensemble'})"
        )
    return Run.load(folder)
