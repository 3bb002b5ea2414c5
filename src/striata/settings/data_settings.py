"""What a study file may say of its data."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field, model_serializer, model_validator

from ..choices import QUOTINGS
from ..data import Columns, Dialect
from ..errors import DataError
from .fields import Column, Count, Different, Expected, Fraction, LabelName, Place, Positive, Whole
from .recipe import CONFIG

_UNSTATED = (
    "weight", "weight_like", "weight_clip", "order", "delimiter", "quoting", "encoding", "header", "drop_empty",
    "label_separator",
)  # fmt: skip


class DataSettings(BaseModel):
    """Where the texts are.

    Args:
        train: file, folder or Hub name; None where the rows are given in memory, when it is recorded as `rows sha256:...`.
        validation: file, folder or Hub name, or rows or a fraction of `train` to hold out.
        test: one of all these, or None.
        max_length: most tokens of a text, special tokens included.
        text: name of the text column, or a list of several, which are joined with spaces; None finds it by its usual names.
        text_pair: name of the second text's column.
        label: name of the label column; with `task: multilabel` also a list of the columns that hold 0 or 1 for each label.
        label_separator: with `task: multilabel`, between the labels in one text; None for `|`.
        weight: name of a column that says how much each training row counts, in numbers above 0 of which only the ratios matter;
            None weighs all alike. Validation and test rows always count alike.
        order: all labels, lowest first; None for numbers by size, else what the source declares, else the alphabet, which is none
            for `task: ordinal`.
        weight_like: rows without labels, a file, folder or Hub name: training rows count the more the likelier they are among
            these, so that together they are like them. Whatever is trained so is transductive.
        weight_clip: largest of these weights, whose mean is 1; None for 10.
        seed: by which held-out rows are drawn.
        delimiter: between the fields of CSV, TSV and text files: one character, or tab, comma, semicolon, pipe; None determines
            it from each file, and likewise the next three.
        quoting: of :data:`striata.choices.QUOTINGS`.
        encoding: of text files: utf-8, utf-16, cp1252, ...
        header: whether the first line is one, or the names of all columns where there is none.
        drop_empty: whether rows without a text or a label are left out (and counted) instead of refused.
    """

    model_config = CONFIG
    train: Place | None = None
    validation: Count | Fraction | Place = 0.2
    test: Count | Fraction | Place | None = None
    max_length: Count = 256
    text: Column | Annotated[tuple[Column, ...], Field(min_length=1), Different] | None = None
    text_pair: Column | None = None
    label: Column | Annotated[tuple[Column, ...], Field(min_length=1), Different] | None = None
    label_separator: Annotated[str, Field(min_length=1), Expected("the characters between labels")] | None = None
    weight: Column | None = None
    order: Annotated[tuple[LabelName, ...], Field(min_length=2), Different] | None = None
    weight_like: Place | None = None
    weight_clip: Positive | None = None
    seed: Whole = 0
    delimiter: Annotated[str, Expected("one character, or tab, comma, semicolon, pipe")] | None = None
    quoting: Annotated[str, Expected(QUOTINGS.names)] | None = None
    encoding: Annotated[str, Expected("the name of an encoding")] | None = None
    header: bool | Annotated[tuple[Column, ...], Field(min_length=1), Different] | None = None
    drop_empty: bool = False

    @model_validator(mode="after")
    def _known(self) -> DataSettings:
        try:
            self.dialect()
        except DataError as error:
            raise ValueError(str(error)) from None
        if self.weight is not None and self.weight_like is not None:
            raise ValueError("one of `weight` and `weight_like`; leave the other out")
        if self.weight_clip is not None and self.weight_like is None:
            raise ValueError("`weight_clip` beside `weight_like` only; name rows without labels, or leave it out")
        return self

    @model_serializer(mode="wrap")
    def _stated(self, serialize: Any) -> dict[str, Any]:
        """Without what is not stated of weights, order and how files are written, as documents have it from before that could
        be."""
        return {key: value for key, value in serialize(self).items() if key not in _UNSTATED or value not in (None, False)}

    def dialect(self) -> Dialect:
        """What is stated of how files are written.

        Raises:
            DataError: there is no such delimiter or encoding.
        """
        return Dialect(delimiter=self.delimiter, quoting=self.quoting, encoding=self.encoding, header=self.header)

    def columns(self, task: str = "single-label") -> Columns:
        """The names asked for, and what is stated of how files are written.

        Args:
            task: what a label is.
        """
        return Columns(
            text=self.text, text_pair=self.text_pair, label=self.label, weight=self.weight, order=self.order,
            dialect=self.dialect(), drop_empty=self.drop_empty, task=task, separator=self.label_separator,
        )  # fmt: skip
