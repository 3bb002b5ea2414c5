"""A study's data, read and tokenized."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..data import Audit, Encoded, Splits, Tokenizer, audit_data, encode_labels, load_splits
from ..errors import StudyError, did_you_mean
from ..layout import shape_of
from ..settings.file import Study


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Data ready to be trained on.

    Args:
        splits: the tables.
        encoded: token ids by table name.
        targets: places of the labels by table name, (rows,) int64.
        audit: what the data is.
    """

    splits: Splits
    encoded: dict[str, Encoded]
    targets: dict[str, npt.NDArray[np.int64]]
    audit: Audit


def prepare(study: Study) -> Prepared:
    """Reads, splits, tokenizes and counts a study's data.

    Raises:
        DataError: anything about the data is wrong.
        EncoderError: the tokenizer cannot be loaded.
        StudyError: class weights name a label that is not there.
    """
    shape_of(study.base)  # says what is wrong with the encoder before any data is read
    settings = study.data
    splits = load_splits(settings.train, settings.validation, settings.test, columns=settings.columns(), seed=settings.seed)
    _check_class_weights(study, splits)
    tokenizer = Tokenizer.load(study.base, settings.max_length)
    tables = splits.tables()
    encoded = {name: tokenizer.encode(table.texts, table.pairs) for name, table in tables.items()}
    targets = {name: encode_labels(table, splits.labels) for name, table in tables.items()}
    return Prepared(splits=splits, encoded=encoded, targets=targets, audit=audit_data(splits, encoded, settings.max_length))


def _check_class_weights(study: Study, splits: Splits) -> None:
    for entry in ("", *study.layouts):
        weights = study.recipe_of(entry).class_weights
        if not isinstance(weights, dict):
            continue
        for name in weights:
            if name not in splits.labels:
                hint = did_you_mean(name, splits.labels)
                raise StudyError(f"class_weights names label '{name}'{hint}; expected {', '.join(splits.labels)}")
        for name in splits.labels:
            if name not in weights:
                raise StudyError(f"class_weights has no weight for label '{name}'; give one for every label")
