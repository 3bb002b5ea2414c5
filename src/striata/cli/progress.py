"""Live progress: what goes on, a line per contender, the best so far and the time left; a line at a time without a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ..choices import RANKINGS
from ..progress import Best, Board, Countdown, clock
from ..progress.board import HEADINGS
from .output import note, notes, visible

if TYPE_CHECKING:
    from ..training.events import Event, Listener


_COLOURS = {"done": "green", "fitted": "green", "pruned": "dim", "failed": "red"}  # of rows that ended
_BAR = 24
_MINUTE = 60.0


class TerminalBoard(Board):
    """The board as rich draws it."""

    def __rich__(self) -> Group:
        parts = [self._table()] if self.rows else []
        return Group(*parts, *([Text(self.best.sentence)] if self.best.sentence else []), self._status())

    def _status(self) -> Table:
        """A bar of the time, spent and left, and what goes on."""
        spent, left = self.countdown.spent, self.countdown.left
        line = Table.grid(padding=(0, 1))
        bar = [] if left is None else [ProgressBar(total=spent + left or 1.0, completed=spent, width=_BAR)]
        line.add_row(*bar, Text(self.countdown.sentence), Text(f"{self.activity} ...", style="dim"))
        return line

    def _table(self) -> Table:
        grid = Table(box=None, pad_edge=False, header_style="bold")
        for heading in ("contender", *HEADINGS.values()):
            name = heading == "contender"  # gives way where the figures need the width, and is whole in further lines
            grid.add_column(heading, justify="left" if name else "right", no_wrap=not name, overflow="fold")
        for member, row in self.shown.items():
            cells = (row.get(key, "") for key in HEADINGS)
            grid.add_row(Text(member), *cells, style=_COLOURS.get(row.get("left", ""), ""))
        hidden = len(self.rows) - grid.row_count
        if hidden:
            grid.add_row(f"and {hidden} that ended earlier", style="dim")
        return grid


class Lines:
    """Progress without a terminal: a line for what begins, for each contender that ends, and for each evaluation or minute.

    Args:
        write: prints a line.
        now: the time in seconds; another one in tests.
    """

    def __init__(self, write: Callable[[str], None], now: Callable[[], float] = time.monotonic) -> None:
        self._write, self._now, self._written = write, now, now()
        self._best, self._countdown = Best(), Countdown(now)
        self._evaluated: Event | None = None

    def take(self, event: Event) -> None:
        self._best.take(event)
        self._countdown.take(event)
        if event.kind == "evaluated":
            self._evaluated = event
            return
        if self._evaluated is not None:
            self._tell(self._evaluated)
        elif event.kind in ("step", "adapting") and self._now() - self._written >= _MINUTE:
            self._tell(event)
        if event.kind == "doing":
            self._write(f"{event.message} ...")
        elif event.kind == "finished" and event.value is not None:
            shown = RANKINGS[event.figure].shown(event.value)
            what = f"{shown} right" if event.figure == "accuracy" else f"{RANKINGS[event.figure].title} {shown}"
            self._write(f"{event.member}: {what} on validation rows ({event.message})")

    def _tell(self, event: Event) -> None:
        self._evaluated, self._written = None, self._now()
        left = self._countdown.left
        step = f"{'adaptation, ' if event.kind == 'adapting' else ''}step {event.step}/{event.steps}"
        parts = [step, self._best.sentence, "" if left is None else f"{clock(left)} left"]
        self._write("; ".join(filter(None, parts)))


@contextmanager
def progress() -> Iterator[Listener]:
    """Yields a listener that prints notes and failures, and draws the board while the block runs, or prints lines without a
    terminal."""
    if not notes.is_terminal:
        lines = Lines(note)

        yield lambda event: _tell(event, lines.take)
        return
    board = TerminalBoard()
    with Live(board, console=notes, refresh_per_second=4):
        yield lambda event: _tell(event, board.take)


def _tell(event: Event, take: Listener) -> None:
    event = replace(event, member=visible(event.member), message=visible(event.message))
    take(event)
    if event.kind == "note":
        note(event.message)
    elif event.kind == "failed":
        note(f"{event.member} failed: {event.message}", style="red")


@contextmanager
def counter(what: str) -> Iterator[Callable[[int], None]]:
    """Yields a function that is told how many are done; draws them on a terminal."""
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.completed:,} " + what), TimeElapsedColumn())
    with Progress(*columns, console=notes, disable=not notes.is_terminal, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done: bar.update(task, completed=done)
