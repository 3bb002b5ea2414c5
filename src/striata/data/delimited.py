"""CSV, TSV and their relatives, a row at a time, with row and line for every complaint."""

from __future__ import annotations

import csv
from collections.abc import Iterator

import pyarrow as pa

from ..errors import DataError
from .dialect import find_form, swallowed
from .files import DataFile, joined_form
from .rows import RowReader
from .table import place

_FIELD_LIMIT = 2**31 - 1


class DelimitedReader(RowReader):
    """Rows of a table in a text file.

    Args:
        file: the file.
        delimiter: that files with such a name usually have.

    Raises:
        DataError: the file cannot be read, is empty, or has no header and no names for its columns.
    """

    def __init__(self, file: DataFile, delimiter: str) -> None:
        csv.field_size_limit(_FIELD_LIMIT)
        self._file, looked = file, file.survey()
        self._encoding = looked.encoding
        with file.lines(looked.encoding) as lines:
            quoted = lines if looked.quotes else True
            self._form = find_form(looked.sample, looked.whole, file.dialect, delimiter, file.expected, file.source, quoted)
        form = joined_form(self._form.shown(delimiter), looked.evidence)
        super().__init__(file.source, self._form.columns, form)
        for _ in self._records():  # raises what is wrong with the first record
            break

    def types(self) -> dict[str, pa.DataType | None]:
        """Every column: all are texts."""
        return dict.fromkeys(self.columns, pa.string())

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Every row with the line it starts on.

        Raises:
            DataError: a row is broken.
        """
        records = self._records()
        if self._form.header:
            next(records, None)
        return records

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        form = self._form
        row, blank = -1 if form.header else 0, 0
        with self._file.lines(self._encoding) as lines:
            for _ in range(form.skip):
                next(lines, None)
            reader = csv.reader(
                lines, delimiter=form.delimiter, strict=True, quoting=csv.QUOTE_MINIMAL if form.quoted else csv.QUOTE_NONE
            )
            while True:
                start = form.skip + reader.line_num + 1
                try:
                    fields = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    raise self._broken(error, row, start) from None
                except UnicodeDecodeError:
                    raise self._file.changed() from None
                if not fields:
                    blank = blank or start
                    continue
                if blank:
                    raise DataError(
                        f"{self.source}: line {blank} is blank, before {place(max(row, 0), start)}; "
                        "expected a row in every line; delete the blank line"
                    )
                if row >= 0:
                    self._check(fields, row, start, form.skip + reader.line_num)
                yield start, fields
                row += 1

    def _check(self, fields: list[str], row: int, start: int, end: int) -> None:
        if len(fields) != len(self.columns):
            raise DataError(
                f"{self.source}: {place(row, start)} has {len(fields)} fields; expected {len(self.columns)} "
                "as in the header; quote fields that hold the delimiter or a line break"
            )
        stated = self._file.dialect.quoting is not None
        if end - start > 1 and not stated and (line := swallowed(fields, self._form.delimiter, self._form.values)) is not None:
            shown = repr(line if len(line) <= 60 else line[:57] + "...")
            raise DataError(
                f"{self.source}: {place(row, start)} runs to line {end} and has a row inside of it, {shown}, because of a quote; "
                "expected quotes only around a whole field; correct the row, or say `data.quoting: none` where quotes are part "
                "of the text, `quoted` if it is right as it is",
                row=row,
            )

    def _broken(self, error: csv.Error, row: int, start: int) -> DataError:
        where = f"header (line {start})" if row < 0 else place(row, start)
        reason = str(error).replace("'\t'", "a tab")
        if "unexpected end" in reason:
            reason = "the file ends inside of a field that a quote opens here"
        return DataError(
            f"{self.source}: {where}: {reason}; expected quotes only around a whole field and "
            'doubled ("") inside it; correct the row, or say `data.quoting: none` where quotes are part of the text'
        )
