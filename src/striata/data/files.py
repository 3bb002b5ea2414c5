"""One file of data: where it lies, what messages call it, and what is known of how it is written."""

from __future__ import annotations

from dataclasses import dataclass, field
from io import TextIOWrapper
from pathlib import Path
from typing import Any, BinaryIO

from ..choices import COMPRESSIONS, READERS
from ..errors import DataError
from . import encodings
from .compressed import map_plain, member_name, open_plain
from .dialect import Dialect


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """A file.

    Args:
        path: where it lies.
        source: what messages call it.
        part: what stood behind a colon: a path in JSON, a sheet, a configuration; empty for none.
        split: which part of several is read: "train", "validation" or "test".
        dialect: what the user says of how it is written.
        expected: names of columns that the user wants.
    """

    path: Path
    source: str
    part: str = ""
    split: str = "train"
    dialect: Dialect = field(default_factory=Dialect)
    expected: tuple[str, ...] = ()

    @classmethod
    def of(cls, path: Path) -> DataFile:
        """A file of which nothing is said."""
        return cls(path=path, source=str(path))

    @property
    def ending(self) -> str:
        """The format's ending, of :data:`striata.choices.READERS`, below that of a compression.

        Raises:
            DataError: the format is not known.
        """
        kind = ending_of(self.path)
        if kind is None and self.path.suffix.lower() == ".zip":
            kind = ending_of(Path(member_name(self.path, self.source)))
        if kind is None:
            name = self.path.suffix.lower() or self.path.name
            raise DataError(
                f"{self.source}: format '{name}' is not known; expected a file ending in {', '.join(READERS)}, as it is or "
                f"compressed ({', '.join(COMPRESSIONS)})"
            )
        return kind

    def open(self) -> BinaryIO:
        """Its bytes, decompressed, from the first on."""
        return open_plain(self.path, self.source)

    def mapped(self) -> Any:
        """Its bytes, decompressed, as Arrow reads them in any order."""
        return map_plain(self.path, self.source)

    def survey(self) -> encodings.Survey:
        """A look at all of its text.

        Raises:
            DataError: it cannot be decoded.
        """
        return encodings.survey(self.open, self.source, self.dialect.encoding)

    def lines(self, encoding: str) -> TextIOWrapper:
        """Its lines with their endings."""
        return encodings.text_lines(self.open, encoding)

    def changed(self) -> DataError:
        """What is said where it no longer holds what it held when it was opened."""
        return DataError(f"{self.source} has changed while it was read; run the same command again")


def ending_of(path: Path) -> str | None:
    """The ending of a file's name that names its format, compression left out; None where there is none."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSIONS:
        suffixes.pop()
    return suffixes[-1] if suffixes and suffixes[-1] in READERS else None


def joined_form(*parts: str) -> str:
    """Several things to say of how a file is written, as one."""
    return ", ".join(part for part in parts if part)
