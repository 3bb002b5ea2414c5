"""A search's trials in Optuna's SQLite storage."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import URL
from sqlalchemy.exc import SQLAlchemyError

from ..disk.documents import reason_of
from ..disk.upgrades import current_version, upgrade
from ..errors import StudyError
from ..settings.file import Study, load_study
from ..study.claim import check_fixed
from .propose import quiet

FILE = "search.db"
_NAME = "striata"
_KIND = "search"


@contextlib.contextmanager
def _using(path: Path) -> Iterator[None]:
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, optuna.exceptions.OptunaError, RuntimeError, LookupError, ValueError) as error:
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


class Record:
    """The Optuna study of a search. Every change is on disk when its method returns.

    Args:
        path: of the SQLite file.
        study: whose search it is.

    Raises:
        StudyError: the file is damaged, or another study's.
    """

    def __init__(self, path: Path, study: Study) -> None:
        self.path = path
        with quiet(), _using(path):
            _check(path)
            self._storage = RDBStorage(str(URL.create("sqlite", database=str(path))))
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
        self._storage.remove_session()
        self._storage.engine.dispose()

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
