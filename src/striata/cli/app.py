"""Puts the commands together; each is loaded from the file of its name."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import typer
import typer.core

# Order of `striata --help`: the order in which one meets them.
COMMANDS = (
    "fit", "init", "demo", "layouts", "plan", "check", "train", "leaderboard", "compare", "ensemble", "cascade", "distil",
    "predict", "evaluate", "stress", "shift", "audit", "report", "card",
)  # fmt: skip


class Commands(typer.core.TyperGroup):
    """The list of commands, with the whole first sentence of each."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Writes the list."""
        rows = [(name, _first_sentence(self.commands[name].help or "")) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _first_sentence(text: str) -> str:
    return " ".join(text.partition("\n\n")[0].split()).partition(". ")[0].removesuffix(".")


app = typer.Typer(
    name="striata",
    cls=Commands,
    rich_markup_mode=None,  # boxes around the help would double the time that it takes
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
