"""Our JSON and Parquet files: read in one place, which checks all of it before anything is used."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter

from ..errors import StriataError
from .files import write_text
from .json_text import DepthError, load_json
from .upgrades import current_version, upgrade

if TYPE_CHECKING:
    import pyarrow as pa

MOST_BYTES = 256 * 2**20  # the largest of ours, a stacked ensemble of many runs and labels, has a few megabytes
_HEADER = ("format_version", "checksum")
T = TypeVar("T")


class Exact(BaseModel):
    """Fields of a document: no unknown ones, and no numbers that are none."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document(Generic[T]):
    """A kind of JSON document: an object with `format_version`, the fields of its kind and, where it lies alone, `checksum`.

    Args:
        kind: what upgrades are kept under; see :mod:`striata.disk.upgrades`.
        parse: makes a value of the fields; see :func:`strictly`.
        error: raised when a file cannot be read.
        advice: what to do then, for the end of the message.
        sealed: whether the file lies in a sealed folder, whose manifest has its checksum.
    """

    kind: str
    parse: Callable[[dict[str, Any]], T]
    error: type[StriataError]
    advice: str
    sealed: bool = False

    def write(self, path: Path, fields: Mapping[str, Any]) -> None:
        """Replaces a file in one step.

        Args:
            path: of the file.
            fields: JSON values by name.

        Raises:
            StriataError: the disk is full, or the place cannot be written.
        """
        content = {"format_version": current_version(self.kind)} | {k: v for k, v in fields.items() if k not in _HEADER}
        if not self.sealed:
            content = with_checksum(content)
        write_text(path, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")

    def read(self, path: Path) -> T:
        """What a file holds, checked to the last field.

        Raises:
            StriataError: of the document's kind of error, in one line, with the first thing that is wrong.
        """
        try:
            content = parse_json(_bytes(path))
            if not isinstance(content, dict):
                raise ValueError(f"it holds a JSON {_NAMES.get(type(content), 'value')}; expected an object")
            if not self.sealed and content.get("checksum") != with_checksum(content)["checksum"]:
                raise ValueError("its checksum is not that of its content: it was changed or damaged after it was written")
            fields = {key: value for key, value in content.items() if key not in _HEADER}
            return self.parse(upgrade(self.kind, content.get("format_version"), fields))
        except (OSError, ValueError, StriataError) as error:
            self.refuse(path, error)

    def refuse(self, path: Path, error: Exception) -> NoReturn:
        """Raises the error of a file that cannot be used.

        Args:
            path: of the file.
            error: what is wrong.
        """
        raise self.error(f"{path} cannot be read: {reason_of(error)}; {self.advice}", path=str(path)) from error


def strictly(model: Callable[..., T]) -> Callable[[dict[str, Any]], T]:
    """A parser of fields that are exactly those of a type: every value of its declared type, nothing missing.

    Args:
        model: a pydantic model or a dataclass.
    """

    def parse(fields: dict[str, Any]) -> T:
        value: T = _adapter(model).validate_json(json.dumps(fields), strict=True)
        return value

    return parse


def parse_json(data: bytes, *, finite: bool = True) -> Any:
    """JSON in UTF-8, of which nothing can hurt: no recursion without end, no endless number, no NaN.

    Args:
        data: the text.
        finite: False to let NaN and Infinity pass, which are no JSON but Python's.

    Raises:
        ValueError: it is none; the message says where.
    """
    try:
        return load_json(data.decode("utf-8"), parse_constant=_refuse_constant if finite else None)
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start} is no UTF-8") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"line {error.lineno} column {error.colno} is no JSON ({error.msg})") from error
    except DepthError as error:
        raise ValueError(f"it has {error}") from None


def with_checksum(content: Mapping[str, Any]) -> dict[str, Any]:
    """A document's content with the checksum of its values, whatever their layout in the file."""
    plain = {key: value for key, value in content.items() if key != "checksum"}
    text = json.dumps(plain, sort_keys=True, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return plain | {"checksum": hashlib.sha256(text.encode()).hexdigest()}


def read_columns(path: Path, columns: Mapping[str, str], document: Document[Any]) -> pa.Table:
    """A Parquet file of ours.

    Args:
        path: of the file.
        columns: the columns that must be there, without empty values: their names, and their types as Arrow writes them, as
            regular expressions. All others have to be numbers, which may be empty.
        document: whose error and advice are used.

    Raises:
        StriataError: it is missing, damaged, or has other columns.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:  # three times as fast as `read_table` for files as small as ours
            table = file.read(use_threads=False)
        table.validate(full=True)
        for name, kind in columns.items():
            if name not in table.column_names:
                raise ValueError(f"column {name} is missing")
            if not re.fullmatch(kind, str(table.schema.field(name).type)):
                raise ValueError(f"column {name} has type {table.schema.field(name).type}; expected {kind}")
            if table.column(name).null_count:
                raise ValueError(f"column {name} has {table.column(name).null_count} empty values; expected none")
        for field in table.schema:
            if field.name not in columns and not (pa.types.is_integer(field.type) or pa.types.is_floating(field.type)):
                raise ValueError(f"column {field.name} has type {field.type}; expected numbers")
        return table
    except (OSError, ValueError, pa.ArrowException) as error:
        document.refuse(path, error)


_NAMES = {list: "list", str: "text", int: "number", float: "number", bool: "truth value", type(None): "null"}


@cache
def _adapter(model: Any) -> Any:
    return TypeAdapter(model)


def _bytes(path: Path) -> bytes:
    with open(path, "rb") as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES:,} bytes")
    return data


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def reason_of(error: BaseException) -> str:
    """The first thing that is wrong, in one line."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    problems = getattr(error, "errors", None)
    if callable(problems):  # pydantic's, whose own text has several lines
        first = problems(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        return f"field {place}: {first['msg'][:1].lower()}{first['msg'][1:]}" if place else str(first["msg"])
    return " ".join(str(error).split())
