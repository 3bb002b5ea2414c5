"""What every source is read through, and what most readers share: a row at a time, handed over in portions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import pyarrow as pa

from .table import Chunk


class Reader(Protocol):
    """Rows of a source."""

    source: str
    columns: tuple[str, ...]

    @property
    def form(self) -> str:
        """How the source is written and what of it is not read, in words, where a person should see it; else empty."""

    def declared(self, column: str) -> tuple[str, ...] | None:
        """Label names of a column, where the source declares them."""

    def types(self) -> dict[str, pa.DataType | None]:
        """Every column with its type; None where only its values tell."""

    def chunks(self, names: Sequence[str], *, rows: int, skip: int = 0) -> Iterator[Chunk]:
        """Rows of some columns in portions of at most `rows`, from row `skip` on."""


class RowReader:
    """Rows that come one after the other; a reader of a format says which.

    Args:
        source: for messages.
        columns: names.
        form: see :attr:`Reader.form`.
    """

    lines = True  # whether a row has a line

    def __init__(self, source: str, columns: Sequence[str], form: str = "") -> None:
        self.source, self.columns, self.form = source, tuple(columns), form

    def rows(self) -> Iterator[tuple[int, Any]]:
        """Every row, with the line it starts on, from 1.

        Raises:
            DataError: a row is broken.
        """
        raise NotImplementedError

    def picker(self, names: Sequence[str]) -> Callable[[Any], Sequence[object]]:
        """What gives the values of some columns of a row."""
        places = [self.columns.index(name) for name in names]
        return lambda row: [row[place] for place in places]

    def declared(self, column: str) -> tuple[str, ...] | None:
        """Label names of a column: such sources declare none."""
        return None

    def types(self) -> dict[str, pa.DataType | None]:
        """Every column; only the values tell its type."""
        return dict.fromkeys(self.columns)

    def chunks(self, names: Sequence[str], *, rows: int, skip: int = 0) -> Iterator[Chunk]:
        """Rows in portions of at most `rows`, from row `skip` on; memory does not grow with the source.

        Raises:
            DataError: a row is broken.
        """
        pick, first = self.picker(names), skip
        picked: list[Sequence[object]] = []
        lines: list[int] = []
        for number, (line, row) in enumerate(self.rows()):
            if number < skip:
                continue
            picked.append(pick(row))
            lines.append(line)
            if len(picked) == rows:
                yield self._chunk(first, names, picked, lines)
                first, picked, lines = first + rows, [], []
        if picked:
            yield self._chunk(first, names, picked, lines)

    def _chunk(self, first: int, names: Sequence[str], picked: list[Sequence[object]], lines: list[int]) -> Chunk:
        values = {name: list(column) for name, column in zip(names, zip(*picked, strict=True), strict=True)}
        return Chunk(first=first, values=values, lines=lines if self.lines else None)
