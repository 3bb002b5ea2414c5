"""What a model does on labelled rows: figures, and the rows it gets wrong."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..calibration import Calibration, IntervalFigures, Quality, SetFigures, measure_answers, quality
from ..choices import PREDICTIONS
from ..data import Table
from ..disk.files import named, write_bytes
from ..figures.intervals import Interval, rmse_interval, share
from ..figures.scores import Metrics, in_words, special_figures
from ..shown import Shown
from ..tasks import NUMBER, REGRESSION, Task, task_of
from .writers import Rows, write_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongRow:
    """A row whose predicted label is not its own; of numbers any row.

    Args:
        row: its number in the source, from 0.
        text: of the row.
        text_pair: its second text; None where there is none.
        label: its own.
        predicted: by the model.
        probability: of the predicted label, calibrated; None of a number.
        error: of a number what is predicted less what is true; None of a label.
    """

    row: int
    text: str
    text_pair: str | None
    label: str
    predicted: str
    probability: float | None
    error: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation(Shown):
    """Figures of a model on labelled rows.

    Args:
        source: of the rows.
        metrics: of its calibrated probabilities.
        calibrated: how good the probabilities are that the model gives; None where its answers are numbers.
        uncalibrated: how good they were without its temperature; None likewise.
        sets: its label sets, when a coverage was asked for.
        wrong: the rows it gets wrong, the most confident errors first; of numbers all rows, the largest errors first.
        figure: which one the interval is of, of :data:`striata.choices.RANKINGS`.
        bounds: of a figure other than accuracy; None for accuracy.
        intervals: around its numbers, when a coverage was asked for.
    """

    source: str
    metrics: Metrics
    calibrated: Quality | None
    uncalibrated: Quality | None
    sets: SetFigures | None
    wrong: tuple[WrongRow, ...]
    figure: str = "accuracy"
    bounds: Interval | None = None
    intervals: IntervalFigures | None = None

    def __repr__(self) -> str:
        right, scores = self.interval, self.metrics.scores
        if self.bounds is not None:
            return f"Evaluation({in_words(special_figures(scores))} on {self.metrics.rows:,} rows)"
        accuracy = f"accuracy {right.value:.4f} ({right.low:.4f} to {right.high:.4f}) on {self.metrics.rows:,} rows"
        return f"Evaluation({accuracy}, macro F1 {scores.macro_f1:.4f}, loss {scores.loss:.4f})"

    @property
    def accuracy(self) -> float:
        """Share of rows that are right, where answers are labels."""
        return self.metrics.scores.accuracy

    @property
    def interval(self) -> Interval:
        """The accuracy with Wilson's 95 % interval; of numbers the RMSE, see :func:`striata.figures.intervals.rmse_interval`."""
        if self.bounds is not None:
            return self.bounds
        return share(self.metrics.rows - len(self.wrong), self.metrics.rows)

    def to_json(self) -> dict[str, object]:
        """All fields but the wrong rows, those of the metrics among them, and the bounds of the figure as `interval`."""
        common = {"source": self.source, "interval": self.interval.to_json()}
        if self.calibrated is None or self.uncalibrated is None:
            figures = {"rows": self.metrics.rows, **self.metrics.scores.to_json(), **common, "figure": self.figure}
            return figures | {"intervals": None if self.intervals is None else self.intervals.to_json()}
        return {
            **self.metrics.to_json(),
            **common,
            "calibrated": self.calibrated.to_json(),
            "uncalibrated": self.uncalibrated.to_json(),
            "sets": None if self.sets is None else self.sets.to_json(),
        }


def judge(
    table: Table,
    targets: npt.NDArray[Any],
    logits: npt.NDArray[np.float32],
    *,
    labels: Sequence[str],
    task: Task,
    calibration: Calibration | None,
    sets: SetFigures | None = None,
) -> Evaluation:
    """Figures of a model's logits on labelled rows.

    Args:
        table: the rows.
        targets: of the rows, as the task has them.
        logits: combined and not calibrated, (rows, labels).
        labels: names, in the order of the logits.
        task: what a label is.
        calibration: of the model; None where its answers are numbers.
        sets: figures of its label sets; None where none were asked for.
    """
    if calibration is None:
        return judge_numbers(table, targets, logits)
    probabilities, decided = task.probabilities(calibration.scaled(logits)), calibration.decide(logits, task)
    return Evaluation(
        source=table.source,
        metrics=measure_answers(logits, targets, labels, task, calibration),
        calibrated=quality(probabilities, targets),
        uncalibrated=quality(task.probabilities(logits), targets),
        sets=sets,
        wrong=wrong_rows(table, labels, targets, decided, probabilities),
    )


def judge_numbers(
    table: Table,
    targets: npt.NDArray[np.float64],
    logits: npt.NDArray[np.float32],
    intervals: IntervalFigures | None = None,
) -> Evaluation:
    """Figures of a model's numbers on rows with numbers.

    Args:
        table: the rows.
        targets: true numbers, (rows,).
        logits: combined, (rows, 1).
        intervals: figures of its intervals; None where none were asked for.
    """
    errors, answers = REGRESSION.errors(logits, targets), logits[:, 0]
    places = np.argsort(-np.abs(errors), kind="stable")
    own, answered = (REGRESSION.spell(values[places], ()) for values in (targets, answers))
    wrong = tuple(
        WrongRow(
            row=int(table.ids[at]),
            text=table.texts[at],
            text_pair=None if table.pairs is None else table.pairs[at],
            label=label,
            predicted=answer,
            probability=None,
            error=float(errors[at]),
        )
        for at, label, answer in zip(places.tolist(), own, answered, strict=True)
    )
    return Evaluation(
        source=table.source,
        metrics=REGRESSION.metrics(logits, targets, (NUMBER,)),
        calibrated=None,
        uncalibrated=None,
        sets=None,
        wrong=wrong,
        figure=REGRESSION.rankings[0],
        bounds=rmse_interval(errors),
        intervals=intervals,
    )


def wrong_rows(
    table: Table,
    labels: Sequence[str],
    targets: npt.NDArray[np.int64],
    predicted: npt.NDArray[np.int64],
    probabilities: npt.NDArray[np.floating],
) -> tuple[WrongRow, ...]:
    """The rows of a table whose predicted label is not their own, the most confident errors first.

    Args:
        table: the rows.
        labels: names, in the order of the places.
        targets: places of the true labels, (rows,), or 0 or 1 for each label, (rows, labels).
        predicted: likewise, of the predicted ones.
        probabilities: calibrated, (rows, labels).
    """
    if targets.ndim == 2:  # the probability of all labels of a row together, were they independent
        confidence = np.where(predicted > 0, probabilities, 1 - probabilities).prod(1)
        places = np.flatnonzero((predicted != targets).any(1))
    else:
        confidence = probabilities[np.arange(len(predicted)), predicted]
        places = np.flatnonzero(predicted != targets)
    places = places[np.argsort(-confidence[places], kind="stable")]
    own, answered = (task_of(targets).spell(rows[places], labels) for rows in (targets, predicted))
    return tuple(
        WrongRow(
            row=int(table.ids[at]),
            text=table.texts[at],
            text_pair=None if table.pairs is None else table.pairs[at],
            label=label,
            predicted=answer,
            probability=float(confidence[at]),
        )
        for at, label, answer in zip(places.tolist(), own, answered, strict=True)
    )


def write_errors(measured: Evaluation, path: Path) -> None:
    """Writes the wrong rows: `row`, `text`, `text_pair` where there is one, `label`, `predicted`, `probability`; of numbers
    `error` in its place.

    Args:
        measured: what was measured.
        path: the file, in the format of its ending: .csv, .jsonl or .parquet.

    Raises:
        StriataError: the file has another ending, or cannot be written.
    """
    ending = named(path, *PREDICTIONS, argument="errors").suffix.lower()
    types: dict[str, pa.DataType | None] = {"row": pa.int64(), "text": pa.string()}
    if any(row.text_pair is not None for row in measured.wrong):
        types["text_pair"] = pa.string()
    numeric = measured.bounds is not None
    value, last = (pa.float64(), "error") if numeric else (pa.string(), "probability")
    types |= {"label": value, "predicted": value, last: pa.float64()}
    columns = {name: [getattr(row, name) for row in measured.wrong] for name in types}
    if numeric:
        columns |= {name: [float(text) for text in columns[name]] for name in ("label", "predicted")}
    else:
        columns[last] = [round(probability, 6) for probability in columns[last]]
    buffer = io.BytesIO()
    write_rows(buffer, ending, types, iter([Rows(0, columns)]), measured.source)
    write_bytes(path, buffer.getvalue())
