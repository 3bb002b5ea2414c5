"""What the commands print with: results on stdout, notes and progress on stderr."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

console = Console(highlight=False, soft_wrap=True)
notes = Console(stderr=True, highlight=False, soft_wrap=True)


def say(text: str = "") -> None:
    """Prints a line of the result on stdout, as it is (no markup)."""
    console.print(escape(text))


def note(text: str) -> None:
    """Prints a remark on stderr, as it is (no markup)."""
    notes.print(escape(text), style="dim")


def print_json(value: object) -> None:
    """Prints one JSON document on stdout."""
    print(json.dumps(value, indent=1, ensure_ascii=False))


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None, cut: str | None = None) -> None:
    """Prints a table; columns whose cells are all numbers, or start with a digit, are set right.

    Args:
        columns: the headings.
        rows: cells, one sequence per row, as many as headings.
        title: a line above the table.
        cut: heading of a column whose cells stay on one line, cut where they do not fit.
    """
    cells = [[str(cell) for cell in row] for row in rows]
    grid = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold", expand=cut is not None)
    for at, name in enumerate(columns):
        numeric = bool(cells) and all(row[at][:1].isdigit() or row[at] in ("", "-") for row in cells)
        ratio = 1 if name == cut else None  # what the others leave
        grid.add_column(escape(name), justify="right" if numeric else "left", no_wrap=name == cut, ratio=ratio)
    for row in cells:
        grid.add_row(*(escape(cell) for cell in row))
    console.print(grid)
