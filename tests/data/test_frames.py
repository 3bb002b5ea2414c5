"""Rows in memory give what the same rows in a file give, and the same complaints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, IterableDataset, Value

from striata.data import Columns, load_splits, read_table
from striata.data.frames import split_rows
from striata.errors import DataError

TEXTS = [f"text {i}, with a comma" for i in range(23)] + ["Köln 🏆"]
LABELS = [["World", "Sports", "Business"][i % 3] for i in range(24)]
COLUMNS = {"number": list(range(24)), "text": TEXTS, "label": LABELS}

KINDS: dict[str, Callable[[dict[str, list[Any]]], object]] = {
    "pandas": pd.DataFrame,
    "pandas with an index of its own": lambda columns: pd.DataFrame(columns, index=range(100, 76, -1)),
    "pandas, categorical": lambda columns: pd.DataFrame(columns).astype({"label": "category"}),
    "pandas, objects": lambda columns: pd.DataFrame(columns).astype(object),
    "polars": pl.DataFrame,
    "polars, categorical": lambda columns: pl.DataFrame(columns).with_columns(pl.col("label").cast(pl.Categorical)),
    "dataset": Dataset.from_dict,
    "dataset, formatted and picked": lambda columns: Dataset.from_dict(columns).with_format("numpy").select(range(24)),
    "arrow": pa.table,
    "arrow, dictionary": lambda columns: pa.table({**columns, "label": pa.array(columns["label"]).dictionary_encode()}),
    "record batch": lambda columns: pa.RecordBatch.from_pydict(columns),
    "columns": dict,
    "columns of arrays": lambda columns: {name: np.array(values) for name, values in columns.items()},
    "columns of series": lambda columns: {name: pd.Series(values) for name, values in columns.items()},
    "records": lambda columns: pd.DataFrame(columns).to_dict("records"),
    "texts and labels": lambda columns: (columns["text"], columns["label"]),
    "texts and labels, arrays": lambda columns: (np.array(columns["text"]), pl.Series(columns["label"])),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_the_splits_of_its_csv(tmp_path: Path, kind: str) -> None:
    pd.DataFrame(COLUMNS).to_csv(tmp_path / "train.csv", index=False)
    of_file = load_splits(str(tmp_path / "train.csv"), 6, 0.2, seed=5)
    table = read_table(KINDS[kind](COLUMNS), Columns())
    splits = load_splits(table, 6, 0.2, seed=5)
    assert splits.fingerprint == of_file.fingerprint
    assert splits.labels == of_file.labels
    for name, part in splits.tables().items():
        other = of_file.tables()[name]
        assert (part.texts, part.labels, part.pairs) == (other.texts, other.labels, other.pairs)
        np.testing.assert_array_equal(part.ids, other.ids)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "categorical" not in kind and "dictionary" not in kind])
def test_whole_numbers_are_labels_as_in_files(tmp_path: Path, kind: str) -> None:
    columns = {**COLUMNS, "label": [(10, 9, 2)[i % 3] for i in range(24)]}
    pd.DataFrame(columns).to_csv(tmp_path / "train.csv", index=False)
    splits = load_splits(read_table(KINDS[kind](columns), Columns()), 6, None)
    assert splits.labels == ("2", "9", "10")
    assert splits.fingerprint == load_splits(str(tmp_path / "train.csv"), 6, None).fingerprint


def test_label_names_that_are_declared_are_kept() -> None:
    features = Features({"text": Value("string"), "label": ClassLabel(names=["World", "Sports", "Business"])})
    declared = Dataset.from_dict({"text": TEXTS, "label": [i % 3 for i in range(24)]}, features)
    for rows in (declared, declared.data.table):
        table = read_table(rows, Columns())
        assert table.label_names == ("World", "Sports", "Business")
        assert table.labels == LABELS


@pytest.mark.parametrize("column", [["x", None], ["x", float("nan")], ["x", "  "]])
def test_a_missing_text_or_label_is_said_as_of_parquet(tmp_path: Path, column: list[Any]) -> None:
    for name, other in (("text", "label"), ("label", "text")):
        frame = pd.DataFrame({name: pd.Series(column, dtype="str"), other: ["a", "b"]})
        frame.to_parquet(tmp_path / "x.parquet")
        complaint = refusal(str(tmp_path / "x.parquet"))
        whole = pl.DataFrame({name: [None if v != v else v for v in column], other: ["a", "b"]})
        for rows in (frame, frame.astype(object), whole, whole.to_arrow(), whole.to_dicts()):
            assert refusal(rows).partition(")")[2] == complaint.removeprefix(str(tmp_path / "x.parquet"))


@pytest.mark.parametrize(
    "labels",
    [pd.Series([0.5, 1.0]), pd.Series([b"a", b"b"]), pd.Series([0.5, 1.0], dtype="Float64")],
)
def test_labels_of_other_types_are_refused_as_of_parquet(tmp_path: Path, labels: Any) -> None:
    frame = pd.DataFrame({"text": ["a", "b"], "label": labels})
    frame.to_parquet(tmp_path / "x.parquet")
    complaint = refusal(str(tmp_path / "x.parquet")).removeprefix(str(tmp_path / "x.parquet"))
    for rows in (frame, pl.from_pandas(frame), pa.Table.from_pandas(frame), Dataset.from_pandas(frame)):
        assert refusal(rows).partition(")")[2] == complaint


@pytest.mark.parametrize("values", [pd.Series([True, False]), pd.Series([True, False], dtype="boolean")])
def test_truth_values_are_the_labels_that_pandas_writes(tmp_path: Path, values: Any) -> None:
    frame = pd.DataFrame({"text": ["a", "b"], "label": values})
    frame.to_parquet(tmp_path / "x.parquet")
    frame.to_csv(tmp_path / "x.csv", index=False)
    frame.to_json(tmp_path / "x.jsonl", orient="records", lines=True)
    frame.to_excel(tmp_path / "x.xlsx", index=False)
    files = [str(tmp_path / f"x.{ending}") for ending in ("parquet", "csv", "jsonl", "xlsx")]
    for rows in (frame, pl.from_pandas(frame), pa.Table.from_pandas(frame), Dataset.from_pandas(frame), *files):
        assert read_table(rows, Columns()).labels == ["True", "False"]


def test_gaps_among_whole_numbers_are_missing_labels() -> None:
    for dtype in ("Int64", "float64", object):
        frame = pd.DataFrame({"text": ["a", "b"], "label": pd.Series([3, None], dtype=dtype)})
        assert refusal(frame) == "train rows (pandas DataFrame): row 1 (counted from 0), column 'label': missing label; " + (
            "expected a label in every row; fill it in, or leave such rows out with `data.drop_empty: true`"
        )
        assert read_table(frame[:1], Columns()).labels == ["3"]


def refusal(rows: object) -> str:
    with pytest.raises(DataError) as caught:
        read_table(rows, Columns())
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (pd.DataFrame({"text": [], "label": []}), r"train rows \(pandas DataFrame\) has no rows"),
        (pd.DataFrame({"of": ["a"], "by": ["b"]}), "no text column among 'of', 'by'"),
        (pd.DataFrame([["a", "b"]], columns=["text", "text"]), "more than one text column"),
        ({"text": ["a", "b"], "label": ["x"]}, r"columns differ in length \('text' 2, 'label' 1\)"),
        ({"text": "abc", "label": ["x", "y", "z"]}, "column 'text' is a str; expected a list of values"),
        ({"text": 5, "label": 6}, "column 'text' is a int; expected a list of values"),
        (["a", "b"], "train rows are a list; expected a pandas or polars DataFrame"),
        (5, "train rows are a int; expected"),
        (pl.LazyFrame({"text": ["a"]}), r"LazyFrame; call `collect\(\)` on it first"),
        (IterableDataset.from_generator(lambda: iter([{"text": "a"}])), "IterableDataset; it is a stream"),
        ("rows sha256:" + "ab" * 32, "the train rows were in memory .* give them again with `data=`"),
        ([{"text": "a", "label": "x"}, {"text": "b"}], "row 1 .* missing label"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_line(rows: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_table(rows, Columns())


def test_parts_are_told_from_columns() -> None:
    frame = pd.DataFrame(COLUMNS)
    assert list(split_rows(COLUMNS)) == ["train"]
    assert list(split_rows({"train": frame, "dev": frame, "test": None})) == ["train", "validation"]
    parts = split_rows(DatasetDict({"train": Dataset.from_dict(COLUMNS), "valid": Dataset.from_dict(COLUMNS)}))
    assert list(parts) == ["train", "validation"]
    assert read_table(parts["validation"], Columns()).texts == TEXTS
    with pytest.raises(DataError, match="data has no part 'train' beside test"):
        split_rows({"test": frame})
    with pytest.raises(DataError, match="data has a part 'unsupervised'; expected train, validation, test"):
        split_rows({"train": frame, "unsupervised": frame})


def test_a_tuples_columns_are_called_as_the_study_calls_them() -> None:
    table = read_table((["a", "b"], ["x", "y"]), Columns(text="sentence", label="gold"))
    assert (table.texts, table.labels) == (["a", "b"], ["x", "y"])
