"""What lies beside the package for those who install it: read, and every command in it held to the command line."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from striata.cli.app import app

ROOT = Path(__file__).parents[1]
FILES = ("Dockerfile", "action.yml", ".pre-commit-hooks.yaml", ".github/workflows/release.yml")
_COMMANDS: Any = typer.main.get_command(app)


def project() -> dict[str, Any]:
    loaded: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return loaded


def read(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text())


def scripts(value: Any) -> Iterator[str]:
    """Every `run` and `entry` of a YAML document."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in ("run", "entry") and isinstance(inner, str):
                yield inner
            yield from scripts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from scripts(inner)


def commands(name: str) -> list[list[str]]:
    """The words behind `striata` of every call of it."""
    text = (ROOT / name).read_text()
    if name == "Dockerfile":
        image = json.loads(re.findall(r"^CMD (\[.*\])$", text, re.MULTILINE)[0])
        comments = re.findall(r"^# .*\bstriata ((?:serve|pack) .*)$", text, re.MULTILINE)
        return [image, *(shlex.split(line) for line in comments)]
    lines = [line.strip() for script in scripts(read(name)) for line in script.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith("striata ")]


@pytest.mark.parametrize("name", FILES)
def test_every_command_in_it_is_one_with_these_options(name: str) -> None:
    calls = commands(name)
    assert calls
    for command, *words in calls:
        if command.startswith("--"):
            assert command == "--version"
            continue
        options = {option for parameter in _COMMANDS.commands[command].params for option in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= options, (command, words)


def test_the_action_uses_every_input_and_no_other() -> None:
    action = read("action.yml")
    text = (ROOT / "action.yml").read_text()
    assert action["runs"]["using"] == "composite"
    assert set(re.findall(r"inputs\.([\w-]+)", text)) == set(action["inputs"])
    for step in action["runs"]["steps"]:
        assert "${{" not in step.get("run", ""), "an input in a script would be run"
        assert "shell" in step or "uses" in step


def test_a_release_is_tried_and_published_without_a_key() -> None:
    text = (ROOT / ".github/workflows/release.yml").read_text()
    workflow = yaml.safe_load(text)
    jobs = workflow["jobs"]
    assert workflow[True] == {"push": {"tags": ["v*"]}}  # YAML's `on`
    assert workflow["permissions"] == {"contents": "read"}
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert (jobs["try"]["needs"], jobs["publish"]["needs"]) == ("build", "try")
    assert "secrets." not in text
    least = project()["requires-python"].removeprefix(">=")
    assert min(jobs["try"]["strategy"]["matrix"]["python"], key=lambda version: int(version.split(".")[1])) == least
    assert re.search(r"^sbom:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_the_hook_is_one_that_pre_commit_takes() -> None:
    (hook,) = read(".pre-commit-hooks.yaml")
    assert {"id", "name", "entry", "language", "files"} <= set(hook)
    assert re.search(hook["files"], "studies/mine.yaml")
    assert not re.search(hook["files"], "data.csv")
    assert f"id: {hook['id']}" in (ROOT / "docs" / "install.md").read_text()


def test_the_image_copies_what_is_there_and_installs_extras_that_exist() -> None:
    text = (ROOT / "Dockerfile").read_text()
    for line in re.findall(r"^COPY (.*)$", text, re.MULTILINE):
        for name in line.split()[:-1]:
            assert (ROOT / name).exists(), name
            assert f"!{name}" in (ROOT / ".dockerignore").read_text().splitlines()
    for extras in re.findall(r"'\.\[([\w,-]+)\]'", text):
        assert set(extras.split(",")) <= set(project()["optional-dependencies"])
    assert "never built" in text
