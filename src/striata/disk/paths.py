"""What lies at a name that a person wrote: nothing where no file can have such a name, instead of an error.

`pathlib` raises where a name is too long, which a text given in the place of a path is.
"""

from __future__ import annotations

import os
from pathlib import Path


def is_there(path: str | Path) -> bool:
    """Whether anything lies at a path."""
    return os.path.exists(path)  # noqa: PTH110


def is_file(path: str | Path) -> bool:
    """Whether a file lies at a path."""
    return os.path.isfile(path)  # noqa: PTH113


def is_folder(path: str | Path) -> bool:
    """Whether a folder lies at a path."""
    return os.path.isdir(path)  # noqa: PTH112
