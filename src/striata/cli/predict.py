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
    uncalibrated: Annotated[
        bool, typer.Option("--uncalibrated", help="With --probabilities: as they are without the model's temperature.")
    ] = False,
    sets: Annotated[
        float | None,
        typer.Option(metavar="COVERAGE", help="Also write `labels`: lists of labels, of which this share holds the true one."),
    ] = None,
    abstain_below: Annotated[
        float | None, typer.Option(metavar="P", help="Leave the label out where its calibrated probability is below P.")
    ] = None,
    precision_at_least: Annotated[
        float | None,
        typer.Option(metavar="SHARE", help="Likewise, with the P from which on SHARE of the validation rows' labels are right."),
    ] = None,
    text: Annotated[str | None, typer.Option(help="Name of the text column.")] = None,
    text_pair: Annotated[str | None, typer.Option(help="Name of the second text's column.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto.")] = "auto",
    precision: Annotated[str, typer.Option(help="fp32, bf16, or auto.")] = "auto",
) -> None:
    """Predict the labels of a file; cut off and run again, it goes on where it was."""
    from ..errors import DataError, did_you_mean

    if form not in ("labels", "id-label"):
        raise DataError(f"unknown --format '{form}'{did_you_mean(form, ['labels', 'id-label'])}; expected labels or id-label")
    id_label = form == "id-label"
    if probabilities and id_label:
        raise DataError("--format id-label has the columns ID and Label only; leave --probabilities out")
    if id_label and (sets is not None or abstain_below is not None or precision_at_least is not None):
        raise DataError("--format id-label has one label for every row; leave --sets, --abstain-below, --precision-at-least out")
    if uncalibrated and not probabilities:
        raise DataError("--uncalibrated says which probabilities to write; give it with --probabilities")
    if abstain_below is not None and precision_at_least is not None:
        raise DataError("--abstain-below and --precision-at-least were both given; each sets the same threshold, give one")
    from dataclasses import replace

    from .. import load
    from ..model.whole_file import predict_file
    from .output import note, say
    from .progress import counter

    opened = load(model, device=device, precision=precision)
    given = {key: value for key, value in (("text", text), ("text_pair", text_pair)) if value is not None}
    columns = replace(opened.columns, label=None, **given)
    if precision_at_least is not None:
        found = opened.answers(precision_at_least)
        abstain_below = found.threshold
        note(
            f"answers from a probability of {found.threshold:.4f} on: {found.answered:.1%} of the validation rows, of which "
            f"{precision_at_least:.1%} are right with 90 % confidence"
        )
    with counter("texts") as progress:
        rows = predict_file(
            opened, file, out, columns=columns, probabilities=probabilities, id_label=id_label, calibrated=not uncalibrated,
            coverage=sets, abstain_below=abstain_below, progress=progress,
        )  # fmt: skip
    say(f"{rows:,} rows predicted by {len(opened.runs)} member(s), in {out}")
