"""A study's data, read and tokenized."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..data import Audit, Columns, Encoded, Splits, Table, Tokenizer, audit_data, encode_labels, load_splits, read_table
from ..data.frames import split_rows
from ..errors import EncoderError, StudyError, did_you_mean
from ..layout import check_base, shape_of
from ..runs import StudyFolder
from ..settings.file import Study
from ..tasks.regression import REGRESSION, Scale
from .adaptation import Adaptation
from .automatic import decide_recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Data ready to be trained on.

    Args:
        study: the study; where rows are in memory, its data settings name them by their checksum; an automatic recipe is decided.
        splits: the tables.
        encoded: token ids by table name; empty without an encoder.
        targets: places of the labels by table name, (rows,) int64, or as the task has them.
        audit: what the data is.
        tokenizer_sha256: over the files of the tokenizer that made the token ids; empty without.
        weights: how much each training row counts, 1 in the mean, (rows,); None where all count alike.
        adaptation: what adapters learn from texts without labels first; None for nothing, or where nothing is to be trained.
    """

    study: Study
    splits: Splits
    encoded: dict[str, Encoded]
    targets: dict[str, npt.NDArray[Any]]
    audit: Audit
    tokenizer_sha256: str
    weights: npt.NDArray[np.float64] | None = None
    adaptation: Adaptation | None = None

    @property
    def scale(self) -> Scale | None:
        """By which training targets are learned where they are numbers; None elsewhere."""
        return REGRESSION.scale(self.targets["train"], self.weights) if self.splits.task.numeric else None


def prepare(study: Study, data: object = None) -> Prepared:
    """Reads, splits, tokenizes and counts a study's data.

    Args:
        study: checked settings.
        data: rows that take the place of `data.train`: a pandas or polars DataFrame, a `datasets.Dataset`, a pyarrow Table, a
            dict of columns, a list of dicts, a tuple (texts, labels), or a path; or a mapping with `train` and perhaps
            `validation` and `test`, each one of these (or, for the latter two, how many rows to hold out).

    Raises:
        DataError: anything about the data is wrong.
        EncoderError: the tokenizer cannot be loaded.
        StudyError: there is no data, or class weights name a label that is not there.
    """
    if study.has_encoder:
        shape_of(study.base)  # says what is wrong with the encoder before any data is read
    parts = {} if data is None else split_rows(data)
    parts = {name: _read_part(part, study.columns, name) for name, part in parts.items()}
    stated = {name: part.reference if isinstance(part, Table) else part for name, part in parts.items()}
    study = study.model_copy(update={"data": study.data.model_copy(update=stated)})
    settings = study.data
    if settings.train is None:
        raise StudyError("the study names no data; set `data.train` to a file, folder or Hub name, or give `data=` from Python")
    sources: dict[str, Any] = {name: getattr(settings, name) for name in ("train", "validation", "test")} | parts
    splits = load_splits(**sources, columns=study.columns, seed=settings.seed)
    study = decide_recipe(study, len(splits.train))
    _check_class_weights(study, splits)
    targets = {name: encode_labels(table, splits.labels, splits.task) for name, table in splits.tables().items()}
    weights = splits.train.weights
    weights = None if weights is None else weights / weights.mean()
    if not study.has_encoder:
        audit = audit_data(splits, {name: _words(table) for name, table in splits.tables().items()}, None)
        return Prepared(
            study=study, splits=splits, encoded={}, targets=targets, audit=audit, tokenizer_sha256="", weights=weights
        )
    tokenizer = Tokenizer.load(study.base, settings.max_length)
    tables = splits.tables()
    encoded = {name: tokenizer.encode(table.texts, table.pairs) for name, table in tables.items()}
    lengths = {name: tokenizer.whole_lengths(encoded[name], table.texts, table.pairs) for name, table in tables.items()}
    audit = audit_data(splits, lengths, settings.max_length)
    return Prepared(
        study=study,
        splits=splits,
        encoded=encoded,
        targets=targets,
        audit=audit,
        tokenizer_sha256=tokenizer.sha256,
        weights=weights,
    )


def prepare_again(folder: StudyFolder, data: object = None, base: str | Path | None = None) -> Prepared:
    """The data that the runs in a study's folder were trained on.

    Args:
        folder: of the study.
        data: its rows, where they were given in memory; see :func:`prepare`.
        base: where the encoder lies now; None for where it was. Its weights are for whoever loads them to compare.

    Raises:
        StudyError: the data or the tokenizer is not what it was.
        StriataError: the data cannot be read, or the tokenizer not be loaded.
    """
    study = find_encoder(folder.study(), base)
    prepared = prepare(study, data)
    if prepared.splits.fingerprint != folder.data_fingerprint():
        raise StudyError(f"the data of {folder.path} is not what the runs were trained on; restore it, and give the same rows")
    if prepared.tokenizer_sha256 != folder.tokenizer_sha256():
        raise StudyError(
            f"the tokenizer of {study.base} is not the one the runs were trained with; give it the same tokenizer files"
        )
    return prepared


def find_encoder(study: Study, base: str | Path | None) -> Study:
    """A finished study, with its encoder where it lies now.

    Args:
        study: the settings, as they were.
        base: a folder or a Hub name; None for where it was.

    Raises:
        StudyError: the study has no encoder.
        EncoderError: there is none at that place.
    """
    if base is None:
        if study.has_encoder:
            _check_place(study.base)
        return study
    if not study.has_encoder:
        raise StudyError(f"{base} is of no use: the study has no encoder; leave it out", argument="base")
    check_base(str(base))
    return study.model_copy(update={"base": str(base)})


def _check_place(base: str) -> None:
    try:
        check_base(base)
    except EncoderError as error:
        raise EncoderError(f"is missing: {error}; say where the encoder lies now", argument="base") from error


def _words(table: Table) -> npt.NDArray[np.int64]:
    """Words of each text, (rows,)."""
    second = table.pairs or [""] * len(table)
    return np.array([len(text.split()) + len(pair.split()) for text, pair in zip(table.texts, second, strict=True)], np.int64)


def _read_part(part: object, columns: Columns, name: str) -> object:
    """Rows in memory as a table; a path, or a number of rows to hold out, as the study file would have it."""
    if isinstance(part, Path):
        return str(part)
    held_out = name != "train" and isinstance(part, int | float) and not isinstance(part, bool)
    return part if held_out or isinstance(part, str) else read_table(part, columns, split=name)


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
