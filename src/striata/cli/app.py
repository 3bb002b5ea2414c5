"""Puts the commands together; each is loaded from the file of its name."""

from __future__ import annotations

import importlib
from pathlib import Path

import typer

# Order of `striata --help`: the order in which one meets them.
COMMANDS = (
    "demo", "layouts", "plan", "check", "train", "leaderboard", "compare", "ensemble", "predict", "evaluate",
    "stress", "shift", "audit", "report", "card",
)  # fmt: skip

app = typer.Typer(
    name="striata",
    help="Find the best text classifier under a budget of trainable parameters, fast, and prove it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        typer.echo(f"striata {version('striata')}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    pass


for _name in COMMANDS:
    if (Path(__file__).parent / f"{_name}.py").exists():
        app.command(_name)(getattr(importlib.import_module(f".{_name}", __package__), _name))
