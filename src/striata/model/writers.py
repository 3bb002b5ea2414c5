"""Rows as CSV, JSON Lines or Parquet, a portion at a time.

A text is written as it is. In CSV everything else is JSON text, and nothing where there is no value; JSON has dates, times and
exact numbers as text, and null for the float that is no number.
"""

from __future__ import annotations

import datetime
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from ..data.arrow import reason
from ..data.label_values import SURROGATE
from ..data.table import place
from ..errors import DataError

# Not the csv module's: it leaves a lone carriage return unquoted, which its own reader then takes for the end of a row.
_TO_QUOTE = re.compile('[,"\r\n]')
_SURROGATE = re.compile("[\ud800-\udfff]")
_NOT_ARROW = (ValueError, TypeError, OverflowError, NotImplementedError, pa.ArrowException)  # what pyarrow raises of odd values
_SHORT = (pa.float16(), pa.float32())


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows.

    Args:
        first: number of the first one.
        columns: their values by column.
    """

    first: int
    columns: Mapping[str, Sequence[Any]]


def check_names(ending: str, types: Mapping[str, pa.DataType | None], source: str) -> None:
    """Refuses columns that a format cannot hold.

    Raises:
        DataError: the bytes of one have no form in text, or its name is no Unicode.
    """
    for name, kind in types.items():
        if ending != ".jsonl" and _SURROGATE.search(name):
            raise DataError(
                f"{source}: the name of column {name!a} holds {SURROGATE}; rename it, or name the columns to keep with `only`"
            )
        if ending != ".parquet" and kind is not None and _is_binary(kind):
            raise DataError(f"{source}: {_bytes(name)}")


def write_rows(file: IO[bytes], ending: str, types: Mapping[str, pa.DataType | None], parts: Iterator[Rows], source: str) -> None:
    """Writes rows into an open file.

    Args:
        file: open for writing.
        ending: .csv, .jsonl or .parquet.
        types: of the columns, in order; None for one that is JSON text in Parquet.
        parts: the rows, portion by portion.
        source: of the rows, for messages.

    Raises:
        DataError: the format cannot hold a value.
    """
    if ending == ".parquet":
        schema = pa.schema([(name, kind or pa.string()) for name, kind in types.items()])
        with parquet.ParquetWriter(file, schema) as table:
            for rows in parts:
                arrays = [_array(rows, name, kind, source) for name, kind in types.items()]
                table.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))
        return
    if ending == ".csv":
        file.write((",".join(map(_quoted, types)) + "\n").encode())
    for rows in parts:
        columns = [_plain_column(rows, name, kind, source) for name, kind in types.items()]
        if ending == ".jsonl":
            file.write(b"".join(_line(dict(zip(types, row, strict=True))) for row in zip(*columns, strict=True)))
        else:
            cells = [[_quoted(_cell(value)) for value in column] for column in columns]
            _check_characters(rows, types, cells, source)
            file.write("".join(",".join(row) + "\n" for row in zip(*cells, strict=True)).encode())


def _plain_column(rows: Rows, name: str, kind: pa.DataType | None, source: str) -> list[Any]:
    values = rows.columns[name]
    if kind in _SHORT:
        values = [
            value if value is None else float(str(np.float32(value))) for value in values
        ]  # 0.1 and not what it is stored as
    try:
        return [value if isinstance(value, str) else _plain(value) for value in values]
    except TypeError:
        raise DataError(f"{source}: {_bytes(name)}") from None


def _plain(value: Any) -> Any:
    """A value as JSON has it; readers give none that is nested too deeply for this.

    Raises:
        TypeError: it is, or holds, bytes.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None if math.isnan(value) else str(value)
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, bytes):
        raise TypeError
    return value.isoformat() if isinstance(value, datetime.date | datetime.time) else str(value)


def _line(row: dict[str, Any]) -> bytes:
    try:
        return (json.dumps(row, ensure_ascii=False) + "\n").encode()
    except UnicodeEncodeError:  # JSON has half of a surrogate pair as an escape
        return (json.dumps(row) + "\n").encode()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if _TO_QUOTE.search(text) else text


def _check_characters(rows: Rows, names: Mapping[str, object], cells: Sequence[Sequence[str]], source: str) -> None:
    for name, column in zip(names, cells, strict=True):
        if _SURROGATE.search("".join(column)):
            row = rows.first + next(at for at, cell in enumerate(column) if _SURROGATE.search(cell))
            raise _not_unicode(name, row, source)


def _array(rows: Rows, name: str, kind: pa.DataType | None, source: str) -> pa.Array:
    values: Any = rows.columns[name]
    if kind is None:
        plain = [value if isinstance(value, str) else _plain(value) for value in values]
        values, kind = [None if value is None else _cell(value) for value in plain], pa.string()
    try:
        missing = not (pa.types.is_floating(kind) or pa.types.is_nested(kind))  # NaN is no value among texts
        return pa.array(values, kind, from_pandas=missing)
    except UnicodeEncodeError:
        row = rows.first + next(at for at, value in enumerate(values) if isinstance(value, str) and _SURROGATE.search(value))
        raise _not_unicode(name, row, source) from None
    except _NOT_ARROW as error:
        raise DataError(
            f"{source}: column '{name}' cannot be written to Parquet as {kind} ({reason(error)}); name the columns to keep with "
            "`only`, or write CSV"
        ) from None


def _not_unicode(name: str, row: int, source: str) -> DataError:
    return DataError(
        f"{source}: {place(row)}, column '{name}' holds {SURROGATE}; name the columns to keep with `only`, or write .jsonl",
        row=row,
    )


def _bytes(name: str) -> str:
    what = f"column '{name}' holds bytes, which have no form in text"
    return f"{what}; name the columns to keep with `only`, or write .parquet"


def _is_binary(kind: Any) -> bool:
    if pa.types.is_nested(kind):
        return any(_is_binary(kind.field(at).type) for at in range(kind.num_fields))
    types = pa.types
    return bool(
        types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind) or types.is_binary_view(kind)
    )
