"""Folders that datasets' `save_to_disk` wrote, read by pyarrow alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from ..errors import DataError
from .arrow import class_label, names_of, reason, rows_of, types_of
from .table import Chunk

_DAMAGE = (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, MemoryError, pa.ArrowException)


def is_saved(folder: Path) -> bool:
    """Whether a folder holds a data set, or one per split, that `save_to_disk` wrote."""
    return (folder / "state.json").is_file() or (folder / "dataset_dict.json").is_file()


def saved_splits(folder: Path) -> tuple[str, ...]:
    """Names of a folder's splits, each in a folder of its own; none where the folder is one data set.

    Raises:
        DataError: the list of splits is damaged.
    """
    if (folder / "state.json").is_file():
        return ()
    try:
        return tuple(str(name) for name in _json(folder / "dataset_dict.json")["splits"])
    except _DAMAGE as error:
        raise _damaged(folder, error) from None


class SavedReader:
    """Rows of one data set, memory-mapped.

    Args:
        folder: with `state.json`, `dataset_info.json` and the Arrow files that the first of them lists.

    Raises:
        DataError: a file is missing or damaged.
    """

    form = ""

    def __init__(self, folder: Path) -> None:
        self.source = str(folder)
        self._folder = folder
        try:
            names = [str(file["filename"]) for file in _json(folder / "state.json")["_data_files"]]
            self._features: dict[str, Any] = dict(_json(folder / "dataset_info.json").get("features") or {})
            self._table = pa.concat_tables(pa.ipc.open_stream(pa.memory_map(str(folder / name))).read_all() for name in names)
        except _DAMAGE as error:
            raise _damaged(folder, error) from None
        self.columns: tuple[str, ...] = names_of(self._table.schema, self.source)

    def declared(self, column: str) -> tuple[str, ...] | None:
        """Label names of a ClassLabel column."""
        return class_label(self._features.get(column))

    def types(self) -> dict[str, pa.DataType | None]:
        """Every column with its type."""
        return types_of(self._table.schema)

    def chunks(self, names: Sequence[str], *, rows: int, skip: int = 0) -> Iterator[Chunk]:
        """Rows in portions of at most `rows`, from row `skip` on; memory does not grow with the data set.

        Raises:
            DataError: the rows are damaged.
        """
        for first in range(skip, self._table.num_rows, rows):
            try:
                part = self._table.slice(first, rows).select(list(names))
            except (LookupError, ValueError, pa.ArrowException) as error:
                raise _damaged(self._folder, error) from None
            yield rows_of(part, names, self.source, first)


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _damaged(folder: Path, error: Exception) -> DataError:
    return DataError(f"folder {folder} cannot be read as a data set ({type(error).__name__}: {reason(error)}); write it again")
