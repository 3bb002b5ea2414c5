"""Paths in a study file count from the file, wherever striata is called from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import striata
from striata.disk.documents import with_checksum
from striata.errors import StudyError
from striata.robustness.labels import find_audited
from striata.runs import StudyFolder
from striata.settings import Study, load_study
from striata.study import prepare_again
from striata.training.events import Event

from ..study.small import noting, write_texts

STUDY: dict[str, Any] = {
    "base": "none", "data": {"train": "data/train.csv", "validation": 30, "test": "test.csv"}, "baselines": ["majority"],
    "output": "runs/mine",
}  # fmt: skip


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study with its files; the current folder is the one above."""
    folder = tmp_path / "project"
    (folder / "data").mkdir(parents=True)
    write_texts(folder / "data" / "train.csv", 90)
    write_texts(folder / "test.csv", 20, seed=1)
    (folder / "study.yaml").write_text(yaml.safe_dump(STUDY))
    monkeypatch.chdir(tmp_path)
    return folder


def changed(project: Path, **changes: Any) -> Path:
    (project / "study.yaml").write_text(yaml.safe_dump({**STUDY, **changes}))
    return Path("project/study.yaml")


def test_paths_count_from_the_file_and_are_remembered_as_written(project: Path) -> None:
    (project / "mine.yaml").write_text("name: mine\ndepth: 12\nlayout: 0-5 r2 query\n")
    layouts = ["s8", "mine.yaml", {"layout": "mine.yaml", "name": "again"}]
    study = load_study(changed(project, base="roberta-base", layouts=layouts))
    assert (study.data.train, study.data.test, study.data.validation) == ("project/data/train.csv", "project/test.csv", 30)
    assert (study.output, study.base) == ("project/runs/mine", "roberta-base")
    assert [entry if isinstance(entry, str) else entry.layout for entry in study.layouts] == [
        "s8", "project/mine.yaml", "project/mine.yaml",
    ]  # fmt: skip
    remembered = study.to_dict()
    assert [entry if isinstance(entry, str) else entry["layout"] for entry in remembered["layouts"]] == [
        "s8", "mine.yaml", "mine.yaml",
    ]  # fmt: skip
    assert (remembered["data"]["train"], remembered["output"]) == ("data/train.csv", "runs/mine")
    assert study.model_copy(update={"output": "elsewhere"}).to_dict()["output"] == "elsewhere"
    assert load_study(STUDY).data.train == "data/train.csv"  # a mapping counts from here


def test_names_and_whole_paths_are_what_they_are(project: Path) -> None:
    whole = str(project / "test.csv")
    sources = {"train": "fancyzhx/ag_news", "validation": "s3://bucket/rows.csv", "test": whole}
    study = load_study(changed(project, base="FacebookAI/roberta-base", data=sources, output="~/runs/mine"))
    assert (study.base, study.data.train, study.data.validation) == (
        "FacebookAI/roberta-base", "fancyzhx/ag_news", "s3://bucket/rows.csv",
    )  # fmt: skip
    assert (study.data.test, study.output) == (whole, str(Path.home() / "runs" / "mine"))
    missing = load_study(changed(project, data={"train": "trian.csv", "validation": "trian.csv:part", "test": "./x"}))
    assert (missing.data.train, missing.data.test) == ("project/trian.csv", "project/x")


def test_what_the_command_line_sets_counts_from_the_current_folder(project: Path) -> None:
    shutil.copy(project / "test.csv", "here.csv")
    study = load_study(Path("project/study.yaml"), ["data.test=here.csv", "output=out", "base=roberta-base"])
    assert (study.data.test, study.output, study.base) == ("here.csv", "out", "roberta-base")
    assert (study.to_dict()["data"]["test"], study.to_dict()["output"]) == ("../here.csv", "../out")


def test_what_lies_only_in_the_current_folder_is_taken_with_a_remark(project: Path) -> None:
    shutil.move(project / "data", "data")
    (project.parent / "runs" / "mine").mkdir(parents=True)
    study = load_study(Path("project/study.yaml"))
    assert (study.data.train, study.data.test, study.output) == ("data/train.csv", "project/test.csv", "runs/mine")
    first, second = study.places.remarks
    assert first == (
        "output: runs/mine counts from the study file's folder, project, where there is none; the one in the current folder "
        "is taken: write ../runs/mine"
    )
    assert second.endswith("write ../data/train.csv")
    lines: list[str] = []
    assert striata.train(study, listen=noting(lines)).folder == Path("runs/mine")
    assert lines[:2] == [first, second]


@pytest.mark.parametrize("first", [".", "project", "data"])
def test_a_study_is_the_same_from_wherever_it_is_called(project: Path, monkeypatch: pytest.MonkeyPatch, first: str) -> None:
    (project.parent / "data").mkdir()

    def train(place: str, **settings: Any) -> tuple[striata.Trained, list[str]]:
        finished: list[str] = []

        def listen(event: Event) -> None:
            if event.kind == "finished":
                finished.append(str(event.member))

        monkeypatch.chdir(project.parent / place)
        return striata.train(Path(project / "study.yaml"), listen=listen), finished

    assert train(first)[1] == ["majority"]
    before = (project / "runs/mine/study.json").read_bytes()
    for place in (".", "project", "data"):
        trained, finished = train(place)
        assert (trained.folder.resolve(), finished) == (project / "runs/mine", [])
    assert (project / "runs/mine/study.json").read_bytes() == before
    shutil.copy(project / "test.csv", "other.csv")
    other = load_study(project / "study.yaml", ["data.test=other.csv", f"output={project}/runs/mine"])
    with pytest.raises(StudyError, match=r"another study: there data\.test is 'test\.csv', here '\.\./data/other\.csv'"):
        striata.train(other)


FINDERS: dict[str, Callable[[Path], Study]] = {
    "audit": lambda folder: find_audited(folder)[0],
    "again": lambda folder: prepare_again(StudyFolder.open(folder)).study,
    "run": lambda folder: find_audited(folder / "runs" / "majority")[0],
}


@pytest.mark.parametrize("finder", FINDERS)
def test_a_folder_finds_its_rows_from_wherever_it_is_opened(
    project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, finder: str
) -> None:
    striata.train(Path("project/study.yaml"))
    moved = shutil.copytree(project.parent, tmp_path / "moved")
    monkeypatch.chdir("/")
    study = FINDERS[finder](moved / "project/runs/mine")
    assert Path(str(study.data.train)).resolve() == moved / "project/data/train.csv"


def test_a_folder_that_does_not_say_where_paths_count_from_is_read_from_the_current_one(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As striata wrote them before."""
    striata.train(Path("project/study.yaml"))
    file = project / "runs/mine/study.json"
    content = json.loads(file.read_text())
    assert content.pop("counted_from") == "../.."
    file.write_text(json.dumps(with_checksum({key: value for key, value in content.items() if key != "checksum"})))
    monkeypatch.chdir(project)
    assert StudyFolder.open("runs/mine").study().data.train == "data/train.csv"
    trained = striata.train("study.yaml")
    assert list(trained.runs) == ["majority"]


def test_the_study_file_of_a_fit_repeats_it_from_anywhere(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted = striata.fit("project/data/train.csv", base="none", minutes=0.1, output="out/fit")
    text = yaml.safe_load((fitted.folder / "study.yaml").read_text())
    assert (text["data"]["train"], text["output"]) == ("../../project/data/train.csv", ".")
    monkeypatch.chdir(project)
    finished: list[Event] = []
    striata.train(Path("../out/fit/study.yaml"), listen=lambda e: finished.append(e) if e.kind == "finished" else None)
    assert not finished
