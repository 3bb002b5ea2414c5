"""A whole file predicted: in portions, resumable, with memory that does not grow with the file."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..choices import PREDICTIONS
from ..data import Columns, Stream, Table
from ..data.carried import Pieces
from ..data.columns import find_columns
from ..data.folders import PREDICTED
from ..data.table import Checker, without_text
from ..disk.files import apart
from ..disk.locks import HeldError, holding, remove_held
from ..disk.paths import is_folder
from ..disk.system import confirm, writing
from ..errors import DataError
from .model import Model
from .portions import Portions
from .priors import LabelShares, Priors
from .result import Contents, Result
from .writers import Rows, write_rows

PORTION = 4096
_ESTIMATED = 100_000  # about so many rows from which shares of labels are estimated, so that memory is flat
_Shift = npt.NDArray[np.float32] | None


class BeingWrittenError(DataError):
    """Another process predicts into the same file at this moment."""


def predict_file(
    model: Model,
    source: str | Path,
    out: str | Path,
    *,
    columns: Columns | None = None,
    probabilities: bool = False,
    only: Sequence[str] = (),
    id_label: bool = False,
    id_column: str | None = None,
    calibrated: bool = True,
    coverage: float | None = None,
    abstain_below: float | None = None,
    priors: Priors | None = None,
    progress: Callable[[int], None] | None = None,
    remark: Callable[[str], None] | None = None,
    estimated: Callable[[LabelShares], None] | None = None,
) -> int:
    """Predicts every row of a source into a file: its rows in order with all their columns, and what is predicted of them.

    Cut off and called again with the same model, source and options, it goes on behind the last finished portion; what is
    finished lies in a hidden folder beside `out` until then, and `out` is written in one step at the end. A row without a text is
    answered by null in all of our columns.

    Args:
        model: a run or an ensemble.
        source: file, folder or Hub name.
        out: ends in .csv, .jsonl or .parquet. Behind the source's columns it has `label`, with `coverage` also `labels`, with
            `probabilities` one column `p_LABEL` per label; one that the source has too is called `label_predicted` and so on.
        columns: names of columns; those of the study by default.
        probabilities: whether to write them; in CSV and JSON Lines they have six digits.
        only: names of the source's columns that are kept; nothing for all.
        id_label: instead write the columns `ID` and `Label`, the label as an integer: itself when all labels are integers, else
            its place in the order of labels.
        id_column: with `id_label` the source's column that is the `ID`, unchanged; None for the one called id, and where there
            is none for the row's number from 0.
        calibrated: whether the probabilities that are written are (see :meth:`Model.predict_proba`).
        coverage: also write the labels a row may have, most likely first (see :meth:`Model.predict_sets`): a list, in CSV as
            JSON text; of numbers `low` and `high` instead (see :meth:`Model.predict_intervals`).
        abstain_below: leave `label` empty where its calibrated probability is smaller: null, in CSV nothing.
        priors: the labels' shares among the rows, where they are other than among the validation rows: by label, or "estimate"
            for those that these rows show (see :meth:`Model.predict_proba`). Labels, probabilities and `abstain_below` are then
            corrected by them.
        progress: told how many rows are done.
        estimated: told the shares, where they are estimated.
        remark: told in a sentence what the names of the columns that are written may hide.

    Returns:
        The number of rows.

    Raises:
        DataError: the source cannot be read or has changed meanwhile, `out` has another ending or cannot hold
            a column, another prediction is writing it, or what is wanted is not possible.
        StriataError: the place cannot be written, or is full.
    """
    target = check_target(out, source)
    contents = Contents(
        probabilities=probabilities, calibrated=calibrated, coverage=coverage, abstain_below=abstain_below,
        priors=priors, only=only, id_label=id_label, id_column=id_column,
    )  # fmt: skip
    contents.check(model)
    names = columns or model.columns
    stream = Stream.open(str(source), names)
    result = Result.of(model, stream, target.suffix.lower(), contents)
    if remark is not None:
        for sentence in result.remarks:
            remark(sentence)
    result.try_first(stream, target.suffix.lower(), PORTION)
    folder = lock_of(target).parent
    job = {"model": model.identity, "source": source_identity(source), "columns": names.to_json(), "portion": PORTION, "form": 2}
    tell = progress or (lambda _: None)
    with _alone(lock_of(target), target):
        portions = Portions.open(folder, job)
        try:
            tell(portions.rows)
            for table in stream.tables(rows=PORTION, skip=portions.rows, empty="keep"):
                portions.add(_logits(model, table), _digest(table))
                tell(portions.rows)
            if not portions.rows:
                raise DataError(f"{source} has no rows; expected at least one")
            shift = None if priors is None else _shift(model, portions, priors, estimated)
            _assemble(portions, target, stream, result, shift)
        except BaseException:
            if not portions.rows:
                remove_held(folder / ".lock")
            raise
        remove_held(folder / ".lock")
    return portions.rows


def lock_of(target: Path) -> Path:
    """The file that whoever predicts into a target holds."""
    return target.with_name(f".{target.name}.partial") / ".lock"


@contextlib.contextmanager
def _alone(lock: Path, target: Path) -> Iterator[None]:
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(holding(lock))
        except HeldError:
            told = f"{target} is being written by another prediction at this moment; wait for it, or give another name"
            raise BeingWrittenError(told, path=str(target)) from None
        yield


def check_target(out: str | Path, source: str | Path) -> Path:
    """Where predictions of a source are written, if they can be.

    Raises:
        DataError: the ending is not known, it is a folder, or there is no folder for it.
        StriataError: it is the source.
    """
    target = Path(out)
    if target.suffix.lower() not in PREDICTIONS:
        expected = f"expected a name ending in {PREDICTIONS.names}"
        raise DataError(f"{target}: unknown format '{target.suffix}'; {expected}", argument="out", path=str(target))
    if target.is_dir():
        raise DataError(f"{target} is a folder; give a file's name", argument="out", path=str(target))
    if not is_folder(target.parent):
        raise DataError(
            f"{target}: there is no folder {target.parent}; make it, or change the path", argument="out", path=str(target)
        )
    apart(target, source)
    return target


def default_target(source: str | Path) -> Path:
    """Where predictions are written that got no name: `NAME.predicted.csv` beside the source, of a Hub name in this folder."""
    path = Path(source).expanduser()
    name = (path.name if is_folder(path) else path.stem) or path.resolve().name
    return (path.parent if path.exists() else Path()) / f"{name}{PREDICTED}"


def source_identity(source: str | Path) -> list[Any]:
    """What changes with a source: its place, and size and time of each of its files; of what lies elsewhere its address alone."""
    path = Path(source).expanduser()
    if not path.exists():
        return [str(source)]
    facts = [(file, file.stat()) for file in (sorted(path.rglob("*")) if path.is_dir() else [path])]
    return [str(path.resolve()), *([str(file.relative_to(path)), of.st_size, of.st_mtime_ns] for file, of in facts)]


def _logits(model: Model, table: Table) -> npt.NDArray[np.float32]:
    """Logits of a table's rows; zeros, which nobody reads, where there is no text."""
    empty = without_text(table.texts, table.pairs)
    if not empty:
        return model.logits(table.texts, table.pairs)
    answered = np.setdiff1d(np.arange(len(table)), empty)
    logits = np.zeros((len(table), len(model.labels)), np.float32)
    rest = table.take(answered)
    logits[answered] = model.logits(rest.texts, rest.pairs)
    return logits


def _digest(table: Table) -> bytes:
    digest = hashlib.sha256()
    table.add_to(digest)
    return digest.digest()


def _shift(
    model: Model, portions: Portions, priors: Priors, estimated: Callable[[LabelShares], None] | None
) -> npt.NDArray[np.float32]:
    """What the labels' shares add to the logits of every row, (labels,)."""
    none: npt.NDArray[np.float32] = np.zeros(len(model.labels), np.float32)
    if isinstance(priors, str):
        step = max(1, portions.rows // _ESTIMATED)
        logits = np.concatenate([part[::step] for part, _ in portions.read()])
        logits = logits[logits.any(1)]  # rows without a text have no logits
        if not len(logits):
            return none
        shares = model.label_shares(logits)
        if estimated is not None:
            estimated(shares)
        priors = shares.priors
    added: npt.NDArray[np.float32] = model.shifted(none[None], priors)[0]
    return added


def _rows(portions: Portions, stream: Stream, result: Result, shift: _Shift) -> Iterator[Rows]:
    """All rows with what is predicted of them, `shift` added to their logits; the source is read once more, and its texts are
    those that were predicted."""
    reader = stream.reader
    roles = find_columns(reader.columns, stream.columns, reader.source, label=False)
    checker = Checker(reader.source, roles, None, strict=False, empty="keep")
    pieces = Pieces(reader, list(dict.fromkeys([*roles.names, *result.carried])), rows=PORTION)
    row = 0
    for logits, texts in portions.read():
        chunk = pieces.take(len(logits))
        table = checker.table(chunk)
        if _digest(table) != texts:
            portions.forget(row)
            raise _changed(reader.source, row)
        row += len(logits)
        yield result.rows(chunk, logits if shift is None else logits + shift, without_text(table.texts, table.pairs))
    if len(pieces.take(1)):
        raise _changed(reader.source, row)


def _changed(source: str, row: int) -> DataError:
    return DataError(
        f"{source} has changed from row {row:,} (counted from 0) on since it was predicted; run the same command again, which "
        "predicts these rows anew"
    )


def _assemble(portions: Portions, target: Path, stream: Stream, result: Result, shift: _Shift) -> None:
    """Writes the file in one step, which is on the disk when this returns."""
    whole = portions.folder / "whole"
    with writing(target):
        with open(whole, "wb") as file:
            write_rows(file, target.suffix.lower(), result.types, _rows(portions, stream, result, shift), stream.reader.source)
            file.flush()
            os.fsync(file.fileno())
        whole.chmod(0o644)
        whole.replace(target)
        confirm(target)
