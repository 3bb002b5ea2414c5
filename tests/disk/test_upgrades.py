"""What an earlier striata wrote is read in today's form; what a later one wrote is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from striata.disk import upgrades
from striata.disk.documents import Document, Exact, strictly, with_checksum
from striata.disk.sealed import open_seal, sealing
from striata.errors import RunError, StudyError


class Note(Exact):
    """Today's form, the third: the second had `author`, the first `by` and the text in capitals."""

    writer: str
    text: str


NOTE = Document(kind="note", parse=strictly(Note), error=StudyError, advice="write it again")


def second(content: dict[str, Any]) -> dict[str, Any]:
    return {"author": content["by"], "text": content["text"].lower()}


def third(content: dict[str, Any]) -> dict[str, Any]:
    return {"writer": content["author"], "text": content["text"]}


@pytest.fixture(autouse=True)
def steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upgrades, "STEPS", {"note": (second, third), "manifest": (lambda content: content,)})


@pytest.mark.parametrize(
    "content",
    [
        {"format_version": 1, "by": "Ann", "text": "HELLO"},
        {"format_version": 2, "author": "Ann", "text": "hello"},
        {"format_version": 3, "writer": "Ann", "text": "hello"},
    ],
)
def test_every_earlier_form_is_read(tmp_path: Path, content: dict[str, Any]) -> None:
    (tmp_path / "note.json").write_text(json.dumps(with_checksum(content)))
    assert NOTE.read(tmp_path / "note.json") == Note(writer="Ann", text="hello")


def test_todays_form_is_written(tmp_path: Path) -> None:
    NOTE.write(tmp_path / "note.json", {"writer": "Ann", "text": "hello"})
    assert json.loads((tmp_path / "note.json").read_text())["format_version"] == 3
    assert NOTE.read(tmp_path / "note.json").text == "hello"


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (4, "format_version is 4, and this striata knows formats up to 3: a later one wrote it; write it again"),
        (0, "format_version is 0; expected a whole number from 1 to 3"),
        (True, "format_version is True; expected a whole number from 1 to 3"),
        (1.0, "format_version is 1.0; expected a whole number from 1 to 3"),
        (None, "format_version is None; expected a whole number from 1 to 3"),
    ],
)
def test_another_version_is_refused(tmp_path: Path, version: object, message: str) -> None:
    content = {"format_version": version, "writer": "Ann", "text": "hello"}
    (tmp_path / "note.json").write_text(json.dumps(with_checksum(content)))
    with pytest.raises(StudyError) as caught:
        NOTE.read(tmp_path / "note.json")
    assert message in str(caught.value)


def test_manifests_have_versions_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with sealing(tmp_path / "run", "run") as folder:
        (folder / "file").write_text("")
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["format_version"] == 2
    assert set(open_seal(tmp_path / "run", "run", RunError).digests) == {"file"}
    monkeypatch.setattr(upgrades, "STEPS", {})
    with pytest.raises(RunError, match=r"format_version is 2, and this striata knows formats up to 1: a later one wrote it"):
        open_seal(tmp_path / "run", "run", RunError)
