"""From a name, file, folder or address to rows: one reader for each format, whatever the door."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from pkgutil import resolve_name

from ..choices import COMPRESSIONS, READERS
from ..disk.paths import is_file, is_folder
from ..errors import DataError, did_you_mean
from ..extras import require
from .arrow import reason
from .columnar import DatasetReader
from .columns import Columns
from .databases import database_path, is_database, open_database
from .files import DataFile
from .folders import FilesReader, data_folder
from .label_folders import LabelFoldersReader
from .parts import choose_part
from .plain import ParallelReader
from .remote import fetch, is_remote
from .rows import Reader
from .saved import SavedReader, is_saved, saved_splits


def open_source(source: str, columns: Columns | None = None, *, split: str = "train") -> Reader:
    """Opens a file, a folder written by datasets' `save_to_disk` or holding data files, a query, an address, or a data set of the
    Hub.

    Args:
        source: path or name; `FILE:PART` for a path in a JSON document, a sheet of a workbook or a configuration of a folder,
            `NAME:CONFIGURATION` for one of a Hub data set; `sqlite:///FILE?query=...`; `s3://...`, `https://...`, `hf://...`.
        columns: names asked for, and what is stated of how files are written.
        split: which part of a source that has several: "train", "validation" or "test".

    Raises:
        DataError: there is no such thing, or it cannot be read.
        ExtraError: a package that such a source needs is not installed.
    """
    check_source(source)
    if is_database(source):
        return open_database(source)
    path, part = _place(source)
    if is_remote(source):
        path, part = fetch(source), ""
    expected = columns or Columns()
    file = DataFile(
        path=path, source=source if is_remote(source) else str(path), part=part, split=split, dialect=expected.dialect,
        expected=expected.names,
    )  # fmt: skip
    if is_file(path):
        return _file(file)
    return _folder(file) if is_folder(path) else _hub(source, split)


def check_source(source: str) -> None:
    """Refuses what is neither a file or folder here nor an address nor can be a data set of the Hub, without opening it.

    Raises:
        DataError: there is no such file or folder, or its format is not known.
        ExtraError: a package that such a source needs is not installed.
    """
    if is_database(source):
        database_path(source)
        return
    if is_remote(source):
        return
    path, _ = _place(source)
    if is_folder(path):
        return
    if is_file(path):
        _ = DataFile.of(path).ending
    elif path.suffix.lower() in (*READERS, *COMPRESSIONS) or source.startswith((".", "/", "~")) or source.count("/") > 1:
        near = did_you_mean(path.name, [other.name for other in path.parent.iterdir()]) if is_folder(path.parent) else ""
        raise DataError(f"data file {source} does not exist{near}; check the path, which counts from {Path.cwd()}")
    else:
        require(f"data '{source}' is neither a file nor a folder here, and fetching it from the Hub", "datasets")


def _place(source: str) -> tuple[Path, str]:
    """A path, and the part of what lies there that stands behind a colon."""
    whole = Path(source).expanduser()
    name, colon, part = source.rpartition(":")
    if colon and not is_file(whole) and not is_folder(whole):
        path = Path(name).expanduser()
        if is_file(path) or is_folder(path) or path.suffix.lower() in READERS:
            return path, part
    return whole, ""


def _file(file: DataFile) -> Reader:
    format_ = READERS[file.ending]
    reader: Reader = resolve_name(format_.reader)(file, **format_.settings)
    return reader


def _folder(folder: DataFile) -> Reader:
    if is_saved(folder.path):
        splits = saved_splits(folder.path)
        return SavedReader(folder.path / choose_part(splits, folder.split, folder.source) if splits else folder.path)
    contents = data_folder(folder.path, folder.source, folder.part)
    part = choose_part(tuple(contents.parts), folder.split, folder.source)
    files = [
        replace(folder, path=path, source=f"{folder.source}/{path.relative_to(folder.path)}", part="")
        for path in contents.parts[part]
    ]
    if contents.labels is not None:
        return LabelFoldersReader(folder.source, files, [contents.labels[file.path] for file in files], contents.left)
    if part in contents.label_lines:
        label_lines = replace(folder, path=contents.label_lines[part], source=str(contents.label_lines[part]), part="")
        return ParallelReader(files[0], label_lines)
    readers = [_file(file) for file in files]
    return FilesReader(folder.source, readers, contents.left)


def _hub(name: str, split: str) -> Reader:
    repository, _, configuration = name.partition(":")
    try:
        return _loaded(repository, configuration or None, split)
    except DataError:
        raise
    except Exception as error:  # the Hub's client raises many kinds: no network, no such name, several configurations
        raise DataError(
            f"data '{name}' is neither a file or folder here nor a data set of the Hub that can be reached "
            f"({type(error).__name__}: {reason(error)}); check the name, or give a file"
        ) from error


def _loaded(name: str, configuration: str | None, split: str) -> Reader:
    from datasets import load_dataset
    from datasets.utils.logging import disable_progress_bar, enable_progress_bar

    disable_progress_bar()
    try:
        parts = load_dataset(name, configuration)
    finally:
        enable_progress_bar()
    return DatasetReader(parts[choose_part(tuple(parts), split, name)], name)
