"""The interface of a task, and the tasks by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from ..errors import RunError, StriataError, did_you_mean
from ..figures.scores import Metrics, Scores
from .multi_label import MULTI_LABEL
from .ordinal import ORDINAL
from .regression import REGRESSION
from .single_label import SINGLE_LABEL

Floats = npt.NDArray[np.floating]
Places = npt.NDArray[Any]
Float = TypeVar("Float", bound=np.floating)


class Task(Protocol):
    """What a label is. The last dimension of logits is the labels; before it come rows, or runs and rows.

    Attributes:
        name: by which a run records it.
        loss: what is minimised in training where a recipe names nothing else, of :data:`striata.choices.LOSSES`.
        one_label: whether a row has one label of several: probabilities add up to 1, and one of them is the answer. What needs
            that asks :func:`check_one_label` before it begins.
        ordered: whether labels have an order, lowest first: the answer is then the median of the probabilities, which depends on
            their temperature, not the likeliest label.
        calibrated: whether answers depend on a model's calibration: on its temperature, or on thresholds.
        numeric: whether a label is a number: logits are (rows, 1) in its unit, and there are no probabilities and no right rows.
            What needs labels asks :func:`check_labels` before it begins.
        rankings: names of the scores that runs can be chosen by; the first is the one that decides where nothing is said.
    """

    @property
    def name(self) -> str: ...

    @property
    def loss(self) -> str: ...

    @property
    def one_label(self) -> bool: ...

    @property
    def ordered(self) -> bool: ...

    @property
    def calibrated(self) -> bool: ...

    @property
    def numeric(self) -> bool: ...

    @property
    def rankings(self) -> tuple[str, ...]: ...

    def order(self, values: Iterable[str], declared: Sequence[str] | None, source: str) -> tuple[str, ...]:
        """All labels of some rows, in the order that logits have.

        Args:
            values: the rows' labels.
            declared: what the source says its labels are, in its order; None where it says nothing.
            source: of the rows, for messages.

        Raises:
            DataError: they are not enough, or a declared one has no row.
        """
        ...

    def encode(self, values: Sequence[str], labels: Sequence[str], *, source: str, rows: npt.NDArray[np.int64]) -> Places:
        """Targets of rows, as :meth:`scores` and the loss take them.

        Args:
            values: the rows' labels.
            labels: from :meth:`order`.
            source: of the rows, for messages.
            rows: their numbers in the source, likewise.

        Raises:
            DataError: a row has a label that is not among them.
        """
        ...

    def parts(self, value: str) -> tuple[str, ...]:
        """The labels that a row's label, as tables have it, names."""
        ...

    def spell(self, targets: npt.NDArray[Any], labels: Sequence[str]) -> list[str]:
        """Targets or decisions of rows as tables and predictions have them."""
        ...

    def decide(self, outputs: Floats) -> Places:
        """The answer to each row, as :meth:`encode` has targets: of logits, (..., labels)."""
        ...

    def whole(self, inside: npt.NDArray[np.bool_], decided: Places) -> npt.NDArray[np.bool_]:
        """Label sets, (rows, labels), with what the task adds to them.

        Args:
            inside: which labels belong to each row's set.
            decided: the answers, (rows,).
        """
        ...

    def right(self, logits: Floats, targets: Places) -> npt.NDArray[np.bool_]:
        """Which rows are wholly right, (rows,)."""
        ...

    def probabilities(self, logits: npt.NDArray[Float]) -> npt.NDArray[Float]:
        """Probabilities of the labels, in the type of the logits, (..., labels)."""
        ...

    def log_probabilities(self, logits: Floats) -> npt.NDArray[np.float64]:
        """Their logarithms, which do not underflow, (..., labels) float64."""
        ...

    def log_likelihoods(self, logits: Floats, targets: Places, *, scale: float = 1.0) -> npt.NDArray[np.float64]:
        """Of each row's target, (rows,), by logits times a factor."""
        ...

    def as_one_label(self, logits: Floats, targets: Places) -> tuple[Floats, Places]:
        """Logits (..., rows, labels) and targets as those of a task with one label, with the same mean loss for any factor."""
        ...

    def scores(self, logits: Floats, targets: Places) -> Scores:
        """How good logits (rows, labels) are for targets (rows,)."""
        ...

    def metrics(self, logits: Floats, targets: Places, labels: Sequence[str]) -> Metrics:
        """The scores, and what they are made of label by label."""
        ...

    def score(self, logits: Floats, targets: Places, by: str) -> float:
        """One of the scores, for choosing: larger is better, so that a loss comes with a minus.

        Args:
            logits: or log-probabilities, (rows, labels).
            targets: (rows,).
            by: of :attr:`rankings`.
        """
        ...


TASKS: dict[str, Task] = {task.name: task for task in (SINGLE_LABEL, MULTI_LABEL, ORDINAL, REGRESSION)}


def task_of(targets: npt.NDArray[Any]) -> Task:
    """The task that targets look like: places of one label (rows,), numbers (rows,), or 0 and 1 for each label (rows, labels)."""
    if targets.ndim > 1:
        return MULTI_LABEL
    return REGRESSION if np.issubdtype(targets.dtype, np.floating) else SINGLE_LABEL


def task_named(name: str) -> Task:
    """A task by the name that runs record.

    Raises:
        RunError: there is none.
    """
    if name not in TASKS:
        raise RunError(f"unknown task '{name}'{did_you_mean(name, TASKS)}; expected one of {', '.join(TASKS)}")
    return TASKS[name]


def outputs_in_words(task: Task, labels: Sequence[str]) -> str:
    """What a model answers with: "3 labels", or "a number"."""
    return "a number" if task.numeric else f"{len(labels)} labels"


def check_one_label(task: Task, what: str, error: type[StriataError]) -> None:
    """Refuses what needs rows with one label of several, before it begins.

    Args:
        task: of the model or the study.
        what: the refused, as the subject of a sentence.
        error: its kind.

    Raises:
        StriataError: of that kind, where rows have something else.
    """
    if not task.one_label:
        raise error(
            f"{what} needs one label of several for each text, and the task is {task.name}; docs/tasks.md says what it has"
        )


def check_labels(task: Task, what: str, error: type[StriataError], *, instead: str = "docs/tasks.md says") -> None:
    """Refuses what needs rows with labels of any kind, before it begins; arguments as of :func:`check_one_label`, and what
    numbers have in its place.

    Raises:
        StriataError: of that kind, where a row has a number.
    """
    if task.numeric:
        raise error(f"{what} needs labels, and the task is {task.name}; {instead} what it has")
