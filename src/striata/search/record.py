"""A search's trials in Optuna's storage: SQLite's for one process, a journal where several train the search."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import optuna
from filelock import FileLock
from optuna.storages import RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import URL
from sqlalchemy.exc import SQLAlchemyError

from ..disk.documents import reason_of
from ..disk.system import confirm, writing
from ..disk.upgrades import current_version, upgrade
from ..disk.workplace import workplace
from ..errors import StudyError
from ..runs import StudyFolder
from ..settings.file import Study, load_study
from ..study.claim import check_fixed
from ..study.stack_folder import SEARCH, StackFolder
from .propose import quiet

FILE = "search.db"
JOURNAL = "search.journal"
_NAME = "striata"
_KIND = "search"
_DAMAGE = (RuntimeError, LookupError, ValueError, TypeError, AttributeError, AssertionError, OSError)  # as Optuna meets it


@contextlib.contextmanager
def _using(path: Path) -> Iterator[None]:
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, optuna.exceptions.OptunaError, *_DAMAGE) as error:
        cause = error.__cause__ or error
        raise StudyError(
            f"the search's record {path} cannot be used ({reason_of(cause)[:200]}); free some space if the disk is full, "
            "else restore the file from a copy, or choose another `output`"
        ) from error


def _check(path: Path) -> None:
    """SQLite's own look at all pages, which finds what is torn or misplaced before any of it is used."""
    if not path.exists():
        return
    with contextlib.closing(sqlite3.connect(path)) as database:
        problem = database.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if problem != "ok":
        raise sqlite3.DatabaseError(problem)


class _Journal(JournalFileBackend):
    """Optuna's file of operations, one a line, for processes that append to it in turns.

    The lock is the operating system's, which lets go of it when its holder dies: Optuna's own would have the others wait for
    half a minute then, and take it from a holder that was only stopped.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.lock = path, FileLock(path.with_name(f".{path.name}.lock"))
        super().__init__(str(path), lock_obj=cast(Any, self.lock))  # which has the same two methods, and may be taken twice

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Adds lines, behind the last one that is whole: a full disk, or the power, may have cut the next one off."""
        with self.lock:
            if not _ends_whole(self.path):
                os.truncate(self.path, self.path.read_bytes().rfind(b"\n") + 1)
            super().append_logs(logs)


def _ends_whole(path: Path) -> bool:
    """Whether a file's last line has its end; an empty file's has."""
    with path.open("rb") as file:
        if not file.seek(0, os.SEEK_END):
            return True
        file.seek(-1, os.SEEK_END)
        return file.read() == b"\n"


def open_record(folder: StudyFolder, study: Study) -> Record:
    """The record of a study's search, whichever of the two it is.

    Raises:
        StudyError: it is damaged, or another study's.
    """
    shared = folder.path / JOURNAL
    return Record(shared if shared.exists() else folder.path / FILE, study)


def share_record(folder: StudyFolder) -> None:
    """Makes a search's record one that several processes may use, which it remains.

    Raises:
        BusyError: a process trains the search that heeds no other.
        StudyError: the record is damaged.
    """
    if not (folder.path / JOURNAL).exists():
        with StackFolder(folder.stacks / SEARCH).held():
            if not (folder.path / JOURNAL).exists():
                _share(folder.path / FILE, folder.path / JOURNAL)


def _share(one: Path, many: Path) -> None:
    """Makes a journal, of what SQLite's file holds if there is one, which goes."""
    with quiet(), _using(one), writing(many), workplace(many) as place:
        made = JournalStorage(_Journal(place / many.name))
        if one.exists():
            _check(one)
            storage = RDBStorage(_address(one))
            optuna.copy_study(from_study_name=_NAME, from_storage=storage, to_storage=made)
            _let_go(storage)
        (place / many.name).replace(many)
        confirm(many)
        one.unlink(missing_ok=True)


def _address(path: Path) -> str:
    return str(URL.create("sqlite", database=str(path)))


def _let_go(storage: RDBStorage) -> None:
    storage.remove_session()
    storage.engine.dispose()


class Record:
    """The Optuna study of a search. Every change is on disk when its method returns.

    Args:
        path: of the SQLite file, or of the journal.
        study: whose search it is.

    Raises:
        StudyError: the file is damaged, or another study's.
    """

    def __init__(self, path: Path, study: Study) -> None:
        self.path = path
        self._journal = _Journal(path) if path.name == JOURNAL else None
        with quiet(), _using(path), self.alone():
            if self._journal is None:
                _check(path)
                self._storage: RDBStorage | JournalStorage = RDBStorage(_address(path))
            else:
                self._storage = JournalStorage(self._journal)
            names = optuna.get_all_study_names(self._storage)
            if names and names != [_NAME]:
                raise StudyError(
                    f"{path} holds other Optuna studies ({', '.join(names)}), not this search; move it away, "
                    "or choose another `output`"
                )
            self._study = optuna.create_study(storage=self._storage, study_name=_NAME, direction="maximize", load_if_exists=True)
            attributes = self._study.user_attrs
            if "settings" in attributes:
                check_fixed(path, self._settings(attributes), study.to_dict())
            else:
                self._study.set_user_attr("format_version", current_version(_KIND))
                self._study.set_user_attr("settings", study.to_dict())

    def _settings(self, attributes: dict[str, Any]) -> dict[str, Any]:
        try:
            content = upgrade(_KIND, attributes.get("format_version"), {"settings": attributes["settings"]})
            return load_study(content["settings"]).to_dict()
        except (ValueError, TypeError, KeyError, StudyError) as error:
            raise StudyError(
                f"the search's record {self.path} cannot be used: {reason_of(error)}; restore it from a copy, or choose another "
                "`output`",
                path=str(self.path),
            ) from error

    def close(self) -> None:
        """Lets go of the file."""
        if isinstance(self._storage, RDBStorage):
            _let_go(self._storage)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keeps other processes from writing while the block runs, so that none proposes the same, or more than there may be."""
        with contextlib.nullcontext() if self._journal is None else self._journal.lock:
            yield

    def trials(self) -> list[FrozenTrial]:
        """All trials, by number."""
        with _using(self.path):
            return self._study.get_trials(deepcopy=False)

    def add(self, trial: FrozenTrial) -> FrozenTrial:
        """Writes a trial that is about to be trained, with all of its parameters at once."""
        with _using(self.path):
            self._study.add_trial(trial)
        return self.trials()[-1]

    def report(self, number: int, step: int, merit: float) -> None:
        """Writes how good a trial is at a step; a trial that is through stays as it is."""
        with _using(self.path):
            identity = self._storage.get_trial_id_from_study_id_trial_number(self._storage.get_study_id_from_name(_NAME), number)
            if not self._storage.get_trial(identity).state.is_finished():
                self._storage.set_trial_intermediate_value(identity, step, merit)

    def tell(self, number: int, *, stopped: str, merit: float | None) -> None:
        """Writes how a trial ended; the first word holds.

        Args:
            number: of the trial.
            stopped: "pruned", or anything else.
            merit: by the figure that the recipe names, on all validation rows; None when it failed.
        """
        with _using(self.path):
            if merit is None:
                self._study.tell(number, state=TrialState.FAIL, skip_if_finished=True)
            elif stopped == "pruned":
                self._study.tell(number, state=TrialState.PRUNED, skip_if_finished=True)
            else:
                self._study.tell(number, merit, skip_if_finished=True)
