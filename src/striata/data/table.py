"""Texts and labels of one source, checked."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ..errors import DataError
from .columns import SourceColumns
from .label_values import MISSING, SURROGATE, is_unicode, kind_of, label_reader, truths

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
IN_MEMORY = "rows sha256:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of one source.

    Args:
        source: file, folder or name the rows come from.
        ids: row number of each row in the source, from 0, (n,) int64.
        texts: one string per row.
        pairs: the second texts, or None.
        labels: labels as strings, several of a row as `a|b`, or None; "" where a row has none, or, read for prediction, no usable
            one.
        label_names: all labels the source declares, in its order; None when it declares none.
        reading: which columns were read, and how the source is written, in words.
        dropped: rows without a text, or without a label where labels are read, that were left out.
        weights: how much each row counts in training, above 0, (n,); None where all count alike.
    """

    source: str
    ids: Ints
    texts: list[str]
    pairs: list[str] | None = None
    labels: list[str] | None = None
    label_names: tuple[str, ...] | None = None
    reading: str = ""
    dropped: int = 0
    weights: Floats | None = None

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def whole_texts(self) -> list[str]:
        """Each row's text, its second text behind it where there is one."""
        if self.pairs is None:
            return self.texts
        return [f"{text}\n{pair}" for text, pair in zip(self.texts, self.pairs, strict=True)]

    @property
    def reference(self) -> str:
        """`rows sha256:...` over texts, labels, weights and row numbers: what stands in a path's place for rows in memory."""
        digest = hashlib.sha256("\x1f".join(self.label_names or ()).encode())
        self.add_to(digest)
        return IN_MEMORY + digest.hexdigest()

    def add_to(self, digest: hashlib._Hash) -> None:
        """Adds row numbers, texts, labels and weights to a checksum."""
        digest.update(b"\x1e" + self.ids.tobytes())
        for column in (self.texts, self.pairs, self.labels):
            for value in column or ():
                raw = value.encode()
                digest.update(len(raw).to_bytes(8, "little") + raw)
        if self.weights is not None:
            digest.update(b"\x1d" + self.weights.tobytes())

    def text_hashes(self) -> npt.NDArray[np.uint64]:
        """64 bits for each row that stand for its text, and its second text where there is one, whatever file it is in."""
        raws = [text.encode() for text in self.texts]
        if self.pairs is not None:
            raws = [len(raw).to_bytes(8, "little") + raw + pair.encode() for raw, pair in zip(raws, self.pairs, strict=True)]
        digests = b"".join(hashlib.blake2b(raw, digest_size=8).digest() for raw in raws)
        return np.frombuffer(digests, "<u8").astype(np.uint64)

    def take(self, indices: Sequence[int] | npt.NDArray[np.integer]) -> Table:
        """The rows at `indices`, in that order."""
        chosen = np.asarray(indices, np.int64)
        places = chosen.tolist()

        def part(values: list[str] | None) -> list[str] | None:
            return None if values is None else [values[i] for i in places]

        return Table(
            source=self.source,
            ids=self.ids[chosen],
            texts=[self.texts[i] for i in places],
            pairs=part(self.pairs),
            labels=part(self.labels),
            label_names=self.label_names,
            reading=self.reading,
            dropped=self.dropped,
            weights=None if self.weights is None else self.weights[chosen],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Rows as a reader hands them over: raw values by column.

    Args:
        first: row number of the first row, from 0.
        values: for each column that was asked for, a value per row.
        lines: line of the file on which each row starts, from 1; None for sources without lines.
        file: that they are from, with the number of its first row here; None where the source is one file or none.
    """

    first: int
    values: dict[str, list[object]]
    lines: list[int] | None = None
    file: tuple[str, int] | None = None

    def __len__(self) -> int:
        return len(next(iter(self.values.values()), []))

    def where(self, index: int) -> str:
        """`row 3 (counted from 0; line 5)`, in a folder that of the file: `file b.csv, row 3 (counted from 0; line 5)`."""
        line = None if self.lines is None else self.lines[index]
        if self.file is None:
            return place(self.first + index, line)
        name, first = self.file
        return f"file {name}, {place(first + index, line)}"


def place(row: int, line: int | None = None) -> str:
    """How messages name a row: its number from 0, and where the source has lines, the line from 1."""
    return f"row {row} (counted from 0)" if line is None else f"row {row} (counted from 0; line {line})"


class Checker:
    """Turns raw chunks into tables, and says which rows are wrong.

    Args:
        source: for messages.
        columns: which columns those are.
        names: label names the source declares for its integer labels, or None.
        strict: whether a row without a usable label is an error.
        empty: what becomes of rows without a text: "refuse" them, each portion for itself; "report" them all at once, by
            :meth:`finish`; "drop" them, and count them in :attr:`dropped`; or "keep" them.

    Raises:
        DataError: a declared label is no valid Unicode.
    """

    def __init__(
        self,
        source: str,
        columns: SourceColumns,
        names: tuple[str, ...] | None,
        *,
        strict: bool,
        empty: Literal["refuse", "report", "drop", "keep"] = "refuse",
    ) -> None:
        self._source, self._columns, self._names = source, columns, names
        if columns.labels:
            self._names = names = columns.labels
        self._read = label_reader(columns.task, columns.separator, names)
        self._strict, self._rule = strict, empty
        for name in names or ():
            if not is_unicode(name):
                raise DataError(f"{source} declares a label that holds {SURROGATE}; expected valid Unicode; correct the label")
        self._empty, self._first_empty = 0, ""
        self.dropped = 0

    def table(self, chunk: Chunk) -> Table:
        """A chunk's rows.

        Raises:
            DataError: a text is empty or no text, a label is missing or no label, or a weight is no number above 0.
        """
        texts = self._texts(chunk, self._columns.texts)
        pairs = None if self._columns.text_pair is None else self._texts(chunk, (self._columns.text_pair,))
        empty = without_text(texts, pairs)
        if empty and not self._empty:
            second = pairs is not None and not texts[empty[0]].isspace() and bool(texts[empty[0]])
            column = self._columns.text_pair if second else self._columns.texts[0]
            self._first_empty = f"{chunk.where(empty[0])}, column '{column}'"
        self._empty += len(empty)
        if self._rule == "refuse":
            self.finish()
        dropped = set(empty) if self._rule == "drop" else set()
        labels = None
        if self._columns.label is not None:
            labels, unlabelled = self._labels(chunk, self._columns.label, dropped)
            dropped |= unlabelled
        weights = None if self._columns.weight is None else self._weights(chunk, self._columns.weight, dropped)
        ids = np.arange(chunk.first, chunk.first + len(texts), dtype=np.int64)
        table = Table(
            source=self._source, ids=ids, texts=texts, pairs=pairs, labels=labels, label_names=self._names, weights=weights
        )
        if not dropped:
            return table
        self.dropped += len(dropped)
        return table.take([row for row in range(len(table)) if row not in dropped])

    def finish(self) -> None:
        """Reports empty texts counted so far, where they are not dropped or kept.

        Raises:
            DataError: there are any.
        """
        if self._empty and self._rule in ("refuse", "report"):
            rows = "1 row has" if self._empty == 1 else f"{self._empty} rows have"
            raise DataError(
                f"{self._source}: empty text: {rows} no text, the first is {self._first_empty}; "
                "every row needs a text; fill or delete these rows, or leave them out with `data.drop_empty: true`"
            )

    def _texts(self, chunk: Chunk, columns: Sequence[str]) -> list[str]:
        parts = [self._column(chunk, column) for column in columns]
        if len(parts) == 1:
            return parts[0]
        return [" ".join(part for part in row if part and not part.isspace()) for row in zip(*parts, strict=True)]

    def _column(self, chunk: Chunk, column: str) -> list[str]:
        texts: list[str] = []
        for index, value in enumerate(chunk.values[column]):
            if isinstance(value, str):
                texts.append(value)
            elif value is None or value != value:  # null, or the NaN that stands for it
                texts.append("")
            else:
                raise DataError(
                    f"{self._source}: {chunk.where(index)}, column '{column}' holds {kind_of(value)}; "
                    "expected a text; name another column as `text`",
                    row=chunk.first + index,
                )
        self._encodable(chunk, column, texts)
        return texts

    def _encodable(self, chunk: Chunk, column: str, texts: list[str]) -> None:
        if is_unicode("".join(texts)):
            return
        for index, text in enumerate(texts):
            if not is_unicode(text):
                raise DataError(
                    f"{self._source}: {chunk.where(index)}, column '{column}' holds {SURROGATE}; expected valid Unicode; "
                    "correct or delete the row",
                    row=chunk.first + index,
                )

    def _labels(self, chunk: Chunk, column: str, dropped: Container[int]) -> tuple[list[str], set[int]]:
        """All rows' labels, and the places of those without one where such rows are dropped."""
        labels, unlabelled, several = [], set(), self._columns.labels
        if several:
            parts = zip(*(chunk.values[name] for name in several), strict=True)
            read = [truths(row, several) for row in parts]
        else:
            read = [self._read(value) for value in chunk.values[column]]
        for index, (label, problem) in enumerate(read):
            if problem and self._strict and index not in dropped:
                missing = problem.startswith(MISSING)
                if not missing or self._rule != "drop":
                    more = "; fill it in, or leave such rows out with `data.drop_empty: true`" if missing else ""
                    where = chunk.where(index) + ("" if several else f", column '{column}'")
                    raise DataError(f"{self._source}: {where}: {problem}{more}", row=chunk.first + index)
                unlabelled.add(index)
            labels.append(label)
        return labels, unlabelled

    def _weights(self, chunk: Chunk, column: str, dropped: Container[int]) -> Floats:
        weights = np.ones(len(chunk))
        for index, value in enumerate(chunk.values[column]):
            if index in dropped:
                continue
            weight = as_weight(value)
            if weight is None:
                raise DataError(
                    f"{self._source}: {chunk.where(index)}, column '{column}': the weight is {_shown(value)}; expected a number "
                    "above 0; delete rows that are not to count",
                    row=chunk.first + index,
                )
            weights[index] = weight
        return weights


def as_weight(value: object) -> float | None:
    """How much a row counts, of a number or the text of one; None where it is no number above 0."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        weight = float(value)
    except (ValueError, OverflowError):
        return None
    return weight if 0 < weight < math.inf else None


def _shown(value: object) -> str:
    return "missing" if value is None or value != value or value == "" else repr(value)[:40]


def without_text(texts: Sequence[str], pairs: Sequence[str] | None) -> list[int]:
    """Places of the rows whose text, or second text, has nothing to read."""
    empty = {row for part in (texts, pairs or ()) for row, text in enumerate(part) if not text or text.isspace()}
    return sorted(empty)
