"""A study's folder, claimed: by one study over one set of rows."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..data.table import IN_MEMORY
from ..disk.locks import HeldError, holding
from ..disk.system import reading
from ..disk.workplace import sweep
from ..errors import StudyError
from ..runs import Member, StudyFolder
from ..runs.study_folder import FAILED
from ..settings import Study
from .stack_folder import stack_folders

_PATIENCE = 60  # seconds to wait for another process that plans: it reads the runs that there are
# These may change between two calls: layouts and seeds can be added, the rest does not touch what was trained.
_BESIDE = (".lock", ".fit.lock", "study.yaml", "fit.json")  # may lie in a folder before a study is trained in it
_FREE = ("baselines", "layouts", "controls", "seeds", "ensemble", "output")


def unfinished(folder: StudyFolder, members: Sequence[Member]) -> list[Member]:
    """The members that have neither a run nor a recorded failure; a run of the same plan, recipe and seed will do, whatever
    it is called. Every byte of the runs is checked.

    Raises:
        StudyError: a run was trained by another plan or recipe than the member's.
        RunError: a run is damaged.
    """
    runs, failed = {run.name: run for run in folder.runs()}, folder.failed()
    for run in runs.values():
        run.check()
    for member in members:
        finished = runs.get(member.name)
        if finished is None or (finished.identity, finished.seed) == (member.identity, member.seed):
            continue
        what = "was trained by another recipe" if finished.identity[:2] == member.identity[:2] else "has another plan"
        raise StudyError(other_study(folder.path, f"run {member.name} {what}"))
    same = {(run.identity, run.seed) for run in runs.values()}
    pending = [member for member in members if member.name not in failed and (member.identity, member.seed) not in same]
    for member in pending:
        refuse_stray(folder.run_folder(member.name))
    return pending


def refuse_stray(path: Path) -> None:
    """Refuses a place for a run where anything lies that is none; an empty folder is no matter.

    Raises:
        StudyError: names it.
    """
    with reading(path, StudyError):
        if os.path.lexists(path) and not (path.is_dir() and not any(path.iterdir())):
            raise StudyError(f"{path} is no run, and a run of that name is to be trained; move it away", path=str(path))


def other_study(path: Path, what: str) -> str:
    """What to say of a folder that another study wrote."""
    return f"folder {path} was written by another study: {what}; choose another `output`, or delete the folder to train anew"


def check_output(study: Study) -> None:
    """Says what would keep a study from writing its folder, without writing.

    Raises:
        StudyError: it is a file, another study wrote it, or no folder can be made there.
    """
    path = Path(study.output).expanduser()
    _earlier(path, study)
    nearest = next(place for place in (path, *path.absolute().parents) if place.exists())
    if not nearest.is_dir():
        raise StudyError(f"output {path} lies in {nearest}, which is a file; choose another folder", key="output")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise StudyError(f"output {path}: {nearest} cannot be written; choose another folder", key="output")


def _earlier(path: Path, study: Study) -> StudyFolder | None:
    """The study's folder where it was begun before; None where there is nothing yet."""
    if path.exists() and not path.is_dir():
        raise StudyError(f"output {path} is a file; choose a folder", key="output")
    sweep(path)
    if not path.is_dir() or all(child.name in _BESIDE for child in path.iterdir()):
        return None
    before = StudyFolder.open(path)
    check_fixed(path, before.settings(), study.to_dict())
    return before


def _claim(study: Study, data_fingerprint: str, tokenizer_sha256: str) -> StudyFolder:
    path = Path(study.output).expanduser()
    before = _earlier(path, study)
    for place in (path / "runs", path / FAILED):
        sweep(place)
    if before is not None:
        if before.data_fingerprint() != data_fingerprint:
            names = [place for place in (study.data.train, study.data.validation, study.data.test) if isinstance(place, str)]
            raise StudyError(_other_data(path, f"what `data` names ({', '.join(names)}) has other rows now"))
        if before.tokenizer_sha256() != tokenizer_sha256:
            raise StudyError(
                f"the tokenizer of {study.base} is not the one that folder {path} was trained with; give it the same tokenizer "
                "files, or choose another `output`",
                key="base",
            )
    folder = StudyFolder(path)
    folder.write_settings(study.to_dict(), data_fingerprint, tokenizer_sha256, study.places.seen_from(path))
    return folder


def _other_data(path: Path, what: str) -> str:
    return f"the data is not what folder {path} was trained on: {what}; give it the same rows, or choose another `output`"


def fixed(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a study that may not change between two calls."""
    rest = {"task": "single-label"} | {key: value for key, value in settings.items() if key not in _FREE}
    if rest.get("search"):  # its trials can be raised; its one seed is part of what it proposes
        rest["search"] = {key: value for key, value in rest["search"].items() if key != "trials"}
        rest["seeds"] = settings["seeds"]
    return rest


def check_fixed(path: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuses to go on where another study began.

    Args:
        path: what that study wrote.
        before: all of its settings.
        now: those of the study at hand.

    Raises:
        StudyError: names the first setting that differs.
    """
    old, new = fixed(before), fixed(now)
    idle = () if before.get("layouts") or before.get("search") else ("recipe", "race")  # what trained nothing
    for key in new:
        if key not in idle and old.get(key) != new[key]:
            name, one, other = _difference(key, old.get(key), new[key])
            if all(str(value).startswith(IN_MEMORY) for value in (one, other)):
                raise StudyError(_other_data(path, f"other rows were given for {name}"))
            raise StudyError(other_study(path, f"there {name} is {one!r}, here {other!r}"))


def _difference(key: str, before: Any, now: Any) -> tuple[str, Any, Any]:
    if isinstance(before, dict) and isinstance(now, dict):
        inner = next(k for k in (*now, *before) if before.get(k) != now.get(k))
        return _difference(f"{key}.{inner}", before.get(inner), now.get(inner))
    return key, before, now


@contextlib.contextmanager
def open_study_folder(study: Study, data_fingerprint: str, tokenizer_sha256: str) -> Iterator[tuple[StudyFolder, bool]]:
    """A study's folder, and whether it is new, held while the block runs, which is to plan only: what trains holds a stack.

    Args:
        study: whose `output` it is.
        data_fingerprint: SHA-256 over the study's rows.
        tokenizer_sha256: over the files of its tokenizer.

    Raises:
        StudyError: another study wrote it, it was trained on other rows, or another process holds it for a minute.
        StriataError: it cannot be written.
    """
    path = Path(study.output).expanduser()
    if path.exists() and not path.is_dir():
        raise StudyError(f"output {path} is a file; choose a folder")
    new = not path.exists()
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(holding(path / ".lock", wait=_PATIENCE))
        except HeldError:
            raise StudyError(f"another process plans in {path} for longer than {_PATIENCE} s; wait for it") from None
        folder = _claim(study, data_fingerprint, tokenizer_sha256)
        try:
            yield folder, new
        except BaseException:
            if new:
                discard(folder)
            raise


def discard(folder: StudyFolder) -> None:
    """Removes a folder again, unless something was trained in it or is about to be."""
    if not stack_folders(folder) and not (folder.path / "runs").exists() and not folder.failed():
        shutil.rmtree(folder.path, ignore_errors=True)
