"""`striata suggest`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..choices import SUGGESTIONS
from .options import Bases, Device, Json, ModelPath, Precision, Seed, Text, TextPair, Texts, named_columns

if TYPE_CHECKING:
    from ..model.suggestions import Suggestion

_SHOWN = 10


def suggest(
    model: ModelPath,
    pool: Texts,
    rows: Annotated[int, typer.Option(help="How many to suggest.")] = 100,
    by: Annotated[str, typer.Option(help=f"How they are chosen: {SUGGESTIONS.help}.")] = "mixed",
    out: Annotated[
        Path | None, typer.Option(help="Also write them, with all columns of the pool, to this .csv, .jsonl or .parquet file.")
    ] = None,
    text: Text = None,
    text_pair: TextPair = None,
    seed: Seed = 0,
    base: Bases = None,
    device: Device = "auto",
    precision: Precision = "auto",
    as_json: Json = False,
) -> None:
    """Say which unlabelled rows to label next.

    Equal texts are suggested once, and none that the model was validated on. The file keeps the pool's columns, and has each
    row's number.

    Example: striata suggest runs/mine/ensemble pool.csv --rows 100 --out next.csv
    """
    from ..choices import PREDICTIONS
    from ..disk.files import apart, named
    from ..errors import DataError
    from ..model.suggestions import suggest_rows, write_suggestion
    from .inputs import open_model
    from .output import print_json

    SUGGESTIONS.check(by, DataError)
    if rows < 1:
        raise DataError(f"{rows}: expected at least 1", argument="rows")
    if out is not None:
        named(out, *PREDICTIONS)
        apart(out, pool)
    opened = open_model(model, base=base, device=device, precision=precision)
    columns = named_columns(opened.columns, text=text, text_pair=text_pair)
    suggestion = suggest_rows(opened, pool, rows, by=by, columns=columns, seed=seed)
    if out is not None:
        write_suggestion(suggestion, pool, out)
    if as_json:
        print_json(suggestion.to_json())
    else:
        _show(suggestion, out)


def _show(suggestion: Suggestion, out: Path | None) -> None:
    """Prints the first rows, and where the others are."""
    from .output import note, say, table

    table(
        ["row", "predicted", "probability", "score", "text"],
        [
            (f"{row.row:,}", row.predicted, f"{row.probability:.3f}", f"{row.score:.3f}", " ".join(row.text[:200].split()))
            for row in suggestion.rows[:_SHOWN]
        ],
        cut="text",
    )
    if suggestion.known:
        note(f"{suggestion.known:,} rows were left out: the validation rows have their text")
    where = "--out FILE writes them all" if out is None else str(out)
    say(f"{len(suggestion.rows):,} of {suggestion.pool:,} rows, by {suggestion.by}: {where}")
    note("rows count from 0 in their source")
