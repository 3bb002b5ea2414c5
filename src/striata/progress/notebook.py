"""The board in a cell of a notebook, drawn again in its place while the cell runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from html import escape
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..training.events import nobody
from .board import HEADINGS, Board

if TYPE_CHECKING:
    from ..training.events import Event, Listener

_PAUSE = 0.5  # seconds between two drawings
_SOON = ("doing", "finished", "failed", "left", "evaluated", "saved", "note")  # drawn at once
_NOTES = 12


class NotebookBoard:
    """A listener that draws.

    Args:
        draw: shows HTML in the place of what it has shown before.
        now: the time in seconds; another one in tests.
    """

    def __init__(self, draw: Callable[[str], None], now: Callable[[], float] = time.monotonic) -> None:
        self._draw, self._now = draw, now
        self._board = Board(now)
        self._notes: list[str] = []
        self._drawn = float("-inf")

    def __call__(self, event: Event) -> None:
        self._board.take(event)
        if event.kind == "note":
            self._notes.append(event.message)
        elif event.kind == "failed":
            self._notes.append(f"{event.member} failed: {event.message}")
        if event.kind in _SOON or self._now() - self._drawn >= _PAUSE:
            self._drawn = self._now()
            self._draw(self.html())

    def html(self) -> str:
        """Notes, a row per contender, the best so far, a bar of the time, and what goes on."""
        board = self._board
        hidden = len(self._notes) - _NOTES
        notes = [f"and {hidden} notes before"] if hidden > 0 else []
        lines = [*notes, *self._notes[-_NOTES:]]
        parts = [
            "".join(f"<div>{escape(line)}</div>" for line in lines),
            self._table(),
            f"<div>{escape(board.best.sentence)}</div>",
        ]
        spent, left = board.countdown.spent, board.countdown.left
        bar = "" if left is None else f'<progress max="{spent + left or 1.0:.1f}" value="{spent:.1f}"></progress> '
        return f"<div>{''.join(parts)}<div>{bar}{escape(board.countdown.sentence)}, {escape(board.activity)} ...</div></div>"

    def _table(self) -> str:
        shown = self._board.shown
        if not shown:
            return ""
        head = "".join(f"<th>{escape(heading)}</th>" for heading in ("contender", *HEADINGS.values()))
        rows = [
            f'<tr><td style="text-align:left">{escape(member)}</td>'
            + "".join(f"<td>{escape(row.get(key, ''))}</td>" for key in HEADINGS)
            + "</tr>"
            for member, row in shown.items()
        ]
        hidden = len(self._board.rows) - len(shown)
        if hidden:
            rows.append(f'<tr><td colspan="{1 + len(HEADINGS)}">and {hidden} that ended earlier</td></tr>')
        return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _in_notebook() -> bool:
    """Whether a kernel runs this process, so that there is a cell to draw in."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return shell is not None and hasattr(shell, "kernel")


def _cell() -> Callable[[str], None]:
    """Shows HTML in the running cell; the first call makes its place."""
    shown: Any = import_module("IPython.display")
    handles: list[Any] = []

    def draw(html: str) -> None:
        if handles:
            handles[0].update(shown.HTML(html))
        else:
            handles.append(shown.display(shown.HTML(html), display_id=True))

    return draw


def usual_listener() -> Listener:
    """What hears of progress where a caller of the Python interface names nobody: a board in a notebook, nothing elsewhere."""
    return NotebookBoard(_cell()) if _in_notebook() else nobody
