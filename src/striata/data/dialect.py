"""How a table is written as text: what stands between fields, what quotes mean, whether the first line is a header."""

from __future__ import annotations

import codecs
import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import StringIO

from ..choices import QUOTINGS
from ..errors import DataError
from .usual import USUAL, normal

DELIMITERS = (",", ";", "\t", "|")
_WORDS = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "space": " "}
_SHOWN = {"\t": "tabs", ",": "commas", ";": "semicolons", "|": "pipes", " ": "spaces"}
_SAMPLED = 2000  # records by which the form of a file is judged
_SEP = re.compile(r"sep=(.)\r?\n")
_SHORT = 64  # letters of a value that may be a label


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """What is stated of how files are written; None for what is to be determined from the file itself.

    Args:
        delimiter: what stands between fields: one character, or tab, comma, semicolon, pipe, space.
        quoting: of :data:`striata.choices.QUOTINGS`.
        encoding: of the text, by Python's name: utf-8, utf-16, cp1252, ...
        header: whether the first line is one, or the names of all columns where there is none.

    Raises:
        DataError: there is no such delimiter, quoting or encoding.
    """

    delimiter: str | None = None
    quoting: str | None = None
    encoding: str | None = None
    header: bool | tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.delimiter is not None:
            character = _WORDS.get(self.delimiter, self.delimiter)
            if len(character) != 1 or character in '"\r\n':
                raise DataError(f"delimiter is {self.delimiter!r}; expected one character, or {', '.join(_WORDS)}")
            object.__setattr__(self, "delimiter", character)
        if self.quoting is not None:
            QUOTINGS.check(self.quoting, DataError)
        if self.encoding is not None and not is_encoding(self.encoding):
            raise DataError(f"encoding '{self.encoding}' is not known; expected utf-8, utf-16, cp1252 or another one of Python's")
        if isinstance(self.header, tuple) and len(set(self.header)) < len(self.header):
            raise DataError(f"header names a column twice ({', '.join(self.header)}); expected different names")

    def to_json(self) -> dict[str, object]:
        """What is stated, by name; nothing for what is not."""
        header = list(self.header) if isinstance(self.header, tuple) else self.header
        stated = {"delimiter": self.delimiter, "quoting": self.quoting, "encoding": self.encoding, "header": header}
        return {name: value for name, value in stated.items() if value is not None}


def is_encoding(name: str) -> bool:
    """Whether Python knows a text encoding of that name."""
    try:
        "".encode(name)
        return codecs.lookup(name) is not None
    except (LookupError, UnicodeError):
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How one file is written.

    Args:
        delimiter: between fields.
        quoted: whether quotes around a field are not part of it.
        skip: lines before the first record.
        columns: names; of the header, or stated, or found.
        header: whether the first record is a header.
        values: short values of each column in the records looked at.
    """

    delimiter: str
    quoted: bool
    skip: int
    columns: tuple[str, ...]
    header: bool
    values: tuple[frozenset[str], ...]

    def shown(self, usual: str) -> str:
        """What differs from a file with a header, separated as usual, in words."""
        parts = [] if self.delimiter == usual else [f"separated by {_SHOWN.get(self.delimiter, repr(self.delimiter))}"]
        parts += [] if self.quoted else ["quotes are part of the text"]
        parts += [] if self.header else ["no header"]
        return ", ".join(parts)


def records(lines: Iterable[str], delimiter: str, quoted: bool) -> Iterator[list[str]]:
    """Fields of the records of a file, blank lines left out.

    Raises:
        csv.Error: quotes are not where they may be.
    """
    reader = csv.reader(lines, delimiter=delimiter, strict=True, quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE)
    return (fields for fields in reader if fields)


def sep_line(sample: str) -> str | None:
    """The delimiter that a first line `sep=;` names, which Excel writes and reads; None where there is none."""
    match = _SEP.match(sample)
    return match[1] if match else None


def choose_delimiter(sample: str, whole: bool, usual: str) -> str:
    """What stands between the fields of a file: its usual delimiter, unless only another one divides all records alike.

    Args:
        sample: the beginning of the file, behind a line `sep=`.
        whole: whether that is all.
        usual: of a file with such a name.
    """
    first = sample.splitlines()[0] if sample else ""
    candidates = [mark for mark in dict.fromkeys((usual, *DELIMITERS)) if mark in first]
    if not candidates or candidates == [usual]:
        return usual
    alike = [mark for mark in candidates if any(_are_alike(sample, whole, mark, quoted) for quoted in (True, False))]
    return alike[0] if alike else candidates[0]


def _sampled(sample: str, whole: bool, delimiter: str, quoted: bool) -> list[list[str]]:
    """The first records; the last one of a part of a file is cut, and left out.

    Raises:
        csv.Error: quotes are not where they may be.
    """
    result: list[list[str]] = []
    try:
        for fields in records(StringIO(sample, newline=""), delimiter, quoted):
            result.append(fields)
            if len(result) > _SAMPLED:
                return result
    except csv.Error as error:
        if whole or "unexpected end" not in str(error):
            raise
        return result
    return result if whole else result[:-1]


def _are_alike(sample: str, whole: bool, delimiter: str, quoted: bool) -> bool:
    """Whether all records have the same number of fields, and more than one."""
    try:
        widths = {len(fields) for fields in _sampled(sample, whole, delimiter, quoted)}
    except csv.Error:
        return False
    return len(widths) == 1 and widths.pop() > 1


def are_quoted(lines: Iterable[str], delimiter: str) -> bool:
    """Whether a file's quotes stand around fields and are not part of them, as far as that can be seen.

    They do where all of the file can be read so and a quote was needed (around a delimiter, a line break or another quote), or
    stands around all fields of a column. A program that writes quotes where they are needed would not have written others.

    Args:
        lines: the whole file.
        delimiter: between fields.
    """
    raw: list[str] = []

    def recorded() -> Iterator[str]:
        for line in lines:
            raw.append(line)
            yield line

    needed, width = False, 0
    always: list[bool] = []
    values: list[set[str]] = []
    try:
        for number, fields in enumerate(records(recorded(), delimiter, True)):
            line, several = raw[-1], len([part for part in raw if part.strip("\r\n")]) > 1
            raw.clear()
            width = width or len(fields)
            values = values or [set() for _ in fields]
            if len(fields) != width:
                return False
            if several and swallowed(fields, delimiter, values):
                return False
            if several or any(delimiter in field for field in fields):
                needed = True
                continue
            parts = line.rstrip("\r\n").split(delimiter)
            marked = [part.startswith('"') for part in parts]
            needed = needed or line.count('"') - sum(field.count('"') for field in fields) > 2 * sum(marked)
            if number:
                always = [one and other for one, other in zip(always, marked, strict=True)] if always else marked
            for column, field in zip(values, fields, strict=True):
                if len(field) <= _SHORT and len(column) < _SAMPLED:
                    column.add(field)
    except csv.Error:
        return False
    return needed or any(always)


def swallowed(fields: Sequence[str], delimiter: str, values: Sequence[frozenset[str] | set[str]]) -> str | None:
    """A line inside of a field that looks like a record of its own; None where there is none.

    Args:
        fields: of one record, of which a field holds line breaks.
        delimiter: between fields.
        values: of each column, in other records: one of the line's fields has to be among them.
    """
    for field in fields:
        for line in field.splitlines()[1:-1]:
            parts = line.split(delimiter)
            if len(parts) == len(values) > 1 and any(p and p in known for p, known in zip(parts, values, strict=True)):
                return line
    return None


def find_form(
    sample: str, whole: bool, stated: Dialect, usual: str, expected: Iterable[str], source: str, quoted: Iterable[str] | bool
) -> Form:
    """How a file is written.

    Args:
        sample: the beginning of the file.
        whole: whether that is all.
        stated: what the user says of it.
        usual: delimiter of a file with such a name.
        expected: names of columns that are looked for.
        source: for messages.
        quoted: the whole file's lines, to see what quotes mean; True where there are none.

    Raises:
        DataError: it is empty, or has no header and its columns no names.
    """
    mark = sep_line(sample)
    if mark:
        sample = sample.split("\n", 1)[1]
    delimiter = stated.delimiter or mark or choose_delimiter(sample, whole, usual)
    if stated.quoting is not None:
        are = stated.quoting == "quoted"
    else:
        are = delimiter in ",; " or quoted is True or are_quoted(_behind(quoted, bool(mark)), delimiter)
    try:
        rows = _sampled(sample, whole, delimiter, are)
    except csv.Error:  # of which reading says the row
        rows = list(records(sample.splitlines(keepends=True)[:1], delimiter, False))
    if not rows:
        raise DataError(f"{source} is empty; expected a header and rows below it")
    columns, header = _columns(rows, stated, [normal(name) for name in expected], source)
    body = [row for row in rows[int(header) :] if len(row) == len(columns) and not any("\n" in field for field in row)]
    values = tuple(frozenset(row[at] for row in body if 0 < len(row[at]) <= _SHORT) for at in range(len(columns)))
    return Form(delimiter=delimiter, quoted=are, skip=int(bool(mark)), columns=columns, header=header, values=values)


def _behind(lines: Iterable[str] | bool, skip: bool) -> Iterator[str]:
    iterator = iter(()) if isinstance(lines, bool) else iter(lines)
    if skip:
        next(iterator, None)
    return iterator


def _columns(rows: list[list[str]], stated: Dialect, expected: Sequence[str], source: str) -> tuple[tuple[str, ...], bool]:
    """Names of the columns, and whether the first record holds them."""
    first = rows[0]
    if isinstance(stated.header, tuple):
        if len(stated.header) != len(first):
            raise DataError(
                f"{source} has {len(first)} fields in its first line, and header names {len(stated.header)} columns "
                f"({', '.join(stated.header)}); expected a name for every column"
            )
        return stated.header, False
    if stated.header is True or (stated.header is None and any(normal(name) in (*expected, *USUAL) for name in first)):
        return tuple(first), True
    again = next((at for at, field in enumerate(first) if field and any(row[at : at + 1] == [field] for row in rows[1:])), None)
    if stated.header is None and (again is None or len(first) < 2):
        return tuple(first), True
    if (names := name_two(rows)) is not None:
        return names, False
    seen = "" if again is None else f": '{first[again][:40]}' stands in column {again + 1} of its first line and of others"
    raise DataError(
        f"{source} has no header{seen}; name its {len(first)} columns in order with `data.header` (for instance "
        "`header: [label, title, text]`), or say `header: true` if the first line is one"
    )


def name_two(rows: Sequence[Sequence[object]]) -> tuple[str, str] | None:
    """Names of two columns without any: "label" for the one with few values, "text" for the one with many; None where that
    cannot be told."""
    if any(len(row) != 2 for row in rows) or len(rows) < 2:
        return None
    first, second = (len(Counter(str(row[at]) for row in rows)) for at in (0, 1))
    if 2 * first <= second:
        return "label", "text"
    return ("text", "label") if 2 * second <= first else None
