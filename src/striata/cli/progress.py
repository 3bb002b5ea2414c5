"""Live progress of a stack: notes, and one line per member on a terminal, nothing but failures elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.live import Live
from rich.markup import escape
from rich.table import Table

from .output import note, notes

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
_ENDS = {"done": "green", "pruned": "dim", "failed": "red"}  # and their colours


class Board:
    """The latest of every member, drawn as a table: all while they fit, else those under way and the last that ended."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, str]] = {}
        self.left = ""

    def take(self, event: Event) -> None:
        if not event.member:
            return
        row = self.rows.setdefault(event.member, {})
        row["step"] = f"{event.step}/{event.steps}"
        if event.kind == "step":
            row["loss"], row["rate"] = _number(event.loss, ".4f"), _number(event.learning_rate, ".2e")
            self.left = clock(event.seconds_left)
            row["left"] = self.left
        if event.accuracy is not None:
            row["accuracy"] = _number(event.accuracy, ".4f")
        if event.best is not None:
            row["best"] = _number(event.best, ".4f")
        if event.kind in ("finished", "failed", "left"):
            row["left"] = {"failed": "failed", "left": "pruned"}.get(
                event.kind, "pruned" if event.message == "pruned" else "done"
            )

    def __rich__(self) -> Table:
        grid = Table(box=None, pad_edge=False, header_style="bold")
        for heading in ("member", "step", "loss", "learning rate", "validation", "best", "left"):
            member = heading == "member"  # gives way where the figures need the width, and is whole in further lines
            grid.add_column(heading, justify="left" if member else "right", no_wrap=not member, overflow="fold")
        for name, row in self._shown().items():
            cells = (row.get(key, "") for key in ("step", "loss", "rate", "accuracy", "best", "left"))
            grid.add_row(escape(name), *cells, style=_ENDS.get(row.get("left", ""), ""))
        hidden = len(self.rows) - grid.row_count
        if hidden:
            grid.add_row(f"and {hidden} that ended earlier", style="dim")
        return grid

    def _shown(self) -> dict[str, dict[str, str]]:
        ended = [name for name, row in self.rows.items() if row.get("left") in _ENDS]
        hidden = set(ended[: max(0, len(self.rows) - _SHOWN)])
        return {name: row for name, row in self.rows.items() if name not in hidden}


@contextmanager
def progress() -> Iterator[Listener]:
    """Yields a listener that prints notes and draws the board while the block runs."""
    board = Board()
    if not notes.is_terminal:
        yield _print
        return
    with Live(board, console=notes, refresh_per_second=4):

        def listen(event: Event) -> None:
            board.take(event)
            _print(event)

        yield listen


def _print(event: Event) -> None:
    if event.kind == "note":
        note(event.message)
    elif event.kind == "failed":
        notes.print(escape(f"{event.member} failed: {event.message}"), style="red")


@contextmanager
def counter(what: str) -> Iterator[Callable[[int], None]]:
    """Yields a function that is told how many are done; draws them on a terminal."""
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.completed:,} " + what), TimeElapsedColumn())
    with Progress(*columns, console=notes, disable=not notes.is_terminal, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done: bar.update(task, completed=done)
