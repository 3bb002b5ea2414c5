"""`striata explain`: a text's words with and without colour, files, JSON, a page."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from rich.console import Console

from striata.cli import explain as command
from striata.cli import main, output
from striata.model import Explanation, NearRow, WordWeight
from striata.report.marked_words import write_explanations

from ..explain.models import TEXT, opened, trained


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("explained"))


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["striata", "explain", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code


def made(**changes: object) -> Explanation:
    words = (("Stocks", 0, 6, 2.0), ("<b>", 7, 10, -1.5), ("fell", 11, 15, 0.5), ("now", 16, 19, 0.0))
    facts = {
        "text": "Stocks <b> fell now", "pair": None, "label": "Business", "predicted": "Business", "probability": 0.75,
        "method": "gradients", "score": 1.5, "empty": 0.5, "error": 0.01, "steps": 32,
        "words": tuple(WordWeight(word=w, start=s, end=e, weight=x, read=w != "now") for w, s, e, x in words),
    }  # fmt: skip
    return Explanation(**{**facts, **changes})


def test_a_text_is_shown_with_marks_where_there_is_no_colour(
    study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, study / "runs" / "lexical", TEXT)
    out, err = capsys.readouterr()
    (explained,) = opened(study, "lexical").explain([TEXT])
    first, line, head, strongest, *_ = out.splitlines()
    assert first == f"{explained.label} {explained.probability:.1%}"
    assert re.sub(r"\[[+-]+\]", "", line) == TEXT
    one = explained.strongest(1)[0]
    assert f"{one.word}[{'++' if one.weight > 0 else '--'}]" in line
    assert head.split() == ["word", "weight"]
    assert strongest.split() == [one.word, f"{one.weight:+.3f}"]
    assert "exact: the score is linear in the words" in err
    assert "not what makes the label true" in err


def test_a_file_as_json_and_as_a_page(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "why.html"
    run(
        monkeypatch,
        study / "runs" / "lexical",
        study.parent / "test.csv",
        "--texts",
        2,
        "--json",
        "--html",
        page,
        "--label",
        "World",
    )
    out, err = capsys.readouterr()
    rows = json.loads(out)["explanations"]
    assert [row["label"] for row in rows] == ["World", "World"]
    assert "the first 2 of 40 texts" in err
    texts = [line.split(",")[0] for line in (study.parent / "test.csv").read_text().splitlines()[1:3]]
    expected = opened(study, "lexical").explain(texts, label="World")
    assert rows == [json.loads(json.dumps(one.to_json())) for one in expected]
    assert page.read_text().count("<h2>") == 2


def test_near_rows_with_another_label_are_marked(
    study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, study / "runs" / "lexical", "w25 w26", "--method", "neighbours", "--rows", 2, "--label", "World")
    out, err = capsys.readouterr()
    assert out.splitlines()[2].split()[:3] == ["similarity", "row", "label"]
    assert all(line.split()[3] == "*" for line in out.splitlines()[3:5])
    assert "* another label than the one that is explained" in err


def test_colour_is_there_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(output, "console", Console(force_terminal=True, color_system="standard", width=80))
    command.show(made())
    out = capsys.readouterr().out
    assert re.search(r"\x1b\[[\d;]+mStocks\x1b\[0m", out)
    assert "[++]" not in out
    monkeypatch.setattr(output, "console", Console(force_terminal=True, color_system="standard", width=80, no_color=True))
    command.show(made())
    assert "Stocks[++] <b>[--] fell[+] now" in re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out)


def test_the_page_escapes_and_marks(tmp_path: Path) -> None:
    row = NearRow(row=3, text="<i>", pair=None, label="World", similarity=0.5)
    near = made(method="neighbours", words=(), rows=(row,), predicted="World", empty=None, error=None)
    write_explanations([made(), near], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert '<mark class="for strong" title="+2.000">Stocks</mark>' in page
    assert '<mark class="against strong" title="-1.500">&lt;b&gt;</mark>' in page
    assert '<mark class="for" title="+0.500">fell</mark>' in page
    assert '<span class="unread">now</span>' in page
    assert "the model says World" in page
    assert "<b>" not in page
    assert "<i>" not in page
    assert "Stocks" in (made()._repr_html_() or "")


def test_what_is_a_file_and_what_a_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my texts").write_text("text\n")
    answers = {"my texts": True, "no.csv": True, "data.csv is wrong": False, "a\nb.csv": False, "good": False, "x" * 5000: False}
    assert {text: command.is_source(text) for text in answers} == answers
