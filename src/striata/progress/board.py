"""The state of what is shown, whatever draws it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from ..choices import RANKINGS
from ..figures.intervals import wilson

if TYPE_CHECKING:
    from ..training.events import Event

HEADINGS = {
    "step": "step", "loss": "loss", "rate": "learning rate", "value": "validation", "best": "best", "left": "left",
}  # fmt: skip
ENDS = ("done", "fitted", "pruned", "failed")
_SHOWN = 20


def clock(seconds: float | None) -> str:
    """Seconds as `h:mm:ss` or `m:ss`; empty when unknown."""
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


class Best:
    """The best contender so far, by the figure that decides; of contenders by different figures, among those of the latest."""

    def __init__(self) -> None:
        self._latest: dict[str, tuple[str, float, int]] = {}
        self._figure = ""

    def take(self, event: Event) -> None:
        if event.member and event.best is not None and event.rows:
            self._figure = event.figure
            self._latest[event.member] = event.figure, event.best, event.rows

    @property
    def sentence(self) -> str:
        """Name and figure, of an accuracy with its interval; empty before the first."""
        merit = RANKINGS[self._figure].merit if self._figure else float
        ranked = {name: (merit(value), rows) for name, (by, value, rows) in self._latest.items() if by == self._figure}
        if not ranked:
            return ""
        name = max(ranked, key=lambda member: ranked[member])
        _, value, rows = self._latest[name]
        return f"best so far: {name}, {in_rows(self._figure, value, rows)}"


def in_rows(figure: str, value: float, rows: int) -> str:
    """A figure on validation rows in words."""
    if figure != "accuracy":
        return f"{RANKINGS[figure].title} {RANKINGS[figure].shown(value)} on {rows:,} validation rows"
    within = wilson(value, rows)
    return f"{value:.2%} ({within.low:.2%} to {within.high:.2%}) right on {rows:,} validation rows"


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

    @property
    def sentence(self) -> str:
        """Time spent and, where it is known, left."""
        return f"{clock(self.spent)} gone" + ("" if self.left is None else f", {clock(self.left)} left")


class Board:
    """The latest of every member, the best so far, the time, and what goes on.

    Args:
        now: the time in seconds; another one in tests.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.rows: dict[str, dict[str, str]] = {}
        self.best, self.countdown = Best(), Countdown(now)
        self.activity = "reading the data"  # what every command that shows a board begins with

    def take(self, event: Event) -> None:
        """Learns of an event."""
        self.best.take(event)
        self.countdown.take(event)
        if event.kind == "doing":
            self.activity = event.message
        if not event.member:
            return
        row = self.rows.setdefault(event.member, {})
        if event.steps:
            row["step"] = f"{event.step}/{event.steps}"
        if event.kind in ("step", "adapting"):
            self.activity = "training" if event.kind == "step" else "adapting to texts without labels"
            row["loss"], row["rate"] = _number(event.loss, ".4f"), _number(event.learning_rate, ".2e")
            row["left"] = clock(event.seconds_left)
        if event.value is not None:
            row["value"] = RANKINGS[event.figure].shown(event.value)
        if event.best is not None:
            row["best"] = RANKINGS[event.figure].shown(event.best)
        if event.kind in ("finished", "failed", "left"):
            row["left"] = {"failed": "failed", "left": "pruned"}.get(
                event.kind, event.message if event.message in ENDS else "done"
            )

    @property
    def shown(self) -> Mapping[str, Mapping[str, str]]:
        """The rows that have room: all while they fit, else those under way and the last that ended."""
        ended = [name for name, row in self.rows.items() if row.get("left") in ENDS]
        hidden = set(ended[: max(0, len(self.rows) - _SHOWN)])
        return {name: row for name, row in self.rows.items() if name not in hidden}
