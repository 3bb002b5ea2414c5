"""Documents written by earlier versions of striata, brought up to today's form step by step.

Every kind of document begins with format 1. When its form changes, a function that makes the new form out of the last one is
added at the end of its kind's steps, and nothing else: the version that is written, and the versions that can be read, follow
from the number of steps. Steps are never changed or removed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Step = Callable[[dict[str, Any]], dict[str, Any]]


def _scores_of_kept_weights(content: dict[str, Any]) -> dict[str, Any]:
    """Checkpoints, format 2: what kept weights reach stands by its name."""
    for member in content["members"]:
        if member["best"] is not None:
            member["best"] = {"step": member["best"].pop("step"), "scores": member["best"]}
    return content


STEPS: dict[str, tuple[Step, ...]] = {"checkpoint": (_scores_of_kept_weights,)}
"""By kind of document: the step at place 0 makes format 2 out of format 1, the one at place 1 format 3 out of format 2."""


def current_version(kind: str) -> int:
    """The format in which documents of a kind are written."""
    return 1 + len(STEPS.get(kind, ()))


def upgrade(kind: str, version: object, content: dict[str, Any]) -> dict[str, Any]:
    """A document's content in today's form.

    Args:
        kind: of the document.
        version: its `format_version`.
        content: the rest of it.

    Raises:
        ValueError: the version is none, or one of a later striata.
    """
    today = current_version(kind)
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ValueError(f"format_version is {version!r}; expected a whole number from 1 to {today}")
    if version > today:
        raise ValueError(f"format_version is {version}, and this striata knows formats up to {today}: a later one wrote it")
    for step in STEPS.get(kind, ())[version - 1 :]:
        content = step(content)
    return content
