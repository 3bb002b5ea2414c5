"""What is wrong with a row of a folder is said by the file's name and the line in it; labels are counted in any spelling."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from striata.data import Columns, audit_data, load_splits, read_table
from striata.errors import DataError


def test_a_wrong_row_is_named_by_its_file_and_line(tmp_path: Path) -> None:
    folder = tmp_path / "rows"
    (folder / "train").mkdir(parents=True)
    (folder / "train" / "a.csv").write_text("text,label\none,x\ntwo,y\n")
    (folder / "train" / "b.csv").write_text('text,label\n"three\nlines",x\nfour,\n')
    with pytest.raises(DataError, match=r"rows: file train/b\.csv, row 1 \(counted from 0; line 4\), .*missing label") as caught:
        read_table(str(folder), Columns())
    assert caught.value.row == 3  # of all rows of the folder
    (folder / "train" / "b.csv").write_text("text,label\n,x\nfour,y\n")
    with pytest.raises(DataError, match=r"the first is file train/b\.csv, row 0 \(counted from 0; line 2\), column 'text'"):
        read_table(str(folder), Columns())
    for name, texts in (("a", ["one", "two"]), ("b", ["three", None])):
        parquet.write_table(pa.table({"text": texts, "label": ["x", "y"]}), folder / "train" / f"{name}.parquet")
        (folder / "train" / f"{name}.csv").unlink()
    with pytest.raises(DataError, match=r"the first is file train/b\.parquet, row 1 \(counted from 0\), column 'text'"):
        read_table(str(folder), Columns())


def test_an_audit_counts_labels_that_another_file_spells_otherwise(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("text,label\n" + "".join(f"text {at},{at % 2 + 1}.0\n" for at in range(8)))
    parquet.write_table(pa.table({"text": ["a", "b", "c"], "label": [1.0, 2.0, 1.0]}), tmp_path / "other.parquet")
    splits = load_splits(str(tmp_path / "train.csv"), str(tmp_path / "other.parquet"), None)
    audit = audit_data(splits, {name: np.ones(len(table), np.int64) for name, table in splits.tables().items()}, None)
    assert audit.parts["validation"].labels == {"1.0": 2, "2.0": 1}
