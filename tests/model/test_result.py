"""The shape of a file of predictions: the input's rows and columns as they were, then ours."""

from __future__ import annotations

import csv
import datetime
import decimal
import json
import re
import textwrap
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from datasets import Dataset

from striata.data import Columns
from striata.disk.json_text import MOST_DEPTH
from striata.errors import DataError
from striata.model import whole_file
from striata.model.result import free_names
from striata.model.whole_file import default_target, predict_file
from striata.tasks import SINGLE_LABEL

LABELS = ("Business", "Sports", "World")


class Reading:
    """A model that reads the place of a text's label in its last word."""

    labels, task, columns, identity = LABELS, SINGLE_LABEL, Columns(), "reading"
    decide = staticmethod(SINGLE_LABEL.decide)

    def named(self, logits: np.ndarray) -> list[str]:
        return SINGLE_LABEL.spell(self.decide(logits), LABELS)

    def logits(self, texts: Sequence[str], pairs: object) -> np.ndarray:
        return np.eye(3, dtype=np.float32)[[int(text.split()[-1]) for text in texts]]

    def probabilities(self, logits: np.ndarray, *, calibrated: bool = True) -> np.ndarray:
        return (logits * np.float32(2 / 3) + np.float32(1 / 9)).astype(np.float32)

    def label_sets(self, logits: np.ndarray, coverage: float) -> list[list[str]]:
        return [[LABELS[i], LABELS[i - 1]] for i in logits.argmax(1)]


@pytest.fixture(autouse=True)
def small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole_file, "PORTION", 2)


def predict(source: Path, out: Path, **options: Any) -> list[str]:
    told: list[str] = []
    predict_file(Reading(), source, out, remark=told.append, **options)  # type: ignore[arg-type]
    return told


def refused(source: Path, out: Path, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        predict(source, out, **options)
    assert "\n" not in str(caught.value)
    assert not out.exists()
    return str(caught.value)


CSV = """\
id,date,text,note
A-0000,2026-01-02,"Stocks, they say: 0",""
A-0001,01/02/26,"He said ""2"" and
went 2",007
A-0002,,Köln 🏆 1," padded "
A-0003,1e5,last 0,"a\rb"
"""


def cells(path: Path) -> list[list[str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_a_csv_keeps_its_rows_and_columns_to_the_letter(tmp_path: Path) -> None:
    source, out = tmp_path / "new.csv", tmp_path / "out.csv"
    source.write_bytes(CSV.encode())
    assert predict(source, out) == []
    before, after = cells(source), cells(out)
    assert [row[:4] for row in after] == before
    assert [row[4:] for row in after] == [["label"], ["Business"], ["World"], ["Sports"], ["Business"]]
    assert pd.read_csv(out)["label"].tolist() == ["Business", "World", "Sports", "Business"]


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_every_format_holds_the_texts_of_a_csv(tmp_path: Path, ending: str) -> None:
    source, out = tmp_path / "new.csv", tmp_path / f"out{ending}"
    source.write_bytes(CSV.encode())
    predict(source, out, probabilities=True, coverage=0.9)
    read = {
        ".csv": lambda: pd.read_csv(out, dtype=str, keep_default_na=False),
        ".jsonl": lambda: pd.DataFrame([json.loads(line) for line in out.read_text().splitlines()]),
        ".parquet": lambda: pa.parquet.read_table(out).to_pandas(),
    }
    frame = read[ending]()
    assert frame.columns.tolist() == [*cells(source)[0], "label", "labels", *(f"p_{label}" for label in LABELS)]
    assert frame.iloc[:, :4].to_numpy().tolist() == cells(source)[1:]
    sets = frame["labels"].map(json.loads) if ending == ".csv" else frame["labels"]
    assert list(sets.iloc[0]) == ["Business", "World"]
    p = frame["p_World"].tolist()
    if ending == ".parquet":
        assert pa.parquet.read_schema(out).field("p_World").type == pa.float32()
        np.testing.assert_array_equal(np.array(p, np.float32), np.float32([1 / 9, 7 / 9, 1 / 9, 1 / 9]))
    else:
        assert [str(value) for value in p] == ["0.111111", "0.777778", "0.111111", "0.111111"]


def test_columns_to_keep(tmp_path: Path) -> None:
    source, out = tmp_path / "new.csv", tmp_path / "out.csv"
    source.write_bytes(CSV.encode())
    for only in (["date", "id"], ["date,id"], ["date, id"]):
        predict(source, out, only=only)
        assert cells(out)[0] == ["id", "date", "label"]
        assert [row[0] for row in cells(out)[1:]] == ["A-0000", "A-0001", "A-0002", "A-0003"]
    out.unlink()
    message = refused(source, out, only=["dat"])
    assert message == f"only dat: no such column in {source} (did you mean 'date'?); it has 'id', 'date', 'text', 'note'"


def test_what_we_would_call_like_a_column_that_is_kept_gets_another_name_and_a_line(tmp_path: Path) -> None:
    source, out = tmp_path / "new.csv", tmp_path / "out.csv"
    source.write_text("text,label,p_World,label_predicted\na 2,x,y,z\n")
    told = predict(source, out, probabilities=True)
    ours = ["label_predicted_2", "p_Business", "p_Sports", "p_World_predicted"]
    assert cells(out) == [
        ["text", "label", "p_World", "label_predicted", *ours],
        ["a 2", "x", "y", "z", "World", "0.111111", "0.111111", "0.777778"],
    ]
    assert told == [
        f"{source} has a column '{name}' of its own, which is kept: what is predicted stands in '{new}'"
        for name, new in (("label", "label_predicted_2"), ("p_World", "p_World_predicted"))
    ]
    assert predict(source, out, only=["text"]) == []
    assert cells(out)[0] == ["text", "label"]
    assert free_names(["p_a", "p_a_predicted"], {"p_a"}) == {"p_a": "p_a_predicted_2", "p_a_predicted": "p_a_predicted"}


def test_the_contests_ids_are_the_files_own(tmp_path: Path) -> None:
    source, out = tmp_path / "new.csv", tmp_path / "out.csv"
    source.write_text("text,Id,nr\na 2,007,x-1\nb 0,A-0000,x-2\n")
    assert predict(source, out, id_label=True)[0] == f"ID is column 'Id' of {source}"
    assert cells(out) == [["ID", "Label"], ["007", "2"], ["A-0000", "0"]]
    predict(source, out, id_label=True, id_column="nr")
    assert cells(out) == [["ID", "Label"], ["x-1", "2"], ["x-2", "0"]]
    out.unlink()
    assert "no such column" in refused(source, out, id_label=True, id_column="number")
    assert "other formats keep every column" in refused(source, out, id_column="nr")
    assert "leave `only` out" in refused(source, out, id_label=True, only=["nr"])
    source.write_text("text,Id,ID\na 2,1,2\n")
    assert "more than one column is called id ('Id', 'ID'); name one" in refused(source, out, id_label=True)
    predict(source, out, id_label=True, id_column="ID")
    assert cells(out) == [["ID", "Label"], ["2", "2"]]
    source.write_text("text,nr\na 2,x\nb 0,y\nc 1,z\n")
    told = predict(source, out, id_label=True)
    assert "has no column called id: ID is the row's number, counted from 0" in told[0]
    assert cells(out) == [["ID", "Label"], ["0", "2"], ["1", "0"], ["2", "1"]]
    frame = pd.DataFrame({"text": ["a 1", "b 0"], "id": [70, 3]})
    frame.to_parquet(tmp_path / "new.parquet")
    predict(tmp_path / "new.parquet", tmp_path / "out.parquet", id_label=True)
    assert pa.parquet.read_table(tmp_path / "out.parquet").to_pydict() == {"ID": [70, 3], "Label": [1, 0]}


TYPED = pa.table(
    {
        "text": ["a 0", "b 1", "c 2"],
        "whole": pa.array([1, None, 2**60], pa.int64()),
        "small": pa.array([0.1, None, 1e-7], pa.float32()),
        "float": [0.1, float("nan"), float("-inf")],
        "truth": [True, False, None],
        "day": pa.array([datetime.date(2026, 1, 2), None, None]),
        "time": pa.array([datetime.datetime(2026, 1, 2, 3, 4, 5, 678)] * 3, pa.timestamp("us")),
        "instant": pa.array([1, None, 1_767_323_045_000_000_001], pa.timestamp("ns", "Europe/Berlin")),
        "exact": pa.array([decimal.Decimal("1.10"), None, decimal.Decimal("2.00")]),
        "list": [["x", 'y"'], [], None],
        "struct": [{"a": 1, "b": [0.5, float("nan")]}, None, {"a": None, "b": None}],
        "word": pa.array(["x", "y", "x"]).dictionary_encode(),
    }
)


def test_parquet_stays_as_it_is(tmp_path: Path) -> None:
    source, out = tmp_path / "new.parquet", tmp_path / "out.parquet"
    pa.parquet.write_table(TYPED, source)
    predict(source, out)
    after = pa.parquet.read_table(out)
    expected = TYPED.set_column(11, "word", TYPED["word"].combine_chunks().dictionary_decode())
    assert after.drop_columns("label").schema.equals(expected.schema)
    for name in expected.column_names:
        if name not in ("float", "struct"):  # NaN is not equal to itself
            assert after[name].equals(expected[name]), name
    assert repr(after["float"].to_pylist()) == repr(expected["float"].to_pylist())
    assert repr(after["struct"].to_pylist()) == repr(expected["struct"].to_pylist())


def test_what_text_has_no_form_for_is_json_text(tmp_path: Path) -> None:
    source = tmp_path / "new.parquet"
    pa.parquet.write_table(TYPED, source)
    predict(source, tmp_path / "out.csv")
    first, second, third = (
        (dict(zip(cells(tmp_path / "out.csv")[0], row, strict=True))) for row in cells(tmp_path / "out.csv")[1:]
    )
    assert first == {
        "text": "a 0", "whole": "1", "small": "0.1", "float": "0.1", "truth": "true", "day": "2026-01-02",
        "time": "2026-01-02T03:04:05.000678",
        "instant": "1970-01-01T01:00:00.000000001+01:00", "exact": "1.10",
        "list": '["x", "y\\""]', "struct": '{"a": 1, "b": [0.5, null]}',
        "word": "x", "label": "Business",
    }  # fmt: skip
    assert [second[name] for name in ("whole", "small", "float", "day", "exact", "list", "struct")] == [""] * 5 + ["[]", ""]
    assert (third["whole"], third["small"], third["float"]) == (str(2**60), "1e-07", "-inf")
    predict(source, tmp_path / "out.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert rows[0]["list"] == ["x", 'y"']
    assert rows[0]["struct"] == {"a": 1, "b": [0.5, None]}
    assert (rows[0]["whole"], rows[1]["whole"], rows[0]["truth"], rows[0]["exact"]) == (1, None, True, "1.10")


def test_bytes_are_refused_before_the_first_text(tmp_path: Path) -> None:
    source, out = tmp_path / "new.parquet", tmp_path / "out.csv"
    pa.parquet.write_table(pa.table({"text": ["a 0"], "image": [{"bytes": b"\x89PNG"}]}), source)
    assert refused(source, out) == (
        f"{source}: column 'image' holds bytes, which have no form in text; name the columns to keep with `only`, or "
        "write .parquet"
    )
    predict(source, out, only=["text"])
    predict(source, tmp_path / "out.parquet")
    assert pa.parquet.read_table(tmp_path / "out.parquet")["image"].to_pylist() == [{"bytes": b"\x89PNG"}]


def test_json_lines_keep_every_key_of_any_line(tmp_path: Path) -> None:
    source = tmp_path / "new.jsonl"
    rows: list[dict[str, Any]] = [
        {"text": "a 0", "n": 1, "tags": ["x"], "mixed": 1, "big": 2**53 + 1, "gap": None},
        {"text": "b 1", "n": 2.5, "tags": [], "mixed": "two", "big": 0.5, "extra": {"k": "ü"}},
        {"text": "c 2", "half": "\ud800", "mixed": ""},
    ]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    predict(source, tmp_path / "out.jsonl")
    keys = ["text", "n", "tags", "mixed", "big", "gap", "extra", "half"]
    after = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert after == [{**{key: row.get(key) for key in keys}, "label": label} for row, label in zip(rows, LABELS, strict=True)]
    for ending in (".csv", ".parquet"):
        message = refused(source, tmp_path / f"out{ending}")
        assert "row 2 (counted from 0), column 'half' holds half of a surrogate pair" in message
    predict(source, tmp_path / "out.parquet", only=keys[:-1])  # goes on with what is predicted
    table = pa.parquet.read_table(tmp_path / "out.parquet")
    assert [str(kind) for kind in table.schema.types] == ["string", "double"] + ["string"] * 6
    assert table["mixed"].to_pylist() == ["1", "two", ""]
    assert table["tags"].to_pylist() == ['["x"]', "[]", None]
    assert table["big"].to_pylist() == ["9007199254740993", "0.5", None]
    assert table["extra"].to_pylist() == [None, '{"k": "ü"}', None]


def test_pickles_and_folders_of_datasets_keep_their_columns(tmp_path: Path) -> None:
    frame = pd.DataFrame({"nr": ["A-0", None, "A-2"], "text": ["a 0", "b 1", "c 2"], "score": [0.5, 1.0, float("nan")]})
    frame.to_pickle(tmp_path / "new.pkl")
    Dataset.from_pandas(frame).save_to_disk(tmp_path / "saved")
    for source in ("new.pkl", "saved"):
        predict(tmp_path / source, tmp_path / "out.jsonl")
        rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
        assert [row["nr"] for row in rows] == ["A-0", None, "A-2"]
        assert [row["score"] for row in rows] == [0.5, 1.0, None]
        predict(tmp_path / source, tmp_path / "out.parquet")
        after = pa.parquet.read_table(tmp_path / "out.parquet").to_pandas()
        pd.testing.assert_frame_equal(after[["nr", "text", "score"]].astype(object), frame.astype(object), check_dtype=False)


def test_a_column_that_cannot_be_read_is_named_and_can_be_left_out(tmp_path: Path) -> None:
    source, out = tmp_path / "new.pkl", tmp_path / "out.csv"
    pd.DataFrame({"text": ["a 0"], "odd": [{1, 2}]}).to_pickle(source)
    message = refused(source, out)
    assert "column 'odd', is pickled in a form that is not understood" in message
    assert message.endswith("; or name the columns to keep with `only`")
    predict(source, out, only=["text"])
    assert cells(out) == [["text", "label"], ["a 0", "Business"]]


def test_two_columns_of_one_name_cannot_both_be_kept(tmp_path: Path) -> None:
    source, out = tmp_path / "new.csv", tmp_path / "out.csv"
    source.write_text("text,n,n\na 0,1,2\n")
    assert "two columns are named 'n', and a result can keep one; rename one, or" in refused(source, out)
    predict(source, out, only=["text"])
    assert cells(out) == [["text", "label"], ["a 0", "Business"]]


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_a_value_is_written_as_deep_as_it_is_read_and_a_deeper_one_is_one_line(tmp_path: Path, ending: str) -> None:
    source, out = tmp_path / "new.jsonl", tmp_path / f"out{ending}"
    depth = MOST_DEPTH - 1  # in the row's object
    deep = "[" * depth + "]" * depth
    source.write_text(f'{{"text": "a 0", "deep": [{deep}]}}\n')
    assert "more than 200 lists and objects inside each other" in refused(source, out)
    source.write_text(f'{{"text": "a 0", "deep": {deep}}}\n{{"text": "a 1", "deep": 1}}\n')
    predict(source, out)
    assert deep in (out.read_text() if ending != ".parquet" else pd.read_parquet(out)["deep"][0])


def test_the_name_of_a_result_that_got_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "test.set"
    folder.mkdir()
    (folder / "test.csv").write_text("text,label\na 0,x\n")
    assert default_target(folder / "test.csv") == folder / "test.predicted.csv"
    assert default_target(folder) == tmp_path / "test.set.predicted.csv"
    assert default_target("user/set") == Path("set.predicted.csv")
    predict(folder / "test.csv", default_target(folder / "test.csv"))
    predict(folder, default_target(folder))  # the first one's result is no data
    assert cells(tmp_path / "test.set.predicted.csv") == [["text", "label", "label_predicted"], ["a 0", "x", "Business"]]


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "new.csv"
    source.write_text("text\na 0\n")
    message = refused(source, tmp_path / "no" / "out.csv")
    assert message == f"out {tmp_path}/no/out.csv: there is no folder {tmp_path}/no; make it, or change the path"
    assert [path.name for path in tmp_path.iterdir()] == ["new.csv"]


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    monkeypatch.setattr(whole_file, "PORTION", 500)
    peaks = []
    for rows in (2_000, 16_000):
        source = tmp_path / f"{rows}.csv"
        source.write_text("text,note\n" + "".join(f"{'words ' * 20}{at % 3},{'n' * 300}\n" for at in range(rows)))
        tracemalloc.start()
        predict(source, tmp_path / f"out{ending}")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0]


def test_the_pages_example_is_what_comes_out(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "predict.md").read_text()
    (before,) = re.findall(r"Of `new\.csv`\n\n((?: {4}.*\n)+)", page)
    (after,) = re.findall(r"makes `new\.predicted\.csv`\n\n((?: {4}.*\n)+)", page)
    source = tmp_path / "new.csv"
    source.write_text(textwrap.dedent(before))
    shares = [[0.901228, 0.041573, 0.057199], [0.014064, 0.972345, 0.013591]]

    class Shown(Reading):
        def logits(self, texts: Sequence[str], pairs: object) -> np.ndarray:
            return np.log(np.array(shares, np.float32))

        def probabilities(self, logits: np.ndarray, *, calibrated: bool = True) -> np.ndarray:
            return SINGLE_LABEL.probabilities(logits)

    predict_file(Shown(), source, default_target(source), probabilities=True)  # type: ignore[arg-type]
    assert default_target(source).read_text() == textwrap.dedent(after)


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_row_without_a_text_is_answered_by_null(tmp_path: Path, ending: str) -> None:
    texts = ["to 1", "", "to 2", None, "  ", "", "to 0"]
    source, out = tmp_path / "texts.jsonl", tmp_path / f"out.{ending}"
    source.write_text("".join(json.dumps({"id": 7 * at, "text": text}) + "\n" for at, text in enumerate(texts)))
    predict(source, out, probabilities=True, coverage=0.9)
    rows: list[dict[str, Any]]
    if ending == "parquet":
        rows = pa.parquet.read_table(out).to_pylist()
    else:
        lines = out.read_text().splitlines()
        rows = list(csv.DictReader(lines)) if ending == "csv" else list(map(json.loads, lines))
    nothing = "" if ending == "csv" else None
    assert [int(row["id"]) for row in rows] == [7 * at for at in range(7)]
    assert [row["label"] for row in rows] == ["Sports", nothing, "World", nothing, nothing, nothing, "Business"]
    for name in ("labels", "p_Sports"):
        assert [row[name] in ("", None) for row in rows] == [not (text or "").strip() for text in texts]
    predict(source, tmp_path / "short.csv", id_label=True)
    assert (tmp_path / "short.csv").read_text().splitlines() == ["ID,Label", "0,1", "7,", "14,2", "21,", "28,", "35,", "42,0"]
