"""Every format gives the same rows, and every wrong file is named with row and field."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value, load_dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from striata.data import Columns, Stream, Table, read_table
from striata.errors import DataError

TEXTS = ["Stocks, they say, rise", 'He said "no"', "two\nlines", "Köln 🏆"]
LABELS = ["b", "w", "b", "s"]


def write(folder: Path, kind: str, texts: list[str], labels: list[str]) -> str:
    frame = pd.DataFrame({"text": texts, "label": labels})
    path = folder / f"data.{kind}"
    if kind == "csv":
        frame.to_csv(path, index=False)
    elif kind == "tsv":
        frame.to_csv(path, index=False, sep="\t")
    elif kind == "jsonl":
        frame.to_json(path, orient="records", lines=True)
    elif kind == "parquet":
        frame.to_parquet(path, row_group_size=2)
    elif kind == "pkl":
        frame.to_pickle(path)
    elif kind == "arrow":
        Dataset.from_pandas(frame).save_to_disk(path)
    return str(path)


KINDS = ("csv", "tsv", "jsonl", "parquet", "pkl", "arrow")


@pytest.mark.parametrize("kind", KINDS)
def test_all_formats_give_the_same_rows(tmp_path: Path, kind: str) -> None:
    table = read_table(write(tmp_path, kind, TEXTS, LABELS), Columns())
    assert (table.texts, table.labels, table.ids.tolist()) == (TEXTS, LABELS, [0, 1, 2, 3])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("skip", [0, 1, 3, 4])
def test_a_stream_goes_on_at_any_row(tmp_path: Path, kind: str, skip: int) -> None:
    stream = Stream.open(write(tmp_path, kind, TEXTS, LABELS), Columns())
    tables = list(stream.tables(rows=2, skip=skip))
    assert [text for table in tables for text in table.texts] == TEXTS[skip:]
    assert [i for table in tables for i in table.ids] == list(range(skip, 4))
    assert all(len(table) <= 2 for table in tables)


printable = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1).filter(
    lambda t: not t.isspace()
)


@given(st.lists(st.tuples(printable, st.sampled_from("abc")), min_size=1, max_size=6))
@settings(max_examples=80, deadline=None)
def test_whatever_pandas_writes_comes_back(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]) -> None:
    folder = tmp_path_factory.getbasetemp() / "formats"
    folder.mkdir(exist_ok=True)
    texts, labels = [text for text, _ in rows], [label for _, label in rows]
    for kind in ("jsonl", "parquet"):
        assert read_table(write(folder, kind, texts, labels), Columns()).texts == texts
    import csv

    with open(folder / "data.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    assert read_table(str(folder / "data.csv"), Columns()).texts == texts


@given(st.binary(max_size=200), st.sampled_from([".csv", ".jsonl", ".parquet", ".pkl", ".tsv"]))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_rows_or_one_line(tmp_path_factory: pytest.TempPathFactory, data: bytes, kind: str) -> None:
    path = tmp_path_factory.getbasetemp() / f"any{kind}"
    path.write_bytes(data)
    try:
        read_table(str(path), Columns(text="a"))
    except DataError as error:
        assert "\n" not in str(error)
        assert str(path) in str(error)


def test_declared_label_names_are_used(tmp_path: Path) -> None:
    features = Features({"text": Value("string"), "label": ClassLabel(names=["World", "Sports"])})
    data = Dataset.from_dict({"text": ["a", "b"], "label": [1, 0]}, features=features)
    data.to_parquet(tmp_path / "x.parquet")
    DatasetDict({"train": data, "test": data}).save_to_disk(tmp_path / "saved")
    for source in ("x.parquet", "saved"):
        table = read_table(str(tmp_path / source), Columns())
        assert table.labels == ["Sports", "World"]
        assert table.label_names == ("World", "Sports")
    with pytest.raises(DataError, match="has no validation split among train, test"):
        read_table(str(tmp_path / "saved"), Columns(), split="validation")


def test_pairs_are_found(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"premise": "a", "hypothesis": "b", "label": 1}\n')
    assert read_table(str(tmp_path / "x.jsonl"), Columns()).pairs == ["b"]
    (tmp_path / "qnli.tsv").write_text("index\tquestion\tsentence\tlabel\n0\ta\tb\tc\n")
    table = read_table(str(tmp_path / "qnli.tsv"), Columns())
    assert (table.texts, table.pairs) == (["a"], ["b"])


@pytest.mark.parametrize(
    ("name", "content", "columns", "message"),
    [
        ("x.csv", "text,label\n,a\n", Columns(), r"empty text: 1 row has no text, the first is row 0 .*line 2"),
        ("x.csv", "text,label\nhi,\n", Columns(), r"row 0 .*column 'label': missing label"),
        ("x.csv", "text,label\nhi\n", Columns(), r"row 0 \(counted from 0; line 2\) has 1 fields; expected 2"),
        ("x.csv", 'text,label\n"a"b,c\n', Columns(), r"row 0"),
        ("x.csv", "text,label\n", Columns(), "has no rows"),
        ("x.csv", "", Columns(), "is empty"),
        ("x.csv", "3,Wall St. Bears Claw Back,Short-sellers are seeing green\n", Columns(), "seems to have no header"),
        ("x.tsv", f"ham\t{'Go until jurong point ' * 4}\n", Columns(), "seems to have no header"),
        ("x.tsv", "sport\tthe match was lost again\n", Columns(), "seems to have no header"),
        (
            "x.csv",
            "a1,b1,label\na,b,c\n",
            Columns(),
            "no text column among 'a1', 'b1', 'label'; expected one of text, sentence",
        ),
        ("x.csv", "text,a1,b1\na,b,c\n", Columns(), "no label column among 'text', 'a1', 'b1'"),
        ("x.csv", "text,label\na,b\n", Columns(text="txt"), r"no column 'txt' among 'text', 'label' \(did you mean 'text'\?\)"),
        ("x.csv", "text,content,label\na,b,c\n", Columns(), r"more than one text column \('text', 'content'\)"),
        ("x.csv", "text,label\na,b\n", Columns(text="label"), r"column .label. would be both text and label"),
        ("x.jsonl", '{"text": "a", "label": 1}\n[1]\n', Columns(), "row 1 .* is a JSON list; expected an object"),
        ("x.jsonl", '{"text": "a", "label": 1}\n{"text"\n', Columns(), "row 1 .* is not JSON"),
        ("x.jsonl", '{"text": 3, "label": 1}\n', Columns(), r"row 0 .*column 'text' holds 3 \(a int\)"),
        ("x.jsonl", '{"text": "a", "label": 1.5}\n', Columns(), r"the label is 1\.5 \(a float\)"),
        (
            "x.jsonl",
            '{"text": "a", "label": "\\ud800"}\n',
            Columns(),
            "the label holds half of a surrogate pair",
        ),
        (
            "x.jsonl",
            f'{{"text": "a", "label": {10**400}}}\n',
            Columns(),
            "the label is an integer of 1,329 bits",
        ),
        ("x.jsonl", f'{{"text": {10**400}, "label": 1}}\n', Columns(), "column 'text' holds an integer of 1,329 bits"),
        ("x.docx", "text,label\n", Columns(), r"format '\.docx' is not known; expected a file ending in \.csv"),
        ("x.parquet", "text,label\n", Columns(), "cannot be read as Parquet"),
    ],
)
def test_wrong_files_are_named(tmp_path: Path, name: str, content: str, columns: Columns, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message) as caught:
        read_table(str(tmp_path / name), columns)
    assert name in str(caught.value)


def test_integers_that_python_does_not_write_are_named() -> None:
    rows = [{"text": "a", "label": 10**5_000}, {"text": "b", "label": 2}]
    with pytest.raises(DataError, match=r"row 0 .*the label is an integer of 16,610 bits; expected an integer of at most"):
        read_table(rows, Columns())


def test_declared_labels_are_unicode(tmp_path: Path) -> None:
    Dataset.from_dict({"text": ["a", "b"], "label": [0, 1]}).save_to_disk(tmp_path / "saved")
    info = tmp_path / "saved" / "dataset_info.json"
    content = json.loads(info.read_text())
    content["features"]["label"] = {"_type": "ClassLabel", "names": ["good", "\ud800"]}
    info.write_text(json.dumps(content))
    with pytest.raises(DataError, match="declares a label that holds half of a surrogate pair"):
        read_table(str(tmp_path / "saved"), Columns())


def test_missing_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("text,label\na,b\n")
    with pytest.raises(DataError, match=r"trian\.csv does not exist \(did you mean 'train\.csv'\?\)"):
        read_table(str(tmp_path / "trian.csv"), Columns())
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no data"):
        read_table(str(tmp_path / "empty"), Columns())
    with pytest.raises(DataError, match="neither a file or folder here nor a data set of the Hub that can be reached"):
        read_table("nobody/nothing-of-this-name", Columns())


def test_a_damaged_arrow_folder(tmp_path: Path) -> None:
    write(tmp_path, "arrow", TEXTS, LABELS)
    (tmp_path / "data.arrow" / "state.json").write_text(json.dumps({}))
    with pytest.raises(DataError, match="cannot be read as a data set"):
        read_table(str(tmp_path / "data.arrow"), Columns())


def test_taking_rows_keeps_their_numbers() -> None:
    table = Table(source="x", ids=np.arange(3), texts=["a", "b", "c"], labels=["1", "2", "3"])
    part = table.take([2, 0])
    assert (part.texts, part.labels, part.ids.tolist()) == (["c", "a"], ["3", "1"], [2, 0])


@pytest.mark.parametrize(
    "rows",
    [
        [("some text", "007"), ("other text", "042")],
        [("some text", "1.0"), ("other text", "2.0")],
        [("some text", "1e5"), ("other text", "2e5")],
        [("some text", "NA"), ("other text", "EU")],
        [("some text", "True"), ("other text", "False")],
        [("null", "x"), ("None", "y"), ("12345", "x")],
    ],
)
def test_a_folder_of_one_file_is_that_file(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    content = "text,label\n" + "".join(f"{text},{label}\n" for text, label in rows)
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "train.csv", tmp_path / "folder" / "train.csv"):
        path.write_text(content)
    alone, inside = (read_table(str(path), Columns()) for path in (tmp_path / "train.csv", tmp_path / "folder"))
    assert (inside.texts, inside.labels) == (alone.texts, alone.labels) == tuple(map(list, zip(*rows, strict=True)))


LAYOUTS = {
    "by name": {"train.csv": "train", "dev.csv": "validation", "test.csv": "test"},
    "by folder": {"train/a.csv": "train", "valid/a.csv": "validation", "test/a.csv": "test"},
    "of the Hub": {
        "data/train-00000-of-00001.csv": "train", "data/validation-00000-of-00001.csv": "validation",
        "data/test-00000-of-00001.csv": "test",
        "README.md": "", ".git/train.csv": "", "extra.csv": "",
    },
    "with other words": {"my_training_2.csv": "train", "fold-val.csv": "validation", "eval.csv": "test", "latest.csv": ""},
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_parts_of_a_folder_are_those_that_datasets_finds(tmp_path: Path, layout: str) -> None:
    for name, part in LAYOUTS[layout].items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"text,label\n{part or name},a\n")
    theirs = load_dataset(str(tmp_path), cache_dir=str(tmp_path.with_name(f"{tmp_path.name}-cache")))
    for part in ("train", "validation", "test"):
        assert read_table(str(tmp_path), Columns(), split=part).texts == theirs[part]["text"] == [part]


def test_files_of_a_part_are_read_one_behind_the_other(tmp_path: Path) -> None:
    texts = [f"text {i}" for i in range(25)]
    for part, (first, end) in enumerate([(0, 10), (10, 11), (11, 25)]):
        frame = pd.DataFrame({"text": texts[first:end], "label": ["a"] * (end - first)})
        frame.to_csv(tmp_path / f"train-{part}.csv", index=False)
    whole = read_table(str(tmp_path), Columns())
    assert (whole.texts, whole.ids.tolist()) == (texts, list(range(25)))
    for skip in (0, 3, 10, 11, 24, 25, 30):
        tables = list(Stream.open(str(tmp_path), Columns()).tables(rows=4, skip=skip))
        assert [text for table in tables for text in table.texts] == texts[skip:]
        assert [int(i) for table in tables for i in table.ids] == list(range(skip, 25))
        assert all(len(table) <= 4 for table in tables)
    (tmp_path / "train-3.csv").write_text("text,tag\na,b\n")
    with pytest.raises(DataError, match=r"train-3\.csv has the columns text, tag, .*train-0\.csv has text, label"):
        read_table(str(tmp_path), Columns())
    (tmp_path / "train-3.tsv").write_text("text\tlabel\na\tb\n")
    with pytest.raises(DataError, match=r"holds files of several formats \(\.csv, \.tsv\) for train; name one"):
        read_table(str(tmp_path), Columns())
