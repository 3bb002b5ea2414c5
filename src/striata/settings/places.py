"""Paths in a study file count from the folder that the file lies in, those on the command line from the current one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..choices import COMPRESSIONS, READERS
from ..disk.paths import is_folder, is_there

OUTPUT = "output"
_SOURCES = ("train", "validation", "test", "weight_like")
_LAYOUT_FILES = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Places:
    """Where the paths of a study count from.

    Args:
        folder: that of the file; None for the current folder.
        written: by key of a path, what stands in the file, and what that is from the current folder.
        remarks: a sentence on each path that is not where the file says.
    """

    folder: Path | None = None
    written: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    def as_written(self, settings: dict[str, Any]) -> dict[str, Any]:
        """A study's settings with its paths as they stand in the file, those excepted that were changed meanwhile."""
        for key, (written, here) in self.written.items():
            *groups, last = key.split(".")
            inner: Any = settings
            with contextlib.suppress(LookupError):  # a layout that was taken out
                for group in groups:
                    inner = inner[int(group)] if isinstance(inner, list) else inner[group]
                at: Any = int(last) if isinstance(inner, list) else last
                if inner[at] == here:
                    inner[at] = written
        return settings

    def seen_from(self, folder: Path) -> str:
        """The folder that paths count from, as a path that counts from another folder."""
        return _between(Path() if self.folder is None else self.folder, folder)


def find_places(settings: Mapping[str, Any], folder: Path, *, here: Collection[str] = ()) -> Places:
    """What the paths of a study are from the current folder.

    One that leads to nothing from the file's folder, but to something from the current one, is taken from there, and a remark
    says so: that is how striata counted paths once.

    Args:
        settings: of the study.
        folder: that its file lies in.
        here: keys whose values count from the current folder.
    """
    if os.path.realpath(folder) == os.path.realpath(Path.cwd()):
        return Places()
    written, remarks = dict[str, tuple[str, str]](), list[str]()
    for key, value in _paths(settings).items():
        if _is_absolute(value):
            continue
        inside = _joined(folder, value)
        if any(key == stated or key.startswith(f"{stated}.") for stated in here):
            if key == OUTPUT or _looks_like_a_path(value) or _leads_somewhere(value):
                written[key] = (_between(Path(value), folder), value)
        elif _leads_somewhere(inside):
            written[key] = (value, inside)
        elif is_folder(value) if key == OUTPUT else _leads_somewhere(value):
            remarks.append(
                f"{key}: {value} counts from the study file's folder, {folder}, where there is none; the one in the current "
                f"folder is taken: write {_between(Path(value), folder)}"
            )
        elif key == OUTPUT or _looks_like_a_path(value):
            written[key] = (value, inside)
    return Places(folder=folder, written=written, remarks=tuple(remarks))


def path_in(folder: Path, value: str, *, output: bool = False) -> str:
    """A path that counts from the current folder, or a Hub name, as it stands in a study file.

    Args:
        folder: that the file lies in.
        value: what counts from here.
        output: whether it is a path even where nothing lies there.
    """
    if _is_absolute(value) or os.path.realpath(folder) == os.path.realpath(Path.cwd()):
        return value
    return _between(Path(value), folder) if output or _leads_somewhere(value) else value


def _paths(settings: Mapping[str, Any]) -> dict[str, str]:
    """The values that are paths or Hub names, by key."""
    values = {"base": settings["base"], OUTPUT: settings[OUTPUT]}
    values |= {f"data.{name}": settings["data"].get(name) for name in _SOURCES}
    values["adapt.unlabelled"] = (settings.get("adapt") or {}).get("unlabelled")
    for at, entry in enumerate(settings["layouts"]):
        own = isinstance(entry, Mapping)
        name = entry["layout"] if own else entry
        if Path(name).suffix in _LAYOUT_FILES:
            values[f"layouts.{at}.layout" if own else f"layouts.{at}"] = name
    return {key: value for key, value in values.items() if isinstance(value, str)}


def _is_absolute(value: str) -> bool:
    return Path(value).is_absolute() or "://" in value or value.startswith("~")


def _leads_somewhere(value: str) -> bool:
    """Whether anything lies at a path, perhaps with the name of a part behind a colon."""
    return is_there(value) or (":" in value and is_there(value.rpartition(":")[0]))


def _looks_like_a_path(value: str) -> bool:
    """Whether what leads nowhere is a path rather than a Hub name."""
    suffix = Path(value).suffix.lower()
    return suffix in (*READERS, *COMPRESSIONS, *_LAYOUT_FILES) or value.startswith(".") or value.count("/") > 1


def _joined(folder: Path, value: str) -> str:
    """A path inside a folder, without detours where they lead back."""
    whole = os.path.join(folder, value)  # noqa: PTH118
    short = os.path.normpath(whole)
    return short if os.path.realpath(short) == os.path.realpath(whole) else whole


def _between(path: Path, folder: Path) -> str:
    """A path as it counts from a folder; from the root where no path leads there."""
    real = os.path.realpath(path)
    try:
        return Path(os.path.relpath(real, os.path.realpath(folder))).as_posix()
    except ValueError:  # another drive
        return real
