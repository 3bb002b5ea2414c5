"""`striata layouts`."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import Json


def layouts(
    everything: Annotated[bool, typer.Option("--all", help="Also those that repeat earlier work.")] = False,
    as_json: Json = False,
) -> None:
    """List the built-in layouts, each with what it is for and its sections.

    Any layout's name may be followed by :uniform (the same sites with the largest single rank that trains no more parameters) or
    :reversed (its layers in reverse order).

    Example: striata layouts
    """
    from ..layout.named import builtin_catalogue
    from .output import note, print_json, table

    catalogue = builtin_catalogue()
    shown = {name: entry for name, entry in catalogue.items() if entry.usual or everything}
    if as_json:
        print_json(
            [
                {"name": name, "depth": entry.layout.depth, "layout": entry.layout.text, "for": entry.purpose}
                for name, entry in shown.items()
            ]
        )
        return
    rows = []
    for name, entry in shown.items():
        rows += [(name, entry.layout.depth, entry.purpose), ("", "", entry.layout.text)]
    table(["name", "layers", "for, and its sections"], rows, fold="for, and its sections")
    if len(shown) < len(catalogue):
        note(f"{len(catalogue) - len(shown)} more, which repeat earlier work: striata layouts --all")
