"""From a name, file or folder to rows: one reader for each format, all with the same three members."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pyarrow as pa

from ..choices import READERS
from ..disk.paths import is_file, is_folder
from ..errors import DataError, did_you_mean
from ..extras import require
from .arrow import class_labels, reason, rows_of, types_of
from .folders import NAMES, FilesReader, Reader, data_files
from .saved import SavedReader, is_saved, saved_splits
from .table import Chunk

_DAMAGE = (OSError, ValueError, LookupError, TypeError, MemoryError, pa.ArrowException)


def open_source(source: str, *, split: str = "train") -> Reader:
    """Opens a file, a folder written by datasets' `save_to_disk` or holding data files, or a data set of the Hub.

    Args:
        source: path or name; `NAME:CONFIGURATION` for a configuration of a Hub data set.
        split: which part of a source that has several: "train", "validation" or "test".

    Raises:
        DataError: there is no such thing, or it cannot be read.
        ExtraError: a data set of the Hub needs datasets, which is not installed.
    """
    check_source(source)
    path = Path(source).expanduser()
    if is_file(path):
        return _file(path)
    return _folder(path, split) if is_folder(path) else _hub(source, split)


def check_source(source: str) -> None:
    """Refuses what is neither a file or folder here nor can be a data set of the Hub, without opening it.

    Raises:
        DataError: there is no such file or folder, or its format is not known.
        ExtraError: it may be a data set of the Hub, for which datasets is not installed.
    """
    path = Path(source).expanduser()
    if is_folder(path):
        return
    if is_file(path):
        kind = path.suffix.lower()
        if kind not in READERS:
            raise DataError(f"{path}: format '{kind or path.name}' is not known; expected a file ending in {', '.join(READERS)}")
    elif path.suffix.lower() in READERS or source.startswith((".", "/", "~")) or source.count("/") > 1:
        near = did_you_mean(path.name, [other.name for other in path.parent.iterdir()]) if is_folder(path.parent) else ""
        raise DataError(f"data file {source} does not exist{near}; check the path, which counts from {Path.cwd()}")
    else:
        require(f"data '{source}' is neither a file nor a folder here, and fetching it from the Hub", "datasets")


def _file(path: Path) -> Reader:
    format_ = READERS[path.suffix.lower()]
    reader: Reader = resolve_name(format_.reader)(path, **format_.settings)
    return reader


class ParquetReader:
    """Rows of a Parquet file, a row group at a time.

    Args:
        path: the file.

    Raises:
        DataError: it is no Parquet file.
    """

    def __init__(self, path: Path) -> None:
        from pyarrow import parquet

        self.source = str(path)
        try:
            self._file = parquet.ParquetFile(path, memory_map=True)
            self._schema, facts = self._file.schema_arrow, self._file.metadata
        except _DAMAGE as error:
            raise self._damaged(error) from None
        self.columns: tuple[str, ...] = tuple(self._schema.names)
        self._names = class_labels(self._schema.metadata)
        size = path.stat().st_size
        if facts.num_rows > max(1_000_000, 8 * size):
            raise DataError(f"{path} claims {facts.num_rows:,} rows in {size:,} bytes; it was refused as a bomb")

    def declared(self, column: str) -> tuple[str, ...] | None:
        """Label names that datasets wrote into the file for a column."""
        return self._names.get(column)

    def types(self) -> dict[str, pa.DataType | None]:
        """Every column with its type."""
        return types_of(self._schema)

    def chunks(self, names: Sequence[str], *, rows: int, skip: int = 0) -> Iterator[Chunk]:
        """Rows in portions of at most `rows`, from row `skip` on; memory does not grow with the file.

        Raises:
            DataError: the file is damaged.
        """
        at = 0
        for batch in self._batches(names, rows):
            part = batch.slice(max(0, skip - at))
            at += len(batch)
            if len(part):
                yield rows_of(part, names, self.source, at - len(part))

    def _batches(self, names: Sequence[str], rows: int) -> Iterator[Any]:
        try:
            yield from self._file.iter_batches(batch_size=rows, columns=list(names))
        except _DAMAGE as error:
            raise self._damaged(error) from None

    def _damaged(self, error: Exception) -> DataError:
        return DataError(f"{self.source} cannot be read as Parquet ({reason(error)}); write the file again")


class DatasetReader:
    """Rows of a datasets.Dataset.

    Args:
        dataset: memory-mapped or in memory.
        source: for messages.
    """

    def __init__(self, dataset: Any, source: str) -> None:
        self._dataset, self.source = dataset.with_format("arrow"), source
        self.columns: tuple[str, ...] = tuple(dataset.column_names)

    def declared(self, column: str) -> tuple[str, ...] | None:
        """Label names of a ClassLabel column."""
        names = getattr(self._dataset.features[column], "names", None)
        return None if names is None else tuple(names)

    def types(self) -> dict[str, pa.DataType | None]:
        """Every column with its type."""
        return types_of(self._dataset.features.arrow_schema)

    def chunks(self, names: Sequence[str], *, rows: int, skip: int = 0) -> Iterator[Chunk]:
        """Rows in portions of at most `rows`, from row `skip` on; memory does not grow with the data set."""
        chosen = self._dataset.select_columns(list(names))
        for first in range(skip, len(chosen), rows):
            part = chosen[first : first + rows]
            yield rows_of(part, names, self.source, first)


def _folder(path: Path, split: str) -> Reader:
    if is_saved(path):
        splits = saved_splits(path)
        return SavedReader(path / _part(splits, split, str(path)) if splits else path)
    parts = data_files(path)
    readers = [_file(file) for file in parts[_part(tuple(parts), split, str(path))]]
    return readers[0] if len(readers) == 1 else FilesReader(str(path), readers)


def _hub(name: str, split: str) -> Reader:
    repository, _, configuration = name.partition(":")
    try:
        return _loaded(repository, configuration or None, split)
    except DataError:
        raise
    except Exception as error:  # the Hub's client raises many kinds: no network, no such name, several configurations
        raise DataError(
            f"data '{name}' is neither a file or folder here nor a data set of the Hub that can be reached "
            f"({_reason(error)}); check the name, or give a file"
        ) from error


def _loaded(name: str, configuration: str | None, split: str) -> Reader:
    from datasets import load_dataset
    from datasets.utils.logging import disable_progress_bar, enable_progress_bar

    disable_progress_bar()
    try:
        parts = load_dataset(name, configuration)
    finally:
        enable_progress_bar()
    return DatasetReader(parts[_part(tuple(parts), split, name)], name)


def _part(names: Sequence[str], split: str, source: str) -> str:
    """The part of a source that stands for a split."""
    for name in NAMES[split]:
        if name in names:
            return name
    if len(names) == 1:
        return names[0]
    raise DataError(f"{source} has no {split} split among {', '.join(names)}; give a file, or a number of rows to hold out")


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {reason(error)}"
