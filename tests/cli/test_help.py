"""Help, and what every command has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from striata.cli import output
from striata.cli.app import COMMANDS, GROUPS, app

BARE = typer.main.get_command(app)


def shown(*arguments: str) -> str:
    done = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_striata_alone_shows_the_commands_in_groups() -> None:
    text = shown()
    assert text == shown("--help")
    assert re.findall(r"^(\w+):$", text, re.MULTILINE) == ["Options", *GROUPS]
    assert re.findall(r"^  ([a-z]+)  +[A-Z]", text, re.MULTILINE) == list(COMMANDS)
    assert "--install-completion" in text


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_an_example_that_its_own_parser_takes(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = " ".join(shown(name, "--help").split())
    example = re.search(rf"Example: striata {name}( .*?)? (?=Arguments|Options)", f"{text} ")
    assert example is not None
    monkeypatch.chdir(tmp_path)
    for word in (example[1] or "").split():  # what the parser looks for
        place = Path(word)
        if place.suffix:
            place.write_text("text,label\nw1,x\n")
        elif "/" in word:
            place.mkdir(parents=True, exist_ok=True)
    command = BARE.commands[name]  # type: ignore[attr-defined]
    command.make_context(name, (example[1] or "").split()).close()
    assert "--quiet" in text
    assert "--json" in text


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("console", "notes"):
        wide = Console(width=30, highlight=False, force_terminal=True, color_system=None, stderr=name == "notes")
        monkeypatch.setattr(output, name, wide)


def test_sentences_break_between_words_and_paths_stay_whole(narrow: None, capsys: pytest.CaptureFixture[str]) -> None:
    path = "/a/rather/long/path/to/where/something/was/written.csv"
    sentence = f"about 2,500 rows would be needed to tell these two runs apart; see {path} for all of it"
    output.say(sentence)
    output.note(sentence)
    for text in capsys.readouterr():
        lines = text.splitlines()
        assert " ".join(" ".join(lines).split()) == sentence
        assert path in lines
        assert max(len(line) for line in lines if line != path) <= 30


def test_quiet_leaves_the_result_and_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("train.csv").write_text("text,label\n" + "".join(f"stocks {at},a\ngoals {at},b\n" for at in range(30)))
    loud = CliRunner().invoke(app, ["init", "train.csv", "--base", "none", "--out", "one.yaml"])
    quiet = CliRunner().invoke(app, ["init", "train.csv", "--base", "none", "--out", "two.yaml", "-q"])
    again = CliRunner().invoke(app, ["init", "train.csv", "--base", "none", "--out", "three.yaml"])
    assert (loud.exit_code, quiet.exit_code) == (0, 0)
    assert "text from column 'text'" in loud.stderr
    assert quiet.stderr == ""
    assert "wrote two.yaml" in quiet.stdout
    assert again.stderr == loud.stderr
