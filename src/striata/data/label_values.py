"""What a source says of a row's label, as the text that tables have it in."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Sequence
from decimal import Decimal

import numpy as np

from ..tasks import JOINT, in_order, plain_label

SURROGATE = "half of a surrogate pair, which is no character"
MISSING = "missing label"  # how what is wrong with a value begins where there is none
_MOST_BITS = 1024  # of an integer label
_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_COMMA = re.compile(r"[+-]?\d+,\d+", re.ASCII)
_LARGEST = 1e30  # number, whose square 32 bits and whose sums 64 bits still hold
_YES, _NO = ("1", "True"), ("0", "False")
Read = tuple[str, str]
"""A label and "", or "" and what is wrong with it."""


def label_reader(task: str, separator: str | None, names: tuple[str, ...] | None) -> Callable[[object], Read]:
    """What reads the values of one column.

    Args:
        task: what a label is.
        separator: between labels in a text; None for `|`.
        names: that the source declares for its integer labels, or None.
    """
    if task == "multilabel":
        return lambda value: several_labels(value, separator or JOINT, names)
    if task == "regression":
        return one_number
    return lambda value: one_label(value, names)


def one_label(value: object, names: tuple[str, ...] | None) -> Read:
    """A value as one label."""
    if isinstance(value, str):
        if not is_unicode(value):
            return "", f"the label holds {SURROGATE}; expected valid Unicode; correct or delete the row"
        return (value, "") if value and not value.isspace() else ("", f"{MISSING}; expected a label in every row")
    if value is None or value != value:
        return "", f"{MISSING}; expected a label in every row"
    if isinstance(value, float) and value.is_integer():  # an integer column with gaps is written as floats
        value = int(value)
    if isinstance(value, bool) and names is None:
        return str(value), ""
    if isinstance(value, bool) or not isinstance(value, int):
        more = "; several labels of a row are read as task multilabel" if isinstance(value, list | tuple) else ""
        return "", f"the label is {kind_of(value)}; expected a string or an integer{more}"
    if value.bit_length() > _MOST_BITS:
        return "", f"the label is {kind_of(value)}; expected an integer of at most {_MOST_BITS} bits, or a string"
    if names is None:
        return str(value), ""
    if value == -1:
        return "", f"{MISSING} (-1 stands for none); expected a label in every row"
    if 0 <= value < len(names):
        return names[value], ""
    return "", f"label {value} is outside the {len(names)} declared labels ({', '.join(names[:8])})"


def one_number(value: object) -> Read:
    """A value as a number, in the spelling that Python has for it."""
    if value is None or value != value or (isinstance(value, str) and (not value or value.isspace())):
        return "", f"{MISSING}; expected a number in every row"
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | Decimal | np.number | str):
        return "", f"the label is {kind_of(value)}; expected a number, as the task is regression"
    if isinstance(value, str):
        text = value.strip()
        if _COMMA.fullmatch(text):
            return "", f"the label is {text!r}; expected a number with a decimal point: {text.replace(',', '.')}"
        if not _DECIMAL.fullmatch(text):
            return "", f"the label is {value[:40]!r}; expected a number, as the task is regression"
        value = text
    try:
        number = float(value)
    except OverflowError:  # an integer of hundreds of digits
        number = math.inf
    if not abs(number) <= _LARGEST:
        return "", f"the label is {number:g}; expected a number of at most {_LARGEST:g}; write it in a larger unit"
    return repr(number), ""


def several_labels(value: object, separator: str, names: tuple[str, ...] | None) -> Read:
    """A list, a text of labels with a separator between them, or one label, as `a|b`; nothing, null and an empty list are
    none."""
    parts = _listed(value, separator)
    labels: list[str] = []
    for part in parts:
        label, problem = one_label(part.strip() if isinstance(part, str) else part, names)
        if problem:
            return "", problem
        if JOINT in label:
            return "", f"label '{label}' holds `{JOINT}`, which stands between labels; expected labels without it"
        labels.append(label)
    return spelled(labels, names), ""


def _listed(value: object, separator: str) -> Sequence[object]:
    if isinstance(value, list | tuple | set | frozenset | np.ndarray):
        return list(value)
    if not isinstance(value, str):
        return () if value is None or value != value else (value,)
    text = value.strip()
    if text.startswith("[") and text.endswith("]"):  # a list as pandas writes it into a text file
        try:
            inner = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            inner = None
        if isinstance(inner, list):
            return inner
    return [part for part in text.split(separator) if part.strip()]


def spelled(labels: Sequence[str], names: tuple[str, ...] | None) -> str:
    """Labels as `a|b`: each once, in the order that is declared, else numbers by size, else by alphabet."""
    different = set(labels)
    if names is None:
        return JOINT.join(in_order(different)) if different else ""
    return JOINT.join(name for name in names if name in different)


def truths(values: Sequence[object], names: Sequence[str]) -> Read:
    """A row of columns with 0 or 1, one for each label, as `a|b`.

    Args:
        values: of the row.
        names: of the columns.
    """
    labels = []
    for value, name in zip(values, names, strict=True):
        text, problem = one_label(value, None)
        if problem.startswith(MISSING):
            return "", f"{MISSING} in column '{name}'; expected 0 or 1 in every row"
        if problem:
            return "", f"column '{name}': {problem}"
        plain = plain_label(text.strip())
        if plain not in (*_YES, *_NO):
            return "", f"column '{name}' holds {text!r}; expected 0 or 1 in the column of a label"
        if plain in _YES:
            labels.append(name)
    return JOINT.join(labels), ""


def is_unicode(text: str) -> bool:
    """Whether a text can be written, which one with halves of surrogate pairs cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def kind_of(value: object) -> str:
    """A value in a message."""
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:  # Python refuses to write integers of some thousand digits
        return f"an integer of {value.bit_length():,} bits"
    if isinstance(value, bool | int | float):
        return f"{value} (a {type(value).__name__})"
    return f"a {type(value).__name__}"
