"""Folders of data files: which file belongs to which part of the data, and several files read one behind the other."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from ..choices import READERS
from ..errors import DataError
from .table import Chunk

PREDICTED = ".predicted.csv"  # how a file of predictions ends that got no other name
NAMES = {  # of the parts of a data set, of their files and folders, as datasets has it
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}


class Reader(Protocol):
    """Rows of a source."""

    source: str
    columns: tuple[str, ...]

    def declared(self, column: str) -> tuple[str, ...] | None:
        """Label names of a column, where the source declares them."""

    def types(self) -> dict[str, pa.DataType | None]:
        """Every column with its type; None where only its values tell."""

    def chunks(self, names: Sequence[str], *, rows: int, skip: int = 0) -> Iterator[Chunk]:
        """Rows of some columns in portions of at most `rows`, from row `skip` on."""


class FilesReader:
    """Rows of several files with the same columns, one behind the other.

    Args:
        source: the folder they lie in, for messages.
        readers: of the files, in order.

    Raises:
        DataError: they differ in their columns or in the labels they declare.
    """

    def __init__(self, source: str, readers: Sequence[Reader]) -> None:
        first, *others = readers
        self.source, self.columns, self._readers = source, first.columns, readers
        for other in others:
            if set(other.columns) != set(first.columns):
                raise DataError(
                    f"{other.source} has the columns {', '.join(other.columns)}, {first.source} has {', '.join(first.columns)}; "
                    "expected the same columns in all files of a folder; name one of them"
                )
            if any(other.declared(column) != first.declared(column) for column in first.columns):
                raise DataError(f"{other.source} declares other labels than {first.source}; expected the same; name one of them")

    def declared(self, column: str) -> tuple[str, ...] | None:
        """Label names of a column, where the files declare them."""
        return self._readers[0].declared(column)

    def types(self) -> dict[str, pa.DataType | None]:
        """Every column of any of the files with its type; None where they differ in it, or only the values tell."""
        types: dict[str, pa.DataType | None] = {}
        for reader in self._readers:
            types |= {name: kind if types.get(name, kind) == kind else None for name, kind in reader.types().items()}
        return types

    def chunks(self, names: Sequence[str], *, rows: int, skip: int = 0) -> Iterator[Chunk]:
        """Rows in portions of at most `rows`, from row `skip` on; a portion ends where a file ends."""
        at = 0
        for reader in self._readers:
            for chunk in reader.chunks(names, rows=rows):
                past = min(max(0, skip - at), len(chunk))
                if past < len(chunk):
                    yield Chunk(first=at + past, values={name: values[past:] for name, values in chunk.values.items()})
                at += len(chunk)


def data_files(folder: Path) -> dict[str, list[Path]]:
    """Files of a folder and of the folders in it, by the part of the data that their names say; all are "train" where none does.

    Files of predictions that got no other name (`NAME.predicted.csv`) are not data.

    Raises:
        DataError: there are none, or files of several formats.
    """
    files = [path for pattern in ("*", "*/*") for path in sorted(folder.glob(pattern)) if path.suffix.lower() in READERS]
    files = [path for path in files if path.is_file() and not path.relative_to(folder).as_posix().startswith((".", "_"))]
    files = [path for path in files if not path.name.endswith(PREDICTED)]
    if not files:
        raise DataError(
            f"folder {folder} holds no data; expected one that save_to_disk wrote, or data files ({', '.join(READERS)})"
        )
    kinds = sorted({path.suffix.lower() for path in files})
    if len(kinds) > 1:
        raise DataError(f"folder {folder} holds files of several formats ({', '.join(kinds)}); name one of its files")
    parts: dict[str, list[Path]] = {}
    for path in files:
        if part := _part_of(path.relative_to(folder)):
            parts.setdefault(part, []).append(path)
    return parts or {"train": files}


def _part_of(path: Path) -> str | None:
    """Of a file's name, or else of its folder's."""
    for name in (path.stem, *(parent.name for parent in path.parents)):
        for part, words in NAMES.items():
            if re.search(rf"(?<![a-z])({'|'.join(words)})(?![a-z])", name.lower()):
                return part
    return None
