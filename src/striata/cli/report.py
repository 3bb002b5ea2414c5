"""`striata report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import StudyPath, Track


def report(
    folder: StudyPath,
    out: Annotated[Path | None, typer.Option(help="The HTML file; by default FOLDER/report.html.")] = None,
    png: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Also write every figure here, as PNG and SVG.")] = None,
    track: Track = None,
) -> None:
    """Write a study as one HTML file to look at and to hand on: it loads nothing from elsewhere."""
    from ..report import write_report
    from .output import say

    target = write_report(folder, out=out, png=png, track=track or ())
    say(f"{target} ({target.stat().st_size / 1000:,.0f} kB)")
    if png is not None:
        say(f"figures in {png}")
