"""Texts to predict, in whatever they come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ..data import Columns, read_texts, texts_alone
from ..errors import DataError


def read_inputs(texts: object, pairs: object, columns: Columns) -> tuple[list[str], list[str] | None]:
    """Texts and second texts of whatever holds them.

    Args:
        texts: as :meth:`striata.Model.logits` takes them.
        pairs: likewise.
        columns: names of the columns of texts that are in rows.

    Raises:
        DataError: a text is empty, or is no string, or the texts are something else.
    """
    if isinstance(texts, str):
        raise DataError("one string was given; expected a list of texts")
    if isinstance(texts, Path):
        raise DataError(f"texts are the path {texts}; expected texts; `striata predict` predicts a file")
    texts, pairs = (list(part) if isinstance(part, Iterator) else part for part in (texts, pairs))
    alone = texts_alone(texts)
    if alone is None:
        if pairs is not None:
            raise DataError("second texts were given beside rows with columns; give them as a column, or both as lists")
        table = read_texts(texts, columns, name="texts")
        return table.texts, table.pairs
    check_texts(alone)
    if pairs is None:
        return alone, None
    seconds = texts_alone(pairs)
    if seconds is None:
        raise DataError(f"second texts are a {type(pairs).__name__}; expected a list of texts")
    if len(seconds) != len(alone):
        raise DataError(f"there are {len(alone):,} texts and {len(seconds):,} second texts; expected as many of both")
    return alone, seconds


def check_texts(texts: Sequence[str]) -> None:
    """Refuses what is no list of texts.

    Raises:
        DataError: a text is empty, or is no string.
    """
    if isinstance(texts, str):
        raise DataError("one string was given; expected a list of texts")
    for at, text in enumerate(texts):
        if not isinstance(text, str) or not text.strip():
            what = "is empty" if isinstance(text, str) else f"is a {type(text).__name__}"
            raise DataError(f"text {at} (counted from 0) {what}; expected a text", row=at)
