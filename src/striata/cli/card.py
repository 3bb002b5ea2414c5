"""`striata card`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def card(
    folder: Annotated[Path, typer.Argument(help="Folder of a run, an ensemble, or a study (its ensemble, or its best run).")],
    out: Annotated[Path | None, typer.Option(help="The file; by default FOLDER/README.md.")] = None,
) -> None:
    """Write a Hugging Face model card: layout, data, figures and intervals."""
    from ..report import write_card
    from .output import note, say

    say(str(write_card(folder, out=out)))
    note("the card says `license: unknown`; choose one before you publish")
