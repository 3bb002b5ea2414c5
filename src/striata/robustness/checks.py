"""Where rows to check come from, and where results are kept."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..data import Columns, Table, open_source, read_table, read_texts
from ..data.columns import find_columns
from ..errors import StriataError, StudyError
from ..runs import StudyFolder

if TYPE_CHECKING:
    from ..data.splits import Splits
    from ..model.model import Model

FORMAT = 1


def read_rows(source: str, columns: Columns, *, labels: bool) -> Table:
    """All rows of a source.

    Args:
        source: file, folder or Hub name.
        columns: names asked for.
        labels: whether labels are taken where there are any; a source without a label column has none.

    Raises:
        DataError: the source cannot be read, has no rows, or a row has no text or, among labelled ones, no label.
    """
    reader = open_source(source, columns, split="test")
    if labels and find_columns(reader.columns, columns, reader.source, label=True, strict=bool(columns.label)).label is not None:
        return read_table(source, columns, split="test")
    return read_texts(source, columns)


def sample_rows(table: Table, rows: int, seed: int) -> np.ndarray:
    """Places of at most `rows` random rows of a table, in its order."""
    if rows >= len(table):
        return np.arange(len(table))
    result: np.ndarray = np.sort(np.random.default_rng(seed).choice(len(table), rows, replace=False))
    return result


def judged_rows(parts: Iterable[tuple[str, int, int]]) -> str:
    """How many rows of which tables an audit judged, in words; empty where it judged all.

    Args:
        parts: name of a table, its rows, and those of them that were judged.
    """
    counts = list(parts)
    if all(judged == rows for _, rows, judged in counts):
        return ""
    *first, last = [f"{judged:,} of {rows:,} {name}" for name, rows, judged in counts]
    return f"{', '.join(first)} and {last} rows" if first else f"{last} rows"


def model_name(model: Model) -> str:
    """What a run or an ensemble is called in its study."""
    return next(iter(model.runs)) if len(model.runs) == 1 else model.folder.resolve().name


def model_json(model: Model) -> dict[str, object]:
    """Keys: `name`, `folder`, and `identity`, which holds the checksum and weight of every run."""
    return {"name": model_name(model), "folder": str(model.folder), "identity": model.identity}


def study_of(folder: Path) -> Path | None:
    """The folder of the study that a run or an ensemble lies in."""
    return next((place for place in folder.resolve().parents[:2] if (place / "study.json").is_file()), None)


def splits_of(model: Model) -> Splits:
    """The data of the study that a model lies in, as its runs were trained on it, with the encoder where the model has it.

    Raises:
        StudyError: the model lies in no study, or the data is not what it was.
        StriataError: the data cannot be read, or the tokenizer not be loaded.
    """
    from ..study import prepare_again

    study = study_of(model.folder)
    if study is None:
        raise StudyError(f"{model.folder} lies in no study; give the study's own run or ensemble")
    base = next((run.base for run in model.runs.values() if run.base is not None), None)
    return prepare_again(StudyFolder.open(study), base=base).splits


def validation_rows(model: Model) -> Table | None:
    """The validation rows of the study that a model lies in; None where they cannot be read."""
    try:
        return splits_of(model).validation
    except StriataError:
        return None
