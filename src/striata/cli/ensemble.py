"""`striata ensemble`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..choices import COMBINATIONS, DEVICES, METHODS
from .options import Base, Json, Ranking, count


def ensemble(
    folders: Annotated[list[Path], typer.Argument(help="Folders of one or more studies.")],
    out: Annotated[
        Path | None, typer.Option(help="The ensemble's folder; by default `ensemble` in the folder of the one study.")
    ] = None,
    size: Annotated[int, typer.Option(help="How many of the best runs; with greedy the most.")] = 4,
    by: Ranking = None,
    method: Annotated[str, typer.Option(help=f"How: {METHODS.help}.")] = "top",
    combine: Annotated[str, typer.Option(help=f"What is averaged: {COMBINATIONS.help}.")] = "logits",
    budget: Annotated[
        int | None, typer.Option(parser=count, metavar="NUMBER", help="Most trainable parameters, of all members together.")
    ] = None,
    rank: Annotated[
        int | None, typer.Option(help="For soup: rank of the merged adapters; by default the largest of the runs'.")
    ] = None,
    base: Base = None,
    device: Annotated[str, typer.Option(help=f"For soup, which is measured: {DEVICES.help}.")] = "auto",
    as_json: Json = False,
) -> None:
    """Combine runs of a study into FOLDER/ensemble, or merge them into one model, FOLDER/soup.

    Runs of several studies are combined into --out; they may be on different encoders, but have the same labels. Where the
    studies' data differ, validation rows are joined by their texts.

    Example: striata ensemble runs/mine --method greedy
    """
    from ..ensemble import combine_runs
    from .output import note, print_json, say

    made = combine_runs(
        *folders,
        out=out,
        size=size,
        by=by,
        method=method,
        combine=combine,
        budget=budget,
        rank=rank,
        base=base,
        device=device,
    )
    if as_json:
        print_json(made.to_json())
        return
    for line in made.lines():
        say(line)
    note(made.remark)
