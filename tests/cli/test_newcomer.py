"""What a newcomer does with files that are not called train.csv."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import yaml

from ..command import run
from ..study.small import write_texts


def test_commands_that_are_printed_can_be_pasted_and_several_columns_are_the_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = write_texts(tmp_path / "rows.csv", 90).read_text().splitlines()[1:]
    rows = [(line.split(",")[0].split(" ", 2), line.split(",")[1]) for line in lines]
    table = [
        "Nr;Betreff;Nachricht;Team",
        *(f"T-{at};{words[0]};{' '.join(words[1:])};{team}" for at, (words, team) in enumerate(rows)),
    ]
    Path("meine tickets.csv").write_text("\n".join(table) + "\n")
    columns = ("--text", "Betreff", "--text", "Nachricht", "--label", "Team")
    assert run("fit", "meine tickets.csv", *columns, "--base", "none", "--minutes", "0.1") == 0
    out, err = capsys.readouterr()
    study = Path("runs/meine tickets/study.yaml")
    assert yaml.safe_load(study.read_text())["data"]["text"] == ["Betreff", "Nachricht"]
    assert "`striata train 'runs/meine tickets/study.yaml'` repeats what it says" in err
    (line,) = (line for line in out.splitlines() if line.startswith("next: "))
    command = shlex.split(line.removeprefix("next: striata ").replace("FILE", "'meine tickets.csv'"))
    assert command == ["predict", "runs/meine tickets", "meine tickets.csv"]
    assert run(*command) == 0
    assert Path("meine tickets.predicted.csv").is_file()
    assert run("leaderboard", "runs/meine tickets") == 0
