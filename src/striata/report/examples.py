"""Validation rows worth reading: errors the model is sure of, rows it is least sure of, and right ones as they usually are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ..data import Table, read_table
from ..disk.paths import is_there
from ..errors import StriataError
from ..model import Explanation, Model
from ..runs import StudyFolder
from ..runs.run import Validation
from .contents import Report
from .judged import ENSEMBLE

MOST = 10  # errors, and uncertain rows
_LABELS = 12  # of which a typical row is shown
_LENGTH = 280  # characters of a text
_STEPS = 32  # of gradients
_COUNTING = {"lexical", "majority"}  # kinds of runs that need no encoder


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A validation row.

    Args:
        row: its number.
        text: its beginning, in one line.
        label: its own.
        predicted: by the model.
        probability: of the predicted label, calibrated.
        second: the most likely label but the predicted one.
        second_probability: of that.
        explained: what in the whole text speaks for the predicted label; None where that was not looked at.
    """

    row: int
    text: str
    label: str
    predicted: str
    probability: float
    second: str
    second_probability: float
    explained: Explanation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """Rows to look at.

    Args:
        errors: wrong ones, the most confident first.
        uncertain: those whose two most likely labels are closest, right or wrong.
        typical: for each of the first labels a right one with the middle probability of its label.
        missing: why there are none; empty where there are.
    """

    errors: tuple[Example, ...] = ()
    uncertain: tuple[Example, ...] = ()
    typical: tuple[Example, ...] = ()
    missing: str = ""


def find_examples(report: Report, *, words: bool = False) -> Examples | None:
    """Rows of the model one would use; without any where the texts are not where the study read them.

    Args:
        report: of the study.
        words: whether the errors are explained, for which the model is opened; one that only counts words, which costs nothing,
            always explains them.

    Returns:
        None where a text has several labels or a number: the rows that are shown are chosen by the probability of one label.
    """
    if not report.runs[report.best.name].task.one_label:
        return None
    study = StudyFolder(report.folder).study()
    held_out = not isinstance(study.data.validation, str)
    source = study.data.train if held_out else study.data.validation
    if not isinstance(source, str) or not is_there(source):
        return Examples(missing="The texts are not where the study read them, so none are shown.")
    columns = study.columns
    try:
        table = read_table(source, columns, split="train" if held_out else "validation")
    except StriataError:  # whose message may name folders of this machine
        return Examples(missing="The file cannot be read as the study read it, so no texts are shown.")
    return _chosen(report, _validation(report), table, words=words)


def _validation(report: Report) -> Validation:
    if report.judged.name == ENSEMBLE and report.ensemble is not None:
        return report.ensemble.validation()
    return report.runs[report.judged.name].validation()


def _explained(report: Report, errors: Sequence[tuple[Example, str, str | None]], words: bool) -> tuple[Example, ...]:
    """Errors, each with its whole text and second text, explained where that is wanted and the model opens."""
    examples = tuple(example for example, _, _ in errors)
    name = report.judged.name
    whole = name == ENSEMBLE and report.ensemble is not None
    kinds = {run.kind for run in report.ensemble.runs.values()} if whole and report.ensemble else {report.runs[name].kind}
    if not examples or not (words or kinds <= _COUNTING):
        return examples
    try:
        model = Model.load(report.folder / (ENSEMBLE if whole else f"runs/{name}"), precision="fp32")
        return tuple(
            replace(
                example,
                explained=model.explain(
                    [text], None if pair is None else [pair], label=example.predicted, steps=_STEPS
                )[0],
            )
            for example, text, pair in errors
        )  # fmt: skip
    except StriataError:  # an encoder that is not there: the texts are shown as they are
        return examples


def _chosen(report: Report, seen: Validation, table: Table, *, words: bool) -> Examples:
    texts = {int(key): at for at, key in enumerate(table.text_hashes())}
    known = np.array([int(key) in texts for key in seen.texts], bool)
    if not known.any():
        return Examples(missing="The file has other texts now than those the study was validated on, so none are shown.")
    labels, task = report.judged.metrics.labels, report.runs[report.best.name].task
    assert report.judged.calibration is not None  # of a task with labels
    scaled = seen.logits / np.float32(report.judged.calibration.temperature)
    probabilities = task.probabilities(scaled)
    order = np.argsort(-probabilities, axis=1, kind="stable")
    decided, rows = task.decide(seen.logits), np.arange(len(seen.labels))
    top, second = probabilities[rows, order[:, 0]], probabilities[rows, order[:, 1]]
    right = decided == seen.labels

    def example(at: int) -> Example:
        place = texts[int(seen.texts[at])]
        pair = "" if table.pairs is None else f" ‖ {table.pairs[place]}"
        return Example(
            row=int(seen.ids[at]),
            text=excerpt(table.texts[place] + pair),
            label=labels[seen.labels[at]],
            predicted=labels[order[at, 0]],
            probability=float(top[at]),
            second=labels[order[at, 1]],
            second_probability=float(second[at]),
        )

    wrong = _first(known & ~right, -top)
    doubtful = _first(known, top - second)
    usual = [at for place in range(min(len(labels), _LABELS)) for at in _middle(known & right & (seen.labels == place), top)]
    places = [texts[int(seen.texts[at])] for at in wrong]
    pairs = [None] * len(places) if table.pairs is None else [table.pairs[place] for place in places]
    errors = [(example(at), table.texts[place], pair) for at, place, pair in zip(wrong, places, pairs, strict=True)]
    return Examples(
        errors=_explained(report, errors, words),
        uncertain=tuple(example(at) for at in doubtful),
        typical=tuple(example(at) for at in usual),
    )


def _first(mask: npt.NDArray[np.bool_], key: npt.NDArray[np.floating]) -> list[int]:
    """The places of a mask with the smallest keys, as many as a table shows."""
    places = np.flatnonzero(mask)
    return list(map(int, places[np.argsort(key[places], kind="stable")][:MOST]))


def _middle(mask: npt.NDArray[np.bool_], top: npt.NDArray[np.floating]) -> list[int]:
    """The place with the middle probability; none of an empty mask."""
    places = np.flatnonzero(mask)
    return [int(places[np.argsort(top[places], kind="stable")][len(places) // 2])] if len(places) else []


def excerpt(text: str) -> str:
    """The beginning of a text in one line, cut between words."""
    line = " ".join(text[: 4 * _LENGTH].split())
    if len(line) <= _LENGTH and len(text) <= 4 * _LENGTH:
        return line
    return line[:_LENGTH].rsplit(" ", 1)[0] + " …"
