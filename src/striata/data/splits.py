"""Training, validation and test rows with labels in one fixed order."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import DataError
from ..tasks import SINGLE_LABEL, Task, check_labels, task_named
from .columns import Columns
from .read import read_table
from .strata import iterative_parts, number_parts
from .table import Table

PartSource = str | int | float | Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Splits:
    """The data of a study.

    Args:
        train: rows to learn from.
        validation: rows for selection.
        test: rows for the last word, or None.
        labels: their order is the order of the logits.
        fingerprint: SHA-256 over all texts, labels and their places.
        task: what a label is.
    """

    train: Table
    validation: Table
    test: Table | None
    labels: tuple[str, ...]
    fingerprint: str
    task: Task = SINGLE_LABEL

    def tables(self) -> dict[str, Table]:
        """The tables by name, without a test that is not there."""
        named = {"train": self.train, "validation": self.validation}
        return named if self.test is None else {**named, "test": self.test}


def load_splits(
    train: str | Table, validation: PartSource, test: PartSource | None, *, columns: Columns | None = None, seed: int = 0
) -> Splits:
    """Reads a study's data.

    Args:
        train: file, folder or Hub name, or rows already read.
        validation: one of these, or rows (a whole number) or a fraction of `train` to hold out, labels in proportion.
        test: one of all these, or None.
        columns: names of columns that are not called as usual, and the task; weights are those of training rows, and of rows
            held out of them.
        seed: of the rows held out.

    Raises:
        DataError: anything about the data is wrong.
    """
    names = columns or Columns()
    rest = read_table(train, names)
    task = task_named(names.task)
    labels = label_order(rest, task, names.order)
    parts: dict[str, Table | None] = {"test": None}
    for what, part in (("test", test), ("validation", validation)):
        if isinstance(part, str | Table):
            parts[what] = read_table(part, names.unweighted, split=what)
        elif part is not None:
            rest, parts[what] = _held_out(rest, part, seed, what, task)
    held, tested = parts["validation"], parts["test"]
    assert held is not None
    for table in (held, tested):
        if table is not None:
            encode_labels(table, labels, task)
    whole = [rest, held] if tested is None else [rest, held, tested]
    fingerprint = _fingerprint(whole, labels)
    return Splits(train=rest, validation=held, test=tested, labels=labels, fingerprint=fingerprint, task=task)


def label_order(table: Table, task: Task = SINGLE_LABEL, order: Sequence[str] | None = None) -> tuple[str, ...]:
    """All labels of a table, in the order that logits have; see :meth:`striata.tasks.Task.order`.

    Args:
        table: the training rows.
        task: what a label is.
        order: all labels, lowest first, where a study says so, of which those without a row are left out.

    Raises:
        DataError: there is only one, a row has one that is not in the order, nothing says what the order is, or it is said of
            numbers.
    """
    if order is not None:
        check_labels(task, "`data.order`", DataError)
        if unknown := sorted({label for value in table.labels or () for label in task.parts(value)} - set(order)):
            raise DataError(f"{table.source} has label '{unknown[0]}', which `data.order` does not have; list all labels there")
        stated = SINGLE_LABEL if task.one_label else task  # an order that is stated needs no numbers
        return stated.order(table.labels or (), order, table.source)
    return task.order(table.labels or (), table.label_names, table.source)


def encode_labels(table: Table, labels: Sequence[str], task: Task = SINGLE_LABEL) -> npt.NDArray[Any]:
    """Targets of a table's rows, (rows,) int64 where they are labels; see :meth:`striata.tasks.Task.encode`.

    Raises:
        DataError: a row has a label that is not among them.
    """
    return task.encode(table.labels or (), labels, source=table.source, rows=table.ids)


def stratified_parts(
    labels: Sequence[str] | npt.NDArray[Any], rows: int, seed: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Deals rows into a part and the rest; where both have room for all labels and none has one row, with the labels in
    proportion, and each at least once in both.

    Args:
        labels: of the rows, (n,), numbers among them as floats, or where rows have several 0 or 1 for each, (n, labels).
        rows: of the part; all when there are not more than these.
        seed: same seed, same part.

    Returns:
        Places of the part's rows and of the others, both in ascending order.
    """
    places = np.arange(len(labels))
    if rows >= len(places):
        return places, places[:0]
    if np.ndim(labels) == 2:
        return iterative_parts(np.asarray(labels), rows, seed)
    if np.issubdtype(np.asarray(labels).dtype, np.floating):
        return number_parts(np.asarray(labels), rows, seed)
    from sklearn.model_selection import train_test_split

    counts = np.unique(labels, return_counts=True)[1]
    stratify = labels if min(rows, len(places) - rows) >= len(counts) and counts.min() > 1 else None
    part, rest = train_test_split(places, train_size=rows, random_state=seed, stratify=stratify)
    if stratify is not None:
        part, rest = _with_every_label(np.asarray(labels), part, rest)
        rest, part = _with_every_label(np.asarray(labels), rest, part)
    return np.sort(part), np.sort(rest)


def _with_every_label(
    labels: npt.NDArray[Any], part: npt.NDArray[np.int64], rest: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Exchanges rows so that a part has one of each label: proportion gives a rare label's rows all to the other.

    Args:
        labels: of all rows; each has at least two.
        part: places of its rows, at least as many as there are labels.
        rest: places of the others.
    """
    part, rest = part.copy(), rest.copy()
    for label in np.setdiff1d(labels[rest], labels[part]):
        names, counts = np.unique(labels[part], return_counts=True)
        out = np.flatnonzero(labels[part] == names[counts.argmax()])[-1]
        into = np.flatnonzero(labels[rest] == label)[0]
        part[out], rest[into] = rest[into], part[out]
    return part, rest


def _held_out(table: Table, part: int | float, seed: int, what: str, task: Task) -> tuple[Table, Table]:
    """The rest and the part, both in the table's order; a label with one row stays in the rest."""
    count = round(part * len(table)) if isinstance(part, float) else part
    if task.numeric:
        return _held_out_of_numbers(table, count, seed, what, task)
    if not task.one_label:
        return _held_out_of_several(table, count, seed, what, task)
    counts = Counter(table.labels)
    labels = table.labels or []
    many = [i for i, label in enumerate(labels) if counts[label] > 1]
    kinds = len([label for label in counts if counts[label] > 1])
    if count < kinds or len(many) - count < kinds:
        raise DataError(
            f"{table.source}: cannot hold out {count:,} of {len(table):,} rows for {what} with rows of all {len(counts)} labels "
            f"on both sides; expected between {kinds:,} and {len(many) - kinds:,}; change data.{what}"
        )
    _, places = stratified_parts([labels[i] for i in many], len(many) - count, seed)
    inside = np.zeros(len(table), bool)
    inside[np.array(many, np.int64)[places]] = True
    return table.take(np.flatnonzero(~inside)), table.take(np.flatnonzero(inside))


def _held_out_of_several(table: Table, count: int, seed: int, what: str, task: Task) -> tuple[Table, Table]:
    """As :func:`_held_out` where rows have several labels, each of which is dealt in proportion."""
    labels = task.order(table.labels or (), table.label_names, table.source)
    targets = encode_labels(table, labels, task)
    _check_room(table, count, what, least=1)
    held, rest = iterative_parts(targets, count, seed)
    several = targets.sum(0) > 1
    missing = several & ~(targets[held].any(0) & targets[rest].any(0))
    if missing.any():
        raise DataError(
            f"{table.source}: cannot hold out {count:,} of {len(table):,} rows for {what} with rows of label "
            f"'{labels[int(np.flatnonzero(missing)[0])]}' on both sides; change data.{what}"
        )
    return table.take(rest), table.take(held)


def _held_out_of_numbers(table: Table, count: int, seed: int, what: str, task: Task) -> tuple[Table, Table]:
    """As :func:`_held_out` where labels are numbers, of which low and high ones come to both sides alike."""
    _check_room(table, count, what, least=2)  # without which no figure tells one number from another
    held, rest = number_parts(encode_labels(table, (), task), count, seed)
    left = table.take(rest)
    task.order(left.labels or (), None, f"what is left of {table.source} for training")
    return left, table.take(held)


def _check_room(table: Table, count: int, what: str, *, least: int) -> None:
    if not least <= count <= len(table) - least:
        raise DataError(
            f"{table.source}: cannot hold out {count:,} of {len(table):,} rows for {what}; expected at least {least} and at most "
            f"{len(table) - least:,}; change data.{what}"
        )


def _fingerprint(tables: Sequence[Table], labels: Sequence[str]) -> str:
    digest = hashlib.sha256("\x1f".join(labels).encode())
    for table in tables:
        table.add_to(digest)
    return digest.hexdigest()
