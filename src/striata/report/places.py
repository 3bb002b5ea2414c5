"""Where things lie, as a page that is handed on may say it: without the folders of the machine it was made on."""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

_NAMELESS = frozenset({"base", "best", "checkpoint", "encoder", "final", "model", "output", "pytorch", "weights"})
_SHOWN = 2  # last parts of an absolute path, where a home folder is not among them


def _is_absolute(text: str) -> bool:
    return PurePosixPath(text).is_absolute() or PureWindowsPath(text).is_absolute() or text.startswith("~")


def shown_path(text: str) -> str:
    """A path as it was written; of one that counts from the machine's root at most the last two parts, behind an ellipsis.

    What lies before them names a user, a company or a project, and helps nobody who reads the page elsewhere.
    """
    if not _is_absolute(text):
        return text
    parts = [part for part in text.replace("\\", "/").split("/") if part]
    return "/".join(["…", *(parts[-_SHOWN:] if len(parts) > _SHOWN + 1 else parts[-1:])])


def shown_paths(value: Any) -> Any:
    """Settings with :func:`shown_path` in the place of every absolute path in them."""
    if isinstance(value, dict):
        return {key: shown_paths(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [shown_paths(part) for part in value]
    return shown_path(value) if isinstance(value, str) else value


def encoder_name(base: str) -> str:
    """What an encoder is called: the last part of its Hub name or path, or the one before where that says nothing (`model`)."""
    parts = [part for part in base.replace("\\", "/").split("/") if part]
    if not parts:
        return base
    return parts[-2] if len(parts) > 1 and parts[-1].lower() in _NAMELESS else parts[-1]
