"""Reading a source into checked tables, whole or in portions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from ..errors import DataError
from .columns import Columns, find_columns
from .files import joined_form
from .frames import open_rows, split_rows
from .readers import open_source
from .rows import Reader
from .table import IN_MEMORY, Checker, Table, as_weight

_PORTION = 8192


def read_table(source: object, columns: Columns, *, split: str = "train") -> Table:
    """All rows of a labelled source.

    Args:
        source: file, folder or Hub name, or rows in memory: a DataFrame, a data set, an Arrow table, lists
            (see :func:`striata.data.frames.open_rows`), or a table, which is returned.
        columns: names asked for.
        split: part of a source that has several.

    Raises:
        DataError: the source cannot be read, lacks a column, or a row has no text or no label.
    """
    if isinstance(source, Table):
        if source.labels is None:
            raise DataError(f"{source.source} has no labels; expected a label in every row")
        return source
    reader = _open(source, columns, split)
    roles = find_columns(reader.columns, columns, reader.source, label=True)
    assert roles.label is not None
    empty: Literal["drop", "report"] = "drop" if columns.drop_empty else "report"
    checker = Checker(reader.source, roles, reader.declared(roles.label), strict=True, empty=empty)
    parts = [checker.table(chunk) for chunk in reader.chunks(roles.names, rows=_PORTION)]
    checker.finish()
    if not any(map(len, parts)):
        raise DataError(f"{reader.source} has no rows; expected at least one")
    reading = joined_form(roles.shown(reader.columns), reader.form)
    return replace(_joined(parts), reading=reading, dropped=checker.dropped)


def weighted_rows(data: object, weights: object, columns: Columns) -> dict[str, object]:
    """Rows in memory whose training rows have weights.

    Args:
        data: as :func:`striata.train` takes it.
        weights: one number above 0 for each training row, (rows,).
        columns: names asked for.

    Returns:
        The parts of the data by name, the training rows as a table.

    Raises:
        DataError: there are not as many weights as rows, or one is no number above 0; or the rows cannot be read.
    """
    if columns.weight is not None:
        raise DataError(f"are in column '{columns.weight}' already, which the study names; leave one out", argument="weights")
    parts = split_rows(data)
    table = read_table(parts["train"], columns)
    rows = len(table) + table.dropped
    values = list(np.asarray(weights, object).ravel())
    if len(values) != rows:
        raise DataError(f"has {len(values):,} values; expected one for each of {rows:,} training rows", argument="weights")
    numbers = [as_weight(value.item() if isinstance(value, np.generic) else value) for value in values]
    if None in numbers:
        row = numbers.index(None)
        raise DataError(f"row {row} (counted from 0) is {values[row]!r}; expected a number above 0", argument="weights", row=row)
    chosen = np.array(numbers, np.float64)[table.ids]
    return {**parts, "train": replace(table, weights=chosen)}


def read_texts(source: object, columns: Columns, *, name: str = "unlabelled rows", keep_empty: bool = False) -> Table:
    """All texts of a source; labels are not looked for.

    Args:
        source: as for :func:`read_table`, or texts alone: a list, tuple, array, series or iterator; of a source with several
            parts the test part.
        columns: names asked for.
        name: what messages call rows in memory.
        keep_empty: whether rows without a text stay, with an empty one.

    Raises:
        DataError: the source cannot be read, has no text column or no rows, or a row has no text.
    """
    if isinstance(source, Table):
        return replace(source, labels=None, label_names=None, weights=None)
    in_memory = not isinstance(source, str | Path)
    reader = open_rows(source, name, columns, texts=True) if in_memory else _open(source, columns, "test")
    if isinstance(columns.text, tuple) and reader.columns == ("text",):  # texts alone, which are joined already
        columns = replace(columns, text="text")
    rule: Literal["refuse", "drop", "keep"] = "keep" if keep_empty else "drop" if columns.drop_empty else "refuse"
    parts = list(Stream(reader, columns).tables(rows=_PORTION, empty=rule))
    if not any(map(len, parts)):
        raise DataError(f"{reader.source} has no rows; expected at least one")
    return _joined(parts)


def _open(source: object, columns: Columns, split: str) -> Reader:
    if not isinstance(source, str | Path):
        return open_rows(source, f"{split} rows", columns)
    name = str(source)
    if name.startswith(IN_MEMORY):
        raise DataError(
            f"the {split} rows were in memory ({name[: len(IN_MEMORY) + 12]}...) and lie in no file; "
            "give them again with `data=` from Python"
        )
    return open_source(name, columns, split=split)


def _joined(parts: list[Table]) -> Table:
    first = parts[0]
    return Table(
        source=first.source,
        ids=np.concatenate([part.ids for part in parts]),
        texts=[text for part in parts for text in part.texts],
        pairs=None if first.pairs is None else [pair for part in parts for pair in part.pairs or ()],
        labels=None if first.labels is None else [label for part in parts for label in part.labels or ()],
        label_names=first.label_names,
        weights=None if first.weights is None else np.concatenate([part.weights for part in parts if part.weights is not None]),
    )


@dataclass(frozen=True, slots=True)
class Stream:
    """A source read in portions.

    Args:
        reader: of the source.
        columns: names asked for.
    """

    reader: Reader
    columns: Columns

    @classmethod
    def open(cls, source: str, columns: Columns) -> Stream:
        """Opens a source and looks for its text column.

        Raises:
            DataError: the source cannot be read, or has no text column.
        """
        reader = open_source(source, columns, split="test")
        find_columns(reader.columns, columns, reader.source, label=False)
        return cls(reader, columns)

    def tables(self, *, rows: int, skip: int = 0, empty: Literal["refuse", "drop", "keep"] = "refuse") -> Iterator[Table]:
        """Rows from row `skip` on in tables of at most `rows`; memory does not grow with the source.

        Args:
            rows: of a table, at most.
            skip: rows to leave out at the beginning.
            empty: what becomes of rows without a text.

        Raises:
            DataError: a row has no text, and such rows are refused.
        """
        roles = find_columns(self.reader.columns, self.columns, self.reader.source, label=False)
        checker = Checker(self.reader.source, roles, None, strict=False, empty=empty)
        for chunk in self.reader.chunks(roles.names, rows=rows, skip=skip):
            yield checker.table(chunk)
