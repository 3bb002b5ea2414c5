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
    rounds: Annotated[
        int, typer.Option(min=1, help="How many; from the second on, the answers of the round before teach, too.")
    ] = 2,
    kind: Annotated[
        str | None,
        typer.Option(
            help="Only the best run of this kind learns: adapter, lexical, frozen or neighbours; by default all members."
        ),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Most optimizer steps of adapters in a round; by default their recipes'.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of weights, order and dropout; by default that of each member.")] = None,
    loss: Annotated[float, typer.Option(help="Accuracy that may be lost against the ensemble; more is not kept.")] = 0.002,
    consistency: Annotated[
        bool,
        typer.Option(
            "--consistency", help="A text also counts by how its answer stands typing errors and the like; takes longer."
        ),
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Folder of what comes out; by default FOLDER/selftrained.")] = None,
    text: Text = None,
    text_pair: TextPair = None,
    read: Read = None,
    base: Base = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Train the ensemble's members again, on labels and on its answers to texts without labels.

    A text counts by how sure the ensemble is of its label, and by how many of its members agree. What comes out is a study's
    folder with an ensemble, and transductive: figures on these texts are not those of new data. It is kept unless it loses more
    than --loss on the validation rows.

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
    say(f"next: {command('predict', made.folder, 'FILE')}")
