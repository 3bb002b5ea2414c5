"""Many files predicted, each into a file of its own; what is finished stays finished, whoever does the rest."""

from __future__ import annotations

import glob
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Any

from ..choices import PREDICTIONS
from ..data import Columns
from ..data.folders import PREDICTED
from ..data.remote import is_remote
from ..disk.locks import is_held
from ..disk.system import writing
from ..errors import DataError
from .finished import File, address_of, finish, made_ready_in, note_of, rows_finished
from .model import Model
from .whole_file import BeingWrittenError, lock_of, predict_file, source_identity

_WAIT = 1.0  # seconds between two looks at a file that another process writes


def is_pattern(source: str) -> bool:
    """Whether a source stands for several files: it has `*`, `?` or `[...]` in it, and there is no file of that name."""
    return glob.has_magic(source) and (is_remote(source) or not Path(source).expanduser().exists())


def files_of(pattern: str, out: Path | str) -> list[File]:
    """The files that a pattern stands for, by name, and where their predictions go.

    Below the part of the pattern without `*` all paths stay as they are; a name that ends in neither .csv nor .jsonl nor .parquet
    gets .csv behind it.

    Args:
        pattern: `data/*.parquet`, `data/**/*.csv`, or an address such as `s3://bucket/*.parquet`.
        out: a folder, or an address such as `s3://bucket/answers`.

    Raises:
        DataError: it stands for no file, or `out` is a file.
    """
    if is_remote(str(out)):
        address = address_of(str(out))
        made = _files(pattern, made_ready_in(address))
        below = [file for file in made if not file.source.startswith(f"{address}/")]  # the rest was predicted before
        return [replace(file, address=f"{address}/{file.out.relative_to(made_ready_in(address)).as_posix()}") for file in below]
    return _files(pattern, Path(out))


def _files(pattern: str, out: Path) -> list[File]:
    if out.exists() and not out.is_dir():
        raise DataError(f"{out} is a file; many files are predicted into a folder", argument="out", path=str(out))
    sources = _elsewhere(pattern) if is_remote(pattern) else _here(pattern)
    if not sources:
        raise DataError(f"{pattern} stands for no file; check the pattern, which counts from {Path.cwd()}")
    files = []
    for name in sorted(sources):
        suffix = "" if PurePosixPath(name).suffix.lower() in PREDICTIONS else ".csv"
        files.append(File(sources[name], out / f"{name}{suffix}"))
    return files


def _root(pattern: str) -> PurePosixPath:
    return PurePosixPath(*takewhile(lambda part: not glob.has_magic(part), PurePosixPath(pattern).parts))


def _here(pattern: str) -> dict[str, str]:
    """Files by their path below the root; hidden ones, and what was predicted before, are none."""
    pattern = Path(pattern).expanduser().as_posix()
    root = Path(_root(pattern))
    paths = map(Path, glob.iglob(pattern, recursive=True))  # noqa: PTH207 - that of pathlib takes no absolute pattern
    sources = [path for path in paths if path.is_file() and not path.name.endswith(PREDICTED) and not note_of(path).exists()]
    return {path.relative_to(root).as_posix(): str(path) for path in sources}


def _elsewhere(pattern: str) -> dict[str, str]:
    import fsspec

    try:
        system, path = fsspec.core.url_to_fs(pattern)
        names = [name for name in system.glob(path) if system.isfile(name)]
    except Exception as error:  # every kind of store raises its own
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise DataError(f"{pattern} cannot be listed ({type(error).__name__}: {reason}); check the address") from None
    return {PurePosixPath(name).relative_to(_root(path)).as_posix(): system.unstrip_protocol(name) for name in names}


def predict_once(
    model: Model,
    file: File,
    options: Mapping[str, Any],
    *,
    progress: Callable[[int], None] | None = None,
    remark: Callable[[str], None] | None = None,
) -> int:
    """Predicts a file, unless that is done: by the same model, of the same source, with the same options.

    Args:
        model: a run or an ensemble.
        file: the source and the target, whose folder is made.
        options: of :func:`striata.model.whole_file.predict_file`.
        progress: told how many rows are done.
        remark: told what names of columns may hide.

    Returns:
        The number of rows.

    Raises:
        BeingWrittenError: another process predicts it.
        StriataError: it cannot be predicted, or not be written.
    """
    job = {"model": model.identity, "source": source_identity(file.source), "options": _plain(options)}
    rows = rows_finished(file, job)
    if rows is not None:
        return rows
    with writing(file.out.parent):
        file.out.parent.mkdir(parents=True, exist_ok=True)
    rows = predict_file(model, file.source, file.out, **options, progress=progress, remark=remark)
    finish(file, job, rows)
    return rows


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    values = {name: value.to_json() if isinstance(value, Columns) else value for name, value in options.items()}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def predict_files(
    model: Model,
    files: Sequence[File],
    options: Mapping[str, Any],
    *,
    progress: Callable[[int], None] = lambda _: None,
    remark: Callable[[str], None] | None = None,
) -> int:
    """Predicts files one after the other; one that another process is at comes last, and is waited for.

    Args:
        model: a run or an ensemble.
        files: from :func:`files_of`.
        options: of :func:`striata.model.whole_file.predict_file`.
        progress: told how many rows are done, of all files.
        remark: told once what names of columns may hide.

    Returns:
        The number of rows.

    Raises:
        StriataError: a file cannot be predicted, or not be written.
    """
    waiting, later, total = deque(files), list[File](), 0
    remarks = _once(remark)

    def tell(rows: int) -> None:
        progress(total + rows)

    while waiting:
        file = waiting.popleft()
        try:
            total += predict_once(model, file, options, progress=tell, remark=remarks)
        except BeingWrittenError:
            later.append(file)
        if not waiting and later:
            wait_for(later)
            waiting, later = deque(later), []
    progress(total)
    return total


def wait_for(files: Sequence[File]) -> None:
    """Returns when another process that predicts one of these files is through with it."""
    while all(is_held(lock_of(file.out)) for file in files):
        time.sleep(_WAIT)


def _once(remark: Callable[[str], None] | None) -> Callable[[str], None]:
    told: set[str] = set()

    def tell(sentence: str) -> None:
        if remark is not None and sentence not in told:
            told.add(sentence)
            remark(sentence)

    return tell
