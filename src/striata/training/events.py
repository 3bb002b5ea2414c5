"""What a training run tells those who listen: the progress display, trackers, tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["begun", "adapting", "step", "evaluated", "finished", "left", "failed", "saved", "note", "doing", "clock"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened.

    Args:
        kind: "begun" and "saved" concern the whole stack; "note", "doing" (what takes time from now on) and "clock" (how much
            time is left of a limit) the study; the others one member. "adapting" is a step before those that learn labels.
        member: its name; empty where it is not about one.
        step: optimizer steps the member has taken.
        steps: the most it will take.
        loss: training loss of this step (mean over the member's batch).
        learning_rate: used in this step.
        figure: which one `value` and `best` are, of :data:`striata.choices.RANKINGS`: the one that decides which weights are
            kept.
        value: of it on the validation rows, for "evaluated" and "finished".
        validation_loss: likewise.
        figures: by name this one, the loss, and the first of the task; for what is trained in steps.
        rows: how many validation rows that is.
        best: value of the weights kept so far.
        message: why a member ended ("finished"), left without a run ("left") or failed; or a note in words: what the data and
            the plans are, what goes on.
        seconds_left: estimate for the whole stack; of "clock", until the limit.
    """

    kind: Kind
    member: str = ""
    step: int = 0
    steps: int = 0
    loss: float | None = None
    learning_rate: float | None = None
    figure: str = "accuracy"
    value: float | None = None
    validation_loss: float | None = None
    figures: Mapping[str, float] = field(default_factory=dict)
    rows: int | None = None
    best: float | None = None
    message: str = ""
    seconds_left: float | None = None


Listener = Callable[[Event], None]


def note(listen: Listener, message: str) -> None:
    """Tells a listener something in words."""
    listen(Event(kind="note", message=message))


def doing(listen: Listener, message: str) -> None:
    """Tells a listener what takes time from now on."""
    listen(Event(kind="doing", message=message))


def nobody(_: Event) -> None:
    """A listener that does nothing."""
