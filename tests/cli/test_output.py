"""Tables on the terminal."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from rich.console import Console

from striata.cli import in_options, main, output
from striata.cli import progress as cli_progress
from striata.errors import DataError, StudyError
from striata.training.events import Event


def test_a_long_column_is_cut_and_the_others_stay(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr(output, "console", Console(width=60, highlight=False))
    output.table(["row", "text", "label"], [(str(row), "[b]many words " * 20, "World") for row in (1, 20)], cut="text")
    lines = capsys.readouterr().out.splitlines()
    assert [len(line) for line in lines] == [60] * 3
    assert [line.split()[0] for line in lines] == ["row", "1", "20"]
    assert all("[b]many words" in line and "…" in line and line.endswith("World") for line in lines[1:])


HEADINGS = ("layout", "seeds", "trainable", "validation", "95% interval", "loss", "macro F1", "time", "test")
ROWS = [
    ("fast-uniform", "2", "43,012", "0.8313", "0.7876-0.8674", "0.5300", "0.8309", "0:07", "0.8333"),
    ("s8", "2", "43,012", "0.8063", "0.5022-0.9450", "0.8166", "0.8046", "0:07", "-"),
]


@pytest.mark.parametrize("width", [20, 80, 200, None])
def test_names_and_figures_are_whole(
    width: int | None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if width is None:  # a file
        monkeypatch.delenv("COLUMNS", raising=False)
    else:
        monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr(output, "console", Console(width=width, highlight=False))
    output.table(HEADINGS, ROWS)
    lines = capsys.readouterr().out.splitlines()
    assert [tuple(line.split()) for line in lines[-2:]] == ROWS
    assert {len(line) for line in lines} == {79 if width in (20, 80) else 89}
    assert len(lines) == (4 if width in (20, 80) else 3)  # `macro F1` in two lines


def test_texts_are_folded_and_none_of_their_words_is_lost(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "0-3 r4 a4 d0.05 query | 4-7 r8 a4 d0.075 query | 8-11 r12 a4 d0.1 query"
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr(output, "console", Console(width=60, highlight=False))
    output.table(("name", "layers", "sections"), [("as-run-s1", 12, text)], fold="sections")
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 60
    assert lines[1].startswith("as-run-s1      12  0-3 r4 ")
    assert [word for line in lines[1:] for word in line[19:].split()] == text.split()


def test_a_name_that_begins_with_a_digit_is_set_left(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    output.table(("slice", "95 %"), [("3", "0.5531 to 0.8683"), ("13 to 32 words", "0.62 to 0.9207")])
    assert capsys.readouterr().out.splitlines()[1:] == [
        "3               0.5531 to 0.8683",
        "13 to 32 words    0.62 to 0.9207",
    ]


def test_an_argument_that_is_wrong_is_shown_as_its_option() -> None:
    assert in_options(DataError("5: expected more", argument="rows")) == "--rows 5: expected more"
    assert in_options(DataError("x", argument="abstain_below")) == "--abstain-below x"
    assert in_options(StudyError("x: expected KEY=VALUE", argument="settings")) == "--set x: expected KEY=VALUE"
    assert in_options(DataError("rows 5: expected more")) == "rows 5: expected more"


UNSEEN = "\x1b[31mred \x9b1m \x07 \x7f \u202egpj.exe \u2066x\u2069 \u2028 \ud800 [bold] :heart: é 🏆\\"
SEEN = r"\x1b[31mred \x9b1m \x07 \x7f \u202egpj.exe \u2066x\u2069 \u2028 \ud800 [bold] :heart: é 🏆" + "\\"


def test_nothing_that_is_printed_is_obeyed_by_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "500")
    output.say(UNSEEN)
    output.note(UNSEEN)
    output.table([UNSEEN], [(f"{UNSEEN}\n",)])
    output.print_json({UNSEEN: UNSEEN})
    out, err = capsys.readouterr()
    assert err == SEEN + "\n"
    assert [line.rstrip() for line in out.splitlines()[:3]] == [SEEN, SEEN, SEEN + r"\n"]
    assert json.loads(out.partition("{")[1] + out.partition("{")[2]) == {UNSEEN: UNSEEN}
    assert all(letter == "\n" or letter.isprintable() for letter in out + err)


@pytest.mark.parametrize("terminal", [True, False])
def test_nor_is_what_happens_in_training(
    terminal: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = Console(stderr=True, force_terminal=terminal, no_color=True, width=500, emoji=False, highlight=False)
    monkeypatch.setattr(output, "notes", shown)
    monkeypatch.setattr(cli_progress, "notes", shown)
    with cli_progress.progress() as listen:
        for kind in ("doing", "note", "failed", "finished"):
            listen(Event(kind=kind, member=f"m{UNSEEN}", message=UNSEEN, value=0.5))
    printed = capsys.readouterr().err
    assert r"failed: \x1b[31mred" in printed
    assert r"m\x1b[31mred" in printed
    assert not any(unseen in printed for unseen in ("\x1b[31m", "\x9b", "\u202e", "\u2066"))


def test_nor_is_an_error(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    study = tmp_path / "s.yaml"
    study.write_text('"k\\e[31mey": 1\nbase: x\noutput: x\n')
    for arguments in (["check", str(study)], ["check", "\x1b[31m.yaml"], ["check", str(study), "--set", "\x1b[31m=1"]):
        monkeypatch.setattr(sys, "argv", ["striata", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert r"\x1b[31m" in error
        assert all(letter == "\n" or letter.isprintable() for letter in error)
