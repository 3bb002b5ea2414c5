"""`striata ensemble`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def ensemble(
    folder: Annotated[Path, typer.Argument(help="A study's folder.")],
    size: Annotated[int, typer.Option(help="How many of the best runs.")] = 4,
    by: Annotated[str, typer.Option(help="Validation figure that decides: accuracy, macro_f1 or loss.")] = "accuracy",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Combine the best runs of a study by the mean of their logits, into FOLDER/ensemble."""
    from ..ensemble import write_ensemble
    from .output import note, print_json, say

    made = write_ensemble(folder, size=size, by=by)
    if as_json:
        print_json(
            {
                "folder": str(made.folder),
                "members": dict(made.members),
                "metrics": dict(made.metrics),
                "trainable": made.trainable,
            }
        )
        return
    for name, weight in made.members.items():
        say(f"{name}  weight {weight:.3g}, validation accuracy {made.runs[name].metrics['accuracy']:.4f}")
    say(f"together: validation accuracy {made.metrics['accuracy']:.4f}, {made.trainable:,} trained parameters, in {made.folder}")
    note("the members were chosen on these same validation rows, so this figure flatters; use `striata evaluate` with others")
