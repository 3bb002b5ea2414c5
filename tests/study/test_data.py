"""Studies of rows in memory, and of rows that are not what they were."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from datasets import Dataset

import striata
from striata.data import Columns, read_table
from striata.ensemble.soup import write_soup
from striata.errors import EnsembleError, StriataError, StudyError
from striata.robustness import audit_labels
from striata.runs import StudyFolder
from striata.training.events import Event

from .small import study_of, write_texts

LAYOUT = "0-2 r2 a4 query"
SHORT = {"max_steps": 4, "evaluate_every": 2}


def study_in(folder: Path, **changes: Any) -> dict[str, Any]:
    """A short study that names no data."""
    settings: dict[str, Any] = {"layouts": [LAYOUT], "recipe": SHORT, "ensemble": {"size": 1}}
    study = study_of(folder, **{**settings, **changes})
    del study["data"]["train"]
    return study


@pytest.fixture(scope="module")
def of_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, striata.Run]:
    """A study of a CSV file, its test rows in another; not to be changed."""
    folder = tmp_path_factory.mktemp("of_file")
    study = study_in(folder)
    study["data"] |= {"train": str(folder / "train.csv"), "test": str(folder / "test.csv")}
    (run,) = striata.train(study).runs.values()
    return folder, run


KINDS = {
    "pandas": lambda frame: frame,
    "polars": pl.from_pandas,
    "dataset": Dataset.from_pandas,
    "arrow": pa.Table.from_pandas,
    "columns": lambda frame: {name: frame[name].tolist() for name in frame.columns},
    "records": lambda frame: frame.to_dict("records"),
    "lists": lambda frame: (frame.text.tolist(), frame.label.tolist()),
}


@pytest.mark.parametrize("kind", KINDS)
def test_rows_in_memory_train_as_their_file_does(of_file: tuple[Path, striata.Run], tmp_path: Path, kind: str) -> None:
    folder, run = of_file
    data = {part: KINDS[kind](pd.read_csv(folder / f"{part}.csv")) for part in ("train", "test")}
    study = study_in(folder, output=str(tmp_path / "out"))
    trained = striata.train(study, data=data)
    (other,) = trained.runs.values()
    assert other.history() == run.history()
    assert other.facts.data_fingerprint == run.facts.data_fingerprint
    assert (other.validation().logits == run.validation().logits).all()
    assert (other.validation().ids == run.validation().ids).all()
    assert set(trained.test) == {other.name}
    recorded = StudyFolder.open(tmp_path / "out").settings()["data"]
    assert recorded["train"] == read_table(str(folder / "train.csv"), Columns()).reference
    assert re.fullmatch("rows sha256:[0-9a-f]{64}", recorded["test"])
    assert recorded["validation"] == 40


def frame_of(folder: Path, part: str = "train") -> pd.DataFrame:
    return pd.read_csv(folder / f"{part}.csv")


def test_the_same_rows_go_on_and_others_are_refused(tmp_path: Path) -> None:
    def stop(event: Event) -> None:
        if event.kind == "step" and event.step == 3:
            os.kill(os.getpid(), signal.SIGINT)

    study = study_in(tmp_path)
    frame = frame_of(tmp_path)
    other = frame.assign(label=frame.label[::-1].to_numpy())
    with pytest.raises(KeyboardInterrupt):
        striata.train(study, data=frame, listen=stop)
    for finished in (False, True):
        before = bytes_of(tmp_path / "out")
        with pytest.raises(
            StudyError, match=r"the data is not what folder .* was trained on: other rows were given for data\.train"
        ):
            striata.train(study, data=other)
        with pytest.raises(StudyError, match=r"the study names no data; set `data.train` .* or give `data=` from Python"):
            striata.train(study)
        assert bytes_of(tmp_path / "out") == before
        events: list[Event] = []
        trained = striata.train(study, data=pl.from_pandas(frame), listen=events.append)
        assert len(trained.runs) == 1
        steps = [event.step for event in events if event.kind == "step"]
        assert steps == ([] if finished else [4])


def test_a_file_whose_rows_have_changed_is_refused(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    study["data"]["train"] = str(tmp_path / "train.csv")
    striata.train(study)
    before = bytes_of(tmp_path / "out")
    write_texts(tmp_path / "train.csv", 150, seed=7)
    for changed in (study, {**study, "seeds": [0, 1]}):
        with pytest.raises(
            StudyError, match=r"the data is not what folder .* was trained on: what `data` names \(.*\.csv.*\) has other rows now"
        ):
            striata.train(changed)
        assert bytes_of(tmp_path / "out") == before


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_an_audit_and_a_soup_take_the_rows_again(tmp_path: Path) -> None:
    study = study_in(tmp_path, layouts=[LAYOUT, "0-2 r2 a4 value"], recipe={"max_steps": 20, "evaluate_every": 5})
    frame = frame_of(tmp_path)
    striata.train(study, data=frame)
    again = r"the train rows were in memory \(rows sha256:[0-9a-f]{12}\.\.\.\) and lie in no file; give them again with `data=`"
    with pytest.raises(StriataError, match=again):
        audit_labels(tmp_path / "out")
    with pytest.raises(StriataError, match=again):
        write_soup(tmp_path / "out", size=2)
    with pytest.raises(StudyError, match=r"is not what run .* was trained on"):
        audit_labels(tmp_path / "out", data=frame[::-1])
    with pytest.raises(StudyError, match=r"is not what the runs were trained on"):
        write_soup(tmp_path / "out", data=frame[::-1], size=2)
    audited = audit_labels(tmp_path / "out", data=frame)
    assert {part.name: part.rows for part in audited.parts} == {"train": 110, "validation": 40}
    assert {part.source for part in audited.parts} == {"train rows (pandas DataFrame)"}
    try:
        soup = write_soup(tmp_path / "out", data=frame, size=2)
    except EnsembleError as error:  # whether these two runs make a good soup is not the question
        assert "the soup of" in str(error)
    else:
        assert len(soup.members) == 2


def test_parts_may_be_files_and_rows_and_numbers(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    data = {"train": frame_of(tmp_path), "validation": 30, "test": tmp_path / "test.csv"}
    trained = striata.train(study, data=data)
    (run,) = trained.runs.values()
    assert run.facts.split == {"train": 120, "validation": 30}
    assert run.facts.study["data"]["validation"] == 30
    assert run.facts.study["data"]["test"] == str(tmp_path / "test.csv")
    model = striata.load(run.path)
    assert model.evaluate(frame_of(tmp_path, "test")).accuracy == model.evaluate(tmp_path / "test.csv").accuracy
