"""`striata predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def predict(
    model: Annotated[Path, typer.Argument(help="Folder of a run or an ensemble.")],
    file: Annotated[str, typer.Argument(help="Texts: CSV, TSV, JSON Lines, Parquet, pickle, a folder, or a Hub name.")],
    out: Annotated[Path, typer.Option(help="File to write: .csv, .jsonl or .parquet.")],
    form: Annotated[
        str, typer.Option("--format", help="labels (id and label by name) or id-label (ID,Label with integers).")
    ] = "labels",
    probabilities: Annotated[bool, typer.Option("--probabilities", help="Also write p_LABEL for every label.")] = False,
    text: Annotated[str | None, typer.Option(help="Name of the text column.")] = None,
    text_pair: Annotated[str | None, typer.Option(help="Name of the second text's column.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto.")] = "auto",
    precision: Annotated[str, typer.Option(help="fp32, bf16, or auto.")] = "auto",
) -> None:
    """Predict the labels of a file; cut off and run again, it goes on where it was."""
    from ..errors import DataError, did_you_mean

    if form not in ("labels", "id-label"):
        raise DataError(f"unknown --format '{form}'{did_you_mean(form, ['labels', 'id-label'])}; expected labels or id-label")
    if probabilities and form == "id-label":
        raise DataError("--format id-label has the columns ID and Label only; leave --probabilities out")
    from dataclasses import replace

    from .. import load
    from ..predict_file import predict_file
    from .output import say
    from .progress import counter

    opened = load(model, device=device, precision=precision)
    given = {key: value for key, value in (("text", text), ("text_pair", text_pair)) if value is not None}
    columns = replace(opened.columns, label=None, **given)
    with counter("texts") as progress:
        rows = predict_file(
            opened, file, out, columns=columns, probabilities=probabilities, id_label=form == "id-label", progress=progress
        )
    say(f"{rows:,} rows predicted by {len(opened.runs)} member(s), in {out}")
