"""JSON of whoever wrote it, as deep as every Python reads it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NoReturn

MOST_DEPTH = 200  # far below where the scanner of any Python ends, which is elsewhere in each version


class DepthError(ValueError):
    """A value is nested too deeply; its text says what the value has."""

    def __init__(self) -> None:
        super().__init__(f"more than {MOST_DEPTH} lists and objects inside each other")


def load_json(text: str, *, parse_constant: Callable[[str], NoReturn] | None = None) -> Any:
    """A JSON text as plain values.

    Args:
        text: JSON.
        parse_constant: told of NaN and Infinity, which are no JSON but Python's; None lets them pass.

    Raises:
        DepthError: more than 200 lists and objects are inside each other.
        ValueError: it is no JSON.
    """
    try:
        value = json.loads(text, parse_constant=parse_constant)
    except RecursionError:
        raise DepthError from None
    if text.count("[") + text.count("{") > MOST_DEPTH:  # else it cannot be so deep
        check_depth(value)
    return value


def check_depth(value: Any) -> None:
    """Refuses what is nested too deeply.

    Raises:
        DepthError: more than 200 lists and objects are inside each other.
    """
    groups = [value] if isinstance(value, list | dict) else []
    for _ in range(MOST_DEPTH):
        inner = (part for group in groups for part in (group.values() if isinstance(group, dict) else group))
        groups = [part for part in inner if isinstance(part, list | dict)]
    if groups:
        raise DepthError
