"""Folders of data files: which file belongs to which part of the data, and several files read one behind the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from ..choices import READERS
from ..errors import DataError
from .configurations import choose_files
from .files import ending_of, joined_form
from .label_folders import not_read, text_folders
from .parts import part_in
from .rows import Reader
from .table import Chunk

PREDICTED = ".predicted.csv"  # how a file of predictions ends that got no other name
_PAPERS = ("readme", "license", "licence", "citation", "requirements", "vocab", "mapping", "classes", "labels")  # of the data


class FilesReader:
    """Rows of several files with the same columns, one behind the other.

    Args:
        source: the folder they lie in, for messages.
        readers: of the files, in order.
        left: names of files that are not read.

    Raises:
        DataError: they differ in their columns or in the labels they declare.
    """

    def __init__(self, source: str, readers: Sequence[Reader], left: Sequence[str] = ()) -> None:
        first, *others = readers
        self.source, self.columns, self._readers = source, first.columns, readers
        counted = f"{len(readers)} files" if others else f"of {Path(first.source).name}"
        forms = dict.fromkeys(reader.form for reader in readers if reader.form)
        self.form = joined_form(counted, *forms, not_read(left))
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
                    yield Chunk(
                        first=at + past,
                        values={name: values[past:] for name, values in chunk.values.items()},
                        lines=None if chunk.lines is None else chunk.lines[past:],
                        file=(name_in(reader.source, self.source), chunk.first + past),
                    )
                at += len(chunk)


def name_in(file: str, folder: str) -> str:
    """A file's name below its folder, where it lies there."""
    path = Path(file)
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What of a folder is read.

    Args:
        parts: files by the part of the data that their names say, all "train" where none does.
        labels: for a folder per label, the label of each file.
        label_lines: for texts in the lines of one file and labels in the lines of another, the latter by part.
        left: names of files that are not read.
    """

    parts: Mapping[str, list[Path]]
    labels: Mapping[Path, str] | None = None
    label_lines: Mapping[str, Path] = field(default_factory=dict)
    left: Sequence[str] = ()


def data_folder(folder: Path, source: str, configuration: str = "") -> Contents:
    """Looks at all files of a folder and of the folders in it; names that begin with `.` or `_`, and files of predictions that
    got no other name (`NAME.predicted.csv`), are not data.

    Args:
        folder: the folder.
        source: for messages.
        configuration: of a data set that has several; empty for the one there is.

    Raises:
        DataError: there is no data, or no telling which files are.
    """
    every = [path for path in sorted(folder.rglob("*")) if path.is_file() and not _is_hidden(path.relative_to(folder))]
    every = [path for path in every if not path.name.endswith(PREDICTED)]
    chosen = choose_files(folder, every, source, configuration)
    if chosen is not None:
        return Contents(parts=chosen, left=_others(folder, every, [path for paths in chosen.values() for path in paths]))
    texts = text_folders(folder, every)
    if texts is not None:
        parts: dict[str, list[Path]] = {}
        for path in texts:
            named = [part for name in path.relative_to(folder).parts[:-2] if (part := part_in(name))]
            parts.setdefault(named[0] if named else "train", []).append(path)
        return Contents(parts=parts, labels=texts, left=_others(folder, every, list(texts)))
    files = [path for path in every if ending_of(path) and not _is_paper(path)]
    if not files:
        what = f" but {', '.join(path.name for path in every[:5])}" if every else ""
        raise DataError(
            f"folder {source} holds no data{what}; expected one that save_to_disk wrote, data files ({', '.join(READERS)}), or a "
            "folder of texts for each label"
        )
    parallel = _parallel(files)
    if parallel:
        return Contents(
            parts={part: [texts] for part, (texts, _) in parallel.items()},
            label_lines={part: labels for part, (_, labels) in parallel.items()},
            left=_others(folder, every, [path for pair in parallel.values() for path in pair]),
        )
    return _by_name(folder, source, every, files)


def _by_name(folder: Path, source: str, every: list[Path], files: list[Path]) -> Contents:
    parts: dict[str, list[Path]] = {}
    for path in files:
        if part := _part_of(path.relative_to(folder)):
            parts.setdefault(part, []).append(path)
    parts = parts or {"train": files}
    for part, paths in parts.items():
        kinds = sorted({_kind(path) for path in paths})
        if len(kinds) > 1:
            raise DataError(f"folder {source} holds files of several formats ({', '.join(kinds)}) for {part}; name one of them")
    return Contents(parts=parts, left=_others(folder, every, [path for paths in parts.values() for path in paths]))


def _kind(path: Path) -> str:
    """The ending, that of a compression with it: train.csv and train.csv.gz may hold the same rows."""
    ending = path.suffix.lower()
    return ending if ending in READERS else f"{ending_of(path)}{ending}"


def _parallel(files: list[Path]) -> dict[str, tuple[Path, Path]]:
    """Files of texts and of labels, by part, where all plain texts are such pairs: train_text.txt and train_labels.txt."""
    pairs: dict[str, tuple[Path, Path]] = {}
    for path in files:
        stem = path.stem.lower()
        for texts, labels in (("text", "labels"), ("text", "label"), ("texts", "labels"), ("sentences", "labels"), ("x", "y")):
            if path.suffix.lower() == ".txt" and stem.rpartition("_")[2] == texts:
                other = path.with_name(f"{path.stem[: len(path.stem) - len(texts)]}{labels}{path.suffix}")
                if other.is_file():
                    pairs.setdefault(part_in(stem) or "train", (path, other))
    return pairs


def _is_hidden(path: Path) -> bool:
    return any(name.startswith((".", "_")) for name in path.parts)


def _is_paper(path: Path) -> bool:
    return ending_of(path) is not None and path.stem.lower() in (*_PAPERS, "dataset_infos", "dataset_info")


def _others(folder: Path, every: Sequence[Path], read: Sequence[Path]) -> list[str]:
    known = set(read)
    return [path.relative_to(folder).as_posix() for path in every if path not in known]


def _part_of(path: Path) -> str | None:
    """Of a file's name, or else of its folder's."""
    for name in (path.stem, *(parent.name for parent in path.parents)):
        if part := part_in(name):
            return part
    return None
