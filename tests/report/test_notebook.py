"""What a notebook shows: well-formed, escaped, with the figures of the value."""

from __future__ import annotations

import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import striata
from striata.ensemble import write_ensemble
from striata.figures.intervals import Interval
from striata.report.notebook import markup
from striata.runs import leaderboard
from striata.steps import Trained

from ..model.test_texts import TEXTS, model_of
from ..study.synthetic import logits_of, write_synthetic_run, write_synthetic_study


class Cell(HTMLParser):
    """Tags of a cell, which have to close, and its text."""

    def __init__(self, html: str | None) -> None:
        super().__init__()
        assert html is not None
        self.open: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_plan_is_drawn_without_torch() -> None:
    code = (
        "import sys, striata\n"
        "html = striata.plan('s8', base='FacebookAI/roberta-base', labels=4, budget=1_000_000)._repr_html_()\n"
        "assert '759,556 trainable parameters of at most 1,000,000: 165,888 in 12 adapters, 593,668 in the head' in html\n"
        "assert html.count('<svg') == 2 and 'layer 11, query: rank 16' in html\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_a_study_gives(tmp_path: Path) -> None:
    rows = np.arange(200)
    labels = rows % 3
    runs = {("s8", 0): logits_of(rows >= 20, labels), ("s1", 0): logits_of(rows < 160, labels)}
    study = write_synthetic_study(tmp_path / "study", runs, labels)
    best = next(run for run in study.runs() if run.name == "s8-seed0")
    shown = Cell(best._repr_html_())
    assert "90.00% (" in shown.text
    assert shown.tags.count("svg") == 2
    board = leaderboard(study)
    assert board == sorted(board, key=lambda row: -row.accuracy)
    shown = Cell(board._repr_html_())
    assert shown.text.index("s8-seed0") < shown.text.index("s1-seed0")
    ensemble = write_ensemble(study.path, size=2)
    shown = Cell(ensemble._repr_html_())
    assert f"{ensemble.nested['accuracy']:.2%} (" in shown.text
    assert all(name in shown.text for name in ensemble.members)
    trained = Trained(
        folder=study.path,
        runs={run.name: run for run in study.runs()},
        failed={"s2-seed0": "its loss is nan"},
        ensemble=ensemble,
        test={"ensemble": {"accuracy": 0.8765, "loss": 0.3, "macro_f1": 0.87}},
    )
    shown = Cell(trained._repr_html_())
    assert "87.65%" in shown.text
    assert "1 ended without a run: s2-seed0" in shown.text
    assert "svg" in shown.tags
    Cell(Trained(folder=study.path, runs={}, failed={}, ensemble=None, test={})._repr_html_())


def test_evaluation_fit_and_model(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(monkeypatch)
    frame = pd.DataFrame({"text": TEXTS, "label": ["World", "World", "World", "World"]})
    shown = Cell(model.evaluate(frame)._repr_html_())
    assert "50.00% (15.00% to 85.00%) of 4 rows right" in shown.text
    assert "a, b 0" in shown.text  # a wrong one
    accuracy = Interval(value=0.9, low=0.833, high=0.942)
    fitted = striata.Fitted(
        folder=Path("runs/train"), model=Path("runs/train/ensemble"), name="the ensemble of 4", value=accuracy,
        measured_on="validation", rows=120, cheapest_bar=None, gain=None,
    )  # fmt: skip
    assert "striata.load('runs/train/ensemble')" in Cell(fitted._repr_html_()).text
    for run in model.runs.values():
        run.name, run.kind, run.trainable, run.facts.base = "run <b>", "adapter", 12, None
    monkeypatch.setattr(type(model), "__repr__", lambda self: "Model(<i>)")
    shown = Cell(model._repr_html_())
    assert "temperature 1.000" in shown.text
    assert "run <b>" in shown.text


def test_hostile_names_are_text(tmp_path: Path) -> None:
    bad = "<img src=x onerror=alert(1)>"
    labels = np.arange(60) % 3
    study = write_synthetic_study(tmp_path / "study", {}, labels, layouts=["s1"], seeds=[0])
    run = write_synthetic_run(study.path, "s1", 0, logits_of(labels > 0, labels), labels, names=(bad, "b", "c"))
    shown = Cell(run._repr_html_())
    assert "img" not in shown.tags
    assert markup(3) is None


def test_without_jinja_the_line_of_text_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert striata.plan("s8", base="FacebookAI/roberta-base", labels=4)._repr_html_() is None
