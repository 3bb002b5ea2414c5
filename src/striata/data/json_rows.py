"""JSON: one object per line, or one document with the rows in it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from ..disk.json_text import DepthError, load_json
from ..errors import DataError
from .dialect import name_two
from .files import DataFile, joined_form
from .parts import choose_part
from .rows import RowReader
from .table import place

_NAMES = {list: "list", dict: "object", str: "text", int: "number", float: "number", bool: "truth value", type(None): "null"}


def open_json(file: DataFile) -> RowReader:
    """The reader of a JSON file, which is one object per line or one document, by what is in it and whatever it is called.

    Raises:
        DataError: it cannot be read or is no JSON with rows.
    """
    looked = file.survey()
    lines = (line.strip() for line in looked.sample.splitlines())
    first = next((line for line in lines if line), "")
    if not first:
        raise DataError(f"{file.source} is empty; expected one JSON object per line, or a JSON list of objects")
    if not file.part and not first.startswith("[") and (not first.startswith("{") or _are_lines(first, lines, file.ending)):
        return JsonLinesReader(file, looked.encoding, looked.evidence)  # which says what is wrong with a line
    return _document(file, looked.encoding, looked.evidence)


def _is_whole(line: str) -> bool:
    try:
        load_json(line)
    except ValueError:
        return False
    return True


def _are_lines(first: str, rest: Iterator[str], ending: str) -> bool:
    """Whether a file that begins with `{` has a row in every line: another line follows, or the only one holds no rows itself;
    where it holds a list beside other values, the file's name tells."""
    second = next((line for line in rest if line), None)
    if second is not None:
        return _is_whole(first) or second.startswith("{")
    try:
        values = list(load_json(first).values())
    except ValueError:
        return False
    groups = [isinstance(value, list | dict) for value in values]
    return not any(groups) or (ending != ".json" and not all(groups))


class JsonLinesReader(RowReader):
    """Rows of a file with one object per line; the first one's keys are the columns.

    Args:
        file: the file.
        encoding: of its text.
        form: what is to be said of it.

    Raises:
        DataError: the file cannot be read or its first line is no JSON object.
    """

    def __init__(self, file: DataFile, encoding: str, form: str = "") -> None:
        self._file, self._encoding = file, encoding
        super().__init__(file.source, (), form)
        self.columns = tuple(next((record for _, record in self.rows()), {}))

    def types(self) -> dict[str, pa.DataType | None]:
        """Every key of any line, for which the file is read; only the values tell its type."""
        return dict.fromkeys(key for _, record in self.rows() for key in record)

    def picker(self, names: Sequence[str]) -> Callable[[Any], Sequence[object]]:
        """What gives the values of some keys, None where an object has none."""
        return lambda record: [record.get(name) for name in names]

    def rows(self) -> Iterator[tuple[int, dict[str, object]]]:
        """Every line's object.

        Raises:
            DataError: a line is no JSON object, or blank with others behind it.
        """
        row = blank = 0
        with self._file.lines(self._encoding) as lines:
            try:
                for line, text in enumerate(lines, 1):
                    if not text.strip():
                        blank = blank or line
                        continue
                    if blank:
                        raise DataError(
                            f"{self.source}: line {blank} is blank, before {place(row, line)}; "
                            "expected a JSON object in every line; delete the blank line"
                        )
                    yield line, self._parse(text, place(row, line))
                    row += 1
            except UnicodeDecodeError:
                raise self._file.changed() from None

    def _parse(self, text: str, where: str) -> dict[str, object]:
        try:
            record = load_json(text)
        except DepthError as error:
            raise DataError(f"{self.source}: {where} has {error}; expected a few") from None
        except ValueError as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else type(error).__name__
            raise DataError(f"{self.source}: {where} is not JSON ({reason}); expected one JSON object per line") from None
        if not isinstance(record, dict):
            raise DataError(f"{self.source}: {where} is a JSON {type(record).__name__}; expected an object")
        return record


class DocumentReader(RowReader):
    """Rows of one JSON document, which is in memory.

    Args:
        source: for messages.
        records: objects; the first one's keys are the columns.
        form: what is to be said of it.
    """

    lines = False

    def __init__(self, source: str, records: Sequence[Mapping[str, object]], form: str = "") -> None:
        super().__init__(source, tuple(records[0]), form)
        self._records = records

    def types(self) -> dict[str, pa.DataType | None]:
        """Every key of any object; only the values tell its type."""
        return dict.fromkeys(key for record in self._records for key in record)

    def picker(self, names: Sequence[str]) -> Callable[[Any], Sequence[object]]:
        """What gives the values of some keys, None where an object has none."""
        return lambda record: [record.get(name) for name in names]

    def rows(self) -> Iterator[tuple[int, Mapping[str, object]]]:
        """Every object."""
        return ((0, record) for record in self._records)


def _document(file: DataFile, encoding: str, form: str) -> DocumentReader:
    with file.lines(encoding) as lines:
        try:
            value = load_json(lines.read())
        except UnicodeDecodeError:
            raise file.changed() from None
        except DepthError as error:
            raise DataError(f"{file.source} has {error}; expected a few") from None
        except ValueError as error:
            reason = f"line {error.lineno}: {error.msg}" if isinstance(error, json.JSONDecodeError) else type(error).__name__
            raise DataError(f"{file.source} is not JSON ({reason}); expected a list of objects, or one object per line") from None
    at: list[str] = []
    for key in file.part.split(".") if file.part else ():
        if not isinstance(value, dict) or key not in value:
            known = f"among {', '.join(list(value)[:20])}" if isinstance(value, dict) else f"in a {_kind(value)}"
            raise DataError(f"{file.source}: there is no '{key}' {known}; expected the path of a list, such as data.train")
        value = value[key]
        at.append(key)
    while isinstance(value, dict) and not _is_columns(value):
        value = value[_next_key(value, file, at)]
    where = f"the list at '{'.'.join(at)}'" if at else "the document"
    if isinstance(value, dict):
        records = _of_columns(value, file.source, where)
    elif isinstance(value, list):
        records = _records(value, file.source, where)
    else:
        raise DataError(f"{file.source}: {where} is a {_kind(value)}; expected a list of objects")
    shown = f"rows at '{'.'.join(at)}'" if at and not file.part else ""
    return DocumentReader(file.source, records, joined_form(shown, form))


def _kind(value: object) -> str:
    return _NAMES.get(type(value), type(value).__name__)


def _is_columns(value: dict[str, Any]) -> bool:
    """Whether an object is a table by columns: lists of plain values, or, as pandas writes it, objects with row numbers."""
    if len(value) < 2:
        return False
    if all(isinstance(column, dict) for column in value.values()):
        keys = [tuple(column) for column in value.values()]
        return len(set(keys)) == 1 and all(key.isdigit() for key in keys[0])
    return all(isinstance(column, list) for column in value.values()) and not any(
        isinstance(cell, dict | list) for column in value.values() for cell in column[:3]
    )


def _of_columns(value: dict[str, Any], source: str, where: str) -> list[dict[str, object]]:
    columns = {name: list(column.values()) if isinstance(column, dict) else column for name, column in value.items()}
    lengths = {len(column) for column in columns.values()}
    if len(lengths) > 1 or lengths == {0}:
        raise DataError(f"{source}: {where} holds columns of {sorted(lengths)} values; expected a value for every row in each")
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _next_key(value: dict[str, Any], file: DataFile, at: list[str]) -> str:
    """The key behind which the rows lie: the only one with a list or an object, or the one of the wanted split."""
    inner = [key for key, child in value.items() if isinstance(child, list | dict)]
    if not inner:
        raise DataError(f"{file.source}: no rows in the JSON object with the keys {', '.join(list(value)[:20])}; expected a list")
    key = inner[0] if len(inner) == 1 else choose_part(inner, file.split, file.source)
    at.append(key)
    return key


def _records(values: list[Any], source: str, where: str) -> list[dict[str, object]]:
    if not values:
        raise DataError(f"{source} has no rows; expected at least one in {where}")
    kind = type(values[0])
    if kind not in (dict, list):
        raise DataError(f"{source}: {place(0)} is a JSON {_kind(values[0])}; expected an object")
    for row, value in enumerate(values):
        if type(value) is not kind:
            raise DataError(f"{source}: {place(row)} is a JSON {_kind(value)}; expected an {_kind(values[0])} as in row 0")
    if kind is dict:
        return values
    names = name_two(values)
    if names is None:
        raise DataError(
            f"{source}: rows are lists of {len(values[0])} values without names; expected objects, or lists of a text and a label"
        )
    return [dict(zip(names, value, strict=True)) for value in values]
