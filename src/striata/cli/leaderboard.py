"""`striata leaderboard`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer


def leaderboard(
    folder: Annotated[Path, typer.Argument(help="A study's folder.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Show the finished runs of a study, best validation accuracy first."""
    from ..study import StudyFolder
    from ..study import leaderboard as standings
    from .output import print_json

    if as_json:
        print_json([asdict(row) for row in standings(StudyFolder.open(folder))])
    else:
        show_leaderboard(folder)


def show_leaderboard(folder: Path) -> None:
    """Prints the leaderboard of a study's folder."""
    from ..study import StudyFolder
    from ..study import leaderboard as standings
    from .output import note, table
    from .progress import clock

    opened = StudyFolder.open(folder)
    failed = opened.failed()
    rows = standings(opened)
    tested = any(row.test_accuracy is not None for row in rows)
    headings = ["run", "trainable", "validation", "loss", "macro F1", "best step", "time"]
    lines = []
    for row in rows:
        cells = [row.run, f"{row.trainable:,}", f"{row.accuracy:.4f}", f"{row.loss:.4f}", f"{row.macro_f1:.4f}"]
        cells += [f"{row.best_step}/{row.steps}", clock(row.seconds)]
        if tested:
            cells.append("-" if row.test_accuracy is None else f"{row.test_accuracy:.4f}")
        lines.append(cells)
    table([*headings, "test"] if tested else headings, lines)
    for name, reason in failed.items():
        note(f"{name} failed: {reason}")
