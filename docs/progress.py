"""Makes docs/progress.svg: the display of a real `striata demo`, as it stands after about two thirds of the steps.

.venv/bin/python docs/progress.py
"""

from __future__ import annotations

import contextlib
import io
import tempfile

from rich.console import Console

from striata import demo, load_study, train
from striata.cli.progress import Board
from striata.training.events import Event


class Enough(Exception):
    """Raised when the picture is taken."""


def main() -> None:
    board = Board()

    def listen(event: Event) -> None:
        board.take(event)
        if event.kind == "step" and event.step > 0.66 * event.steps and event.member.startswith("s9"):
            raise Enough

    demo.write_data()
    with tempfile.TemporaryDirectory() as folder:
        settings = [f"base={demo.encoder_folder()}", f"output={folder}/run"]
        with contextlib.suppress(Enough):
            train(load_study(demo.study_file(), settings), listen=listen)
    console = Console(record=True, width=92, file=io.StringIO())
    console.print("[bold]$ striata demo")
    console.print(board)
    console.save_svg("docs/progress.svg", title="nine layouts, one frozen encoder, two cores")


if __name__ == "__main__":
    main()
