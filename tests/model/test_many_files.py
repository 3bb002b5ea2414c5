"""Many files: which they are, where they go, and that each is predicted once."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest

from striata.disk.locks import holding
from striata.errors import DataError
from striata.model import many_files
from striata.model.finished import NOTES, File
from striata.model.many_files import files_of, is_pattern, predict_files
from striata.model.whole_file import lock_of

from .test_whole_file import Counting, numbers


def write(path: Path, rows: Sequence[int]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("text\n" + "".join(f"row {at}\n" for at in rows))
    return path


@pytest.fixture
def files(tmp_path: Path) -> list[File]:
    for at, name in enumerate(("a.csv", "b.csv", "c/a.csv", "notes.txt", ".hidden.csv", "a.predicted.csv")):
        write(tmp_path / "in" / name, range(10 * at, 10 * at + 4))
    return files_of(str(tmp_path / "in" / "**" / "*.csv"), tmp_path / "out")


def predict(files: Sequence[File], model: Counting | None = None, **options: Any) -> int:
    return predict_files(model or Counting(), files, {"probabilities": True} | options)  # type: ignore[arg-type]


def test_a_pattern_stands_for_files_below_its_root(files: list[File], tmp_path: Path) -> None:
    assert [file.out.relative_to(tmp_path).as_posix() for file in files] == ["out/a.csv", "out/b.csv", "out/c/a.csv"]
    assert files_of(f"{tmp_path}/in/*.txt", tmp_path)[0].out == tmp_path / "notes.txt.csv"
    predict(files)
    assert files_of(f"{tmp_path}/**/*.csv", tmp_path / "other")[0].out == tmp_path / "other" / "in" / "a.csv"
    assert len(files_of(f"{tmp_path}/**/*.csv", tmp_path / "other")) == 3  # nothing that was predicted


def test_addresses_have_patterns_too(files: list[File], tmp_path: Path) -> None:
    elsewhere = files_of(f"file://{tmp_path}/in/**/*.csv", tmp_path / "out")
    assert [(file.source, file.out) for file in elsewhere if "predicted" not in file.source and "hidden" not in file.source] == [
        (f"file://{file.source}", file.out) for file in files
    ]


def test_what_is_no_pattern(tmp_path: Path) -> None:
    write(tmp_path / "odd[1].csv", [1])
    assert not is_pattern(str(tmp_path / "odd[1].csv"))
    assert not is_pattern("new.csv")
    assert is_pattern("data/*.csv")
    with pytest.raises(DataError, match=r"\*\.tsv stands for no file; check the pattern"):
        files_of(str(tmp_path / "*.tsv"), tmp_path / "out")
    with pytest.raises(DataError, match="is a file; many files are predicted into a folder"):
        files_of(str(tmp_path / "*.csv"), tmp_path / "odd[1].csv")


def test_every_file_is_predicted_once(files: list[File]) -> None:
    model = Counting()
    assert predict(files, model) == 12
    for at, file in zip((0, 1, 2), files, strict=True):
        assert numbers(file.out) == [(row, row) for row in range(10 * at, 10 * at + 4)]
    assert predict(files, model) == 12
    assert model.texts == 12  # nothing was predicted again


def test_what_is_no_longer_the_same_is_predicted_again(files: list[File]) -> None:
    model = Counting()
    predict(files, model)
    write(Path(files[0].source), range(5))  # another source
    files[1].out.write_text("damaged")
    assert predict(files, model) == 13
    assert model.texts == 12 + 5 + 4
    assert numbers(files[1].out) == [(row, row) for row in range(10, 14)]
    predict(files, model, calibrated=False)  # other options
    assert model.texts == 21 + 13
    files[2].note.write_text("{}")
    predict(files, model, calibrated=False)
    assert model.texts == 34 + 4


class Interrupted(Counting):
    """Is stopped at the first text of the second file."""

    def logits(self, texts: Sequence[str], pairs: object) -> np.ndarray:
        if texts[0] == "row 10":
            raise KeyboardInterrupt
        return super().logits(texts, pairs)


def test_the_same_call_goes_on(files: list[File]) -> None:
    with pytest.raises(KeyboardInterrupt):
        predict(files, Interrupted())
    model = Counting()
    assert predict(files, model) == 12
    assert model.texts == 8


def test_a_file_that_another_process_predicts_comes_last(files: list[File], monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    freed = threading.Event()

    def hold(taken: threading.Event) -> None:
        with holding(lock_of(files[0].out)):
            taken.set()
            freed.wait()

    taken = threading.Event()
    holder = threading.Thread(target=hold, args=(taken,))
    files[0].out.parent.mkdir()
    holder.start()
    taken.wait()
    monkeypatch.setattr(many_files.time, "sleep", lambda _: (order.append("waited"), freed.set(), holder.join()))

    class Noting(Counting):
        def logits(self, texts: Sequence[str], pairs: object) -> np.ndarray:
            order.append(texts[0])
            return super().logits(texts, pairs)

    assert predict(files, Noting()) == 12
    assert order == ["row 10", "row 20", "waited", "row 0"]
    assert os.listdir(files[0].out.parent / NOTES) != []  # noqa: PTH208


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A place in a store of this process that is empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    store = fsspec.filesystem("memory")
    yield f"memory://{tmp_path.name}/answers"
    store.rm(f"/{tmp_path.name}", recursive=True)


def put_sources(address: str) -> list[File]:
    store, root = fsspec.filesystem("memory"), address.removeprefix("memory:/").removesuffix("/answers")
    for at, name in enumerate(("a.csv", "b/a.csv")):
        store.pipe(f"{root}/{name}", ("text\n" + "".join(f"row {row}\n" for row in range(10 * at, 10 * at + 3))).encode())
    return files_of(f"memory:/{root}/**/*.csv", address)


def test_answers_go_to_addresses_each_once(address: str, tmp_path: Path) -> None:
    store, files, model = fsspec.filesystem("memory"), put_sources(address), Counting()
    assert [str(file.address).removeprefix("memory:///") for file in files] == [
        f"{address}/a.csv".removeprefix("memory://"),
        f"{address}/b/a.csv".removeprefix("memory://"),
    ]
    assert predict(files, model) == 6
    for at, file in zip((0, 10), files, strict=True):
        store.get_file(str(file.address).removeprefix("memory://"), str(tmp_path / "got.csv"))
        assert numbers(tmp_path / "got.csv") == [(row, row) for row in range(at, at + 3)]
        assert not file.out.exists()  # nothing is left here
    assert predict(put_sources(address), model) == 6  # the answers are no sources
    store.pipe(str(files[0].address).removeprefix("memory://"), b"half of i")
    store.rm(str(files[1].address).removeprefix("memory://").replace("/b/a.csv", f"/b/{NOTES}/a.csv.json"))
    before = model.texts
    assert predict(files, model) == 6  # what was cut off, and what has no note, is done again
    assert model.texts == before + 6


def test_interrupted_on_the_way_to_an_address_the_same_call_goes_on(address: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        predict(put_sources(address), Interrupted())
    model = Counting()
    assert predict(put_sources(address), model) == 6
    assert model.texts == 3


def test_an_address_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    write(tmp_path / "in" / "a.csv", [1])
    with pytest.raises(DataError, match=r"nowhere://x cannot be used \(ValueError: Protocol not known"):
        files_of(f"{tmp_path}/in/*.csv", "nowhere://x")
    with pytest.raises(DataError, match=r"file://.*/none/a\.csv cannot be written \(FileNotFoundError"):
        predict(files_of(f"{tmp_path}/in/*.csv", f"file://{tmp_path}/none"))
