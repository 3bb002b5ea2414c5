"""Rows in memory: DataFrames, Arrow tables, data sets and lists, each behind a reader as files are."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from ..errors import DataError
from .arrow import class_labels, column_values, names_of
from .columnar import DatasetReader
from .columns import Columns
from .rows import Reader
from .table import Chunk

PARTS = ("train", "validation", "test")
_EXPECTED = (
    "a pandas or polars DataFrame, a datasets.Dataset, a pyarrow Table, a dict of columns, a list of dicts, "
    "or a tuple (texts, labels)"
)
_TEXTS = "a list, tuple, array or series of texts, "


class MemoryReader:
    """Rows that are in memory, by column.

    Args:
        source: what messages call them.
        columns: names, in order.
        rows: how many.
        values: the values of the column at a place, as Python objects; None where there is none.
        declared: label names of columns that declare them.
    """

    form = ""

    def __init__(
        self,
        source: str,
        columns: Sequence[str],
        rows: int,
        values: Callable[[int], list[object]],
        declared: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        self.source, self.columns = source, tuple(columns)
        self._rows, self._values, self._declared = rows, values, declared or {}

    def declared(self, column: str) -> tuple[str, ...] | None:
        """Label names of a column, where it declares them."""
        return self._declared.get(column)

    def types(self) -> dict[str, pa.DataType | None]:
        """Every column; only the values tell its type."""
        return dict.fromkeys(self.columns)

    def chunks(self, names: Sequence[str], *, rows: int, skip: int = 0) -> Iterator[Chunk]:
        """Rows in portions of at most `rows`, from row `skip` on."""
        columns = {name: self._values(self.columns.index(name)) for name in names}
        for first in range(skip, self._rows, rows):
            yield Chunk(first=first, values={name: values[first : first + rows] for name, values in columns.items()})


def texts_alone(rows: object) -> list[Any] | None:
    """Texts that are in no column: the values of a list or another sequence, an array of one dimension, a series or an Arrow
    array; None for rows with columns, and for everything else.

    Raises:
        DataError: an Arrow array is damaged.
    """
    if _is(rows, "pandas", "Series") or _is(rows, "pandas", "Index"):
        return _of_pandas(rows)
    if _is(rows, "polars", "Series"):
        series: Any = rows
        return list(series.to_list())
    if isinstance(rows, pa.Array | pa.ChunkedArray):
        return column_values(rows, "text", "texts")
    if isinstance(rows, np.ndarray):
        return [_plain(value) for value in rows] if rows.ndim == 1 else None
    if isinstance(rows, str | bytes | bytearray | memoryview) or not isinstance(rows, Sequence) or _is_texts_and_labels(rows):
        return None
    if rows and all(isinstance(row, Mapping) for row in rows):
        return None
    return rows if isinstance(rows, list) else list(rows)


def _is_texts_and_labels(rows: object) -> bool:
    return isinstance(rows, tuple) and len(rows) == 2 and not any(isinstance(part, str | Mapping) for part in rows)


def open_rows(rows: object, name: str, columns: Columns, *, texts: bool = False) -> Reader:
    """A reader of rows in memory, by which they are checked as those of a file are.

    Args:
        rows: a pandas or polars DataFrame, a `datasets.Dataset`, a pyarrow Table or RecordBatch, a dict of columns, a list of
            dicts or an iterator of dicts (the first one's keys are the columns), or a tuple (texts, labels).
        name: what messages call the rows, e.g. "train rows".
        columns: names asked for, which the columns of a tuple get.
        texts: whether texts without columns are rows too; see :func:`texts_alone`.

    Raises:
        DataError: they are something else, or columns differ in length.
    """
    kind = f"{_package(rows)}{type(rows).__name__}"
    source = f"{name} ({kind})"
    if isinstance(rows, Iterator):
        rows = list(rows)
    if texts and (alone := texts_alone(rows)) is not None:
        return _of_columns(source, {_text_name(columns): alone})
    if _is(rows, "pandas", "DataFrame"):
        frame: Any = rows
        return MemoryReader(source, [str(c) for c in frame.columns], len(frame), lambda at: _of_pandas(frame.iloc[:, at]))
    if _is(rows, "polars", "DataFrame"):
        table: Any = rows
        return MemoryReader(source, table.columns, len(table), lambda at: list(table.to_series(at).to_list()))
    if _is(rows, "datasets", "Dataset"):
        return DatasetReader(rows, source)
    if isinstance(rows, pa.Table | pa.RecordBatch):
        names, labels = names_of(rows.schema, source), class_labels(rows.schema.metadata)
        return MemoryReader(source, names, rows.num_rows, lambda at: column_values(rows.column(at), names[at], source), labels)
    if isinstance(rows, Mapping):
        return _of_columns(source, rows)
    if isinstance(rows, tuple) and _is_texts_and_labels(rows):
        return _of_columns(
            source,
            dict(zip((_text_name(columns), columns.label if isinstance(columns.label, str) else "label"), rows, strict=True)),
        )
    if isinstance(rows, list) and rows and all(isinstance(row, Mapping) for row in rows):
        keys = list(rows[0])
        return MemoryReader(source, [str(k) for k in keys], len(rows), lambda at: [_plain(row.get(keys[at])) for row in rows])
    lazy = {"LazyFrame": "; call `collect()` on it first", "IterableDataset": "; it is a stream: make a `Dataset` of it first"}
    expected = (_TEXTS if texts else "") + _EXPECTED
    raise DataError(f"{name} are a {kind}{lazy.get(type(rows).__name__, '')}; expected {expected}")


def _text_name(columns: Columns) -> str:
    return columns.text if isinstance(columns.text, str) and "," not in columns.text else "text"


def split_rows(data: object) -> dict[str, object]:
    """The parts that `data` gives, by name: "train" alone, or the values of a mapping of parts.

    Raises:
        DataError: a mapping of parts has no training rows, or a part with another name.
    """
    if not isinstance(data, Mapping) or not set(PARTS).intersection(data):
        return {"train": data}
    names = {"valid": "validation", "val": "validation", "dev": "validation"}  # as data sets of the Hub call it
    parts = {names.get(str(name), str(name)): part for name, part in data.items() if part is not None}
    unknown = [name for name in parts if name not in PARTS]
    if unknown:
        raise DataError(f"data has a part '{unknown[0]}'; expected {', '.join(PARTS)}")
    if "train" not in parts:
        raise DataError(f"data has no part 'train' beside {', '.join(parts)}; give the rows to train on")
    return parts


def _of_columns(source: str, columns: Mapping[Any, Any]) -> MemoryReader:
    values = [_values(source, str(name), column) for name, column in columns.items()]
    lengths = {str(name): len(column) for name, column in zip(columns, values, strict=True)}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"'{name}' {rows:,}" for name, rows in lengths.items())
        raise DataError(f"{source}: columns differ in length ({shown}); expected one value of each column in every row")
    return MemoryReader(source, list(lengths), next(iter(lengths.values()), 0), lambda at: values[at])


def _values(source: str, name: str, column: object) -> list[object]:
    if _is(column, "pandas", "Series") or _is(column, "pandas", "Index"):
        return _of_pandas(column)
    if isinstance(column, str | bytes | Mapping) or not hasattr(column, "__iter__"):
        raise DataError(f"{source}: column '{name}' is a {type(column).__name__}; expected a list of values, one for every row")
    if isinstance(column, pa.Array | pa.ChunkedArray):
        return column_values(column, name, source)
    return [_plain(value) for value in column]


def _of_pandas(series: Any) -> list[object]:
    """A column's values; all of pandas' ways to say that there is none become None."""
    present = series.notna()
    return [_plain(value) if is_present else None for value, is_present in zip(series.astype(object), present, strict=True)]


def _plain(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else value


def _is(value: object, package: str, name: str) -> bool:
    """Whether a value is of a package's class; a package nobody has imported has no values."""
    kind = getattr(sys.modules.get(package), name, None)
    return isinstance(kind, type) and isinstance(value, kind)


def _package(value: object) -> str:
    package = type(value).__module__.partition(".")[0]
    return "" if package == "builtins" else f"{package} "
