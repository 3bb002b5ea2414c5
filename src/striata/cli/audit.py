"""`striata audit`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..choices import REVIEWS
from ..errors import DataError
from .options import Base, Device, Json, Precision, Seed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..data import Table
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
    out: Annotated[
        Path | None,
        typer.Option(help="Also write all suspicious rows to this CSV file; with --to in its form; with --apply a new folder."),
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", help=f"Write --out with whole texts, to be labelled again: {REVIEWS.help}.")
    ] = None,
    apply: Annotated[
        Path | None,
        typer.Option(
            "--apply", help="Take a file of --to back, filled in: copies of the data files with its labels go to --out."
        ),
    ] = None,
) -> None:
    """Find labels that are probably wrong, copies with different labels, and labels taken for each other.

    What is suspicious goes out to be labelled again, and comes back into copies of the data files.

    Example: striata audit runs/mine
    """
    if apply is not None:
        if to is not None:
            raise DataError("goes out, and --apply comes back; give one of them", argument="to")
        _apply(target, apply, out, as_json)
        return
    if to is not None:
        REVIEWS.check(to, DataError)
        if out is None:
            raise DataError(f"{to} needs a file: add --out FILE", argument="to")
    from ..robustness import audit_labels, write_review
    from .output import note, print_json

    def write(audit: LabelAudit, tables: Mapping[str, Table], path: Path) -> None:
        write_review(audit.suspects, tables, path, str(to))

    suspicions = audit_labels(
        target, base=base, rows=rows, seed=seed, device=device, precision=precision, out=out, write=None if to is None else write
    )
    if as_json:
        print_json(suspicions.to_json())
    else:
        show_audit(suspicions)
    if to is not None:
        note(f"{out} has {len(suspicions.suspects):,} rows for {to}; filled in, it comes back with --apply FILE --out FOLDER")


def _apply(target: Path, answers: Path, out: Path | None, as_json: bool) -> None:
    """Takes answers back, and prints what became of them."""
    if out is None:
        raise DataError(f"{answers} needs a new folder: add --out FOLDER", argument="apply")
    from ..robustness import apply_answers, find_audited, read_answers
    from .output import print_json, say

    study, _, _ = find_audited(target)
    applied = apply_answers(study, read_answers(answers), out)
    if as_json:
        print_json(applied.to_json())
        return
    say(f"{applied.changed:,} labels changed, {applied.confirmed:,} confirmed, {applied.unanswered:,} rows without an answer")
    for source, file in applied.files.items():
        say(f"{file}: {source} with the new labels")


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
