"""Pickled pandas DataFrames and in-memory datasets.Datasets, old and new, read without running anything in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from ..errors import DataError
from .files import DataFile
from .machine import Made, Name, run
from .table import Chunk
from .unpickled import Walk

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
_MISSING = ("pandas.NA", "pandas._libs.missing.NA", "pandas._libs.missing.NAType")
_PLAIN = (str, bytes, int, float, type(None))
_SPACE = 64 * 2**20  # characters of texts that a small file may repeat
_ODD = (KeyError, IndexError, TypeError, ValueError, AttributeError, ArithmeticError, MemoryError, RecursionError)


class PickleReader:
    """Rows of a pickled DataFrame or Dataset.

    Args:
        file: the file.

    Raises:
        DataError: it cannot be read, names anything that such objects do not need, or holds something else.
    """

    form = ""

    def __init__(self, file: DataFile) -> None:
        self.source = file.source
        with file.open() as opened:
            data = opened.read()
        self._size = len(data)
        self._columns: dict[str, Any] = {}
        self._names: dict[str, tuple[str, ...]] = {}
        root = run(data, self.source, ALLOWED)
        walk = Walk(self.source, self._size)
        try:
            if isinstance(root, Made) and root.name.endswith(".DataFrame"):
                self._columns, self._rows = walk.frame(root.state)
            elif isinstance(root, Made) and root.name == "datasets.arrow_dataset.Dataset":
                self._columns, self._rows = walk.data_set(root.state)
                self._names = walk.label_names(root.state)
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

    def types(self) -> dict[str, pa.DataType | None]:
        """Every column; only the values tell its type."""
        return dict.fromkeys(self.columns)

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
            values = Walk(self.source, self._size).values(self._columns[name])
        except (*_ODD, pa.ArrowException) as error:
            raise self._odd(error, name) from None
        if len(values) != self._rows:
            raise self._odd(ValueError(f"{len(values)} values for {self._rows} rows"), name)
        values = [None if isinstance(v, Name | Made) and v.name in _MISSING else v for v in values]
        for row, value in enumerate(values):
            if not isinstance(value, _PLAIN):
                raise self._odd(ValueError(f"row {row} holds a {getattr(value, 'name', type(value).__name__)}"), name)
        if sum(len(v) for v in values if isinstance(v, str)) > _SPACE + 32 * self._size:
            raise DataError(f"{self.source}: column '{name}' repeats its texts to many times the file's size; refused as a bomb")
        return values

    def _odd(self, error: Exception, column: str = "") -> DataError:
        where = f", column '{column}'," if column else ""
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        return DataError(
            f"{self.source}{where} is pickled in a form that is not understood ({type(error).__name__}: {reason}); save the "
            "table as CSV or Parquet instead"
        )
