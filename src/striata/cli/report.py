"""`striata report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import Json, StudyPath, Track


def report(
    folder: StudyPath,
    out: Annotated[Path | None, typer.Option(help="The HTML file; by default FOLDER/report.html.")] = None,
    png: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Also write every figure here, as PNG and SVG.")] = None,
    track: Track = None,
    texts: Annotated[bool, typer.Option(help="Show validation texts: confident errors, uncertain rows, typical ones.")] = True,
    words: Annotated[bool, typer.Option("--words", help="Mark the words that decided the errors; loads the encoder.")] = False,
    title: Annotated[str, typer.Option(help="Of the page; by default the folder's name.")] = "",
    author: Annotated[str, typer.Option(help="Who made it.")] = "",
    note: Annotated[str, typer.Option(help="A paragraph of your own below the title.")] = "",
    as_json: Json = False,
) -> None:
    """Write a study as one HTML file to look at and to hand on: it loads nothing from elsewhere.

    Example: striata report runs/mine --out report.html
    """
    from ..report import write_report
    from .output import print_json, say

    target = write_report(
        folder, out=out, png=png, track=track or (), texts=texts, words=words, title=title, author=author, note=note
    )
    if as_json:
        print_json({"report": str(target), "figures": None if png is None else str(png)})
        return
    say(f"{target} ({target.stat().st_size / 1000:,.0f} kB)")
    if png is not None:
        say(f"figures in {png}")
