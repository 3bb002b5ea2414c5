"""Several labels a text, in every shape that people write them in."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from striata.data import Columns, load_splits, read_table
from striata.errors import DataError
from striata.settings import load_study

SEVERAL = Columns(task="multilabel")
TEXTS = ["one", "two", "three", "four"]
LISTS = [["b", "a"], [], ["c"], ["a"]]
EXPECTED = ["a|b", "", "c", "a"]


def as_json_lines(folder: Path) -> tuple[object, Columns]:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps({"text": t, "labels": several}) + "\n" for t, several in zip(TEXTS, LISTS, strict=True)))
    return str(path), SEVERAL


def as_json(folder: Path) -> tuple[object, Columns]:
    path = folder / "rows.json"
    path.write_text(json.dumps([{"text": t, "labels": several or None} for t, several in zip(TEXTS, LISTS, strict=True)]))
    return str(path), SEVERAL


def as_parquet(folder: Path) -> tuple[object, Columns]:
    parquet.write_table(pa.table({"text": TEXTS, "labels": LISTS}), folder / "rows.parquet")
    return str(folder / "rows.parquet"), SEVERAL


def as_joined_text(folder: Path) -> tuple[object, Columns]:
    path = folder / "rows.csv"
    path.write_text("text,labels\none,b|a\ntwo,\nthree,c\nfour, a | a\n")
    return str(path), SEVERAL


def as_separated_text(folder: Path) -> tuple[object, Columns]:
    path = folder / "rows.tsv"
    path.write_text("text\tlabels\none\tb, a\ntwo\t\nthree\tc\nfour\ta\n")
    return str(path), Columns(task="multilabel", separator=",")


def as_printed_list(folder: Path) -> tuple[object, Columns]:
    pd.DataFrame({"text": TEXTS, "labels": LISTS}).to_csv(folder / "rows.csv", index=False)
    return str(folder / "rows.csv"), SEVERAL


def as_truths(folder: Path) -> tuple[object, Columns]:
    path = folder / "rows.csv"
    path.write_text("text,a,b,c,other\none,1,1,0,x\ntwo,0,0,0,x\nthree,0.0,false,True,x\nfour,1,0,0,x\n")
    return str(path), Columns(task="multilabel", label=("a", "b", "c"))


def as_named_truths(folder: Path) -> tuple[object, Columns]:
    source, _ = as_truths(folder)
    return source, Columns(task="multilabel", label="a,b,c")


def as_frame(folder: Path) -> tuple[object, Columns]:
    return pd.DataFrame({"text": TEXTS, "labels": LISTS}), SEVERAL


SHAPES = (
    as_json_lines, as_json, as_parquet, as_joined_text, as_separated_text, as_printed_list, as_truths, as_named_truths, as_frame,
)  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES, ids=[shape.__name__ for shape in SHAPES])
def test_one_spelling_whatever_the_shape(shape: object, tmp_path: Path) -> None:
    source, columns = shape(tmp_path)  # type: ignore[operator]
    table = read_table(source, columns)
    assert table.labels == EXPECTED
    assert Columns(**columns.to_json()).task == "multilabel"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("lines", "columns", "message"),
    [
        ("one,2,0", Columns(task="multilabel", label=("a", "b")), r"row 0 [^:]*: column 'a' holds '2'; expected 0 or 1"),
        (
            "one,0,",
            Columns(task="multilabel", label=("a", "b")),
            r"\): missing label in column 'b'; expected 0 or 1 in every row; fill",
        ),
        ("one,1,0", Columns(task="multilabel", label=("a", "a")), r"a label column is named twice"),
        ("one,1,0", Columns(task="multilabel", label=("a", "z")), r"no column 'z'"),
    ],
)
def test_what_is_no_label_is_refused_by_row(lines: str, columns: Columns, message: str, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(f"text,a,b\n{lines}\n")
    with pytest.raises(DataError, match=message):
        read_table(str(tmp_path / "rows.csv"), columns)


def test_rows_without_a_truth_are_left_out_where_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text,a,b\none,1,0\ntwo,,1\nthree,0,\nfour,0,1\n")
    table = read_table(str(tmp_path / "rows.csv"), Columns(task="multilabel", label=("a", "b"), drop_empty=True))
    assert table.texts == ["one", "four"]
    assert table.labels == ["a", "b"]


def test_a_label_with_the_joint_is_refused_and_columns_need_the_task() -> None:
    with pytest.raises(DataError, match=r"label 'a\|b' holds `\|`, which stands between labels"):
        read_table({"text": ["one"], "labels": [["a|b"]]}, SEVERAL)
    with pytest.raises(DataError, match="write `task: multilabel`"):
        Columns(label=("a", "b"))


def test_held_out_rows_have_every_label_or_are_refused() -> None:
    rows = {"text": [f"text {at}" for at in range(40)], "labels": [["a"] if at % 2 else ["b", "c"] for at in range(40)]}
    splits = load_splits(read_table(rows, SEVERAL), 10, None, columns=SEVERAL)
    assert splits.labels == ("a", "b", "c")
    assert (len(splits.train), len(splits.validation)) == (30, 10)
    assert sorted(set(splits.validation.labels or ())) == ["a", "b|c"]
    rare = {"text": [f"text {at}" for at in range(6)], "labels": [[name] for name in "aabbcc"]}
    with pytest.raises(DataError, match=r"cannot hold out 1 of 6 rows for validation with rows of label '.' on both sides"):
        load_splits(read_table(rare, SEVERAL), 1, None, columns=SEVERAL)


def test_a_study_names_columns_and_separator() -> None:
    study = load_study(
        {"base": "none", "task": "multilabel", "baselines": ["lexical"], "output": "x",
         "data": {"train": "a.csv", "label": ["a", "b"], "label_separator": ";"}}
    )  # fmt: skip
    assert study.columns.label == ("a", "b")
    assert study.columns.separator == ";"
    assert load_study(study.to_dict()).columns == study.columns
