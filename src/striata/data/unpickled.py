"""Columns of what the pickle machine built: how pandas 1.5 to 3 and datasets 2 to 5 lay out their tables.

What a stream builds can name one value many times, so that a tree of 2**64 values fits into a hundred bytes. Every value that
is visited and every byte that is copied is therefore counted, and there may be few more of them than the file has bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from ..errors import DataError
from .machine import Made, as_bytes

_ARROW = frozenset(
    {"bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float", "double"}
    | {"string", "large_string"}
)
_MOST_COLUMNS = 100_000
_LONGEST_NAME = 10_000


class Walk:
    """One visit to what a pickle holds.

    Args:
        source: for messages.
        size: bytes of the file.

    Raises:
        DataError: by every method: more is visited or copied than a file of this size can hold.
        ValueError: by every method, or another error of odd values: the layout is not understood.
    """

    def __init__(self, source: str, size: int) -> None:
        self._source, self._size = source, size
        self._visits, self._bytes = 10_000 + 8 * size, 2**20 + 8 * size

    def frame(self, state: dict[str, Any]) -> tuple[dict[str, Any], int]:
        """Columns of a DataFrame's state, for each name a block and the row of it, and the number of rows."""
        blocks, axes = _manager(state.get("_mgr", state.get("_data")))
        labels = self._index(axes[0])
        if len(labels) > _MOST_COLUMNS:
            raise ValueError(f"{len(labels):,} columns")
        names = [_text(name) for name in labels]
        columns: dict[str, Any] = {}
        for values, places in blocks:
            for row, place in enumerate(self._places(places)):
                if names[place] in columns:
                    raise ValueError("two columns of one name")
                columns[names[place]] = (values, row)
        return {name: columns[name] for name in names}, len(self._index(axes[1]))

    def data_set(self, state: dict[str, Any]) -> tuple[dict[str, Any], int]:
        """Columns of a Dataset's state and the number of rows; nothing is converted yet."""
        columns, rows = self._table(state["_data"])
        if state.get("_indices") is not None:
            chosen, _ = self._table(state["_indices"])
            values = self.values(next(iter(chosen.values())))
            if not all(type(value) is int and 0 <= value < rows for value in values):
                raise ValueError("indices outside the table")
            index = np.array(values, np.int64)
            columns, rows = {name: _Picked(column, index) for name, column in columns.items()}, len(index)
        return columns, rows

    def label_names(self, state: dict[str, Any]) -> dict[str, tuple[str, ...]]:
        """Label names of the ClassLabel columns in a Dataset's state."""
        features = (state["_info"].state or {}).get("features") if isinstance(state.get("_info"), Made) else None
        if not isinstance(features, Made):
            return {}
        first = features.args[0] if features.args and isinstance(features.args[0], dict) else {}
        names: dict[str, tuple[str, ...]] = {}
        for column, feature in {**first, **features.items}.items():
            if isinstance(feature, Made) and feature.name.endswith(".ClassLabel"):
                labels = feature.state["names"]
                if not isinstance(labels, list | tuple):
                    raise ValueError("label names that are no list")
                self._visit(len(labels))
                names[column] = tuple(_text(name) for name in labels)
        return names

    def values(self, column: Any) -> list[object]:
        """A column's values as Python objects."""
        self._visit(1)
        if isinstance(column, _Picked):
            values = self.values(column.column)
            self._visit(len(column.index))
            return [values[i] for i in column.index]
        if isinstance(column, list):
            return [value for part in column for value in self.values(part)]
        if isinstance(column, tuple):
            values, row = column
            return self._block_row(values, row)
        if column.name.startswith("pyarrow.lib."):
            return [value for chunk in self._chunks(column) for value in self._arrow(chunk)]
        if column.name.endswith((".ArrowStringArray", ".StringArray")) and isinstance(column.state, dict):
            return self.values(column.state.get("_pa_array", column.state.get("_data", column.state.get("_ndarray"))))
        if column.name.endswith((".IntegerArray", ".FloatingArray", ".BooleanArray")):
            pairs = zip(self.values(column.state["_data"]), self.values(column.state["_mask"]), strict=True)
            return [None if masked is True else value for value, masked in pairs]
        if column.name.endswith(".__pyx_unpickle_NDArrayBacked"):
            return self._backed(column)
        if column.name.endswith("._new_Index"):
            return list(self._index(column))
        return self._listed(self._numpy(column).reshape(-1))

    def _visit(self, count: int) -> None:
        self._visits -= count
        if self._visits < 0:
            raise self._bomb()

    def _copied(self, value: Any) -> bytes:
        data = as_bytes(value)
        self._bytes -= len(data)
        if self._bytes < 0:
            raise self._bomb()
        return bytes(data)

    def _bomb(self) -> DataError:
        return DataError(f"{self._source} repeats its values to many times its {self._size:,} bytes; it was refused as a bomb")

    def _table(self, made: Any) -> tuple[dict[str, Any], int]:
        self._visit(1)
        if made.name.endswith(".MemoryMappedTable"):
            raise DataError(
                f"{self._source} holds only the path of a memory-mapped file, not the rows; load it where it was made and call "
                "`save_to_disk`, or save it as Parquet"
            )
        if made.name.endswith(".ConcatenationTable"):
            return self._concatenated(made.state["blocks"])
        if made.name.endswith("Table"):
            made = made.state["table"]
        arrays, schema = made.args[:2]
        names = [_text(field.args[0]) for field in schema.args[0]]
        self._visit(len(names))
        columns = dict(zip(names, arrays, strict=True))
        rows = {sum(_length(chunk) for chunk in self._chunks(array)) for array in arrays}
        if len(columns) != len(names) or len(rows) != 1:
            raise ValueError("columns of one name, or of different lengths")
        return columns, rows.pop()

    def _concatenated(self, blocks: Any) -> tuple[dict[str, Any], int]:
        columns: dict[str, Any] = {}
        total = 0
        for row in blocks:
            lengths = set()
            for block in row:
                parts, rows = self._table(block)
                lengths.add(rows)
                for name, array in parts.items():
                    columns.setdefault(name, []).append(array)
            if len(lengths) != 1:
                raise ValueError("blocks of different lengths")
            total += lengths.pop()
        return columns, total

    def _chunks(self, array: Any) -> list[Any]:
        chunks = list(array.args[0]) if array.name == "pyarrow.lib.chunked_array" else [array]
        self._visit(len(chunks))
        return chunks

    def _index(self, made: Any) -> Sequence[Any]:
        settings = made.args[1]
        if "start" in settings:
            return range(settings["start"], settings["stop"], settings["step"])
        return self.values(settings["data"])

    def _places(self, made: Any) -> Sequence[Any]:
        if isinstance(made, Made) and made.name.endswith(".BlockPlacement"):
            made = made.args[0]
        if isinstance(made, Made) and made.name.endswith(".slice"):
            start, stop, step = made.args
            return range(start, stop, 1 if step is None else step)
        return self.values(made)

    def _block_row(self, values: Any, row: int) -> list[object]:
        """One row of a block: blocks of numpy values hold several columns, others one."""
        if not values.name.endswith(("._reconstruct", "._frombuffer")):
            return self.values(values)
        whole = self._numpy(values)
        return self._listed(whole if whole.ndim == 1 else whole[row])

    def _listed(self, values: np.ndarray) -> list[object]:
        self._visit(values.size)
        result: list[object] = values.tolist()
        return result

    def _backed(self, made: Made) -> list[object]:
        kind, (dtype, values, *_) = made.args[0].name, made.state
        if kind.endswith(".StringArray"):
            return self.values(values)
        if not kind.endswith(".Categorical"):
            raise ValueError(f"values of kind {kind}")
        if isinstance(dtype, Made) and dtype.name.startswith("numpy"):
            dtype, values = values, dtype
        categories = self.values(dtype.state["categories"])
        codes: Any = self.values(values)
        return [categories[code] if code >= 0 else None for code in codes]

    def _numpy(self, made: Any) -> np.ndarray:
        """The array that numpy's own functions would have made; memory only for bytes that are there."""
        if made.name.endswith("._frombuffer"):
            data, dtype, shape, order = made.args
        elif made.name.endswith("._reconstruct"):
            _, shape, dtype, fortran, data = made.state
            order = "F" if fortran else "C"
        else:
            raise ValueError(f"values of kind {made.name}")
        kind = dtype.args[0]
        count = _count(shape)
        if kind in ("O", "O8"):
            if not isinstance(data, list) or len(data) != count:
                raise ValueError("an array of another size than it says")
            self._visit(count)
            return np.fromiter(data, object, count).reshape(shape)
        if not isinstance(kind, str) or kind[:1] not in tuple("biuf") or kind[1:] not in ("1", "2", "4", "8"):
            raise ValueError("numbers of an unknown type")
        byte_order = dtype.state[1] if dtype.state and dtype.state[1] in ("<", ">") else "="
        return np.frombuffer(self._copied(data), np.dtype(byte_order + kind)).reshape(shape, order=order)

    def _arrow(self, made: Made) -> list[object]:
        """An Arrow array of a simple type, checked before anything in it is read."""
        kind, length, _, offset, buffers, *_ = made.args[0]
        alias = kind.args[0] if isinstance(kind, Made) and kind.name == "pyarrow.lib.type_for_alias" else kind
        if not isinstance(alias, str) or alias not in _ARROW:
            raise ValueError("values of a type that holds neither texts nor numbers")
        if not isinstance(offset, int) or offset < 0 or _length(made) > 2**40:
            raise ValueError("an impossible offset or length")
        self._visit(length)
        parts = [None if part is None else pa.py_buffer(self._copied(part.args[0])) for part in buffers]
        if parts[0] is not None and parts[0].size * 8 < offset + length:
            raise ValueError("a validity bitmap that is too short")
        array = pa.Array.from_buffers(pa.type_for_alias(alias), length, parts, -1, offset)
        array.validate(full=True)
        values: list[object] = array.to_pylist()
        return values


class _Picked:
    """Some rows of a column."""

    def __init__(self, column: Any, index: np.ndarray) -> None:
        self.column, self.index = column, index


def _manager(manager: Any) -> tuple[list[tuple[Any, Any]], list[Any]]:
    if manager.args:
        blocks, axes = manager.args[:2]
        return [(block.args[0], block.args[1]) for block in blocks], axes
    state = manager.state[3]["0.14.1"]  # what BlockManager.__getstate__ of pandas 0.14 to 1.2 writes
    return [(block["values"], block["mgr_locs"]) for block in state["blocks"]], state["axes"]


def _length(restored: Made) -> int:
    length = restored.args[0][1]
    if not isinstance(length, int) or length < 0:
        raise ValueError("a length below 0")
    return length


def _count(shape: Any) -> int:
    """How many values an array of one or two dimensions has."""
    if not isinstance(shape, tuple) or len(shape) not in (1, 2):
        raise ValueError("an array of neither one nor two dimensions")
    if not all(isinstance(size, int) and 0 <= size < 2**63 for size in shape):
        raise ValueError("an array of an impossible shape")
    return int(shape[0]) * (int(shape[1]) if len(shape) == 2 else 1)


def _text(name: Any) -> str:
    """A name as text: strings, and integers as pandas numbers columns."""
    if isinstance(name, int) and name.bit_length() <= 64:
        return str(name)
    if not isinstance(name, str) or len(name) > _LONGEST_NAME:
        raise ValueError("a name that is no string, or is too long")
    return name
