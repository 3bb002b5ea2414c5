"""`striata distil`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..choices import DATA_HELP
from .options import Base, Device, Json, Read, StudyPath, Text, TextPair, named_columns


def distil(
    folder: StudyPath,
    unlabelled: Annotated[str | None, typer.Option(help=f"More texts, labels not looked at: {DATA_HELP}.")] = None,
    layout: Annotated[
        str | None, typer.Option(help="Layout by name, text form or file; by default that of the best single run.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Most optimizer steps; by default those of the best single run.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of weights, order and dropout; by default the best single run's.")] = None,
    hard: Annotated[
        float, typer.Option(help="Weight of the true label beside the ensemble's probabilities, in training rows.")
    ] = 0.0,
    loss: Annotated[
        float, typer.Option(help="Accuracy that may be lost against the best single run, e.g. 0.002; more is not kept.")
    ] = 0.0,
    out: Annotated[Path | None, typer.Option(help="The run's folder; by default FOLDER/distilled.")] = None,
    text: Text = None,
    text_pair: TextPair = None,
    read: Read = None,
    base: Base = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Train one run on the ensemble's probabilities, and keep it if it is not worse than the best single run.

    It answers with one pass of the encoder where the ensemble takes one for each of its runs. Texts without labels make it
    better: the ensemble has not seen them.

    Interrupted at any moment, the same command goes on from the last checkpoint.

    Example: striata distil runs/agnews --unlabelled more.csv --steps 1000
    """
    from .. import distil as distil_study
    from ..data import check_source
    from ..runs import StudyFolder
    from .output import command, note, print_json, say
    from .progress import progress

    study = StudyFolder.open(folder).study()
    if unlabelled is not None:
        check_source(unlabelled)
    columns = named_columns(study.columns, text=text, text_pair=text_pair, read=read)
    with progress() as listen:
        made = distil_study(
            folder, unlabelled=unlabelled, columns=columns, layout=layout, steps=steps, seed=seed, hard=hard, loss=loss, out=out,
            base=base, listen=listen, device=device,
        )  # fmt: skip
    if as_json:
        print_json(made.to_json())
        return
    for line in made.lines():
        say(line)
    note(made.remark)
    say(f"next: {command('predict', made.run.path, 'FILE')}")
