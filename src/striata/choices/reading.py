"""Forms of data files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .choice import Choice, Choices


@dataclass(frozen=True, slots=True)
class ReaderChoice(Choice):
    """A format of data files, by the end of the file's name.

    Args:
        reader: what opens it, as `module:name`; it is given a :class:`striata.data.files.DataFile`.
        settings: what else it is given.
    """

    reader: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)


READERS = Choices(
    "data format",
    {
        ".csv": ReaderChoice("CSV", reader="striata.data.delimited:DelimitedReader", settings={"delimiter": ","}),
        ".tsv": ReaderChoice("TSV", reader="striata.data.delimited:DelimitedReader", settings={"delimiter": "\t"}),
        ".tab": ReaderChoice("TSV", reader="striata.data.delimited:DelimitedReader", settings={"delimiter": "\t"}),
        ".txt": ReaderChoice("plain text", reader="striata.data.plain:open_plain_text"),
        ".jsonl": ReaderChoice("JSON", reader="striata.data.json_rows:open_json"),
        ".ndjson": ReaderChoice("JSON", reader="striata.data.json_rows:open_json"),
        ".json": ReaderChoice("JSON", reader="striata.data.json_rows:open_json"),
        ".parquet": ReaderChoice("Parquet", reader="striata.data.columnar:ParquetReader"),
        ".pq": ReaderChoice("Parquet", reader="striata.data.columnar:ParquetReader"),
        ".arrow": ReaderChoice("Arrow", reader="striata.data.columnar:ArrowReader"),
        ".feather": ReaderChoice("Arrow", reader="striata.data.columnar:ArrowReader"),
        ".xlsx": ReaderChoice("Excel", reader="striata.data.workbook:WorkbookReader"),
        ".pkl": ReaderChoice("pickle", reader="striata.data.pickles:PickleReader"),
        ".pickle": ReaderChoice("pickle", reader="striata.data.pickles:PickleReader"),
    },
)
COMPRESSIONS = Choices(
    "compression",
    {
        ".gz": Choice("gzip"),
        ".bz2": Choice("bzip2"),
        ".xz": Choice("xz"),
        ".zip": Choice("of one file"),
        ".zst": Choice("Zstandard"),
    },
)
QUOTINGS = Choices(
    "quoting",
    {
        "quoted": Choice("double quotes around a field are not part of it, and doubled inside of it"),
        "none": Choice("double quotes are part of the text"),
    },
)
DATA_HELP = f"{', '.join(dict.fromkeys(entry.text for entry in READERS.values()))}, a folder, an address, or a Hub name"
