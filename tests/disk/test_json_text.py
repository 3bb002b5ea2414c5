"""JSON is refused beyond one depth, by every Python and everything that reads it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from striata.data import Columns, read_table
from striata.disk.documents import parse_json
from striata.disk.json_text import MOST_DEPTH, DepthError, load_json
from striata.errors import DataError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(alphabet="[]{}ab"),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(alphabet="[]{}ab"), inner),
    max_leaves=40,
)
MESSAGE = "more than 200 lists and objects inside each other"


def nested(depth: int, inside: str = "") -> str:
    """Lists and objects in turn around a value."""
    opened = ["[" if at % 2 else '{"[": ' for at in range(depth - 1)]
    return "".join(opened) + f"[{inside}]" + "".join("]" if one == "[" else "}" for one in reversed(opened))


@given(VALUES)
def test_what_json_writes_is_read_back(value: object) -> None:
    wide = [value] * 300  # more brackets than may lie inside each other
    assert load_json(json.dumps(wide)) == wide


@pytest.mark.parametrize("inside", ["", "1, 2", '"[[["'])
def test_the_limit_is_ours(inside: str) -> None:
    text = nested(MOST_DEPTH, inside)
    assert load_json(text) == json.loads(text)
    for depth in (MOST_DEPTH + 1, MOST_DEPTH + 2, 600, 100_000):
        with pytest.raises(DepthError, match=MESSAGE):
            load_json(nested(depth, inside))


def test_it_holds_where_the_scanner_would_go_deeper() -> None:
    usual = sys.getrecursionlimit()
    try:
        sys.setrecursionlimit(5000)  # as deep as later Pythons go
        json.loads(nested(2000))
        with pytest.raises(DepthError):
            load_json(nested(2000))
    finally:
        sys.setrecursionlimit(usual)


def test_files_say_where(tmp_path: Path) -> None:
    row = '{"text": "a", "label": "x", "deep": %s}\n'
    for name, content, where in (
        ("x.jsonl", row % 1 + row % nested(MOST_DEPTH), r"x\.jsonl: row 1 .*line 2.* has "),
        ("x.json", f"[{row % 1}, {row % nested(MOST_DEPTH)}]", r"x\.json has "),
    ):
        file = tmp_path / name
        file.write_text(content)
        with pytest.raises(DataError, match=f"{where}{MESSAGE}; expected a few"):
            read_table(str(file), Columns())
        file.write_text(content.replace(nested(MOST_DEPTH), nested(MOST_DEPTH - 2)))
        assert read_table(str(file), Columns()).texts == ["a", "a"]
    with pytest.raises(ValueError, match=f"it has {MESSAGE}"):
        parse_json(nested(MOST_DEPTH + 1).encode())
