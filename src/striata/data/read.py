"""Reading a source into checked tables, whole or in portions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..errors import DataError
from .columns import Columns, find_columns
from .readers import Reader, open_source
from .table import Checker, Table

_PORTION = 8192


def read_table(source: str, columns: Columns, *, split: str = "train") -> Table:
    """All rows of a labelled source.

    Args:
        source: file, folder or Hub name.
        columns: names asked for.
        split: part of a source that has several.

    Raises:
        DataError: the source cannot be read, lacks a column, or a row has no text or no label.
    """
    reader = open_source(source, split=split)
    found = find_columns(reader.columns, columns, reader.source, label=True)
    assert found.label is not None
    checker = Checker(reader.source, found, reader.declared(found.label), strict=True, defer=True)
    parts = [checker.table(chunk) for chunk in reader.chunks(found.names, rows=_PORTION)]
    checker.finish()
    if not parts:
        raise DataError(f"{reader.source} has no rows; expected at least one")
    return _joined(parts)


def _joined(parts: list[Table]) -> Table:
    first = parts[0]
    return Table(
        source=first.source,
        ids=np.concatenate([part.ids for part in parts]),
        texts=[text for part in parts for text in part.texts],
        pairs=None if first.pairs is None else [pair for part in parts for pair in part.pairs or ()],
        labels=None if first.labels is None else [label for part in parts for label in part.labels or ()],
        label_names=first.label_names,
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
        reader = open_source(source, split="test")
        find_columns(reader.columns, columns, reader.source, label=False)
        return cls(reader, columns)

    def tables(self, *, rows: int, skip: int = 0) -> Iterator[Table]:
        """Rows from row `skip` on in tables of at most `rows`; memory does not grow with the source.

        Raises:
            DataError: a row has no text.
        """
        found = find_columns(self.reader.columns, self.columns, self.reader.source, label=False)
        checker = Checker(self.reader.source, found, None, strict=False)
        for chunk in self.reader.chunks(found.names, rows=rows, skip=skip):
            yield checker.table(chunk)
