"""`striata card`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import Json


def card(
    folder: Annotated[
        Path, typer.Argument(help="Folder of a run, an ensemble, a pack, or a study (its ensemble, or its best run).")
    ],
    out: Annotated[Path | None, typer.Option(help="The file; by default FOLDER/README.md.")] = None,
    as_json: Json = False,
) -> None:
    """Write a Hugging Face model card: layout, data, figures and intervals.

    Example: striata card runs/mine/ensemble
    """
    from ..report import write_card
    from .output import note, print_json, say

    target = str(write_card(folder, out=out))
    if as_json:
        print_json({"card": target})
    else:
        say(target)
    note("the card says `license: unknown`; choose one before you publish")
