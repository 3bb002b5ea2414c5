"""Tables on the terminal."""

from __future__ import annotations

import pytest
from rich.console import Console

from striata.cli import output


def test_a_long_column_is_cut_and_the_others_stay(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "console", Console(width=60, highlight=False))
    output.table(["row", "text", "label"], [(str(row), "[b]many words " * 20, "World") for row in (1, 20)], cut="text")
    lines = capsys.readouterr().out.splitlines()
    assert [len(line) for line in lines] == [60] * 3
    assert [line.split()[0] for line in lines] == ["row", "1", "20"]
    assert all("[b]many words" in line and "…" in line and line.endswith("World") for line in lines[1:])
