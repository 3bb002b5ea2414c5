"""Values of Arrow columns, of which everything is checked before it is read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ..errors import DataError
from .table import Chunk, place

_NOT_PYTHON = (ValueError, LookupError, TypeError, OverflowError, NotImplementedError, MemoryError, pa.ArrowException)
_MOST_TEXT = 2**30  # bytes in one portion; a dictionary can repeat one text as often as it likes


def column_values(column: Any, name: str, source: str, first: int = 0) -> list[object]:
    """A column's values as Python objects, None where there is none.

    Args:
        column: an Array or ChunkedArray. Offsets that point outside of it would be followed by whoever reads it, and a string
            need not be UTF-8, so that both are looked at first.
        name: of the column, for messages.
        source: for messages.
        first: row number of its first value.

    Raises:
        DataError: it is damaged, a text is not UTF-8, or a value has no form in Python.
    """
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    try:
        column.validate(full=True)
    except (ValueError, pa.ArrowException) as error:
        raise _without_sense(column, kind, name, source, first, error) from None
    if _is_text(kind) and _text_bytes(column) > _MOST_TEXT:
        raise DataError(
            f"{source}: column '{name}' has more than {_MOST_TEXT:,} bytes of text in {len(column):,} rows from "
            f"{place(first)} on; expected texts that fit into memory"
        )
    try:
        values: list[object] = column.to_pylist()
    except _NOT_PYTHON as error:
        raise DataError(
            f"{source}: column '{name}' has values of the Arrow type {reason(TypeError(kind))}, one of which cannot be read "
            f"({reason(error)}); expected texts or numbers; name another column"
        ) from None
    return values


def rows_of(part: Any, names: Sequence[str], source: str, first: int) -> Chunk:
    """The rows of a table or record batch, of which the first is row `first` of its source.

    Raises:
        DataError: as :func:`column_values`.
    """
    return Chunk(first=first, values={name: column_values(part.column(name), name, source, first) for name in names})


def names_of(schema: Any, source: str) -> tuple[str, ...]:
    """The names of a schema's columns.

    Raises:
        DataError: one is not UTF-8.
    """
    try:
        return tuple(schema.names)
    except UnicodeDecodeError as wrong:
        raise DataError(
            f"{source}: byte 0x{wrong.object[wrong.start]:02x} of a column's name is not UTF-8; write the table again with "
            "names in UTF-8"
        ) from None


def types_of(schema: Any) -> dict[str, pa.DataType | None]:
    """A schema's columns with the types of their values, however these are stored (dictionaries, runs, extensions)."""
    return {field.name: _plain_type(field.type) for field in schema}


def _plain_type(kind: Any) -> Any:
    if isinstance(kind, pa.BaseExtensionType):
        return _plain_type(kind.storage_type)
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return _plain_type(kind.value_type)
    return kind


def class_label(feature: object) -> tuple[str, ...] | None:
    """Label names of a feature as datasets writes it in JSON; None where it is no ClassLabel, or its names are no texts."""
    if isinstance(feature, dict) and isinstance(feature.get("feature"), dict):  # a list of them
        return class_label(feature["feature"])
    if not isinstance(feature, dict) or feature.get("_type") != "ClassLabel":
        return None
    names = feature.get("names")
    return tuple(names) if isinstance(names, list) and all(isinstance(name, str) for name in names) else None


def class_labels(metadata: dict[bytes, bytes] | None) -> dict[str, tuple[str, ...]]:
    """Label names by column, as datasets writes them into the metadata of an Arrow schema; empty without."""
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        labels = {name: class_label(feature) for name, feature in features.items()}
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError):
        return {}
    return {name: names for name, names in labels.items() if names is not None}


def reason(error: BaseException) -> str:
    """What went wrong, in a few words on one line."""
    return (" ".join(str(error).split()) or type(error).__name__)[:160]


def _is_text(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _chunks(column: Any) -> list[Any]:
    return list(column.chunks) if isinstance(column, pa.ChunkedArray) else [column]


def _raw(chunk: Any) -> list[bytes | None]:
    """The bytes of a chunk's texts, where its offsets are sound.

    Raises:
        pa.ArrowException: they are not.
    """
    if pa.types.is_dictionary(chunk.type):
        words = _raw(chunk.dictionary)
        chunk.indices.validate(full=True)
        return [None if index is None else words[index] for index in chunk.indices.to_pylist()]
    kind = pa.binary_view() if pa.types.is_string_view(chunk.type) else pa.binary()
    values = chunk.view(pa.large_binary() if pa.types.is_large_string(chunk.type) else kind)
    values.validate(full=True)
    result: list[bytes | None] = values.to_pylist()
    return result


def _text_bytes(column: Any) -> int:
    """Bytes of all texts, counted in the dictionary, before they are repeated."""
    total = 0
    for chunk in _chunks(column):
        if pa.types.is_dictionary(chunk.type):
            lengths = pc.binary_length(chunk.dictionary.cast(pa.large_string())).take(chunk.indices)
        else:
            lengths = pc.binary_length(chunk.cast(pa.large_string()))
        total += pc.sum(lengths).as_py() or 0
    return total


def _without_sense(column: Any, kind: Any, name: str, source: str, first: int, error: Exception) -> DataError:
    """Why validation failed: a text that is not UTF-8 by its row, anything else as Arrow says it."""
    at = first
    for chunk in _chunks(column):
        try:
            raws = _raw(chunk) if _is_text(kind) else []
        except (ValueError, IndexError, pa.ArrowException):
            break
        for row, raw in enumerate(raws, at):
            try:
                (raw or b"").decode()
            except UnicodeDecodeError as wrong:
                return DataError(
                    f"{source}: {place(row)}, column '{name}': byte 0x{wrong.object[wrong.start]:02x} is not UTF-8; expected a "
                    "text in UTF-8; write the table again with texts in UTF-8",
                    row=row,
                )
        at += len(chunk)
    return DataError(f"{source}: column '{name}' is damaged from {place(first)} on ({reason(error)}); write the table again")
