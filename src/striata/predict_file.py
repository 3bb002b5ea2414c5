"""A whole file predicted: in portions, resumable, with memory that does not grow with the file."""

from __future__ import annotations

import csv
import io
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet
from scipy.special import softmax

from .data import Columns, Stream
from .errors import DataError
from .files import read_json, write_bytes, write_json, writing
from .predict import Model

PORTION = 4096
FORMATS = (".csv", ".jsonl", ".parquet")


def predict_file(
    model: Model,
    source: str | Path,
    out: str | Path,
    *,
    columns: Columns | None = None,
    probabilities: bool = False,
    id_label: bool = False,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Predicts every row of a source into a file.

    Cut off and called again with the same model, source and options, it goes on behind the last finished portion; what is
    finished lies in a hidden folder beside `out` until then, and `out` is written in one step at the end.

    Args:
        model: a run or an ensemble.
        source: file, folder or Hub name.
        out: ends in .csv, .jsonl or .parquet. Columns: `id` (row number from 0), `label`, with `probabilities` one column
            `p_LABEL` per label.
        columns: names of columns; those of the study by default.
        probabilities: whether to write them.
        id_label: instead write the columns `ID` and `Label`, the label as an integer: itself when all labels are integers, else
            its place in the order of labels.
        progress: told how many rows are done.

    Returns:
        The number of rows.

    Raises:
        DataError: the source cannot be read, a row has no text, or `out` has another ending.
        StriataError: the place cannot be written, or is full.
    """
    target = Path(out)
    if target.suffix.lower() not in FORMATS:
        raise DataError(f"--out {target}: unknown format '{target.suffix}'; expected a name ending in {', '.join(FORMATS)}")
    if target.is_dir():
        raise DataError(f"--out {target} is a folder; give a file's name")
    names = columns or model.columns
    stream = Stream.open(str(source), names)
    folder = target.with_name(f".{target.name}.partial")
    job = {"model": model.identity, "source": _identity(source), "columns": names.to_json(), "portion": PORTION}
    tell = progress or (lambda _: None)
    done = _begin(folder, job)
    tell(done)
    for table in stream.tables(rows=PORTION, skip=done):
        logits = model.logits(table.texts, table.pairs)
        write_bytes(folder / f"{done:012}.npy", _bytes(logits))
        done += len(table)
        tell(done)
    if not done:
        shutil.rmtree(folder)
        raise DataError(f"{source} has no rows; expected at least one")
    _assemble(folder, target, _schema(model, probabilities, id_label), model, id_label)
    shutil.rmtree(folder)
    return done


def _identity(source: str | Path) -> list[Any]:
    path = Path(source).expanduser()
    if not path.exists():
        return [str(source)]
    facts = path.stat()
    return [str(path.resolve()), facts.st_size, facts.st_mtime_ns]


def _bytes(logits: np.ndarray) -> bytes:
    return np.array(logits.shape, np.int64).tobytes() + np.ascontiguousarray(logits, np.float32).tobytes()


def _portion(file: Path) -> np.ndarray:
    data = file.read_bytes()
    rows, labels = np.frombuffer(data, np.int64, 2)
    return np.frombuffer(data, np.float32, offset=16).reshape(rows, labels)


def _begin(folder: Path, job: dict[str, Any]) -> int:
    """Rows that are already done by the same job; another job's portions are deleted."""
    note = folder / "job.json"
    try:
        same = read_json(note) == json.loads(json.dumps(job))
    except (OSError, ValueError):
        same = False
    if not same:
        if folder.exists():
            shutil.rmtree(folder)
        write_json(note, job)
        return 0
    return sum(len(_portion(file)) for file in sorted(folder.glob("*.npy")))


def _schema(model: Model, probabilities: bool, id_label: bool) -> pa.Schema:
    if id_label:
        return pa.schema({"ID": pa.int64(), "Label": pa.int64()})
    fields = {"id": pa.int64(), "label": pa.string()}
    if probabilities:
        fields |= {f"p_{label}": pa.float32() for label in model.labels}
    return pa.schema(fields)


def _batches(folder: Path, schema: pa.Schema, model: Model, id_label: bool) -> Iterator[pa.RecordBatch]:
    whole = all(label.lstrip("-").isdigit() for label in model.labels)
    first = 0
    for file in sorted(folder.glob("*.npy")):
        logits = _portion(file)
        chosen = logits.argmax(1)
        ids = np.arange(first, first + len(logits))
        labels = [model.labels[i] for i in chosen]
        columns: list[Any] = [ids, [int(label) for label in labels] if whole and id_label else chosen if id_label else labels]
        if len(schema) > 2:
            columns += list(softmax(logits, axis=1).T)
        yield pa.RecordBatch.from_arrays([pa.array(c, t) for c, t in zip(columns, schema.types, strict=True)], schema=schema)
        first += len(logits)


def _assemble(folder: Path, target: Path, schema: pa.Schema, model: Model, id_label: bool) -> None:
    with writing(target), tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
        _write(file, target.suffix.lower(), schema, _batches(folder, schema, model, id_label))
        file.flush()
        Path(file.name).chmod(0o644)
        Path(file.name).replace(target)


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
        writer.writerows(zip(*(column.to_pylist() for column in batch.columns), strict=True))
    text.detach()
