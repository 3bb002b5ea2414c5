"""CSV, TSV and JSON Lines, a row at a time, with row and line for every complaint."""

from __future__ import annotations

import codecs
import csv
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from ..errors import DataError
from .table import Chunk, place

_FIELD_LIMIT = 2**31 - 1
_LONE_RETURN = re.compile(r"[^\r]*\r(?!\n)|.+", re.DOTALL)
_WIDE = ((codecs.BOM_UTF32_LE, "UTF-32"), (codecs.BOM_UTF16_LE, "UTF-16"), (codecs.BOM_UTF16_BE, "UTF-16"))


class _Lines:
    """Decoded lines of an open file; knows the line it is on and the row it is in."""

    def __init__(self, file: BinaryIO, source: str, row: int) -> None:
        self._file, self._source = file, source
        self.line, self.row = 0, row  # row -1 is the header

    def __iter__(self) -> Iterator[str]:
        for raw in self._file:
            self.line += 1
            if self.line == 1:
                raw = self._without_mark(raw)
            try:
                text = raw.decode()
            except UnicodeDecodeError as error:
                raise DataError(
                    f"{self._source}: {self.where()}: byte 0x{raw[error.start]:02x} is not UTF-8; "
                    "expected a file in UTF-8; convert it (for what Windows writes: `iconv -f cp1252 -t utf-8`)"
                ) from None
            if "\r" in text[:-2]:
                yield from _LONE_RETURN.findall(text)
            else:
                yield text

    def where(self) -> str:
        return f"header (line {self.line})" if self.row < 0 else place(self.row, self.line)

    def _without_mark(self, raw: bytes) -> bytes:
        for mark, name in _WIDE:
            if raw.startswith(mark):
                raise DataError(f"{self._source} is in {name}; expected UTF-8; save it as UTF-8")
        return raw.removeprefix(codecs.BOM_UTF8)


def open_binary(path: Path, source: str) -> BinaryIO:
    """Opens a file for reading bytes.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return open(path, "rb")
    except OSError as error:
        raise DataError(f"cannot read {source}: {error.strerror or error}; choose a file that can be read") from error


class DelimitedReader:
    """Rows of a CSV or TSV file with a header.

    Args:
        path: the file.
        delimiter: between fields.

    Raises:
        DataError: the file cannot be read or has no header.
    """

    def __init__(self, path: Path, delimiter: str) -> None:
        self._path, self._delimiter, self.source = path, delimiter, str(path)
        for _, fields in self._records():
            self.columns: tuple[str, ...] = tuple(fields)
            return
        raise DataError(f"{self.source} is empty; expected a header and rows below it")

    def declared(self, column: str) -> tuple[str, ...] | None:
        """Label names of a column: such files declare none."""
        return None

    def types(self) -> dict[str, pa.DataType | None]:
        """Every column: all are texts."""
        return dict.fromkeys(self.columns, pa.string())

    def chunks(self, names: Sequence[str], *, rows: int, skip: int = 0) -> Iterator[Chunk]:
        """Rows in portions of at most `rows`, from row `skip` on; memory does not grow with the file.

        Raises:
            DataError: bytes are not UTF-8, or a row is broken.
        """
        places = [self.columns.index(name) for name in names]
        values: list[list[object]] = [[] for _ in places]
        lines: list[int] = []
        first = skip
        for number, (line, fields) in enumerate(self._records(), -1):
            if number < first:
                continue
            lines.append(line)
            for column, index in zip(values, places, strict=True):
                column.append(fields[index])
            if len(lines) == rows:
                yield Chunk(first=first, values=dict(zip(names, values, strict=True)), lines=lines)
                first, values, lines = first + rows, [[] for _ in places], []
        if lines:
            yield Chunk(first=first, values=dict(zip(names, values, strict=True)), lines=lines)

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """The header and every row, each with the line it starts on."""
        csv.field_size_limit(_FIELD_LIMIT)
        with open_binary(self._path, self.source) as file:
            lines = _Lines(file, self.source, row=-1)
            reader = csv.reader(iter(lines), delimiter=self._delimiter, strict=True)
            width = blank = 0
            start = 1
            while True:
                try:
                    fields = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    where = "header" if lines.row < 0 else place(lines.row, start)
                    reason = str(error).replace("'\t'", "a tab")
                    raise DataError(
                        f"{self.source}: {where}: {reason}; expected quotes only around a whole field and "
                        'doubled ("") inside it; correct the row'
                    ) from None
                if not fields:
                    blank = blank or start
                elif blank:
                    raise DataError(
                        f"{self.source}: line {blank} is blank, before {place(max(lines.row, 0), start)}; "
                        "expected a row in every line; delete the blank line"
                    )
                else:
                    if lines.row >= 0 and len(fields) != width:
                        raise DataError(
                            f"{self.source}: {place(lines.row, start)} has {len(fields)} fields; expected {width} "
                            "as in the header; quote fields that hold the delimiter or a line break"
                        )
                    width = width or len(fields)
                    yield start, fields
                    lines.row += 1
                start = lines.line + 1


class JsonLinesReader:
    """Rows of a JSON Lines file: one object per line; the first one's keys are the columns.

    Args:
        path: the file.

    Raises:
        DataError: the file cannot be read or its first line is no JSON object.
    """

    def __init__(self, path: Path) -> None:
        self._path, self.source = path, str(path)
        for _, record in self._records():
            self.columns: tuple[str, ...] = tuple(record)
            return
        raise DataError(f"{self.source} is empty; expected one JSON object per line")

    def declared(self, column: str) -> tuple[str, ...] | None:
        """Label names of a column: such files declare none."""
        return None

    def types(self) -> dict[str, pa.DataType | None]:
        """Every key of any line, for which the file is read; only the values tell its type."""
        return dict.fromkeys(key for _, record in self._records() for key in record)

    def chunks(self, names: Sequence[str], *, rows: int, skip: int = 0) -> Iterator[Chunk]:
        """Rows in portions of at most `rows`, from row `skip` on; memory does not grow with the file.

        Raises:
            DataError: bytes are not UTF-8, or a line is no JSON object.
        """
        values: dict[str, list[object]] = {name: [] for name in names}
        lines: list[int] = []
        first = skip
        for number, (line, record) in enumerate(self._records()):
            if number < first:
                continue
            lines.append(line)
            for name in names:
                values[name].append(record.get(name))
            if len(lines) == rows:
                yield Chunk(first=first, values=values, lines=lines)
                first, values, lines = first + rows, {name: [] for name in names}, []
        if lines:
            yield Chunk(first=first, values=values, lines=lines)

    def _records(self) -> Iterator[tuple[int, dict[str, object]]]:
        with open_binary(self._path, self.source) as file:
            lines = _Lines(file, self.source, row=0)
            blank = 0
            for text in lines:
                if not text.strip():
                    blank = blank or lines.line
                    continue
                if blank:
                    raise DataError(
                        f"{self.source}: line {blank} is blank, before {lines.where()}; "
                        "expected a JSON object in every line; delete the blank line"
                    )
                yield lines.line, self._parse(text, lines.where())
                lines.row += 1

    def _parse(self, text: str, where: str) -> dict[str, object]:
        try:
            record = json.loads(text)
        except (ValueError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else type(error).__name__
            raise DataError(f"{self.source}: {where} is not JSON ({reason}); expected one JSON object per line") from None
        if not isinstance(record, dict):
            raise DataError(f"{self.source}: {where} is a JSON {type(record).__name__}; expected an object")
        return record
