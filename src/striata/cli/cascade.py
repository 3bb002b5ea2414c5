"""`striata cascade`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import Json, Ranking, count


def cascade(
    folders: Annotated[list[Path], typer.Argument(help="Folders of one or more studies.")],
    loss: Annotated[
        float, typer.Option(help="Share of all texts; with 95 % confidence fewer are lost against the late stage alone.")
    ] = 0.001,
    cheap: Annotated[
        str | None, typer.Option(metavar="RUN", help="The run that answers first; by default the best that needs no encoder.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The cascade's folder; by default `ensemble` in the folder of the one study.")
    ] = None,
    size: Annotated[int, typer.Option(help="How many of the best runs are in the late stage.")] = 4,
    by: Ranking = None,
    budget: Annotated[
        int | None, typer.Option(parser=count, metavar="NUMBER", help="Most trainable parameters, of all members together.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Let a cheap run answer the texts it is sure of, and an ensemble with fitted weights the rest.

    How sure it has to be is chosen on validation rows, so that fewer than --loss of all texts are lost. The folder is an
    ensemble's like any other.

    Example: striata cascade runs/agnews --loss 0.001
    """
    from ..ensemble import write_ensemble
    from .output import note, print_json, say

    made = write_ensemble(*folders, out=out, size=size, by=by, method="cascade", budget=budget, loss=loss, cheap=cheap)
    if as_json:
        print_json(made.to_json())
        return
    for line in made.lines():
        say(line)
    note(made.remark)
