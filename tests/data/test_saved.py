"""Folders that datasets wrote are read as datasets reads them, and damage is one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value, load_from_disk

from striata.data.readers import open_source
from striata.data.saved import SavedReader
from striata.errors import DataError

from .flipped import refused_when_flipped

TEXTS = [f"Köln 🏆 {i}" * (i % 7) for i in range(50)]


def data_set() -> Dataset:
    features = Features(
        {"label": ClassLabel(names=["World", "Sports"]), "text": Value("large_string"), "score": Value("float32")}
    )
    rows = {"label": [i % 3 - 1 for i in range(50)], "text": TEXTS, "score": [None if i % 5 else i / 3 for i in range(50)]}
    return Dataset.from_dict(rows, features=features)


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("rows", [7, 1000])
def test_rows_are_those_that_datasets_reads(tmp_path: Path, shards: int, rows: int) -> None:
    data_set().shuffle(seed=1).select(range(5, 45)).save_to_disk(tmp_path / "saved", num_shards=shards)
    theirs, ours = load_from_disk(str(tmp_path / "saved")), open_source(str(tmp_path / "saved"))
    assert list(ours.columns) == theirs.column_names
    assert ours.declared("label") == tuple(theirs.features["label"].names)
    assert ours.declared("text") is None
    for skip in (0, 11, 40):
        chunks = list(ours.chunks(["text", "label", "score"], rows=rows, skip=skip))
        for name in ("text", "label", "score"):
            assert [value for chunk in chunks for value in chunk.values[name]] == theirs[name][skip:]
        assert [chunk.first for chunk in chunks] == list(range(skip, 40, rows))


def test_a_split_is_taken_by_its_name(tmp_path: Path) -> None:
    data = data_set()
    DatasetDict({"dev": data.select(range(3)), "test": data.select(range(4))}).save_to_disk(tmp_path / "saved")
    lengths = {
        split: sum(len(chunk) for chunk in open_source(str(tmp_path / "saved"), split=split).chunks(["text"], rows=9))
        for split in ("validation", "test")
    }
    assert lengths == {"validation": 3, "test": 4}
    with pytest.raises(DataError, match="has no train split among dev, test"):
        open_source(str(tmp_path / "saved"))


@pytest.mark.parametrize("damage", ["state.json", "dataset_info.json", "dataset_dict.json", "data-00000-of-00001.arrow"])
@pytest.mark.parametrize("content", [None, "", "[]", '{"_data_files": [3], "splits": 3, "features": 3}'])
def test_damage_is_one_line(tmp_path: Path, damage: str, content: str | None) -> None:
    folder = tmp_path / "saved"
    if damage == "dataset_dict.json":
        DatasetDict({"train": data_set()}).save_to_disk(folder)
        if content is None:
            content = "{}"
    else:
        data_set().save_to_disk(folder)
        if damage == "state.json" and content is None:
            content = "null"
    (folder / damage).unlink() if content is None else (folder / damage).write_text(content)
    with pytest.raises(DataError, match=rf"folder {folder}.* cannot be read as a data set \(.*\); write it again"):
        open_source(str(folder))


def test_any_flipped_byte_is_rows_or_one_line(tmp_path: Path) -> None:
    data_set().save_to_disk(tmp_path / "saved")
    (file,) = (tmp_path / "saved").glob("*.arrow")
    assert 60 < refused_when_flipped(file, lambda: SavedReader(tmp_path / "saved"), 200) < 200
