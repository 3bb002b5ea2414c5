"""YAML with limits: what PyYAML reads is read the same, what its constructors choke on is one line."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from striata.disk.yaml_text import MOST_DEPTH, MOST_VALUES, parse_yaml, read_yaml
from striata.errors import StudyError

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=20
)


@settings(deadline=None)
@given(VALUES)
def test_what_pyyaml_writes_is_read_back(value: object) -> None:
    text = yaml.safe_dump(value, allow_unicode=True)
    assert parse_yaml(text, "it", StudyError) == yaml.safe_load(text)


def test_anchors_and_merges_are_read_as_pyyaml_does() -> None:
    text = "a: &x {k: 1, l: [1, 2]}\nb: *x\nc: {<<: *x, k: 2}\nd: 2020-02-29\n"
    assert parse_yaml(text, "it", StudyError) == yaml.safe_load(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 2020-99-99", "'2020-99-99' reads as timestamp but is none; write it in quotes in line 1, column 4"),
        ("a: 2001-12-14t21:59:43.10-99:00", "reads as timestamp but is none"),
        ("a: !!int ''", "'' reads as int but is none"),
        ("a: !!int x", "'x' reads as int but is none"),
        ("a: !!float x", "'x' reads as float but is none"),
        ("a: !!bool x", "'x' reads as bool but is none"),
        ("a: !!timestamp x", "'x' reads as timestamp but is none"),
        (f"a: {'9' * 5000}", "reads as int but is none"),
        (f"a: 0x{'f' * 6000}", "reads as int but is none"),
        (f"a: 0b{'1' * 9000}", "reads as int but is none"),
        (f"a: {'1' + ':0' * 300}", "reads as int but is none"),
        (f"[{'s1,' * 100_000}]", f"more than {MOST_VALUES:,} values"),
        ("? [1]\n: 2", "a key is no name in line 1, column 3"),
        ("? {a: 1}\n: 2", "a key is no name"),
        ("!!set {a, a}", "'a' is given twice"),
        ("a: 1\nb: 2\na: 3", "key 'a' is given twice in line 3, column 1"),
        ("a: [1", "expected"),
        ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("a: !!binary x", "failed to decode base64 data"),
        ("a: \x00", "control characters are not allowed"),
        ("a: *x", "undefined alias"),
        ("<<: 3", "expected a mapping or list of mappings for merging"),
        ("[" * 900 + "]" * 900, f"it has more than {MOST_DEPTH} groups inside each other"),
        ("[" * 400_000, "exceeded maximum nesting depth|groups inside each other"),  # PyYAML 6.0 leaves it to us
        ("- " * 60 + "x", "groups inside each other"),
    ],
    ids=lambda text: text[:40],
)
def test_what_cannot_be_built_is_one_line(text: str, message: str) -> None:
    with pytest.raises(StudyError) as refused:
        parse_yaml(text, "it", StudyError)
    assert any(part in str(refused.value) for part in message.split("|"))
    assert "\n" not in str(refused.value)


def test_what_aliases_repeat_is_counted() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 20)]
    with pytest.raises(StudyError, match=f"more than {MOST_VALUES:,} values"):
        parse_yaml("\n".join(lines), "it", StudyError)
    with pytest.raises(StudyError, match=f"more than {MOST_VALUES:,} values"):
        parse_yaml("&x [*x, *x]", "it", StudyError)


def test_files(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes("\ufeffname: größe\n".encode())
    assert read_yaml(file, "it", StudyError) == {"name": "größe"}
    file.write_bytes("name: größe\n".encode("latin-1"))
    with pytest.raises(StudyError, match=r"it is no YAML in UTF-8: .*can't decode byte 0xf6") as refused:
        read_yaml(file, "it", StudyError)
    assert refused.value.path == str(file)
    file.write_bytes(b"# " + b"x" * 1_000_000)
    with pytest.raises(StudyError, match="it is larger than 1,000,000 bytes"):
        read_yaml(file, "it", StudyError)
    with pytest.raises(StudyError, match="cannot read it: Is a directory"):
        read_yaml(tmp_path, "it", StudyError)
