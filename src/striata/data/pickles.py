"""Pickled pandas DataFrames and in-memory datasets.Datasets, old and new, read without running anything in them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ..errors import DataError
from .delimited import open_binary
from .machine import Made, Name, as_bytes, run
from .table import Chunk

_PANDAS = {
    "pandas": "DataFrame Index RangeIndex DatetimeIndex Categorical CategoricalDtype StringDtype NA Timestamp "
    "Int8Dtype Int16Dtype Int32Dtype Int64Dtype UInt8Dtype UInt16Dtype UInt32Dtype UInt64Dtype Float32Dtype Float64Dtype "
    "BooleanDtype",
    "pandas.arrays": "ArrowStringArray StringArray IntegerArray FloatingArray BooleanArray DatetimeArray",
    "pandas.core.frame": "DataFrame",
    "pandas.core.indexes.base": "Index _new_Index",
    "pandas.core.indexes.range": "RangeIndex",
    "pandas.core.indexes.numeric": "Int64Index UInt64Index Float64Index",
    "pandas.core.indexes.datetimes": "DatetimeIndex _new_DatetimeIndex",
    "pandas.core.internals.managers": "BlockManager",
    "pandas.core.arrays.categorical": "Categorical",
    "pandas.core.arrays.datetimes": "DatetimeArray",
    "pandas.core.arrays.string_": "StringArray StringDtype",
    "pandas.core.arrays.string_arrow": "ArrowStringArray",
    "pandas.core.arrays.boolean": "BooleanArray BooleanDtype",
    "pandas.core.arrays.floating": "FloatingArray Float32Dtype Float64Dtype",
    "pandas.core.arrays.integer": "IntegerArray Int8Dtype Int16Dtype Int32Dtype Int64Dtype UInt8Dtype UInt16Dtype "
    "UInt32Dtype UInt64Dtype",
    "pandas.core.dtypes.dtypes": "CategoricalDtype",
    "pandas._libs.arrays": "__pyx_unpickle_NDArrayBacked",
    "pandas._libs.internals": "_unpickle_block BlockPlacement",
    "pandas._libs.missing": "NA NAType",
    "pandas._libs.tslibs.timestamps": "_unpickle_timestamp Timestamp",
}
_DATASETS = {
    "datasets.arrow_dataset": "Dataset",
    "datasets.features.features": "Features Value ClassLabel",
    "datasets.info": "DatasetInfo SupervisedKeysData PostProcessedInfo",
    "datasets.splits": "NamedSplit Split SplitInfo SplitDict",
    "datasets.table": "InMemoryTable ConcatenationTable MemoryMappedTable",
    "datasets.utils.version": "Version",
    "pyarrow.lib": "_reconstruct_table _reconstruct_record_batch _restore_array chunked_array field schema py_buffer "
    "type_for_alias",
}
_NUMPY = {
    "numpy": "dtype ndarray",
    "numpy.core.multiarray": "_reconstruct scalar",
    "numpy._core.multiarray": "_reconstruct scalar",
    "numpy.core.numeric": "_frombuffer",
    "numpy._core.numeric": "_frombuffer",
}
_PYTHON = {
    "builtins": "slice bytearray",
    "__builtin__": "slice bytearray",
    "_codecs": "encode",
    "collections": "OrderedDict",
    "datetime": "date datetime",
}
ALLOWED = frozenset(
    f"{module}.{name}"
    for group in (_PANDAS, _DATASETS, _NUMPY, _PYTHON)
    for module, names in group.items()
    for name in names.split()
)
_ARROW = frozenset(
    {"bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float", "double"}
    | {"string", "large_string"}
)
_MISSING = ("pandas.NA", "pandas._libs.missing.NA", "pandas._libs.missing.NAType")
_SPACE = 64 * 2**20
_MOST_COLUMNS = 100_000
_ODD = (KeyError, IndexError, TypeError, ValueError, AttributeError, ArithmeticError, MemoryError, RecursionError)


class PickleReader:
    """Rows of a pickled DataFrame or Dataset.

    Args:
        path: the file.

    Raises:
        DataError: it cannot be read, names anything that such objects do not need, or holds something else.
    """

    def __init__(self, path: Path) -> None:
        self.source = str(path)
        with open_binary(path, self.source) as file:
            data = file.read()
        self._size = len(data)
        self._columns: dict[str, Any] = {}
        self._names: dict[str, tuple[str, ...]] = {}
        root = run(data, self.source, ALLOWED)
        try:
            if isinstance(root, Made) and root.name.endswith(".DataFrame"):
                self._columns, self._rows = _frame(root.state), _frame_rows(root.state)
            elif isinstance(root, Made) and root.name == "datasets.arrow_dataset.Dataset":
                self._columns, self._rows, self._names = self._dataset(root.state)
            else:
                what = root.name if isinstance(root, Made | Name) else type(root).__name__
                raise DataError(
                    f"{self.source} holds a {what}; expected a pickled pandas DataFrame or datasets.Dataset; "
                    "save the table as CSV or Parquet instead"
                )
        except (*_ODD, pa.ArrowException) as error:
            raise self._odd(error) from None
        self.columns: tuple[str, ...] = tuple(self._columns)
        if self._rows > 8 * self._size:  # the smallest column takes a bit for a row
            raise DataError(f"{self.source} claims {self._rows:,} rows in {self._size:,} bytes; it was refused as a bomb")

    def declared(self, column: str) -> tuple[str, ...] | None:
        """Label names of a ClassLabel column."""
        return self._names.get(column)

    def chunks(self, names: Sequence[str], *, rows: int, skip: int = 0) -> Iterator[Chunk]:
        """Rows in portions of at most `rows`, from row `skip` on.

        Raises:
            DataError: a wanted column holds something other than texts and numbers.
        """
        values = {name: self._values(name) for name in names}
        for first in range(skip, self._rows, rows):
            yield Chunk(first=first, values={name: column[first : first + rows] for name, column in values.items()})

    def _values(self, name: str) -> list[object]:
        try:
            values = _array(self._columns[name])
        except (*_ODD, pa.ArrowException) as error:
            raise self._odd(error, name) from None
        if len(values) != self._rows:
            raise self._odd(ValueError(f"{len(values)} values for {self._rows} rows"), name)
        values = [None if isinstance(v, Name | Made) and v.name in _MISSING else v for v in values]
        for row, value in enumerate(values):
            if isinstance(value, Name | Made | list | dict | tuple):
                raise self._odd(ValueError(f"row {row} holds a {getattr(value, 'name', type(value).__name__)}"), name)
        if sum(len(v) for v in values if isinstance(v, str)) > _SPACE + 32 * self._size:
            raise DataError(f"{self.source}: column '{name}' repeats its texts to many times the file's size; refused as a bomb")
        return values

    def _dataset(self, state: dict[str, Any]) -> tuple[dict[str, Any], int, dict[str, tuple[str, ...]]]:
        columns, rows = _table(state["_data"], self.source)
        names: dict[str, tuple[str, ...]] = {}
        features = _features(state)
        for column, feature in features.items():
            if isinstance(feature, Made) and feature.name.endswith(".ClassLabel"):
                names[column] = tuple(str(name) for name in feature.state["names"])
        if state.get("_indices") is not None:
            chosen, _ = _table(state["_indices"], self.source)
            index = np.array(_array(next(iter(chosen.values()))), np.int64)
            if len(index) and not 0 <= index.min() <= index.max() < rows:
                raise ValueError("indices outside the table")
            columns, rows = {name: _Picked(column, index) for name, column in columns.items()}, len(index)
        return columns, rows, names

    def _odd(self, error: Exception, column: str = "") -> DataError:
        where = f", column '{column}'," if column else ""
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        return DataError(
            f"{self.source}{where} is pickled in a form that is not understood ({type(error).__name__}: {reason}); save the "
            "table as CSV or Parquet instead"
        )


class _Picked:
    """Some rows of a column."""

    def __init__(self, column: Any, index: np.ndarray) -> None:
        self.column, self.index = column, index


def _features(state: dict[str, Any]) -> dict[str, Any]:
    features = (state["_info"].state or {}).get("features") if isinstance(state.get("_info"), Made) else None
    if not isinstance(features, Made):
        return {}
    first = features.args[0] if features.args and isinstance(features.args[0], dict) else {}
    return {**first, **features.items}


def _table(made: Any, source: str) -> tuple[dict[str, Any], int]:
    """Columns and row count of a pickled Arrow table; nothing is converted yet."""
    if made.name.endswith(".MemoryMappedTable"):
        raise DataError(
            f"{source} holds only the path of a memory-mapped file, not the rows; load it where it was made and call "
            "`save_to_disk`, or save it as Parquet"
        )
    if made.name.endswith(".ConcatenationTable"):
        return _concatenated(made.state["blocks"], source)
    if made.name.endswith("Table"):
        made = made.state["table"]
    arrays, schema = made.args[:2]
    names = [_checked(field.args[0]) for field in schema.args[0]]
    columns = dict(zip(names, arrays, strict=True))
    rows = {sum(_length(chunk) for chunk in _chunks(array)) for array in arrays}
    if len(columns) != len(names) or len(rows) != 1:
        raise ValueError("columns of one name, or of different lengths")
    return columns, rows.pop()


def _concatenated(blocks: Any, source: str) -> tuple[dict[str, Any], int]:
    columns: dict[str, Any] = {}
    total = 0
    for row in blocks:
        lengths = set()
        for block in row:
            parts, rows = _table(block, source)
            lengths.add(rows)
            for name, array in parts.items():
                columns.setdefault(name, []).append(array)
        if len(lengths) != 1:
            raise ValueError("blocks of different lengths")
        total += lengths.pop()
    return columns, total


def _chunks(array: Any) -> list[Any]:
    return list(array.args[0]) if array.name == "pyarrow.lib.chunked_array" else [array]


def _length(restored: Made) -> int:
    length = restored.args[0][1]
    if not isinstance(length, int) or length < 0:
        raise ValueError("a length below 0")
    return length


def _checked(name: Any) -> str:
    if not isinstance(name, str | int):
        raise ValueError("a column whose name is no string")
    return str(name)


def _frame(state: dict[str, Any]) -> dict[str, Any]:
    """Columns of a DataFrame's state: for each name a block and the row of it."""
    blocks, axes = _manager(state.get("_mgr", state.get("_data")))
    labels = _index(axes[0])
    if len(labels) > _MOST_COLUMNS:
        raise ValueError(f"{len(labels):,} columns")
    names = [_checked(name) for name in labels]
    columns: dict[str, Any] = {}
    for values, places in blocks:
        for row, place in enumerate(_places(places)):
            if names[place] in columns:
                raise ValueError("two columns of one name")
            columns[names[place]] = (values, row)
    return {name: columns[name] for name in names}


def _frame_rows(state: dict[str, Any]) -> int:
    return len(_index(_manager(state.get("_mgr", state.get("_data")))[1][1]))


def _manager(manager: Any) -> tuple[list[tuple[Any, Any]], list[Any]]:
    if manager.args:
        blocks, axes = manager.args[:2]
        return [(block.args[0], block.args[1]) for block in blocks], axes
    state = manager.state[3]["0.14.1"]  # what BlockManager.__getstate__ of pandas 0.14 to 1.2 writes
    return [(block["values"], block["mgr_locs"]) for block in state["blocks"]], state["axes"]


def _index(made: Any) -> Sequence[Any]:
    settings = made.args[1]
    if "start" in settings:
        return range(settings["start"], settings["stop"], settings["step"])
    values: Sequence[Any] = _array(settings["data"])
    return values


def _places(made: Any) -> Sequence[Any]:
    if isinstance(made, Made) and made.name.endswith(".BlockPlacement"):
        made = made.args[0]
    if isinstance(made, Made) and made.name.endswith(".slice"):
        start, stop, step = made.args
        return range(start, stop, 1 if step is None else step)
    return _array(made)


def _array(column: Any) -> list[object]:
    """A column's values as Python objects."""
    if isinstance(column, _Picked):
        values = _array(column.column)
        return [values[i] for i in column.index]
    if isinstance(column, list):
        return [value for part in column for value in _array(part)]
    if isinstance(column, tuple):
        values, row = column
        return _block_row(values, row)
    if column.name.startswith("pyarrow.lib."):
        return [value for chunk in _chunks(column) for value in _arrow(chunk)]
    if column.name.endswith((".ArrowStringArray", ".StringArray")) and isinstance(column.state, dict):
        return _array(column.state.get("_pa_array", column.state.get("_data", column.state.get("_ndarray"))))
    if column.name.endswith((".IntegerArray", ".FloatingArray", ".BooleanArray")):
        pairs = zip(_array(column.state["_data"]), _array(column.state["_mask"]), strict=True)
        return [None if masked else value for value, masked in pairs]
    if column.name.endswith(".__pyx_unpickle_NDArrayBacked"):
        return _backed(column)
    if column.name.endswith("._new_Index"):
        return list(_index(column))
    return _numpy(column).reshape(-1).tolist()


def _block_row(values: Any, row: int) -> list[object]:
    """One row of a block: blocks of numpy values hold several columns, others one."""
    if not values.name.endswith(("._reconstruct", "._frombuffer")):
        return _array(values)
    whole = _numpy(values)
    result: list[object] = (whole if whole.ndim == 1 else whole[row]).tolist()
    return result


def _backed(made: Made) -> list[object]:
    kind, (dtype, values, *_) = made.args[0].name, made.state
    if kind.endswith(".StringArray"):
        return _array(values)
    if not kind.endswith(".Categorical"):
        raise ValueError(f"values of kind {kind}")
    if isinstance(dtype, Made) and dtype.name.startswith("numpy"):
        dtype, values = values, dtype
    categories = _array(dtype.state["categories"])
    codes: Any = _array(values)
    return [categories[code] if code >= 0 else None for code in codes]


def _numpy(made: Any) -> np.ndarray:
    """The array that numpy's own functions would have made; memory only for bytes that are there."""
    if made.name.endswith("._frombuffer"):
        data, dtype, shape, order = made.args
    elif made.name.endswith("._reconstruct"):
        _, shape, dtype, fortran, data = made.state
        order = "F" if fortran else "C"
    else:
        raise ValueError(f"values of kind {made.name}")
    kind = dtype.args[0]
    count = math.prod(int(size) for size in shape)
    if kind in ("O", "O8"):
        if not isinstance(data, list) or len(data) != count:
            raise ValueError("an array of another size than it says")
        objects = np.empty(count, object)
        objects[:] = data
        return objects.reshape(shape)
    if kind[:1] not in "biuf" or not kind[1:].isdigit():
        raise ValueError(f"numbers of type {kind}")
    byte_order = dtype.state[1] if dtype.state and dtype.state[1] in "<>" else "="
    return np.frombuffer(bytes(as_bytes(data)), np.dtype(byte_order + kind)).reshape(shape, order=order)


def _arrow(made: Made) -> list[object]:
    """An Arrow array of a simple type, checked before anything in it is read."""
    kind, length, _, offset, buffers, *_ = made.args[0]
    alias = kind.args[0] if isinstance(kind, Made) and kind.name == "pyarrow.lib.type_for_alias" else str(kind)
    if alias not in _ARROW:
        raise ValueError(f"values of type {alias}")
    parts = [None if part is None else pa.py_buffer(bytes(as_bytes(part.args[0]))) for part in buffers]
    if not isinstance(offset, int) or offset < 0 or _length(made) > 2**40:
        raise ValueError("an impossible offset or length")
    if parts[0] is not None and parts[0].size * 8 < offset + length:
        raise ValueError("a validity bitmap that is too short")
    array = pa.Array.from_buffers(pa.type_for_alias(alias), length, parts, -1, offset)
    array.validate(full=True)
    values: list[object] = array.to_pylist()
    return values
