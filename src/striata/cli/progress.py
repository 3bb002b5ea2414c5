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

from ..figures.intervals import wilson
from .output import note, notes, visible

if TYPE_CHECKING:
    from ..training.events import Event, Listener


def clock(seconds: float | None) -> str:
    """Seconds as `h:mm:ss` or `m:ss`; empty when unknown."""
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


_SHOWN = 20
_ENDS = {"done": "green", "fitted": "green", "pruned": "dim", "failed": "red"}  # and their colours
_BAR = 24
_MINUTE = 60.0


class Best:
    """The contender that is right most often so far."""

    def __init__(self) -> None:
        self._latest: dict[str, tuple[float, int]] = {}

    def take(self, event: Event) -> None:
        if event.member and event.best is not None and event.rows:
            self._latest[event.member] = event.best, event.rows

    @property
    def sentence(self) -> str:
        """Name, accuracy and its interval; empty before the first."""
        if not self._latest:
            return ""
        name = max(self._latest, key=lambda member: self._latest[member])
        accuracy, rows = self._latest[name]
        within = wilson(accuracy, rows)
        return f"best so far: {name}, {accuracy:.2%} ({within.low:.2%} to {within.high:.2%}) right on {rows:,} validation rows"


class Countdown:
    """Time spent and left: until a limit where a "clock" event tells of one, else as the training loop estimates.

    Args:
        now: the time in seconds; another one in tests.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now, self._began = now, now()
        self._end: float | None = None
        self._limited = False

    def take(self, event: Event) -> None:
        if event.seconds_left is not None and (event.kind == "clock" or not self._limited):
            self._limited = event.kind == "clock"
            self._end = self._now() + event.seconds_left

    @property
    def spent(self) -> float:
        """Seconds since the beginning of this call."""
        return self._now() - self._began

    @property
    def left(self) -> float | None:
        """Seconds; None where nothing is known."""
        return None if self._end is None else max(0.0, self._end - self._now())


class Board:
    """The latest of every member, drawn as a table: all while they fit, else those under way and the last that ended.

    Args:
        now: the time in seconds; another one in tests.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.rows: dict[str, dict[str, str]] = {}
        self._best, self._countdown = Best(), Countdown(now)
        self._activity = "reading the data"  # what every command that shows a board begins with

    def take(self, event: Event) -> None:
        self._best.take(event)
        self._countdown.take(event)
        if event.kind == "doing":
            self._activity = event.message
        if not event.member:
            return
        row = self.rows.setdefault(event.member, {})
        if event.steps:
            row["step"] = f"{event.step}/{event.steps}"
        if event.kind == "step":
            self._activity = "training"
            row["loss"], row["rate"] = _number(event.loss, ".4f"), _number(event.learning_rate, ".2e")
            row["left"] = clock(event.seconds_left)
        if event.accuracy is not None:
            row["accuracy"] = _number(event.accuracy, ".4f")
        if event.best is not None:
            row["best"] = _number(event.best, ".4f")
        if event.kind in ("finished", "failed", "left"):
            row["left"] = {"failed": "failed", "left": "pruned"}.get(
                event.kind, event.message if event.message in _ENDS else "done"
            )

    def __rich__(self) -> Group:
        parts = [self._table()] if self.rows else []
        return Group(*parts, *([Text(self._best.sentence)] if self._best.sentence else []), self._status())

    def _status(self) -> Table:
        """A bar of the time, spent and left, and what goes on."""
        spent, left = self._countdown.spent, self._countdown.left
        line = Table.grid(padding=(0, 1))
        times = f"{clock(spent)} gone" + ("" if left is None else f", {clock(left)} left")
        bar = [] if left is None else [ProgressBar(total=spent + left or 1.0, completed=spent, width=_BAR)]
        line.add_row(*bar, Text(times), Text(f"{self._activity} ...", style="dim"))
        return line

    def _table(self) -> Table:
        grid = Table(box=None, pad_edge=False, header_style="bold")
        for heading in ("contender", "step", "loss", "learning rate", "validation", "best", "left"):
            name = heading == "contender"  # gives way where the figures need the width, and is whole in further lines
            grid.add_column(heading, justify="left" if name else "right", no_wrap=not name, overflow="fold")
        for member, row in self._shown().items():
            cells = (row.get(key, "") for key in ("step", "loss", "rate", "accuracy", "best", "left"))
            grid.add_row(Text(member), *cells, style=_ENDS.get(row.get("left", ""), ""))
        hidden = len(self.rows) - grid.row_count
        if hidden:
            grid.add_row(f"and {hidden} that ended earlier", style="dim")
        return grid

    def _shown(self) -> dict[str, dict[str, str]]:
        ended = [name for name, row in self.rows.items() if row.get("left") in _ENDS]
        hidden = set(ended[: max(0, len(self.rows) - _SHOWN)])
        return {name: row for name, row in self.rows.items() if name not in hidden}


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
        elif event.kind == "step" and self._now() - self._written >= _MINUTE:
            self._tell(event)
        if event.kind == "doing":
            self._write(f"{event.message} ...")
        elif event.kind == "finished" and event.accuracy is not None:
            self._write(f"{event.member}: {event.accuracy:.4f} right on validation rows ({event.message})")

    def _tell(self, event: Event) -> None:
        self._evaluated, self._written = None, self._now()
        left = self._countdown.left
        parts = [f"step {event.step}/{event.steps}", self._best.sentence, "" if left is None else f"{clock(left)} left"]
        self._write("; ".join(filter(None, parts)))


@contextmanager
def progress() -> Iterator[Listener]:
    """Yields a listener that prints notes and failures, and draws the board while the block runs, or prints lines without a
    terminal."""
    if not notes.is_terminal:
        lines = Lines(note)

        yield lambda event: _tell(event, lines.take)
        return
    board = Board()
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
