"""YAML that people write, read with limits, and refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from ..errors import StriataError

MOST_BYTES = 1_000_000
MOST_DEPTH = 50
MOST_VALUES = 20_000
MOST_BITS = 1024  # of an integer


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, made to refuse equal keys, of which it takes the last, and to name values that it cannot build."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep)
            if isinstance(value, int) and value.bit_length() > MOST_BITS:  # Python cannot write integers of some thousand digits
                raise OverflowError
            return value
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError):
            kind = node.tag.rpartition(":")[2]
            shown = node.value[:40] if isinstance(node.value, str) else "a group of values"
            raise yaml.constructor.ConstructorError(
                None, None, f"'{shown}' reads as {kind} but is none; write it in quotes", node.start_mark
            ) from None

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":  # `<<: *base`
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key is no name", key_node.start_mark)
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key '{key}' is given twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path, what: str, error: type[StriataError]) -> Any:
    """The content of a YAML file.

    Args:
        path: the file.
        what: what a message calls it.
        error: kind of the error.

    Raises:
        StriataError: of that kind: it is missing, no file, larger than a million bytes, not UTF-8, or as :func:`parse_yaml`.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as reason:
        raise error(f"cannot read {what}: {reason.strerror}; check the path", path=str(path)) from reason
    if len(data) > MOST_BYTES:
        raise error(f"{what} is larger than {MOST_BYTES:,} bytes; expected a short YAML file", path=str(path))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as reason:
        raise error(f"{what} is no YAML in UTF-8: {reason}", path=str(path)) from None
    return parse_yaml(text, what, error)


def parse_yaml(text: str, what: str, error: type[StriataError]) -> Any:
    """A YAML text as plain values.

    Args:
        text: YAML.
        what: what a message calls it.
        error: kind of the error.

    Raises:
        StriataError: of that kind: it is no YAML, gives a key twice, holds a value that reads as a date or a number and is none,
            is nested more than 50 deep, or has more than 20,000 values.
    """
    try:
        _check_size(text, what, error)
        value = yaml.load(text, _Loader)
    except yaml.YAMLError as reason:
        raise error(f"{what} is no YAML in UTF-8: {_reason(reason)}") from None
    if _size(value, {}) > MOST_VALUES:
        raise error(f"{what} has more than {MOST_VALUES:,} values; expected a short YAML file")
    return value


def _check_size(text: str, what: str, error: type[StriataError]) -> None:
    """Looks at depth and number of values before anything is built."""
    depth = values = 0
    for event in yaml.parse(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        values += isinstance(event, yaml.NodeEvent)
        if values > 2 * MOST_VALUES:  # keys are none
            raise error(f"{what} has more than {MOST_VALUES:,} values; expected a short YAML file")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MOST_DEPTH:
            raise error(f"{what} has more than {MOST_DEPTH} groups inside each other; expected a few")


def _size(value: Any, sizes: dict[int, int]) -> int:
    """How many values there are, those that aliases repeat counted each time."""
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in sizes:
        sizes[id(value)] = MOST_VALUES  # of one that holds itself
        sizes[id(value)] = 1 + sum(_size(inner, sizes) for inner in (value.values() if isinstance(value, dict) else value))
    return sizes[id(value)]


def _reason(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"{error.problem} in line {mark.line + 1}, column {mark.column + 1}"
    return " ".join(str(error).split())
