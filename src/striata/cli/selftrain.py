"""`striata selftrain`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..choices import DATA_HELP
from .options import Base, Device, Json, Read, StudyPath, Text, TextPair, named_columns


def selftrain(
    folder: StudyPath,
    unlabelled: Annotated[str, typer.Option(help=f"Texts without labels: {DATA_HELP}.")],
    rounds: Annotated[int, typer.Option(min=1, help="How often a run learns from what was there before it.")] = 2,
    kind: Annotated[
        str | None,
        typer.Option(help="What is trained: adapter, frozen or lexical; by default adapters, if the study has any."),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Most optimizer steps of a round; by default the best single run's.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of weights, order and dropout; by default the best single run's.")] = None,
    loss: Annotated[float, typer.Option(help="Accuracy that may be lost against the ensemble; more is not kept.")] = 0.002,
    consistency: Annotated[
        bool,
        typer.Option(
            "--consistency", help="A text also counts by how its answer stands typing errors and the like; takes longer."
        ),
    ] = False,
    out: Annotated[Path | None, typer.Option(help="The run's folder; by default FOLDER/selftrained.")] = None,
    text: Text = None,
    text_pair: TextPair = None,
    read: Read = None,
    base: Base = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Train one run on labels and on the ensemble's answers to texts without labels, and keep it if it is not worse.

    A text counts by how sure the ensemble is of its label, and by how many of its members agree. The run is transductive: figures
    on these texts are not those of new data.

    Interrupted at any moment, the same command goes on from the last checkpoint.

    Example: striata selftrain runs/agnews --unlabelled more.csv
    """
    from .. import selftrain as selftrain_study
    from ..data import check_source
    from ..runs import StudyFolder
    from ..settings import load_study
    from .output import command, print_json, say
    from .progress import progress

    study = load_study(StudyFolder.open(folder).settings())
    check_source(unlabelled)
    columns = named_columns(study.columns, text=text, text_pair=text_pair, read=read)
    with progress() as listen:
        made = selftrain_study(
            folder, unlabelled, rounds=rounds, kind=kind, columns=columns, steps=steps, seed=seed, loss=loss,
            consistency=consistency, out=out, base=base, listen=listen, device=device,
        )  # fmt: skip
    if as_json:
        print_json(made.to_json())
        return
    for line in made.lines():
        say(line)
    say(f"next: {command('predict', made.run.path, 'FILE')}")
