"""Makes docs/progress.svg: the display of a real `striata demo layouts` after two thirds of the steps, replayed from its runs.

.venv/bin/striata demo layouts && .venv/bin/python docs/progress.py runs/demo-layouts
"""

from __future__ import annotations

import io
import sys

from rich.console import Console

from striata.cli.progress import TerminalBoard
from striata.runs import StudyFolder
from striata.training.events import Event


def main() -> None:
    board = TerminalBoard()
    runs = StudyFolder.open(sys.argv[1]).runs()
    left = sum(run.facts.seconds for run in runs) / 3
    for run in sorted(runs, key=lambda run: run.plan is not None):
        if run.plan is None:
            accuracy, rows = run.metrics["accuracy"], run.facts.split["validation"]
            board.take(Event(kind="finished", member=run.name, accuracy=accuracy, best=accuracy, rows=rows, message="fitted"))
            continue
        steps = run.facts.steps
        for entry in run.history():
            step = int(entry["step"] or 0)
            if step > steps * 2 // 3:
                break
            if entry["loss"] is not None:
                event = Event(
                    kind="step",
                    member=run.name,
                    step=step,
                    steps=steps,
                    loss=entry["loss"],
                    learning_rate=entry["learning_rate"],
                    seconds_left=left,
                )
            else:
                event = Event(kind="evaluated", member=run.name, step=step, steps=steps, accuracy=entry["validation_accuracy"])
            board.take(event)
    console = Console(record=True, width=92, file=io.StringIO())
    console.print("[bold]$ striata demo layouts")
    console.print(board)
    console.save_svg("docs/progress.svg", title="nine layouts, one frozen encoder, two cores")


if __name__ == "__main__":
    main()
