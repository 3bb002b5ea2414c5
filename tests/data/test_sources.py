"""The same rows through every door: formats, compressions, folders, databases, addresses."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import sqlite3
import zipfile
from pathlib import Path
from typing import Any

import fsspec
import openpyxl
import pandas as pd
import pyarrow as pa
import pytest
from datasets import Dataset
from pyarrow import feather
from sklearn.datasets import load_files

from striata.choices import READERS
from striata.data import Columns, Table, open_source, read_table, read_texts
from striata.errors import DataError

TEXTS = ["Stocks, they say, rise", 'He said "no"', "Köln 🏆", "007", "null"] * 2
LABELS = ["b", "w", "b", "s", "w"] * 2
FRAME = pd.DataFrame({"text": TEXTS, "label": LABELS})
RECORDS = FRAME.to_dict("records")


def write(path: Path) -> Path:
    """The rows in the format of a file's ending."""
    kind = path.suffix
    if kind in (".csv", ".tsv", ".tab"):
        FRAME.to_csv(path, index=False, sep="," if kind == ".csv" else "\t")
    elif kind == ".txt":
        path.write_text("".join(f"__label__{label} {text}\n" for text, label in zip(TEXTS, LABELS, strict=True)))
    elif kind in (".jsonl", ".ndjson"):
        FRAME.to_json(path, orient="records", lines=True)
    elif kind == ".json":
        FRAME.to_json(path, orient="records")
    elif kind in (".parquet", ".pq"):
        FRAME.to_parquet(path)
    elif kind in (".arrow", ".feather"):
        feather.write_feather(pa.Table.from_pandas(FRAME), str(path))
    elif kind == ".xlsx":
        FRAME.to_excel(path, index=False)
    else:
        FRAME.to_pickle(path)
    return path


def compress(path: Path, ending: str) -> Path:
    out, data = path.with_name(path.name + ending), path.read_bytes()
    if ending == ".zip":
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(path.name, data)
            archive.writestr(f"__MACOSX/._{path.name}", b"\0")
    elif ending == ".zst":
        half = len(data) // 2
        out.write_bytes(
            pa.Codec("zstd").compress(data[:half], asbytes=True) + pa.Codec("zstd").compress(data[half:], asbytes=True)
        )
    else:
        out.write_bytes({".gz": gzip, ".bz2": bz2, ".xz": lzma}[ending].compress(data))  # type: ignore[attr-defined]
    path.unlink()
    return out


def rows_of(table: Table) -> tuple[list[str], list[str] | None]:
    return table.texts, table.labels


@pytest.mark.parametrize("ending", READERS)
def test_every_format_gives_the_same_rows_alone_in_a_folder_and_compressed(tmp_path: Path, ending: str) -> None:
    (tmp_path / "folder").mkdir()
    path = write(tmp_path / "folder" / f"train{ending}")
    assert rows_of(read_table(str(path), Columns())) == (TEXTS, LABELS)
    assert rows_of(read_table(str(tmp_path / "folder"), Columns())) == (TEXTS, LABELS)
    for compression in (".gz", ".bz2", ".xz", ".zip", ".zst"):
        packed = compress(path, compression)
        assert rows_of(read_table(str(packed), Columns())) == (TEXTS, LABELS), compression
        assert rows_of(read_table(str(tmp_path / "folder"), Columns())) == (TEXTS, LABELS)
        assert rows_of(read_table(packed.as_uri(), Columns())) == (TEXTS, LABELS)
        packed.unlink()
        write(path)


def test_a_zip_is_called_as_it_likes_and_what_is_compressed_need_not_say_so(tmp_path: Path) -> None:
    packed = compress(write(tmp_path / "train.csv"), ".zip").rename(tmp_path / "download.zip")
    assert rows_of(read_table(str(packed), Columns())) == (TEXTS, LABELS)
    compress(write(tmp_path / "train.csv"), ".gz").rename(tmp_path / "really.csv")
    assert rows_of(read_table(str(tmp_path / "really.csv"), Columns())) == (TEXTS, LABELS)


def test_damaged_archives_are_named(tmp_path: Path) -> None:
    for ending, kind in ((".gz", "gzip"), (".bz2", "bzip2"), (".xz", "xz"), (".zst", "zstandard")):
        packed = compress(write(tmp_path / "train.csv"), ending)
        packed.write_bytes(packed.read_bytes()[:-12])
        with pytest.raises(DataError, match=rf"train\.csv\{ending} cannot be decompressed as {kind}"):
            read_table(str(packed), Columns())
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("train.csv", "text,label\na,b\n")
        archive.writestr("test.csv", "text,label\na,b\n")
    with pytest.raises(DataError, match=r"is an archive of 2 files \(train\.csv, test\.csv\); expected one file; unpack it"):
        read_table(str(tmp_path / "two.zip"), Columns())
    (tmp_path / "train.parquet").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n")
    with pytest.raises(DataError, match=r"is a pointer of Git LFS, not the file itself; run `git lfs pull`"):
        read_table(str(tmp_path / "train.parquet"), Columns())


JSON: dict[str, tuple[Any, str, str]] = {  # document, part, what is said
    "list": (RECORDS, "", ""),
    "columns": (FRAME.to_dict("list"), "", ""),
    "as pandas writes it": (FRAME.to_dict(), "", ""),
    "behind a key": ({"version": 2, "data": RECORDS}, "", "rows at 'data'"),
    "behind a path": ({"version": 2, "data": {"rows": RECORDS, "more": [1]}}, ":data.rows", ""),
    "by split": ({"train": RECORDS, "val": RECORDS[:1], "oos_train": RECORDS[:1]}, "", "rows at 'train'"),
    "lists": ({"train": [[f"{text} {i}", label] for i, (text, label) in enumerate(zip(TEXTS, LABELS, strict=True))]}, "", ""),
}


@pytest.mark.parametrize("shape", JSON)
def test_json_in_any_shape(tmp_path: Path, shape: str) -> None:
    document, part, said = JSON[shape]
    for indent in (None, 1):
        (tmp_path / "x.json").write_text(json.dumps(document, indent=indent))
        table = read_table(f"{tmp_path / 'x.json'}{part}", Columns())
        assert table.labels == LABELS
        assert table.texts == [f"{text} {i}" for i, text in enumerate(TEXTS)] if shape == "lists" else TEXTS
        assert said in table.reading
    (tmp_path / "x.json").write_text('[["a", "b"], ["c", "d"]]')
    with pytest.raises(DataError, match="rows are lists of 2 values without names"):
        read_table(str(tmp_path / "x.json"), Columns())


@pytest.mark.parametrize(
    ("content", "part", "message"),
    [
        ("", "", "is empty"),
        ("[]", "", "has no rows"),
        ("[1, 2]", "", "is a JSON number; expected an object"),
        ('[{"text": "a"}, 3]', "", r"row 1 .* is a JSON number; expected an object as in row 0"),
        ('{"a": 1}\n', ":b", "there is no 'b' among a; expected the path of a list"),
        ('{"a": 1,\n "b": 2}\n', "", "no rows in the JSON object with the keys a, b"),
        ('[{"text": "a"},\n {"text" 3}]', "", r"is not JSON \(line 2: "),
        ('{"x": [{"a": 1}], "y": [{"a": 1}]}', "", "has no train split among x, y"),
    ],
)
def test_wrong_json_is_named(tmp_path: Path, content: str, part: str, message: str) -> None:
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(DataError, match=message):
        read_table(f"{tmp_path / 'x.json'}{part}", Columns())


def test_one_row_alone_is_a_row(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"text": "a", "label": "b", "tags": ["c", "d"]}\n')
    assert rows_of(read_table(str(tmp_path / "x.jsonl"), Columns())) == (["a"], ["b"])
    (tmp_path / "x.jsonl").write_text('{"train": [{"text": "a", "label": "b"}]}\n')
    assert rows_of(read_table(str(tmp_path / "x.jsonl"), Columns())) == (["a"], ["b"])


def test_a_sheet_of_a_workbook(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for name, rows in (("notes", []), ("train", RECORDS), ("test", RECORDS[:1])):
        sheet = book.create_sheet(name)
        for row in ([["text", "label"], *([r["text"], r["label"]] for r in rows)]) if rows else []:
            sheet.append(row)
    book.save(tmp_path / "x.xlsx")
    table = read_table(str(tmp_path / "x.xlsx"), Columns())
    assert rows_of(table) == (TEXTS, LABELS)
    assert "sheet 'train', sheets not read: test" in table.reading
    assert len(read_table(f"{tmp_path / 'x.xlsx'}:test", Columns())) == 1
    with pytest.raises(DataError, match=r"has no sheet 'dev' among Sheet, notes, train, test"):
        read_table(f"{tmp_path / 'x.xlsx'}:dev", Columns())
    (tmp_path / "y.xlsx").write_text("text,label\n")
    with pytest.raises(DataError, match="cannot be read as an Excel workbook"):
        read_table(str(tmp_path / "y.xlsx"), Columns())


def test_labels_in_front_of_texts(tmp_path: Path) -> None:
    lines = ["DESC:manner How did it go ?", "ENTY:animal What fowl is it ?", "DESC:manner Why ?", "ENTY:animal Which horse ?"]
    (tmp_path / "trec.txt").write_text("\n".join(lines) + "\n")
    table = read_table(str(tmp_path / "trec.txt"), Columns())
    assert rows_of(table) == ([line.split(" ", 1)[1] for line in lines], [line.split(" ", 1)[0] for line in lines])
    assert "labels in front of the texts" in table.reading
    (tmp_path / "plain.txt").write_text("2 things\n\nThree, more\n\n")
    with pytest.raises(DataError, match="empty text: 1 row has no text"):
        read_texts(str(tmp_path / "plain.txt"), Columns())
    (tmp_path / "plain.txt").write_text("2 things\nThree, more\n\n")
    assert read_texts(str(tmp_path / "plain.txt"), Columns()).texts == ["2 things", "Three, more"]
    for line, message in (("no label", "does not begin with __label__"), ("__label__a __label__b c", "has several labels")):
        (tmp_path / "fast.txt").write_text(f"__label__a b\n{line}\n")
        with pytest.raises(DataError, match=rf"row 1 \(counted from 0; line 2\) {message}"):
            read_table(str(tmp_path / "fast.txt"), Columns())


def test_a_folder_for_each_label_is_what_scikit_learn_reads(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for label in ("neg", "pos"):
            (tmp_path / part / label).mkdir(parents=True)
            for number in range(3):
                (tmp_path / part / label / f"{number}_7.txt").write_text(f"{part} {label}\n{number} é", encoding="utf-8")
    (tmp_path / "README").write_text("about")
    theirs = load_files(tmp_path / "train", encoding="utf-8", shuffle=False)
    table = read_table(str(tmp_path), Columns())
    assert table.texts == theirs["data"]
    assert table.labels == [theirs["target_names"][at] for at in theirs["target"]]
    assert "6 files in a folder per label, files not read: README" in table.reading
    assert read_table(str(tmp_path), Columns(), split="test").texts[0] == "test neg\n0 é"
    (tmp_path / "train" / "pos" / "9_9.txt").write_bytes("Спасибо".encode("koi8-r"))
    with pytest.raises(DataError, match=r"train/pos/9_9\.txt: line 1: byte 0x.. is not UTF-8"):
        read_table(str(tmp_path), Columns())


def test_texts_and_labels_in_two_files(tmp_path: Path) -> None:
    (tmp_path / "train_text.txt").write_text("a b\nc, d\n")
    (tmp_path / "train_labels.txt").write_text("1\n0\n")
    (tmp_path / "mapping.txt").write_text("0\tno\n1\tyes\n")
    table = read_table(str(tmp_path), Columns())
    assert rows_of(table) == (["a b", "c, d"], ["1", "0"])
    (tmp_path / "train_labels.txt").write_text("1\n0\n0\n")
    with pytest.raises(DataError, match=r"train_labels\.txt has a line 3 and .*train_text\.txt has fewer"):
        read_table(str(tmp_path), Columns())


CONFIGURED = """---
configs:
- config_name: one
  data_files:
  - split: train
    path: one/train-*
  - split: test
    path: one/test-*
- config_name: two
  data_files: two/*.csv
---
"""


def test_a_clone_of_a_hub_data_set_with_configurations(tmp_path: Path) -> None:
    for name in ("one/train-0", "one/train-1", "one/test-0", "two/a"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.csv").write_text(f"text,label\n{name},a\n")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "x.csv").write_text("text,label\nno,a\n")
    (tmp_path / "README.md").write_text(CONFIGURED)
    assert read_table(f"{tmp_path}:one", Columns()).texts == ["one/train-0", "one/train-1"]
    assert read_table(f"{tmp_path}:one", Columns(), split="test").texts == ["one/test-0"]
    assert read_table(f"{tmp_path}:two", Columns()).texts == ["two/a"]
    with pytest.raises(DataError, match=r"has 2 configurations \(one, two\); name one of them behind a colon, as in `.*:one`"):
        read_table(str(tmp_path), Columns())
    with pytest.raises(DataError, match=r"has no configuration 'three' \(one, two\)"):
        read_table(f"{tmp_path}:three", Columns())


def test_no_file_of_a_folder_is_left_in_silence(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "train.csv").write_text("text,label\na,b\n")
    for name in ("extra.csv", "notes.docx", "train.predicted.csv"):
        (tmp_path / name).write_text("text,label\nc,d\n")
    table = read_table(str(tmp_path), Columns())
    assert table.texts == ["a"]
    assert table.reading.endswith("of train.csv, files not read: extra.csv, notes.docx")
    (tmp_path / "train.jsonl").write_text('{"text": "a", "label": "b"}\n')
    with pytest.raises(DataError, match=r"holds files of several formats \(\.csv, \.jsonl\) for train; name one"):
        read_table(str(tmp_path), Columns())


def test_a_stream_that_datasets_keeps(tmp_path: Path) -> None:
    Dataset.from_pandas(FRAME).save_to_disk(tmp_path / "saved")
    cached = next((tmp_path / "saved").glob("*.arrow"))
    assert rows_of(read_table(str(cached), Columns())) == (TEXTS, LABELS)
    (tmp_path / "x.arrow").write_bytes(b"ARROW1\0\0 and then nothing")
    with pytest.raises(DataError, match=r"x\.arrow cannot be read as Arrow"):
        read_table(str(tmp_path / "x.arrow"), Columns())


def test_a_query(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import duckdb

    monkeypatch.chdir(tmp_path)
    with sqlite3.connect("r.db") as lite:
        FRAME.to_sql("reviews", lite, index_label="n")
    lite.close()
    rows = pa.Table.from_pandas(FRAME)  # early versions of DuckDB do not know pandas' own type of texts
    with duckdb.connect("r.duckdb") as duck:
        duck.register("rows", rows)
        duck.execute("create table reviews as select * from rows")
    for kind, file in (("sqlite", "r.db"), ("duckdb", "r.duckdb")):
        assert rows_of(read_table(f"{kind}:///{file}?table=reviews", Columns())) == (TEXTS, LABELS)
        some = f"{kind}:///{tmp_path}/{file}?query=SELECT text, label FROM reviews WHERE label = 'b'"
        assert rows_of(read_table(some, Columns()))[1] == ["b"] * 4
        chunks = open_source(some).chunks(["text"], rows=3, skip=2)
        assert [chunk.values["text"] for chunk in chunks] == [["Stocks, they say, rise", "Köln 🏆"]]
        for wrong in ("query=DELETE FROM reviews", "table=nothing", "query=SELECT"):
            with pytest.raises(DataError, match="the query cannot be carried out"):
                read_table(f"{kind}:///{file}?{wrong}", Columns())
        assert len(read_table(f"{kind}:///{file}?table=reviews", Columns())) == 10
        with pytest.raises(DataError, match=r"there is no file other\.db"):
            read_table(f"{kind}:///other.db?table=reviews", Columns())
        with pytest.raises(DataError, match="names no rows"):
            read_table(f"{kind}:///{file}", Columns())


def test_an_address(tmp_path: Path) -> None:
    files = fsspec.filesystem("memory")
    try:
        files.pipe("/bucket/train.csv", b"text,label\na,x\n")
        files.pipe("/bucket/test.csv", b"text,label\nb,x\n")
        assert read_table("memory://bucket/train.csv", Columns()).texts == ["a"]
        assert read_table("memory://bucket/train.csv", Columns()).source == "memory://bucket/train.csv"
        assert read_table("memory://bucket", Columns(), split="test").texts == ["b"]
        files.pipe("/bucket/train.csv", b"text,label\nchanged,x\n")
        assert read_table("memory://bucket/train.csv", Columns()).texts == ["changed"]
        with pytest.raises(DataError, match=r"memory://bucket/other\.csv cannot be fetched"):
            read_table("memory://bucket/other.csv", Columns())
    finally:
        files.rm("/bucket", recursive=True)
    with pytest.raises(DataError, match=r"nosuch://x/y\.csv cannot be fetched \(ValueError: Protocol not known"):
        read_table("nosuch://x/y.csv", Columns())
