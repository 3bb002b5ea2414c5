"""Text files without columns: a text in every line, alone or behind its label."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pyarrow as pa

from ..errors import DataError
from .delimited import DelimitedReader
from .dialect import choose_delimiter
from .files import DataFile, joined_form
from .rows import Reader, RowReader
from .table import place
from .usual import USUAL, normal

_MARK = "__label__"
_WORD = re.compile(r"[A-Z][A-Z0-9_]*(:[A-Za-z0-9_]+)?|-?[0-9]{1,2}")  # DESC:manner, POSITIVE, 3


def open_plain_text(file: DataFile) -> Reader:
    """The reader of a .txt file: a table where tabs, or a header with usual names, say so; labels in front of texts, as fastText
    marks them or as words in capitals or numbers that come again; else a text in every line.

    Raises:
        DataError: it cannot be read, or is empty.
    """
    looked = file.survey()
    lines = [line for line in looked.sample.splitlines() if line.strip()]
    if not lines:
        raise DataError(f"{file.source} is empty; expected a text in every line")
    lines = lines if looked.whole or len(lines) < 2 else lines[:-1]
    stated = file.dialect
    delimiter = choose_delimiter(looked.sample, looked.whole, "\t")
    names = [normal(name) for name in lines[0].split(delimiter)]
    is_table = len(names) > 1 and (delimiter == "\t" or bool({*USUAL, *map(normal, file.expected)}.intersection(names)))
    if stated.delimiter is not None or stated.header is not None or stated.quoting is not None or is_table:
        return DelimitedReader(file, "\t")
    if lines[0].startswith(_MARK):
        return MarkedReader(file, looked.encoding, joined_form("labels as fastText marks them", looked.evidence), marked=True)
    if _begin_with_labels(lines):
        return MarkedReader(file, looked.encoding, joined_form("labels in front of the texts", looked.evidence), marked=False)
    return LinesReader(file, looked.encoding, joined_form("a text in every line", looked.evidence))


def _begin_with_labels(lines: list[str]) -> bool:
    words = [line.split(None, 1) for line in lines]
    if len(words) < 4 or any(len(parts) < 2 or not _WORD.fullmatch(parts[0]) for parts in words):
        return False
    return 2 <= len({parts[0] for parts in words}) <= len(words) // 2


class LinesReader(RowReader):
    """A text in every line, in the column `text`.

    Args:
        file: the file.
        encoding: of its text.
        form: what is to be said of it.
    """

    def __init__(self, file: DataFile, encoding: str, form: str) -> None:
        super().__init__(file.source, ("text",), form)
        self._file, self._encoding = file, encoding

    def types(self) -> dict[str, pa.DataType | None]:
        """The texts."""
        return {"text": pa.string()}

    def rows(self) -> Iterator[tuple[int, tuple[str, ...]]]:
        """Every line but blank ones at the end."""
        return ((number, (line,)) for number, line in _lines(self._file, self._encoding))


class MarkedReader(RowReader):
    """A label and a text in every line, in the columns `label` and `text`.

    Args:
        file: the file.
        encoding: of its text.
        form: what is to be said of it.
        marked: whether labels are marked as fastText does (`__label__spam`); else they are the first word.
    """

    def __init__(self, file: DataFile, encoding: str, form: str, *, marked: bool) -> None:
        super().__init__(file.source, ("label", "text"), form)
        self._file, self._encoding, self._marked = file, encoding, marked

    def types(self) -> dict[str, pa.DataType | None]:
        """Labels and texts, both text."""
        return {"label": pa.string(), "text": pa.string()}

    def rows(self) -> Iterator[tuple[int, tuple[str, str]]]:
        """Every line.

        Raises:
            DataError: a line has no label, or several.
        """
        for row, (number, line) in enumerate(_lines(self._file, self._encoding)):
            label, _, text = line.partition(" ") if self._marked else _first_word(line)
            if self._marked:
                if not label.startswith(_MARK):
                    raise self._wrong(row, number, f"does not begin with {_MARK}")
                if text.startswith(_MARK):
                    raise self._wrong(row, number, "has several labels")
                label = label.removeprefix(_MARK)
            yield number, (label, text)

    def _wrong(self, row: int, line: int, what: str) -> DataError:
        return DataError(
            f"{self.source}: {place(row, line)} {what}; expected one label and a text, as in `{_MARK}spam Win it`", row=row
        )


def _first_word(line: str) -> tuple[str, str, str]:
    parts = line.split(None, 1)
    return parts[0] if parts else "", " ", parts[1] if len(parts) > 1 else ""


def _lines(file: DataFile, encoding: str) -> Iterator[tuple[int, str]]:
    """Every line with its number, without its ending; blank ones at the end are left out."""
    blank: list[int] = []
    try:
        with file.lines(encoding) as lines:
            for number, line in enumerate(lines, 1):
                text = line.rstrip("\r\n")
                if not text.strip():
                    blank.append(number)
                    continue
                yield from ((earlier, "") for earlier in blank)
                blank.clear()
                yield number, text
    except UnicodeDecodeError:
        raise file.changed() from None


class ParallelReader(RowReader):
    """Texts in the lines of one file, their labels in the lines of another.

    Args:
        texts: the first.
        labels: the second.

    Raises:
        DataError: one cannot be read.
    """

    def __init__(self, texts: DataFile, labels: DataFile) -> None:
        self._files = texts, labels
        self._encodings = [file.survey().encoding for file in self._files]
        super().__init__(texts.source, ("text", "label"), f"labels from the lines of {labels.path.name}")

    def types(self) -> dict[str, pa.DataType | None]:
        """Texts and labels, both text."""
        return {"text": pa.string(), "label": pa.string()}

    def rows(self) -> Iterator[tuple[int, tuple[str, str]]]:
        """Every pair of lines.

        Raises:
            DataError: one file has more lines than the other.
        """
        texts, labels = (_lines(file, encoding) for file, encoding in zip(self._files, self._encodings, strict=True))
        while True:
            text, label = next(texts, None), next(labels, None)
            if text is None and label is None:
                return
            if text is None or label is None:
                longer, shorter = self._files if label is None else self._files[::-1]
                line = (text or label or (0, ""))[0]
                raise DataError(
                    f"{longer.source} has a line {line} and {shorter.source} has fewer; expected a label in the line of its text"
                )
            yield text[0], (text[1], label[1].strip())
