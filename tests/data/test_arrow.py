"""Arrow and Parquet: whatever is in them is rows or one line, and never memory of the process."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from datasets import Dataset
from pyarrow import parquet

from striata.data import Columns, read_table
from striata.data.arrow import column_values
from striata.data.columnar import ParquetReader
from striata.data.files import DataFile
from striata.data.frames import open_rows
from striata.data.saved import SavedReader
from striata.errors import DataError

from .flipped import refused_when_flipped

TEXTS = ["Köln", "grün 🏆", "", "x" * 40]


def of_bytes(values: list[bytes]) -> Any:
    """A string array of any bytes, which nothing has checked."""
    offsets = [sum(map(len, values[:i])) for i in range(len(values) + 1)]
    buffers = [None, pa.py_buffer(struct.pack(f"<{len(offsets)}i", *offsets)), pa.py_buffer(b"".join(values))]
    return pa.Array.from_buffers(pa.string(), len(values), buffers)


def written(folder: Path, kind: str, table: Any) -> str:
    if kind == "parquet":
        parquet.write_table(table, folder / "x.parquet", row_group_size=2)
        return str(folder / "x.parquet")
    Dataset.from_dict({"text": ["a"], "label": ["b"]}).save_to_disk(folder / "saved")
    with pa.ipc.new_stream(folder / "saved" / "data-00000-of-00001.arrow", table.schema) as stream:
        stream.write_table(table, max_chunksize=2)
    return str(folder / "saved")


@pytest.mark.parametrize("kind", ["parquet", "arrow", "memory"])
@pytest.mark.parametrize("column", ["text", "label"])
def test_a_text_that_is_not_utf8_has_its_row(tmp_path: Path, kind: str, column: str) -> None:
    rows = {"text": list("abcd"), "label": list("abab"), column: of_bytes([b"a", b"b", b"c", b"sch\xf6n"])}
    table = pa.table(rows)
    source: object = table if kind == "memory" else written(tmp_path, kind, table)
    with pytest.raises(DataError, match=rf"row 3 \(counted from 0\), column '{column}': byte 0xf6 is not UTF-8") as caught:
        read_table(source, Columns())
    assert caught.value.row == 3


@pytest.mark.parametrize(
    "type_", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())], ids=str
)
def test_every_type_of_text_is_read(type_: Any) -> None:
    column = pa.array([*TEXTS, None]).cast(type_) if type_ != pa.string_view() else pa.array([*TEXTS, None], type_)
    assert column_values(column, "text", "x") == [*TEXTS, None]


def test_a_dictionary_that_is_not_utf8() -> None:
    column = pa.DictionaryArray.from_arrays(pa.array([0, 1, 1], pa.int8()), of_bytes([b"a", b"\xff"]))
    with pytest.raises(DataError, match=r"x: row 11 \(counted from 0\), column 'text': byte 0xff is not UTF-8"):
        column_values(column, "text", "x", first=10)


def test_a_value_that_python_does_not_have_is_one_line() -> None:
    with pytest.raises(DataError, match=r"column 'when' has values of the Arrow type timestamp\[s\].*; name another column"):
        column_values(pa.array([2**60], pa.timestamp("s")), "when", "x")


def test_offsets_outside_the_buffer_are_not_followed() -> None:
    buffers = [None, pa.py_buffer(struct.pack("<3i", 0, 2**30, 2)), pa.py_buffer(b"ab")]
    column = pa.Array.from_buffers(pa.string(), 2, buffers)
    with pytest.raises(DataError, match=r"x: column 'text' is damaged from row 0 .* on \("):
        column_values(column, "text", "x")


def test_a_dictionary_that_repeats_a_text_without_end() -> None:
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 5_000, pa.int8()), pa.array(["x" * 1_000_000]))
    with pytest.raises(DataError, match="more than 1,073,741,824 bytes of text in 5,000 rows"):
        column_values(column, "text", "x")


def test_a_file_of_few_bytes_and_many_rows(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"text": pa.nulls(30_000_000, pa.string())}), tmp_path / "x.parquet", compression="zstd")
    with pytest.raises(DataError, match=r"claims 30,000,000 rows in [\d,]+ bytes; it was refused as a bomb"):
        ParquetReader(DataFile.of(tmp_path / "x.parquet"))


def saved(folder: Path, table: Any) -> SavedReader:
    (folder / "state.json").write_text('{"_data_files": [{"filename": "x.arrow"}]}')
    (folder / "dataset_info.json").write_text("{}")
    with pa.ipc.new_stream(folder / "x.arrow", table.schema) as file:
        file.write_table(table)
    return SavedReader(folder)


def test_a_columns_name_that_is_not_utf_8_is_one_line(tmp_path: Path) -> None:
    table = pa.table([pa.array(["a"])], schema=pa.schema([pa.field(b"text\xff", pa.string())]))
    parquet.write_table(table, tmp_path / "x.parquet")
    for opened in (
        lambda: open_rows(table, "rows", Columns()),
        lambda: ParquetReader(DataFile.of(tmp_path / "x.parquet")),
        lambda: saved(tmp_path, table),
    ):
        with pytest.raises(DataError, match=r"byte 0xff .*; write the (table|file) again"):
            opened()


def test_any_flipped_byte_of_parquet_is_rows_or_one_line(tmp_path: Path) -> None:
    file = tmp_path / "x.parquet"
    parquet.write_table(pa.table({"text": TEXTS * 10, "label": [1, 2, 3, 4] * 10}), file, row_group_size=20)
    assert 40 < refused_when_flipped(file, lambda: ParquetReader(DataFile.of(file)), 150) < 150
