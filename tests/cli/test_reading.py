"""What `check` says of how data was read."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from striata.cli.app import app
from striata.data import Columns, Dialect, read_table
from striata.errors import DataError
from striata.settings import load_study


def check(folder: Path, *settings: str) -> str:
    study = {"base": "none", "data": {"train": "x.csv", "validation": 0.3}, "baselines": ["majority"], "output": "out"}
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    arguments = ["check", "study.yaml", *(word for setting in settings for word in ("--set", setting))]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    return " ".join(result.output.split())


def test_check_says_which_columns_it_reads_and_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = ["nr;tweet;sentiment", *(f"{i};Das Café – Nummer {i};{'gut' if i % 2 else 'schlecht'}" for i in range(20))]
    (tmp_path / "x.csv").write_text("\n".join(lines) + "\n", encoding="cp1252")
    told = check(tmp_path)
    assert (
        "text from column 'tweet', label from 'sentiment'; left alone: nr, separated by semicolons, in cp1252 (Windows)" in told
    )
    assert "because line 2 is no UTF-8: 'Café'" in told


def test_a_file_without_a_header_is_read_with_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.csv").write_text("".join(f'"{i % 3}","Title {i}","Body, {i}"\n' for i in range(30)))
    with pytest.raises(DataError, match=r"x\.csv has no header: .* name its 3 columns in order with `data\.header`"):
        check(tmp_path)
    told = check(tmp_path, "data.header=[label,title,body]", "data.text=[title,body]")
    assert "text from columns 'title' and 'body', label from 'label', no header" in told
    assert "20 rows" in told or "21 rows" in told


def test_the_study_that_init_writes_reads_as_init_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.csv").write_text("".join(f"{i % 3}^Title {i}^{'Body' if i % 5 else ''}^\n" for i in range(60)))
    read = ["delimiter=^", "header=label,title,body,rest", "drop_empty=true"]
    arguments = ["init", "x.csv", "--base", "none", "--text", "body", *(word for entry in read for word in ("--read", entry))]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert "48 rows" in result.output
    data = load_study(tmp_path / "study.yaml").data
    assert data.columns() == Columns(
        text="body", label="label", dialect=Dialect(delimiter="^", header=("label", "title", "body", "rest")), drop_empty=True
    )
    assert len(read_table("x.csv", data.columns())) == 48
