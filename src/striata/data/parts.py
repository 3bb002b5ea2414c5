"""What the parts of a data set are called: train, validation, test."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..errors import DataError

NAMES = {  # of the parts of a data set, of their files and folders, as datasets has it
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}


def choose_part(names: Sequence[str], split: str, source: str) -> str:
    """The part of a source that stands for a split.

    Raises:
        DataError: there are several, and none of them does.
    """
    for name in NAMES[split]:
        if name in names:
            return name
    if len(names) == 1:
        return names[0]
    shown = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
    raise DataError(f"{source} has no {split} split among {shown}; give a file, or a number of rows to hold out")


def part_in(name: str) -> str | None:
    """The part that a name has a word for, such as my_training_2 or train-00000-of-00001."""
    for part, words in NAMES.items():
        if re.search(rf"(?<![a-z])({'|'.join(words)})(?![a-z])", name.lower()):
            return part
    return None
