"""Files of columns: Parquet, Arrow, and data sets of the datasets library."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from ..errors import DataError
from .arrow import class_labels, names_of, reason, rows_of, types_of
from .files import DataFile
from .table import Chunk

_DAMAGE = (OSError, ValueError, LookupError, TypeError, MemoryError, pa.ArrowException)


class ParquetReader:
    """Rows of a Parquet file, a row group at a time.

    Args:
        file: the file; one that is compressed as a whole is unpacked first.

    Raises:
        DataError: it is no Parquet file.
    """

    form = ""

    def __init__(self, file: DataFile) -> None:
        from pyarrow import parquet

        self.source = file.source
        opened = file.mapped()
        size = opened.size()
        try:
            self._file = parquet.ParquetFile(opened)
            self._schema, facts = self._file.schema_arrow, self._file.metadata
        except _DAMAGE as error:
            raise self._damaged(error) from None
        self.columns: tuple[str, ...] = tuple(self._schema.names)
        self._names = class_labels(self._schema.metadata)
        if facts.num_rows > max(1_000_000, 8 * size):
            raise DataError(f"{self.source} claims {facts.num_rows:,} rows in {size:,} bytes; it was refused as a bomb")

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


class ArrowReader:
    """Rows of an Arrow file (Feather, or a stream as datasets caches it), memory-mapped.

    Args:
        file: the file; one that is compressed as a whole is unpacked first.

    Raises:
        DataError: it is no Arrow file.
    """

    form = ""

    def __init__(self, file: DataFile) -> None:
        self.source = file.source
        opened = file.mapped()
        try:
            self._table = _arrow_table(opened)
        except _DAMAGE as error:
            raise self._damaged(error) from None
        self.columns: tuple[str, ...] = names_of(self._table.schema, self.source)
        self._names = class_labels(self._table.schema.metadata)

    def declared(self, column: str) -> tuple[str, ...] | None:
        """Label names that datasets wrote into the file for a column."""
        return self._names.get(column)

    def types(self) -> dict[str, pa.DataType | None]:
        """Every column with its type."""
        return types_of(self._table.schema)

    def chunks(self, names: Sequence[str], *, rows: int, skip: int = 0) -> Iterator[Chunk]:
        """Rows in portions of at most `rows`, from row `skip` on.

        Raises:
            DataError: the file is damaged.
        """
        for first in range(skip, self._table.num_rows, rows):
            try:
                part = self._table.slice(first, rows).select(list(names))
            except _DAMAGE as error:
                raise self._damaged(error) from None
            yield rows_of(part, names, self.source, first)

    def _damaged(self, error: Exception) -> DataError:
        return DataError(f"{self.source} cannot be read as Arrow ({reason(error)}); write the file again")


def _arrow_table(opened: Any) -> Any:
    try:
        return pa.ipc.open_file(opened).read_all()
    except pa.ArrowInvalid:
        opened.seek(0)
        return pa.ipc.open_stream(opened).read_all()


class DatasetReader:
    """Rows of a datasets.Dataset.

    Args:
        dataset: memory-mapped or in memory.
        source: for messages.
    """

    form = ""

    def __init__(self, dataset: Any, source: str) -> None:
        self._dataset, self.source = dataset.with_format("arrow"), source
        self.columns: tuple[str, ...] = tuple(dataset.column_names)

    def declared(self, column: str) -> tuple[str, ...] | None:
        """Label names of a ClassLabel column."""
        feature = self._dataset.features[column]
        names = getattr(getattr(feature, "feature", feature), "names", None)
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
