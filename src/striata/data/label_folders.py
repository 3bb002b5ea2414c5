"""A folder of texts for each label, as scikit-learn and Keras have it: the folder's name is the label of every file in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from .encodings import text_lines
from .files import DataFile, ending_of, joined_form
from .parts import NAMES
from .rows import RowReader

_NUMBERED = ".0123456789"
_SHOWN = 5


def text_folders(folder: Path, files: Sequence[Path]) -> dict[Path, str] | None:
    """The label of each text of a folder that holds one per label, perhaps below train and test; None where it is no such folder.

    Args:
        folder: the folder.
        files: all that lie in it, whatever they are.
    """
    words = {word for names in NAMES.values() for word in names}
    inner = [path for path in files if path.parent != folder and _is_text(path) and path.parent.name.lower() not in words]
    tables = [path for path in files if not _is_text(path) and ending_of(path) is not None]
    labels = {path: path.parent.name for path in inner}
    if len(set(labels.values())) < 2 or tables or len({len(path.relative_to(folder).parts) for path in inner}) > 1:
        return None
    return labels


def _is_text(path: Path) -> bool:
    return path.suffix.lower() in (".txt", "") or not path.suffix.strip(_NUMBERED)


def not_read(names: Sequence[str]) -> str:
    """What is said of files that are not read; empty where there are none."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"files not read: {', '.join(names[:_SHOWN])}{more}" if names else ""


class LabelFoldersReader(RowReader):
    """Files of which each is a text, in the order of their paths, in the columns `text`, `label` and `file`.

    Args:
        source: the folder, for messages.
        files: the files.
        labels: of each.
        left: names of files that are not read.
    """

    lines = False

    def __init__(self, source: str, files: Sequence[DataFile], labels: Sequence[str], left: Sequence[str]) -> None:
        form = joined_form(f"{len(files):,} files in a folder per label", not_read(left))
        super().__init__(source, ("text", "label", "file"), form)
        self._files, self._labels = files, labels

    def types(self) -> dict[str, pa.DataType | None]:
        """All are texts."""
        return dict.fromkeys(self.columns, pa.string())

    def rows(self) -> Iterator[tuple[int, tuple[str, str, str]]]:
        """Every file's text, with its label and its name.

        Raises:
            DataError: a file cannot be read or decoded.
        """
        for file, label in zip(self._files, self._labels, strict=True):
            with text_lines(file.open, file.survey().encoding) as lines:
                yield 0, (lines.read(), label, file.source)
