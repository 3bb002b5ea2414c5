"""Configurations of a data set as the front of its README.md lists them, which is how the Hub keeps them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from ..disk.yaml_text import parse_yaml
from ..errors import DataError


def choose_files(folder: Path, files: Sequence[Path], source: str, name: str) -> dict[str, list[Path]] | None:
    """The files of a configuration by part; None where the folder lists none.

    Args:
        folder: of the data set.
        files: all that lie in it.
        source: for messages.
        name: of the configuration; empty for the only one, or the default.

    Raises:
        DataError: there is no such configuration, there are several and none was named, or its files are missing.
    """
    listed = _listed(folder)
    if not listed:
        if name:
            raise DataError(f"folder {source} has no configuration '{name}': its README.md lists none; leave it out")
        return None
    names = list(listed)
    default = next((key for key in names if len(names) == 1 or listed[key].get("default") is True or key == "default"), None)
    chosen = name or default
    if chosen is None or chosen not in listed:
        what = f"no configuration '{name}'" if name else f"{len(names)} configurations"
        shown = ", ".join(names[:20])
        raise DataError(f"folder {source} has {what} ({shown}); name one of them behind a colon, as in `{source}:{names[0]}`")
    parts: dict[str, list[Path]] = {}
    for split, patterns in _patterns(listed[chosen].get("data_files")):
        matching = [path for path in files if any(fnmatch(path.relative_to(folder).as_posix(), pattern) for pattern in patterns)]
        if not matching:
            raise DataError(
                f"folder {source}: no file is called {' or '.join(patterns)}, as its README.md has it; fetch it again"
            )
        parts.setdefault(split, []).extend(matching)
    return parts or None


def _listed(folder: Path) -> dict[str, Mapping[str, Any]]:
    readme = folder / "README.md"
    if not readme.is_file():
        return {}
    text = readme.read_text(encoding="utf-8", errors="replace")
    if not text.startswith("---"):
        return {}
    try:
        front = parse_yaml(text.split("---", 2)[1], f"the front of {readme}", DataError)
    except DataError:  # written for people, not for us
        return {}
    configurations = front.get("configs") if isinstance(front, dict) else None
    return {
        str(entry.get("config_name", "default")): entry
        for entry in configurations or ()
        if isinstance(entry, dict) and entry.get("data_files")
    }


def _patterns(data_files: Any) -> list[tuple[str, list[str]]]:
    """Splits with the patterns of their files, in any of the forms in which they are written."""
    if isinstance(data_files, str):
        return [("train", [data_files])]
    entries = data_files if isinstance(data_files, list) else []
    result = []
    for entry in entries:
        if isinstance(entry, dict):
            paths = entry.get("path")
            result.append(
                (str(entry.get("split", "train")), [paths] if isinstance(paths, str) else [str(path) for path in paths or ()])
            )
        elif isinstance(entry, str):
            result.append(("train", [entry]))
    return result
