"""What is written of a file's predictions: its own columns unchanged, then ours."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from ..data import Stream
from ..data.carried import Pieces, carried_columns, find_id, types_by_values
from ..data.table import Chunk
from ..errors import DataError
from ..tasks import check_labels, check_one_label, label_numbers, plain_number
from .model import Model
from .priors import Priors, check_correctable
from .writers import Rows, check_names, write_rows

_DIGITS = 6  # of probabilities, after the point, in CSV and JSON Lines


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What is written of each row.

    Args:
        probabilities: one column `p_LABEL` per label.
        calibrated: whether these are the calibrated ones.
        coverage: of the label sets in the column `labels`, of numbers of the intervals in `low` and `high`; None for no such
            column.
        abstain_below: smallest calibrated probability of a label that is written; None writes all.
        priors: the labels' shares among the rows, by label, or "estimate"; None for those of the validation rows.
        only: names of the input's columns that are kept; nothing for all.
        id_label: instead of all this the columns `ID` and `Label`, the label as an integer.
        id_column: name of the input's column that is the `ID`; None for the one called id.
    """

    probabilities: bool = False
    calibrated: bool = True
    coverage: float | None = None
    abstain_below: float | None = None
    priors: Priors | None = None
    only: Sequence[str] = ()
    id_label: bool = False
    id_column: str | None = None

    def check(self, model: Model) -> None:
        """Says before the first text is read what cannot be written after the last.

        Raises:
            DataError: the model cannot give it, or it excludes something else.
        """
        if self.id_label and (self.coverage is not None or self.abstain_below is not None):
            raise DataError("the columns ID and Label have room for one label a row; leave the label sets and the threshold out")
        if self.id_label and self.only:
            raise DataError("the columns ID and Label are all that is written with `id_label`; leave `only` out")
        if self.id_column is not None and not self.id_label:
            raise DataError(
                "names the column of ids for the format id-label; other formats keep every column", argument="id_column"
            )
        for option, what in (
            (self.probabilities, "a probability"),
            (self.abstain_below is not None, "a threshold below which no label is given"),
            (self.priors is not None, "a share of labels"),
        ):
            if option:
                check_labels(model.task, what, DataError)
        if self.id_label:
            check_one_label(model.task, "the format id-label", DataError)
            label_numbers(model.labels)
        none = np.zeros((0, len(model.labels)), np.float32)
        if self.priors is not None:
            check_correctable(model.task, calibrated=self.calibrated)
            model.shifted(none, self.priors)
            if self.coverage is not None:
                raise DataError(
                    "change how often each label comes, and label sets keep their promise only where that is as among the "
                    "validation rows; leave one out",
                    argument="priors",
                )
        if self.coverage is not None:
            (model.intervals if model.task.numeric else model.label_sets)(none, self.coverage)
        if self.abstain_below is not None:
            model.sure(none, self.abstain_below)


def free_names(ours: Sequence[str], taken: Collection[str]) -> dict[str, str]:
    """The names that our columns get beside others: `_predicted` is added to one that is taken, and a number if that is too."""
    names: dict[str, str] = {}
    used = {*taken, *ours}
    for name in ours:
        new, number = name, 1
        if name in taken:
            new = f"{name}_predicted"
            while new in used:
                number += 1
                new = f"{name}_predicted_{number}"
            used.add(new)
        names[name] = new
    return names


@dataclass(frozen=True, slots=True)
class Result:
    """The columns of a file of predictions.

    Args:
        model: that predicts.
        contents: what is written.
        text: whether it is CSV or JSON Lines.
        carried: names of the source's columns, each with its name in the result.
        own: what we call our columns, each with its name in the result.
        types: of all columns by their names in the result, in order; None for JSON text.
        remarks: sentences on what the names may hide.
    """

    model: Model
    contents: Contents
    text: bool
    carried: Mapping[str, str]
    own: Mapping[str, str]
    types: Mapping[str, pa.DataType | None]
    remarks: Sequence[str]

    @classmethod
    def of(cls, model: Model, stream: Stream, ending: str, contents: Contents) -> Result:
        """What a source's predictions are written as in a file with an ending.

        Raises:
            DataError: there is no such column, or the file cannot hold one.
        """
        reader = stream.reader
        if contents.id_label:
            id_name = find_id(reader, contents.id_column)
            types = {} if id_name is None else {id_name: reader.types()[id_name]}
            carried = dict.fromkeys(types, "ID")
        else:
            types = carried_columns(reader, contents.only)
            carried = {name: name for name in types}
        if ending == ".parquet":
            types = types_by_values(reader, types)
        none = np.zeros((0, len(model.labels)), np.float32)
        ours = {name: kind for name, (kind, _) in _ours(model, contents, none, 0, bool(carried)).items()}
        own = free_names(list(ours), set(carried.values()))
        result = cls(
            model,
            contents,
            ending != ".parquet",
            carried,
            own,
            {carried[name]: kind for name, kind in types.items()} | {own[name]: kind for name, kind in ours.items()},
            tuple(_remarks(model, contents, reader.source, carried, own)),
        )
        check_names(ending, result.types, reader.source)
        return result

    def try_first(self, stream: Stream, ending: str, rows: int) -> None:
        """Writes the carried columns of the first rows nowhere, so that what no row can be written of is said at once.

        Raises:
            DataError: a column cannot be read, or the file cannot hold it.
        """
        if not self.carried:
            return
        try:
            chunk = Pieces(stream.reader, list(self.carried), rows=rows).take(rows)
            types = {name: self.types[name] for name in self.carried.values()}
            write_rows(io.BytesIO(), ending, types, iter([Rows(chunk.first, self._carried_of(chunk))]), stream.reader.source)
        except DataError as error:
            for _ in stream.tables(rows=rows):  # raises what is wrong with the rows whatever is kept of them
                break
            raise DataError(f"{error}; or name the columns to keep with `only`", row=error.row) from None

    def rows(self, chunk: Chunk, logits: np.ndarray, empty: Sequence[int] = ()) -> Rows:
        """What is written of some rows.

        Args:
            chunk: the rows.
            logits: of each, (rows, labels).
            empty: places of those without a text, of which nothing is predicted.
        """
        columns = _ours(self.model, self.contents, logits, chunk.first, bool(self.carried))
        own = {self.own[name]: _rounded(values, kind) if self.text else values for name, (kind, values) in columns.items()}
        if empty:
            own = {new: _without(values, empty) for new, values in own.items() if new != "ID"} | {
                new: values for new, values in own.items() if new == "ID"
            }
        return Rows(chunk.first, self._carried_of(chunk) | own)

    def _carried_of(self, chunk: Chunk) -> dict[str, Sequence[Any]]:
        return {new: chunk.values[name] for name, new in self.carried.items()}


def _without(values: Any, empty: Sequence[int]) -> list[Any]:
    """A column's values with null at some places."""
    result = list(values.tolist() if isinstance(values, np.ndarray) else values)
    for place in empty:
        result[place] = None
    return result


def _rounded(values: Any, kind: pa.DataType) -> Any:
    return [round(value, _DIGITS) for value in values.tolist()] if kind == pa.float32() else values


def _remarks(model: Model, contents: Contents, source: str, carried: Mapping[str, str], own: Mapping[str, str]) -> Iterator[str]:
    for name, new in own.items():
        if new != name:
            yield f"{source} has a column '{name}' of its own, which is kept: what is predicted stands in '{new}'"
    if not contents.id_label:
        return
    if carried:
        yield f"ID is column '{next(iter(carried))}' of {source}"
    else:
        yield f"{source} has no column called id: ID is the row's number, counted from 0"
    if label_numbers(model.labels) is None:
        places = ", ".join(f"{place} for '{label}'" for place, label in enumerate(model.labels[:4]))
        yield f"labels are no integers: Label is each one's place ({places}{', ...' if len(model.labels) > 4 else ''})"


def _plain(ends: np.ndarray) -> list[float]:
    """Ends of intervals with as many digits as their answers have."""
    return [plain_number(value) for value in ends.astype(np.float32)]


def _ours(model: Model, contents: Contents, logits: np.ndarray, first: int, has_ids: bool) -> dict[str, tuple[pa.DataType, Any]]:
    """Our columns of some rows, the first of which has the number `first`: types and values by the names we would give them."""
    if contents.id_label:
        chosen = model.decide(logits)
        numbers = label_numbers(model.labels)
        label = {"Label": (pa.int64(), (chosen if numbers is None else np.array(numbers)[chosen]).tolist())}
        return label if has_ids else {"ID": (pa.int64(), list(range(first, first + len(logits))))} | label
    if model.task.numeric:
        answers: dict[str, tuple[pa.DataType, Any]] = {"prediction": (pa.float64(), model.answered(logits))}
        if contents.coverage is not None:
            low, high = model.intervals(logits, contents.coverage).T
            answers |= {"low": (pa.float64(), _plain(low)), "high": (pa.float64(), _plain(high))}
        return answers
    labels: list[str | None] = list(model.named(logits))
    if contents.abstain_below is not None:
        labels = [label if sure else None for label, sure in zip(labels, model.sure(logits, contents.abstain_below), strict=True)]
    columns: dict[str, tuple[pa.DataType, Any]] = {"label": (pa.string(), labels)}
    if contents.coverage is not None:
        columns["labels"] = (pa.list_(pa.string()), model.label_sets(logits, contents.coverage))
    if contents.probabilities:
        values = model.probabilities(logits, calibrated=contents.calibrated)
        columns |= {f"p_{label}": (pa.float32(), column) for label, column in zip(model.labels, values.T, strict=True)}
    return columns
