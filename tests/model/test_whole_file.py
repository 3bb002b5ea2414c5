"""A file's predictions: every row once and in its place, whoever else writes and whatever happens to the portions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from striata.data import Columns
from striata.errors import DataError, StriataError
from striata.model import whole_file
from striata.model.whole_file import predict_file
from striata.tasks import SINGLE_LABEL

LABELS = ("Business", "Sports", "World")
ROWS = 45


class Counting:
    """A model that reads a row's number in its text: its answers show which row they are of."""

    labels, task, columns, identity = LABELS, SINGLE_LABEL, Columns(text="text"), "counting"
    decide = staticmethod(SINGLE_LABEL.decide)

    def named(self, logits: np.ndarray) -> list[str]:
        return SINGLE_LABEL.spell(self.decide(logits), LABELS)

    def __init__(self) -> None:
        self.texts = 0

    def logits(self, texts: Sequence[str], pairs: object) -> np.ndarray:
        self.texts += len(texts)
        numbers = np.array([int(text.split()[1]) for text in texts])
        return np.stack([numbers, numbers % 7, numbers % 5], 1).astype(np.float32)

    def probabilities(self, logits: np.ndarray, *, calibrated: bool = True) -> np.ndarray:
        return logits


@pytest.fixture(autouse=True)
def small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole_file, "PORTION", 10)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = tmp_path / "texts.csv"
    file.write_text("text\n" + "".join(f"row {at}\n" for at in range(ROWS)))
    return file


def predict(source: Path, out: Path, model: Counting | None = None, **options: Any) -> int:
    return predict_file(model or Counting(), source, out, probabilities=True, **options)  # type: ignore[arg-type]


def numbers(out: Path) -> list[tuple[int, float]]:
    """The numbers in the rows' texts, and those that the model read there."""
    lines = [line.split(",") for line in out.read_text().splitlines()[1:]]
    return [(int(cells[0].split()[1]), float(cells[2])) for cells in lines]


WHOLE = [(at, float(at)) for at in range(ROWS)]


class Cut(Exception):
    pass


def cut_at(rows: int) -> Callable[[int], None]:
    def cut(done: int) -> None:
        if done >= rows:
            raise Cut

    return cut


def test_a_second_prediction_into_the_same_file_is_refused_and_no_row_is_lost(source: Path, tmp_path: Path) -> None:
    out, messages = tmp_path / "out.csv", []

    def second(done: int) -> None:
        if done == 20:
            with pytest.raises(DataError) as caught:
                predict(source, out)
            messages.append(str(caught.value))

    assert predict(source, out, progress=second) == ROWS
    assert numbers(out) == WHOLE
    assert messages == [f"{out} is being written by another prediction at this moment; wait for it, or give another name"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv", "texts.csv"]


def flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


HARMS: dict[str, Callable[[Path], object]] = {
    "gone": Path.unlink,
    "empty": lambda file: file.write_bytes(b""),
    "cut off": lambda file: file.write_bytes(file.read_bytes()[:-7]),
    "longer": lambda file: file.write_bytes(file.read_bytes() * 2),
    "first byte": lambda file: file.write_bytes(flip(file.read_bytes(), 0)),
    "a bit in the middle": lambda file: file.write_bytes(flip(file.read_bytes(), 70)),
    "last byte": lambda file: file.write_bytes(flip(file.read_bytes(), file.stat().st_size - 1)),
    "another's": lambda file: file.write_bytes(next(f for f in portions(file.parent) if f != file).read_bytes()),
}


def portions(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.name.startswith("0"))


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("harm", HARMS)
def test_rows_of_a_harmed_portion_are_predicted_again(source: Path, tmp_path: Path, harm: str, place: int) -> None:
    out = tmp_path / "out.csv"
    with pytest.raises(Cut):
        predict(source, out, progress=cut_at(30))
    HARMS[harm](portions(tmp_path / ".out.csv.partial")[place])
    model = Counting()
    assert predict(source, out, model) == ROWS
    assert numbers(out) == WHOLE
    assert model.texts == ROWS - 10 * place
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv", "texts.csv"]


@pytest.mark.parametrize("harm", HARMS)
def test_a_portion_harmed_before_the_end_is_an_error_and_the_same_call_mends_it(source: Path, tmp_path: Path, harm: str) -> None:
    out = tmp_path / "out.csv"
    out.write_text("old")

    def hurt(done: int) -> None:
        if done == ROWS:
            HARMS[harm](portions(tmp_path / ".out.csv.partial")[1])

    with pytest.raises(StriataError, match=r"rows from 10 on.*run the same command again"):
        predict(source, out, progress=hurt)
    assert out.read_text() == "old"
    assert predict(source, out) == ROWS
    assert numbers(out) == WHOLE


def test_portions_that_are_deleted_meanwhile_are_an_error(source: Path, tmp_path: Path) -> None:
    import shutil

    def remove(done: int) -> None:
        if done == 20:
            shutil.rmtree(tmp_path / ".out.csv.partial")

    with pytest.raises(StriataError, match=r"cannot write .*partial"):
        predict(source, tmp_path / "out.csv", progress=remove)
    assert not (tmp_path / "out.csv").exists()
    assert predict(source, tmp_path / "out.csv") == ROWS
    assert numbers(tmp_path / "out.csv") == WHOLE


def test_an_error_before_the_first_portion_leaves_nothing(tmp_path: Path) -> None:
    for content, message in (("text\n", "has no rows"), ("text\n\n\nrow 0\n", "line 2 is blank")):
        (tmp_path / "texts.csv").write_text(content)
        with pytest.raises(DataError, match=message):
            predict(tmp_path / "texts.csv", tmp_path / "out.csv")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["texts.csv"]


def test_a_source_that_changes_while_it_is_read_is_an_error_and_its_rows_are_predicted_again(
    source: Path, tmp_path: Path
) -> None:
    text, out = source.read_text(), tmp_path / "out.csv"
    for changed in (text.replace("row 25", "row 99"), text + "row 45\n"):
        source.write_text(text)

        def change(done: int, changed: str = changed) -> None:
            if done == ROWS:
                source.write_text(changed)

        with pytest.raises(DataError, match=r"has changed from row (20|45) \(counted from 0\) on .* run the same command again"):
            predict(source, out, progress=change)
        assert not out.exists()
        predict(source, out)
        rows = [line.split(",") for line in out.read_text().splitlines()[1:]]
        assert [row[0] for row in rows] == changed.splitlines()[1:]
        assert [float(row[2]) for row in rows] == [float(row[0].split()[1]) for row in rows]
        out.unlink()


def test_a_file_of_a_folder_that_changes_begins_anew(tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / f"{name}.csv").write_text("text\n" + "".join(f"row {at}\n" for at in range(15)))
    with pytest.raises(Cut):
        predict(folder, tmp_path / "out.csv", progress=cut_at(25))
    (folder / "a.csv").write_text("text\n" + "".join(f"row {at + 1}\n" for at in range(15)))
    predict(folder, tmp_path / "out.csv")
    assert numbers(tmp_path / "out.csv")[:15] == [(at, float(at)) for at in range(1, 16)]


def test_the_file_is_on_the_disk_before_its_portions_go(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    synced: list[str] = []
    fsync, unlink = os.fsync, Path.unlink

    def record(handle: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{handle}").readlink()))
        fsync(handle)

    def check(path: Path, missing_ok: bool = False) -> None:
        if path.name.startswith("0"):
            assert (tmp_path / "out.csv").exists()
            assert synced[-1] == str(tmp_path)
            assert "whole" in synced[-2]
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(os, "fsync", record)
    monkeypatch.setattr(Path, "unlink", check)
    predict(source, tmp_path / "out.csv")
