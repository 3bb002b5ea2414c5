"""A study's folder: its settings, its checkpoint, its runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..disk.files import read_json, write_json
from ..errors import RunError, StudyError
from .run import Run

FORMAT = 1
SETTINGS = "study.json"
FAILED = "failed"


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
        if not (folder.path / SETTINGS).is_file():
            raise StudyError(f"{path} is no study's folder: it has no {SETTINGS}; give the `output` of a study")
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
        return dict(self._content()["study"])

    def data_fingerprint(self) -> str | None:
        """SHA-256 over the rows that its members are trained on; None where it was not written down.

        Raises:
            StudyError: as :meth:`settings`.
        """
        value = self._content().get("data_fingerprint")
        return None if value is None else str(value)

    def write_settings(self, settings: Mapping[str, Any], data_fingerprint: str) -> None:
        """Writes what :meth:`settings` and :meth:`data_fingerprint` read."""
        content = {"format_version": FORMAT, "study": dict(settings), "data_fingerprint": data_fingerprint}
        write_json(self.path / SETTINGS, content)

    def _content(self) -> dict[str, Any]:
        try:
            content = read_json(self.path / SETTINGS)
            if not isinstance(content, dict) or content["format_version"] != FORMAT:
                raise ValueError("another format")
            if not isinstance(content["study"], dict):
                raise ValueError("its settings are no group of keys")
        except (OSError, ValueError, KeyError) as error:
            raise StudyError(f"{self.path / SETTINGS} cannot be read ({error}); restore it, or choose another output") from error
        return content

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

    def failed(self) -> dict[str, str]:
        """Members that ended without a run, by name, with the reason.

        Raises:
            StudyError: a record of one cannot be read.
        """
        files = sorted((self.path / FAILED).glob("*.json"))
        return dict(self._failure(file) for file in files if not file.name.startswith("."))

    def _failure(self, file: Path) -> tuple[str, str]:
        try:
            content = read_json(file)
            if not isinstance(content, dict) or content["format_version"] != FORMAT:
                raise ValueError("another format")
            return str(content["member"]), str(content["reason"])
        except (OSError, ValueError, KeyError) as error:
            raise StudyError(f"{file} cannot be read ({error}); delete it to try that member again") from error

    def record_failure(self, name: str, reason: str) -> None:
        """Remembers that a member ended without a run."""
        write_json(self.path / FAILED / f"{name}.json", {"format_version": FORMAT, "member": name, "reason": reason})


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
