"""Columns of a source that go on into a result as they are: which, of what types, and their rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pyarrow as pa

from ..errors import DataError, did_you_mean
from .rows import Reader
from .table import Chunk

_PORTION = 8192
_TEXT, _INTEGER = pa.string(), pa.int64()
_NAMED = 20  # columns in a message
_BY_VALUES = {
    frozenset[str](): _TEXT,
    frozenset({"text"}): _TEXT,
    frozenset({"bytes"}): pa.binary(),
    frozenset({"truth"}): pa.bool_(),
    frozenset({"integer"}): _INTEGER,
    frozenset({"long integer"}): _INTEGER,
    frozenset({"integer", "long integer"}): _INTEGER,
    frozenset({"float"}): pa.float64(),
    frozenset({"integer", "float"}): pa.float64(),
}
_KINDS: dict[type, str] = {type(None): "", str: "text", bytes: "bytes", bool: "truth"}


def carried_columns(reader: Reader, only: Sequence[str] = ()) -> dict[str, pa.DataType | None]:
    """The columns of a source that a result keeps, in the source's order, each with its type; None where only the values tell.

    Args:
        reader: of the source.
        only: their names, each entry one or several with commas between them; nothing for all columns.

    Raises:
        DataError: there is no such column, or two that are kept have one name.
    """
    types = reader.types()
    chosen = [name for entry in only for name in ([entry] if entry in types else map(str.strip, entry.split(",")))]
    for name in chosen:
        if name not in types:
            raise DataError(f"{name}: no such column in {reader.source}{_near(name, types)}", argument="only")
    names = [name for name in types if name in chosen] if only else list(types)
    for name in names:
        if list(reader.columns).count(name) > 1:
            raise DataError(
                f"{reader.source}: two columns are named '{name}', and a result can keep one; rename one, or name the columns to "
                "keep with `only`"
            )
    return {name: types[name] for name in names}


def find_id(reader: Reader, choice: str | None) -> str | None:
    """The column that says which row is which: the one of that name, else the only one called id, in small or capital letters.

    Raises:
        DataError: there is no column of that name, or more than one that is called id.
    """
    names = reader.columns
    if choice is not None:
        same = [name for name in names if name == choice] or [name for name in names if name.lower() == choice.lower()]
        if len(same) != 1:
            wrong = f"{len(same)} columns of that name" if same else "no such column"
            raise DataError(f"{choice}: {wrong} in {reader.source}{_near(choice, names)}", argument="id_column")
        return same[0]
    usual = [name for name in names if name.lower() == "id"]
    if len(usual) > 1:
        shown = ", ".join(map(repr, usual))
        raise DataError(f"of {reader.source}: more than one column is called id ({shown}); name one", argument="id_column")
    return usual[0] if usual else None


def _near(name: str, names: Iterable[str]) -> str:
    known = list(names)
    more = f" and {len(known) - _NAMED} more" if len(known) > _NAMED else ""
    return f"{did_you_mean(name, known)}; it has {', '.join(map(repr, known[:_NAMED]))}{more}"


def types_by_values(reader: Reader, types: dict[str, pa.DataType | None]) -> dict[str, pa.DataType | None]:
    """Types with those that only the values tell, for which these are read: text, integers of 64 bits, floats that hold all the
    values, truth values or bytes; None where a column holds anything else, or several of these.

    Raises:
        DataError: a row cannot be read.
    """
    open_ = [name for name, kind in types.items() if kind is None]
    if not open_:
        return types
    kinds: dict[str, set[str]] = {name: set() for name in open_}
    for chunk in reader.chunks(open_, rows=_PORTION):
        for name, values in chunk.values.items():
            kinds[name].update(map(_kind, values))
    return types | {name: _BY_VALUES.get(frozenset(of_one - {""})) for name, of_one in kinds.items()}


def _kind(value: object) -> str:
    """ "" for none."""
    if isinstance(value, float):
        return "" if value != value else "float"
    if isinstance(value, int) and not isinstance(value, bool):
        return "integer" if abs(value) <= 2**53 else "long integer" if -(2**63) <= value < 2**63 else "other"
    return _KINDS.get(type(value), "other")


class Pieces:
    """A source's rows one after the other, in pieces of any size.

    Args:
        reader: of the source.
        names: of the columns.
        rows: that are read at a time.
    """

    def __init__(self, reader: Reader, names: Sequence[str], *, rows: int) -> None:
        self._names, self._first = list(names), 0
        self._chunks = reader.chunks(self._names, rows=rows)
        self._rest: dict[str, list[object]] = {name: [] for name in names}

    def take(self, rows: int) -> Chunk:
        """The next rows, fewer where the source ends.

        Raises:
            DataError: a row cannot be read.
        """
        while len(next(iter(self._rest.values()))) < rows:
            chunk = next(self._chunks, None)
            if chunk is None:
                break
            self._rest = {name: values + chunk.values[name] for name, values in self._rest.items()}
        piece = Chunk(first=self._first, values={name: values[:rows] for name, values in self._rest.items()})
        self._rest = {name: values[rows:] for name, values in self._rest.items()}
        self._first += len(piece)
        return piece
