"""How commands end: exit codes, and the sentence with each."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from striata import steps
from striata.cli import main

from ..study.small import study_of


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "study.yaml"
    changes = {"learning_rate": 1e30, "optimizer": "sgd", "clip": None, "max_steps": 6, "evaluate_every": 3}
    file.write_text(yaml.safe_dump(study_of(tmp_path, recipe=changes, layouts=["0-2 r2 query", "0-2 r3 query"])))
    monkeypatch.chdir(tmp_path)
    return file


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def end(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["striata", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


def test_members_that_all_fail_are_no_success_and_are_not_called_finished(
    study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for call in range(2):
        assert end(monkeypatch, "train", study) == 1
        told = capsys.readouterr()
        assert "no member finished a run in" in told.out
        assert told.err.count("failed: ") >= 2
        assert "are finished in" not in told.err
        assert ("0 of 2 members are finished" in told.err) == (call == 1)


def test_sigterm_while_data_are_read_is_an_interruption(
    study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        pytest.fail("the signal was not heard")

    monkeypatch.setattr(steps, "prepare", interrupt)
    assert end(monkeypatch, "train", study) == 130
    assert "interrupted: what was finished is kept" in capsys.readouterr().err
