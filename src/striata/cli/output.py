"""What the commands print with: results on stdout, notes and progress on stderr."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

console = Console(highlight=False, emoji=False)
notes = Console(stderr=True, highlight=False, emoji=False)

_GAP = 2  # between the columns of a table, 1 where it would not fit
_LEAST = 24  # what a column of texts keeps, however narrow the terminal
_UNSEEN = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069\\ud800-\\udfff]")
_FIGURE = re.compile(r"(\d[\d.,:/%e+()\s-]*(to [\d.,%+-]+\)?)?)?|-")


def visible(text: str) -> str:
    """A text with escapes such as \\x1b in the place of what a terminal would obey: control characters and what turns the
    direction of writing; and of halves of surrogate pairs, which cannot be written. Line breaks and tabs stay."""
    return _UNSEEN.sub(_escaped, text)


def say(text: str = "") -> None:
    """Prints a line of the result on stdout, as it is (no markup)."""
    _print(console, text)


def command(*words: object) -> str:
    """A command of striata as it can be pasted into a shell, whatever is in the names of folders."""
    return shlex.join(["striata", *map(str, words)])


def note(text: str, style: str = "dim") -> None:
    """Prints a remark on stderr, as it is (no markup)."""
    _print(notes, text, style)


def _print(where: Console, text: str, style: str = "") -> None:
    """Prints a text; on a terminal its lines break between words, and a word that is longer than a line, such as a path, stays
    whole."""
    lines = visible(text).split("\n")
    if where.is_terminal:
        lines = [part for line in lines for part in _between_words(line, where.width)]
    where.print(Text("\n".join(lines), style), soft_wrap=True)


def _between_words(line: str, width: int) -> list[str]:
    if len(line) <= width:
        return [line]
    return textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False, replace_whitespace=False, expand_tabs=False)


@contextmanager
def without_lines(silent: bool) -> Iterator[None]:
    """Prints no line of the result while the block runs, where one JSON document is to stand alone.

    Args:
        silent: whether that is so.
    """
    console.quiet = silent
    try:
        yield
    finally:
        console.quiet = False


def print_json(value: object) -> None:
    """Prints one JSON document on stdout, at once: what reads it may wait for it while the command goes on."""
    text = _UNSEEN.sub(lambda unseen: f"\\u{ord(unseen[0]):04x}", json.dumps(value, indent=1, ensure_ascii=False))
    print(text, flush=True)


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    title: str | None = None,
    cut: str | None = None,
    fold: str | None = None,
) -> None:
    """Prints a table; names and figures are whole at any width, and columns of figures only are set right.

    Where it does not fit, headings are broken and columns move together; if that is not enough, it is wider than the terminal.

    Args:
        columns: the headings.
        rows: cells, one sequence per row, as many as headings.
        title: a line above the table.
        cut: heading of a column of excerpts, which stay on one line and are cut where they do not fit.
        fold: heading of a column of texts, which go on in further lines where they do not fit.
    """
    flowing = next((at for at, name in enumerate(columns) if name in (cut, fold)), None)
    cells = [[_cell(cell) for cell in row] for row in rows]
    columns = [_cell(name) for name in columns]
    bodies = [max((cell_len(row[at]) for row in cells), default=0) for at in range(len(columns))]
    headings, widths, gap = _fitted(columns, bodies, flowing)
    grid = Table(
        title=title and Text(visible(title)), title_justify="left",
        box=None, padding=(0, gap, 0, 0), pad_edge=False, header_style="bold",
        width=_total(widths, gap),
    )  # fmt: skip
    for at, name in enumerate(columns):
        numeric = at != flowing and bool(cells) and all(_FIGURE.fullmatch(row[at]) for row in cells)
        grid.add_column(
            Text(headings[at]), justify="right" if numeric else "left", width=widths[at],
            no_wrap=name != fold, overflow="ellipsis" if name == cut else "fold",
        )  # fmt: skip
    for row in cells:
        grid.add_row(*map(Text, row))
    console.print(grid, soft_wrap=True)


def _escaped(unseen: re.Match[str]) -> str:
    return unseen[0].encode("unicode_escape").decode()


def _cell(value: object) -> str:
    """One line, whatever the value."""
    return visible(str(value)).replace("\n", "\\n").replace("\t", "\\t")


def fits(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> bool:
    """Whether such a table fits with its headings in one line and its columns apart."""
    lines = [columns, *rows]
    return _total([max(cell_len(_cell(line[at])) for line in lines) for at in range(len(columns))], _GAP) <= console.width


def _total(widths: Sequence[int], gap: int) -> int:
    return sum(widths) + gap * (len(widths) - 1)


def _fitted(columns: Sequence[str], bodies: Sequence[int], flowing: int | None) -> tuple[list[str], list[int], int]:
    """The first form of a table that fits, else the narrowest: headings, widths, and the gap between columns."""
    # a file has no width, unless one is asked for
    room = console.width if console.is_terminal or "COLUMNS" in os.environ else sys.maxsize
    broken = [_broken(name, body) for name, body in zip(columns, bodies, strict=True)]
    for headings, gap in ((list(columns), _GAP), (broken, _GAP), (broken, 1)):
        widths = [max(body, *(cell_len(line) for line in name.split("\n"))) for name, body in zip(headings, bodies, strict=True)]
        if flowing is not None:
            rest = room - _total(widths, gap) + widths[flowing]
            widths[flowing] = min(widths[flowing], max(rest, _LEAST))
        if _total(widths, gap) <= room:
            break
    return headings, widths, gap


def _broken(heading: str, body: int) -> str:
    """A heading in as many lines as its column's cells ask for; words stay whole."""
    longest = max((len(word) for word in heading.split()), default=1)
    return "\n".join(textwrap.wrap(heading, max(body, longest), break_on_hyphens=False))
