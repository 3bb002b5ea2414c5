"""Records what a command prints, and draws it as an SVG that plays: docs/fit.cast (asciinema's format) and docs/fit.svg.

python docs/recording.py striata fit news.csv --minutes 5       # runs it in this folder, then draws
python docs/recording.py                                        # draws docs/fit.cast anew
"""

from __future__ import annotations

import html
import json
import shlex
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path

DOCS = Path(__file__).parent
CAST, DRAWING = DOCS / "fit.cast", DOCS / "fit.svg"
WIDTH = 92  # characters
PLAYED = 12.0  # seconds that the drawing takes to play
_CELL, _LINE, _EDGE = 7.8, 18, 14  # pixels
_STYLE = """
  text { font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; fill: #c9d1d9; white-space: pre }
  .command { fill: #7ee787; font-weight: 600 } .last { fill: #ffffff; font-weight: 600 }
  .note { fill: #9aa4af } .figure { fill: #79c0ff }
  g { animation: appear 1ms both } @keyframes appear { from { opacity: 0 } to { opacity: 1 } }
  @media (prefers-reduced-motion: reduce) { g { animation: none } }
"""


def record(command: Sequence[str]) -> None:
    """Runs a command without a terminal and keeps each line with its time."""
    start, events = time.monotonic(), []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1) as process:
        assert process.stdout is not None
        for line in process.stdout:
            events.append([round(time.monotonic() - start, 3), "o", line])
    if process.returncode:
        sys.exit(f"{shlex.join(command)} ended with {process.returncode}:\n{''.join(text for *_, text in events)}")
    header = {"version": 2, "width": WIDTH, "height": len(events) + 1, "command": shlex.join(command)}
    CAST.write_text("".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in [header, *events]), encoding="utf-8")


def draw(cast: str) -> str:
    """The SVG of a recording: each line appears when it was printed, in PLAYED seconds altogether; without motion all are there.

    Args:
        cast: in asciinema's format, version 2.
    """
    header, *events = map(json.loads, cast.splitlines())
    ended = max((at for at, *_ in events), default=1.0)
    lines = [(0.0, "command", f"$ {header['command']}"), *((at, _kind(text), text.rstrip("\n")) for at, _, text in events)]
    parts, row = [], 0
    for at, kind, text in lines:
        rows = textwrap.wrap(text, WIDTH, subsequent_indent="    ", drop_whitespace=False, break_on_hyphens=False) or [""]
        parts.append(f'<g style="animation-delay: {0.5 + PLAYED * at / ended if row else 0:.2f}s">')
        for one in rows:
            parts.append(f'<text class="{kind}" x="{_EDGE}" y="{_EDGE + _LINE * (row + 0.75):.1f}">{html.escape(one)}</text>')
            row += 1
        parts.append("</g>")
    width, height = round(WIDTH * _CELL + 2 * _EDGE), row * _LINE + 2 * _EDGE
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    title = f"<title>{html.escape(header['command'])}: {ended:.0f} seconds, played in {PLAYED:.0f}</title>"
    box = f'<rect width="{width}" height="{height}" rx="8" fill="#0d1117"/>'
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" {size}>'
    return "\n".join([opening, title, f"<style>{_STYLE}</style>", box, *parts, "</svg>"]) + "\n"


def _kind(line: str) -> str:
    """What a line is: the last word, the figure of one contender, or a note on the way."""
    if " right on " not in line:
        return "note"
    return "figure" if "best so far" in line or "% to " not in line else "last"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        record(sys.argv[1:])
    DRAWING.write_text(draw(CAST.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"wrote {DRAWING}")
