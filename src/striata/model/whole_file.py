"""A whole file predicted: in portions, resumable, with memory that does not grow with the file."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from ..choices import PREDICTIONS
from ..data import Columns, Stream
from ..disk.files import apart
from ..disk.locks import HeldError, holding, remove_held
from ..disk.system import confirm, writing
from ..errors import DataError
from ..tasks import label_numbers
from .model import Model
from .portions import Portions

PORTION = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What is written of each row.

    Args:
        probabilities: one column `p_LABEL` per label.
        calibrated: whether these are the calibrated ones.
        coverage: of the label sets in the column `labels`; None for no such column.
        abstain_below: smallest calibrated probability of a label that is written; None writes all.
        id_label: instead of all this the columns `ID` and `Label`, the label as an integer.
    """

    probabilities: bool = False
    calibrated: bool = True
    coverage: float | None = None
    abstain_below: float | None = None
    id_label: bool = False


def predict_file(
    model: Model,
    source: str | Path,
    out: str | Path,
    *,
    columns: Columns | None = None,
    probabilities: bool = False,
    id_label: bool = False,
    calibrated: bool = True,
    coverage: float | None = None,
    abstain_below: float | None = None,
    progress: Callable[[int], None] | None = None,
    remark: Callable[[str], None] | None = None,
) -> int:
    """Predicts every row of a source into a file.

    Cut off and called again with the same model, source and options, it goes on behind the last finished portion; what is
    finished lies in a hidden folder beside `out` until then, and `out` is written in one step at the end.

    Args:
        model: a run or an ensemble.
        source: file, folder or Hub name.
        out: ends in .csv, .jsonl or .parquet. Columns: `id` (row number from 0), `label`, with `coverage` also `labels`, with
            `probabilities` one column `p_LABEL` per label.
        columns: names of columns; those of the study by default.
        probabilities: whether to write them.
        id_label: instead write the columns `ID` and `Label`, the label as an integer: itself when all labels are integers, else
            its place in the order of labels.
        calibrated: whether the probabilities that are written are (see :meth:`Model.predict_proba`).
        coverage: also write the labels a row may have, most likely first (see :meth:`Model.predict_sets`): a list, in CSV as
            JSON text.
        abstain_below: leave `label` empty where its calibrated probability is smaller: null, in CSV nothing.
        progress: told how many rows are done.
        remark: told in a sentence what the names of the columns that are written may hide.

    Returns:
        The number of rows.

    Raises:
        DataError: the source cannot be read, a row has no text, `out` has another ending, another prediction is writing it, or
            what is wanted is not possible.
        StriataError: the place cannot be written, or is full.
    """
    target = check_target(out, source)
    contents = Contents(
        probabilities=probabilities, calibrated=calibrated, coverage=coverage, abstain_below=abstain_below, id_label=id_label
    )
    _check(model, contents)
    names = columns or model.columns
    stream = Stream.open(str(source), names)
    if remark is not None:
        for sentence in _hidden(model, stream.reader.columns, target, contents):
            remark(sentence)
    folder = target.with_name(f".{target.name}.partial")
    job = {"model": model.identity, "source": _identity(source), "columns": names.to_json(), "portion": PORTION}
    tell = progress or (lambda _: None)
    with _alone(folder / ".lock", target):
        portions = Portions.open(folder, job)
        try:
            tell(portions.rows)
            for table in stream.tables(rows=PORTION, skip=portions.rows):
                portions.add(model.logits(table.texts, table.pairs))
                tell(portions.rows)
            if not portions.rows:
                raise DataError(f"{source} has no rows; expected at least one")
            _assemble(portions, target, model, contents)
        except BaseException:
            if not portions.rows:
                remove_held(folder / ".lock")
            raise
        remove_held(folder / ".lock")
    return portions.rows


@contextlib.contextmanager
def _alone(lock: Path, target: Path) -> Iterator[None]:
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(holding(lock))
        except HeldError:
            told = f"{target} is being written by another prediction at this moment; wait for it, or give another name"
            raise DataError(told, path=str(target)) from None
        yield


def check_target(out: str | Path, source: str | Path) -> Path:
    """Where predictions of a source are written, if they can be.

    Raises:
        DataError: the ending is not known, or it is a folder.
        StriataError: it is the source.
    """
    target = Path(out)
    if target.suffix.lower() not in PREDICTIONS:
        expected = f"expected a name ending in {PREDICTIONS.names}"
        raise DataError(f"{target}: unknown format '{target.suffix}'; {expected}", argument="out", path=str(target))
    if target.is_dir():
        raise DataError(f"{target} is a folder; give a file's name", argument="out", path=str(target))
    apart(target, source)
    return target


def _hidden(model: Model, columns: Sequence[str], target: Path, contents: Contents) -> Iterator[str]:
    """What the names of the columns that are written may hide."""
    name = "ID" if contents.id_label else "id"
    for column in columns:
        if column.lower() == "id":
            yield f"column '{column}' is not copied: {name} in {target} is the row's number, counted from 0"
    if contents.id_label and label_numbers(model.labels) is None:
        places = ", ".join(f"{place} for '{label}'" for place, label in enumerate(model.labels[:4]))
        yield f"labels are no integers: Label is each one's place ({places}{', ...' if len(model.labels) > 4 else ''})"


def _identity(source: str | Path) -> list[Any]:
    path = Path(source).expanduser()
    if not path.exists():
        return [str(source)]
    facts = path.stat()
    return [str(path.resolve()), facts.st_size, facts.st_mtime_ns]


def _check(model: Model, contents: Contents) -> None:
    """Says before the first text is read what cannot be written after the last."""
    if contents.id_label and (contents.coverage is not None or contents.abstain_below is not None):
        raise DataError("the columns ID and Label have room for one label a row; leave the label sets and the threshold out")
    if contents.id_label:
        label_numbers(model.labels)
    none = np.zeros((0, len(model.labels)), np.float32)
    if contents.coverage is not None:
        model.label_sets(none, contents.coverage)
    if contents.abstain_below is not None:
        model.sure(none, contents.abstain_below)


def _columns(model: Model, contents: Contents, logits: np.ndarray, first: int) -> dict[str, tuple[pa.DataType, Any]]:
    """Names, types and values of the columns of some rows, the first of which has the number `first`."""
    chosen = model.task.decide(logits)
    ids = np.arange(first, first + len(logits))
    labels: list[str | None] = [model.labels[i] for i in chosen]
    if contents.id_label:
        numbers = label_numbers(model.labels)
        return {"ID": (pa.int64(), ids), "Label": (pa.int64(), chosen if numbers is None else np.array(numbers)[chosen])}
    if contents.abstain_below is not None:
        labels = [label if sure else None for label, sure in zip(labels, model.sure(logits, contents.abstain_below), strict=True)]
    columns: dict[str, tuple[pa.DataType, Any]] = {"id": (pa.int64(), ids), "label": (pa.string(), labels)}
    if contents.coverage is not None:
        columns["labels"] = (pa.list_(pa.string()), model.label_sets(logits, contents.coverage))
    if contents.probabilities:
        values = model.probabilities(logits, calibrated=contents.calibrated)
        columns |= {f"p_{label}": (pa.float32(), column) for label, column in zip(model.labels, values.T, strict=True)}
    return columns


def _batches(portions: Portions, schema: pa.Schema, model: Model, contents: Contents) -> Iterator[pa.RecordBatch]:
    for first, logits in portions.read():
        columns = _columns(model, contents, logits, first)
        yield pa.RecordBatch.from_arrays([pa.array(values, kind) for kind, values in columns.values()], schema=schema)


def _assemble(portions: Portions, target: Path, model: Model, contents: Contents) -> None:
    """Writes the file in one step, which is on the disk when this returns."""
    none = np.zeros((0, len(model.labels)), np.float32)
    schema = pa.schema({name: kind for name, (kind, _) in _columns(model, contents, none, 0).items()})
    whole = portions.folder / "whole"
    with writing(target):
        with open(whole, "wb") as file:
            _write(file, target.suffix.lower(), schema, _batches(portions, schema, model, contents))
            file.flush()
            os.fsync(file.fileno())
        whole.chmod(0o644)
        whole.replace(target)
        confirm(target)


def _write(file: IO[bytes], kind: str, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> None:
    if kind == ".jsonl":
        for batch in batches:
            for row in batch.to_pylist():
                file.write((json.dumps(row, ensure_ascii=False) + "\n").encode())
        return
    if kind == ".parquet":
        with parquet.ParquetWriter(file, schema) as table:
            for batch in batches:
                table.write_batch(batch)
        return
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(schema.names)
    for batch in batches:
        writer.writerows(zip(*(_cells(column) for column in batch.columns), strict=True))
    text.detach()


def _cells(column: pa.Array) -> list[Any]:
    """Values of a CSV column; a list becomes JSON, in which no label can be mistaken for two."""
    values: list[Any] = column.to_pylist()
    return [json.dumps(value, ensure_ascii=False) for value in values] if pa.types.is_list(column.type) else values
