"""Whatever stands in a file of ours: it is read as it was written, or refused in one line that names file and field."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from striata.data.audit import read_audit
from striata.disk.documents import with_checksum
from striata.errors import StriataError
from striata.report import write_report
from striata.robustness.documents import AUDIT, SHIFT, STRESS, read_kept
from striata.runs import StudyFolder, leaderboard
from striata.runs.standings import write_test_metrics

from ..report.studies import add_everything, write_study

READERS: dict[str, Callable[[Path], object]] = {
    "study.json": StudyFolder.open,
    "test.json": lambda folder: leaderboard(StudyFolder.open(folder)),
    "audit.json": read_audit,
    "failed/s5-seed0.json": lambda folder: StudyFolder.open(folder).failed(),
    "checks/stress-ensemble.json": lambda folder: read_kept(folder, "stress-*", STRESS),
    "checks/shift-ensemble.json": lambda folder: read_kept(folder, "shift-*", SHIFT),
    "checks/audit.json": lambda folder: read_kept(folder, "audit", AUDIT),
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study's folder with every document that lies outside of a sealed folder; not to be changed."""
    study = write_study(tmp_path_factory.mktemp("finished") / "out", ["s1", "s9"], rows=60, steps=5)
    add_everything(study)
    study.record_failure("s5-seed0", "its loss became no number")
    metrics = {"accuracy": 0.75, "loss": 0.5, "macro_f1": 0.7}
    write_test_metrics(study, study.runs(), {run.name: metrics for run in study.runs()})
    return study.path


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    shutil.copytree(finished, tmp_path / "out")
    return tmp_path / "out"


def changed(change: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    """A change to a document's content that leaves it JSON."""

    def damage(data: bytes) -> bytes:
        content = json.loads(data)
        change(content)
        return json.dumps(content).encode()

    return damage


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "cut off": lambda data: data[: len(data) // 2],
    "no UTF-8": lambda data: data[:5] + b"\xff" + data[5:],
    "NUL": lambda _: b"\0" * 100,
    "a list": lambda _: b"[]",
    "a number": lambda _: b"7",
    "null": lambda _: b"null",
    "an empty object": lambda _: b"{}",
    "nested too deeply": lambda _: b'{"a":' * 100_000,
    "an endless number": lambda _: b'{"format_version": ' + b"1" * 10_000 + b"}",
    "NaN": lambda data: data.replace(b"{", b'{"nothing": NaN, ', 1),
    "another version": changed(lambda content: content.update(format_version=2)),
    "no version": changed(lambda content: content.pop("format_version")),
    "version as text": changed(lambda content: content.update(format_version="1")),
    "one more key": changed(lambda content: content.update(extra=1)),
    "no checksum": changed(lambda content: content.pop("checksum")),
}


@pytest.mark.parametrize("name", READERS)
def test_damage_is_refused_by_the_name_of_the_file(folder: Path, name: str) -> None:
    file = folder / name
    data = file.read_bytes()
    READERS[name](folder)
    for damage, apply in DAMAGES.items():
        file.write_bytes(apply(data))
        with pytest.raises(StriataError, match=r"cannot be read: .+; .+") as caught:
            READERS[name](folder)
        message = str(caught.value)
        if str(file) not in message or "\n" in message:
            pytest.fail(f"{damage}: {message}")
    file.unlink()
    file.mkdir()
    with pytest.raises(StriataError):
        READERS[name](folder)


def test_the_report_refuses_them_too(folder: Path) -> None:
    write_report(folder)
    for name in READERS:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(b"{}")
        with pytest.raises(StriataError, match=re.escape(name)):
            write_report(folder)
        (folder / name).write_bytes(data)


def set_accuracy(value: object) -> Callable[[dict[str, Any]], object]:
    return lambda content: content["runs"]["s1-seed0"]["metrics"].update(accuracy=value)


FIELDS: list[tuple[str, Callable[[dict[str, Any]], object], str]] = [
    ("test.json", set_accuracy(7.5), r"field runs\.s1-seed0\.metrics: .*accuracy is 7\.5"),
    ("test.json", set_accuracy("high"), r"field runs\.s1-seed0\.metrics\.accuracy: "),
    ("test.json", lambda content: content["runs"]["s1-seed0"].pop("metrics"), r"field runs\.s1-seed0\.metrics: "),
    ("study.json", lambda content: content.update(study={}), "cannot be read: .*base"),
    ("study.json", lambda content: content["study"].update(seeds="x"), "cannot be read: .*seeds"),
    ("failed/s5-seed0.json", lambda content: content.update(reason=None), "field reason: "),
    ("audit.json", lambda content: content["parts"]["train"].update(rows="many"), r"field parts\.train\.rows: "),
    ("audit.json", lambda content: content.update(parts=[]), "field parts: "),
    ("checks/stress-ensemble.json", lambda content: content["stressed"][0].pop("difference"), r"field stressed\.0\.difference: "),
    ("checks/shift-ensemble.json", lambda content: content.update(parts=None), "field parts: "),
    ("checks/audit.json", lambda content: content["suspects"][0].update(row="17"), r"field suspects\.0\.row: "),
]


@pytest.mark.parametrize(("name", "change", "message"), FIELDS, ids=[f"{name}-{at}" for at, (name, _, _) in enumerate(FIELDS)])
def test_a_wrong_field_is_named(folder: Path, name: str, change: Callable[[dict[str, Any]], object], message: str) -> None:
    """Though the checksum is right: written by somebody who could have."""
    content = json.loads((folder / name).read_bytes())
    change(content)
    (folder / name).write_text(json.dumps(with_checksum(content)))
    with pytest.raises(StriataError, match=message):
        READERS[name](folder)


def test_every_changed_byte_of_a_value_is_noticed(folder: Path) -> None:
    for name in ("study.json", "test.json"):
        data = (folder / name).read_bytes()
        meant = json.loads(data)
        for at in range(0, len(data), 23):
            wrong = data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]
            try:
                same = json.loads(wrong) == meant
            except ValueError:
                same = False
            (folder / name).write_bytes(wrong)
            if not same:
                with pytest.raises(StriataError):
                    READERS[name](folder)
        (folder / name).write_bytes(data)
