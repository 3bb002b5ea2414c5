"""`striata audit`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import Base, Device, Json, Precision, Seed

if TYPE_CHECKING:
    from ..robustness import LabelAudit

_SHOWN = 10
_WIDTH = 80


def audit(
    target: Annotated[Path, typer.Argument(help="Study file, study folder, or folder of a run or an ensemble.")],
    rows: Annotated[int, typer.Option(help="Most rows of each table to embed; a random sample when there are more.")] = 20000,
    seed: Seed = 0,
    base: Base = None,
    device: Device = "auto",
    precision: Precision = "auto",
    as_json: Json = False,
    out: Annotated[Path | None, typer.Option(help="Also write all suspicious rows to this CSV file.")] = None,
) -> None:
    """Find labels that are probably wrong, copies with different labels, and labels taken for each other.

    Example: striata audit runs/mine
    """
    from ..robustness import audit_labels
    from .output import print_json

    suspicions = audit_labels(target, base=base, rows=rows, seed=seed, device=device, precision=precision, out=out)
    if as_json:
        print_json(suspicions.to_json())
    else:
        show_audit(suspicions)


def show_audit(suspicions: LabelAudit) -> None:
    """Prints a line per table, the most suspicious rows, conflicting copies and confused labels."""
    from ..robustness.checks import judged_rows
    from .output import note, say, table

    table(
        ["table", "rows", "judged", "by", "suspicious", "source"],
        [(p.name, f"{p.rows:,}", f"{p.judged:,}", p.by, f"{p.suspects:,}", p.source) for p in suspicions.parts],
    )
    if sample := judged_rows((part.name, part.rows, part.judged) for part in suspicions.parts):
        say(f"only a random sample was judged: {sample}")
    if suspicions.suspects:
        say()
        table(
            ["table", "row", "label", "suggested", "quality", "text"],
            [
                (s.place.part, s.place.row, s.place.label, s.suggested, f"{s.quality:.3f}", _excerpt(s.place.text))
                for s in suspicions.suspects[:_SHOWN]
            ],
            cut="text",
        )
    if suspicions.conflicts:
        say()
        say(f"{len(suspicions.conflicts):,} pairs of copies have different labels")
        table(
            ["row", "label", "row ", "label ", "in common", "text"],
            [
                (
                    f"{c.first.part} {c.first.row}", c.first.label, f"{c.second.part} {c.second.row}", c.second.label,
                    f"{c.similarity:.0%}", _excerpt(c.first.text),
                )
                for c in suspicions.conflicts[:_SHOWN]
            ],
            cut="text",
        )  # fmt: skip
    if suspicions.confusions:
        say()
        table(
            ["label", "predicted", "rows", "for instance"],
            [(c.label, c.predicted, f"{c.rows:,}", _excerpt(c.examples[0].text)) for c in suspicions.confusions[:_SHOWN]],
            cut="for instance",
        )
    note("rows count from 0 in their source; a suspicious label is a reason to look, not yet an error")


def _excerpt(text: str) -> str:
    return " ".join(text[:_WIDTH].split())
