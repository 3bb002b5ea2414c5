"""The board in a notebook's cell."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from striata.figures.intervals import wilson
from striata.progress import NotebookBoard, usual_listener
from striata.training.events import Event, nobody


class Cell:
    """What stands in the cell, time after time, and a clock that is set by hand."""

    def __init__(self) -> None:
        self.drawn: list[str] = []
        self.at = 0.0
        self.listen = NotebookBoard(self.drawn.append, lambda: self.at)


def step(number: int, member: str = "wide") -> Event:
    return Event(kind="step", member=member, step=number, steps=80, loss=1 / number, learning_rate=0.1)


def test_steps_are_drawn_twice_a_second_and_what_matters_at_once() -> None:
    cell = Cell()
    for number in range(1, 11):
        cell.at += 0.1
        cell.listen(step(number))
    assert len(cell.drawn) == 2
    cell.listen(Event(kind="evaluated", member="wide", step=10, steps=80, value=0.9, rows=100, best=0.9))
    assert len(cell.drawn) == 3
    within = wilson(0.9, 100)
    assert f"best so far: wide, 90.00% ({within.low:.2%} to {within.high:.2%}) right on 100 validation rows" in cell.drawn[-1]
    assert "<td>10/80</td>" in cell.drawn[-1]


def test_a_limit_has_a_bar_and_notes_are_shown_without_being_markup() -> None:
    cell = Cell()
    cell.listen(Event(kind="clock", seconds_left=60.0))
    cell.at = 15.0
    cell.listen(Event(kind="note", message="read <script>x</script>.csv"))
    cell.listen(Event(kind="failed", member="<b>", message="no memory"))
    assert '<progress max="60.0" value="15.0"></progress> 0:15 gone, 0:45 left' in cell.drawn[-1]
    assert "read &lt;script&gt;x&lt;/script&gt;.csv" in cell.drawn[-1]
    assert "&lt;b&gt; failed: no memory" in cell.drawn[-1]
    assert "<script" not in cell.drawn[-1]


def test_of_many_contenders_and_notes_the_last_are_shown() -> None:
    cell = Cell()
    for number in range(30):
        cell.listen(Event(kind="note", message=f"note {number}"))
        cell.listen(Event(kind="finished", member=f"m{number}", value=0.5, rows=10, best=0.5, message="done"))
    last = cell.drawn[-1]
    assert "and 10 that ended earlier" in last
    assert "and 18 notes before" in last
    assert "m29" in last
    assert ">m0<" not in last


def test_only_a_kernels_cell_is_drawn_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython", None)
    assert usual_listener() is nobody
    for shell in (None, SimpleNamespace()):  # python, and ipython in a terminal
        monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda shell=shell: shell))
        assert usual_listener() is nobody
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=object())))
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(HTML=str, display=lambda *_, **__: None))
    assert isinstance(usual_listener(), NotebookBoard)
