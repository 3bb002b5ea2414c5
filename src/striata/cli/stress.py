"""`striata stress`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import Bases, Device, Json, Label, LabelledTexts, ModelPath, Precision, Read, Seed, Text, TextPair, named_columns

if TYPE_CHECKING:
    from ..robustness import Stress


def stress(
    model: ModelPath,
    file: LabelledTexts,
    rows: Annotated[int, typer.Option(help="Most rows to use; a random sample when there are more.")] = 1000,
    seed: Seed = 0,
    text: Text = None,
    text_pair: TextPair = None,
    label: Label = None,
    read: Read = None,
    base: Bases = None,
    device: Device = "auto",
    precision: Precision = "auto",
    as_json: Json = False,
    out: Annotated[Path | None, typer.Option(help="Also write the JSON document to this file.")] = None,
) -> None:
    """Measure a model under typing errors, HTML remains, lost words and the like, and its weakest slices.

    Example: striata stress runs/mine/ensemble test.csv
    """
    from ..data import read_table
    from ..robustness import run_stress
    from .inputs import open_model
    from .output import print_json
    from .progress import counter

    opened = open_model(model, base=base, device=device, precision=precision)
    table = read_table(file, named_columns(opened.columns, text=text, text_pair=text_pair, label=label, read=read), split="test")
    with counter("texts") as progress:
        stress = run_stress(opened, table, rows=rows, seed=seed, progress=progress, out=out)
    if as_json:
        print_json(stress.to_json())
    else:
        show_stress(stress)


def show_stress(stress: Stress) -> None:
    """Prints a line per perturbation, and the slices."""
    from .output import note, say, table

    sampled = "" if stress.rows == stress.rows_in_source else f" (a random sample of {stress.rows_in_source:,})"
    clean = stress.clean
    say(f"{stress.rows:,} rows{sampled}: accuracy {clean.value:.4f} ({clean.low:.4f} to {clean.high:.4f}) as they are")
    say()
    by_name: dict[str, list[str]] = {}
    for result in stress.stressed:
        change = result.difference
        cell = (
            f"{100 * change.value:+.1f} ({100 * change.low:+.1f}, {100 * change.high:+.1f})"
            if result.changed
            else "sees no change"
        )
        by_name.setdefault(result.perturbation, []).append(cell)
    table(["points, at strength", "1", "2", "3"], [(name, *cells) for name, cells in by_name.items()])
    say()
    table(
        ["slice", "of", "rows", "accuracy", "95 %", "p against the rest"],
        [
            (
                result.name, result.by, f"{result.rows:,}", f"{result.accuracy.value:.4f}",
                f"{result.accuracy.low:.4f} to {result.accuracy.high:.4f}", f"{result.p_value:.2g}",
            )
            for result in stress.slices
        ],
    )  # fmt: skip
    if stress.small:
        note(f"too few rows for a slice of their own: {', '.join(stress.small)}")
    note(
        "changes of the accuracy in percentage points, paired, with 95 % intervals that hold one by one: of "
        f"{len(stress.stressed)}, one or two miss by chance. The slices' intervals hold together, and their p-values are "
        "corrected for their number."
    )
