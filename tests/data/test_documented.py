"""Every line of the tables of docs/data.md names the test that holds it."""

from __future__ import annotations

import re
from pathlib import Path

from striata.choices import COMPRESSIONS, READERS

HERE = Path(__file__).parent
PAGE = (HERE.parents[1] / "docs" / "data.md").read_text(encoding="utf-8")


def test_every_line_of_the_tables_has_its_test() -> None:
    lines = [line for line in PAGE.splitlines() if line.startswith("| ") and not re.match(r"\| what \|", line)]
    assert len(lines) > 25
    for line in lines:
        file, name = re.findall(r"`([\w./]+\.py)::(\w+)` \|$", line)[0]
        assert f"def {name}(" in (HERE / file).read_text(encoding="utf-8"), line


def test_every_format_and_compression_is_named() -> None:
    assert all(f"`{ending}`" in PAGE for ending in COMPRESSIONS)
    assert {entry.text for entry in READERS.values()} == {
        "CSV",
        "TSV",
        "plain text",
        "JSON",
        "Parquet",
        "Arrow",
        "Excel",
        "pickle",
    }
