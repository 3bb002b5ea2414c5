"""Excel workbooks, through openpyxl."""

from __future__ import annotations

import datetime
import io
from collections.abc import Iterator, Sequence
from typing import Any

from ..errors import DataError
from ..extras import require
from .compressed import open_binary
from .files import DataFile, joined_form
from .parts import choose_part
from .rows import RowReader


class WorkbookReader(RowReader):
    """Rows of one sheet of a workbook (.xlsx); formulas count as the values that were last computed.

    Args:
        file: the file; its part is the sheet. Without, it is the only sheet with rows, or the one called as the split.

    Raises:
        DataError: it is no workbook, or there is no such sheet.
        ExtraError: openpyxl is not installed.
    """

    def __init__(self, file: DataFile) -> None:
        require(f"{file.source}: Excel", "openpyxl")
        self._file = file
        self._book: Any = self._opened()
        filled = [sheet.title for sheet in self._book.worksheets if next(_filled(sheet), None) is not None]
        if file.part and file.part not in self._book.sheetnames:
            raise DataError(
                f"{file.source} has no sheet '{file.part}' among {', '.join(self._book.sheetnames)}; name one of them"
            )
        if not filled:
            raise DataError(f"{file.source} is empty; expected a header and rows below it")
        self._sheet = file.part or choose_part(filled, file.split, file.source)
        stated = file.dialect.header
        _, first = next(_filled(self._book[self._sheet]))
        self._header = not isinstance(stated, tuple) and stated is not False
        names = [str(cell) if cell is not None else "" for cell in first]
        if isinstance(stated, tuple):
            if len(stated) != len(first):
                raise DataError(
                    f"{file.source} has {len(first)} columns, and header names {len(stated)}; expected a name for each"
                )
            names = list(stated)
        elif stated is False:
            names = [f"column {number}" for number in range(1, len(first) + 1)]
        others = [name for name in filled if name != self._sheet]
        left = f"sheets not read: {', '.join(others)}" if others else ""
        super().__init__(file.source, names, joined_form(f"sheet '{self._sheet}'", "" if self._header else "no header", left))

    def _opened(self) -> Any:
        import openpyxl

        zipped = self._file.path.suffix.lower() == ".xlsx"  # which is an archive itself
        with open_binary(self._file.path, self._file.source) if zipped else self._file.open() as file:
            data = file.read()
        try:
            return openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        except Exception as error:  # openpyxl raises whatever its parsers do
            reason = " ".join(str(error).split())[:120] or type(error).__name__
            raise DataError(
                f"{self._file.source} cannot be read as an Excel workbook ({reason}); save it again as .xlsx or CSV"
            ) from None

    def rows(self) -> Iterator[tuple[int, Sequence[object]]]:
        """Every row that is not blank, with its line in the sheet."""
        rows = _filled(self._book[self._sheet])
        if self._header:
            next(rows, None)
        width = len(self.columns)
        for line, cells in rows:
            yield line, [_plain(cell) for cell in (*cells, *[None] * (width - len(cells)))]


def _filled(sheet: Any) -> Iterator[tuple[int, tuple[object, ...]]]:
    for line, cells in enumerate(sheet.iter_rows(values_only=True), 1):
        if any(cell is not None for cell in cells):
            yield line, cells


def _plain(cell: object) -> object:
    return cell.isoformat() if isinstance(cell, datetime.date | datetime.time | datetime.datetime) else cell
