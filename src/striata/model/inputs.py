"""Texts to predict, in whatever they come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..data import Columns, read_texts, texts_alone
from ..data.table import without_text
from ..errors import DataError


def read_inputs(
    texts: object, pairs: object, columns: Columns, *, keep_empty: bool = False
) -> tuple[list[str], list[str] | None]:
    """Texts and second texts of whatever holds them.

    Args:
        texts: as :meth:`striata.Model.logits` takes them.
        pairs: likewise.
        columns: names of the columns of texts that are in rows.
        keep_empty: whether texts that are empty or missing (None, NaN) stay, as empty ones.

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
        table = read_texts(texts, columns, name="texts", keep_empty=keep_empty)
        return table.texts, table.pairs
    alone = _filled(alone) if keep_empty else alone
    check_texts(alone, keep_empty=keep_empty)
    if pairs is None:
        return alone, None
    seconds = texts_alone(pairs)
    if seconds is None:
        raise DataError(f"second texts are a {type(pairs).__name__}; expected a list of texts")
    if len(seconds) != len(alone):
        raise DataError(f"there are {len(alone):,} texts and {len(seconds):,} second texts; expected as many of both")
    return alone, _filled(seconds) if keep_empty else seconds


def with_text(texts: Sequence[str], pairs: Sequence[str] | None) -> list[int]:
    """Places of the texts of which, and of whose second texts, there is something to read."""
    empty = set(without_text(texts, pairs))
    return [at for at in range(len(texts)) if at not in empty]


def _filled(texts: list[Any]) -> list[Any]:
    """Texts with empty ones in place of those that are missing: None, NaN, or pandas' NA."""
    return [
        "" if text is None or type(text).__name__ == "NAType" or (isinstance(text, float) and text != text) else text
        for text in texts
    ]


def check_texts(texts: Sequence[str], *, keep_empty: bool = False) -> None:
    """Refuses what is no list of texts.

    Raises:
        DataError: a text is empty, or is no string.
    """
    if isinstance(texts, str):
        raise DataError("one string was given; expected a list of texts")
    for at, text in enumerate(texts):
        if not isinstance(text, str) or not (keep_empty or text.strip()):
            what = "is empty" if isinstance(text, str) else f"is a {type(text).__name__}"
            raise DataError(f"text {at} (counted from 0) {what}; expected a text", row=at)
