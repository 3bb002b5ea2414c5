"""`striata compare`."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import Confidence, Json, StudyPath


def compare(
    folder: StudyPath,
    first: Annotated[str, typer.Argument(metavar="A", help="A layout (s8, s8:uniform) or a run (s8-seed0).")],
    second: Annotated[str, typer.Argument(metavar="B", help="Another of the same kind.")],
    confidence: Confidence = 0.95,
    as_json: Json = False,
) -> None:
    """Say whether A is better than B, by how much, and how many rows or seeds would tell.

    Two layouts are compared by the seeds that both have, two runs by McNemar's exact test, or of numbers by Student's paired t.
    The p-value is that of this one comparison; choose A and B before looking at the leaderboard, or read its corrected values
    instead.

    Example: striata compare runs/mine s8 s8:uniform
    """
    from ..evidence import compare_pair
    from ..runs import StudyFolder
    from .leaderboard import show_comparison
    from .output import print_json

    comparison = compare_pair(StudyFolder.open(folder), first, second, confidence=confidence)
    if as_json:
        print_json(comparison.to_json())
    else:
        show_comparison(comparison, explain=True)
