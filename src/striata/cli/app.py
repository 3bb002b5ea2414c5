"""Puts the commands together; each is loaded from the file of its name."""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core

# Groups of `striata --help`, and the order in which one meets the commands.
GROUPS = {
    "Start": ("fit", "demo", "init"),
    "Look": ("layouts", "plan", "check"),
    "Train": ("train", "ensemble", "cascade", "distil", "selftrain"),
    "Judge": ("leaderboard", "compare", "evaluate", "stress", "shift", "audit", "suggest"),
    "Use": ("predict", "explain", "serve"),
    "Share": ("report", "card", "export", "pack", "push"),
}
COMMANDS = tuple(name for names in GROUPS.values() for name in names)


class Commands(typer.core.TyperGroup):
    """The list of commands in groups, with the whole first sentence of each."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Writes the list."""
        for group, names in GROUPS.items():
            with formatter.section(group):
                formatter.write_dl([(name, _first_sentence(self.commands[name].help or "")) for name in names])


def _hush(context: typer.Context, value: bool) -> bool:
    if value:
        from .output import notes

        notes.quiet = True
        context.call_on_close(lambda: setattr(notes, "quiet", False))
    return value


_Quiet = Annotated[
    bool,
    typer.Option("-q", "--quiet", callback=_hush, is_eager=True, help="Print the result and errors only: no progress, no notes."),
]


def _with_quiet(command: Callable[..., None]) -> Callable[..., None]:
    """A command with the option that all commands have."""

    @functools.wraps(command)
    def called(*arguments: Any, quiet: bool = False, **options: Any) -> None:
        command(*arguments, **options)

    own = inspect.signature(command, eval_str=True)
    parameter = inspect.Parameter("quiet", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=_Quiet)
    called.__signature__ = own.replace(parameters=[*own.parameters.values(), parameter])  # type: ignore[attr-defined]
    return called


def _first_sentence(text: str) -> str:
    return " ".join(text.partition("\n\n")[0].split()).partition(". ")[0].removesuffix(".")


app = typer.Typer(
    name="striata",
    cls=Commands,
    rich_markup_mode=None,  # boxes around the help would double the time that it takes
    help="Find the best text classifier under a budget of trainable parameters, fast, and prove it.",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        typer.echo(f"striata {version('striata')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


for _name in COMMANDS:
    if (Path(__file__).parent / f"{_name}.py").exists():
        app.command(_name)(_with_quiet(getattr(importlib.import_module(f".{_name}", __package__), _name)))
