"""What is shown while something runs."""

from __future__ import annotations

import io
from collections.abc import Callable

from rich.console import Console

from striata.cli.progress import Lines, TerminalBoard
from striata.figures.intervals import wilson
from striata.training.events import Event


class Hands:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


def drawn(board: TerminalBoard) -> list[str]:
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(board)
    return console.export_text().splitlines()


def baseline(name: str, accuracy: float) -> Event:
    return Event(kind="finished", member=name, value=accuracy, rows=200, best=accuracy, message="fitted")


def evaluated(name: str, accuracy: float, step: int = 40) -> Event:
    return Event(kind="evaluated", member=name, step=step, steps=80, value=accuracy, rows=100, best=accuracy)


def test_the_board_says_what_goes_on_before_anything_is_loaded() -> None:
    board = TerminalBoard(Hands())
    assert drawn(board) == ["0:00 gone reading the data ..."]
    board.take(Event(kind="doing", message="loading the encoder"))
    assert drawn(board) == ["0:00 gone loading the encoder ..."]


def test_the_board_has_baselines_the_best_with_its_interval_and_the_time_until_the_limit() -> None:
    now = Hands()
    board = TerminalBoard(now)
    board.take(Event(kind="clock", seconds_left=90.0))
    now.at = 30.0
    for event in (baseline("majority", 0.4), baseline("lexical", 0.9)):
        board.take(event)
    board.take(Event(kind="step", member="wide", step=3, steps=80, loss=1.0, learning_rate=0.1, seconds_left=500.0))
    *_, best, status = lines = drawn(board)
    interval = wilson(0.9, 200)
    assert best == f"best so far: lexical, 90.00% ({interval.low:.2%} to {interval.high:.2%}) right on 200 validation rows"
    assert status.endswith("0:30 gone, 1:00 left training ...")  # the limit counts, not the loop's estimate
    row = next(line for line in lines if line.startswith("lexical"))
    assert row.split() == ["lexical", "0.9000", "0.9000", "fitted"]
    board.take(evaluated("wide", 0.95))
    assert any("best so far: wide, 95.00%" in line for line in drawn(board))


def test_without_a_limit_the_loops_estimate_is_shown() -> None:
    board = TerminalBoard(Hands())
    board.take(Event(kind="step", member="wide", step=3, steps=80, loss=1.0, seconds_left=500.0))
    assert "8:20 left" in drawn(board)[-1]


def lines_of(*events: tuple[float, Event]) -> list[str]:
    now, lines = Hands(), []
    write: Callable[[str], None] = lines.append
    progress = Lines(write, now)
    for at, event in events:
        now.at = at
        progress.take(event)
    return lines


def test_without_a_terminal_there_is_a_line_for_each_ending_evaluation_or_minute() -> None:
    step = Event(kind="step", member="wide", step=40, steps=80, loss=1.0, learning_rate=0.1, seconds_left=20.0)
    lines = lines_of(
        (0, Event(kind="doing", message="reading the data")),
        (1, baseline("lexical", 0.9)),
        (2, step),
        (3, evaluated("wide", 0.8)),
        (3, evaluated("narrow", 0.95)),  # of the same step: one line for both
        (4, step),
        (50, step),
        (64, step),
    )
    assert lines[:2] == ["reading the data ...", "lexical: 0.9000 right on validation rows (fitted)"]
    assert [line.split(" (")[0] for line in lines[2:]] == ["step 40/80; best so far: narrow, 95.00%"] * 2
    assert all(line.endswith("; 0:20 left") for line in lines[2:])


def test_the_last_evaluation_is_told_before_what_follows() -> None:
    lines = lines_of((0, evaluated("wide", 0.8)), (1, baseline("wide", 0.8)))
    assert [line.split()[0] for line in lines] == ["step", "wide:"]
