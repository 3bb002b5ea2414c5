"""Experiment trackers through accelerate: TensorBoard, Weights & Biases, MLflow, Trackio."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..choices import TRACKERS
from ..errors import StudyError
from ..extras import require
from .events import Event, Listener, nobody


def _start(name: str, run: str, folder: Path) -> Any:
    from accelerate import PartialState
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    PartialState()  # accelerate's trackers ask it whether this is the main process
    kind = LOGGER_TYPE_TO_CLASS[name]
    tracker = kind(run, logging_dir=str(folder)) if kind.requires_logging_directory else kind(run)
    if hasattr(tracker, "start"):  # newer versions of accelerate open the tracker in a step of its own
        tracker.start()
    return tracker


def check_trackers(names: Sequence[str]) -> None:
    """Refuses trackers that are unknown or not installed, before anything is trained.

    Raises:
        StudyError: one is unknown, or not installed.
        ExtraError: accelerate, through which all of them are reached, or tensorboard is not installed.
    """
    for name in names:
        TRACKERS.check(name, StudyError)
        require(f"tracker '{name}'", "accelerate", *(["tensorboard"] if name == "tensorboard" else []))
        from accelerate import utils

        if not getattr(utils, f"is_{name}_available")():
            raise StudyError(f"tracker '{name}' is not installed; run: pip install {name}")


def flat(settings: Mapping[str, Any], inside: str = "") -> dict[str, str | int | float]:
    """Groups of settings as one, `recipe.optimizer.name`; lists are text, and what is None is left out."""
    values: dict[str, str | int | float] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            values |= flat(value, f"{inside}{key}.")
        elif value is not None:
            values[f"{inside}{key}"] = value if isinstance(value, str | int | float) else str(value)
    return values


@contextmanager
def tracking(names: Sequence[str], project: str, folder: Path, config: Mapping[str, Any]) -> Iterator[Listener]:
    """Yields a listener that sends losses, learning rates and validation figures to trackers, prefixed by member.

    Args:
        names: of :data:`striata.choices.TRACKERS`; none means a listener that does nothing.
        project: what the trackers file the study under.
        folder: where those that write files put them.
        config: settings of the study; a group's keys are sent with the group's name and a dot in front.

    Raises:
        StudyError: a tracker is unknown or not installed.
    """
    if not names:
        yield nobody
        return
    check_trackers(names)
    started = [_start(name, project, folder) for name in names]
    for tracker in started:
        tracker.store_init_configuration(flat(config))

    def listen(event: Event) -> None:
        values = {
            "train/loss": event.loss,
            "train/learning_rate": event.learning_rate,
            f"validation/{event.figure}": event.value,
            "validation/loss": event.validation_loss,
        } | {f"validation/{name}": value for name, value in event.figures.items()}
        named = {f"{event.member}/{key}": value for key, value in values.items() if value is not None}
        if named and event.kind in ("step", "evaluated"):
            for tracker in started:
                tracker.log(named, step=event.step)

    try:
        yield listen
    finally:
        for tracker in started:
            tracker.finish()
