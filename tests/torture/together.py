"""Two processes on one folder: two of a command, and readers beside writers.

Nothing is left to chance: the first process halts before one of its file operations, the second does all it can meanwhile, and
then the first goes on. Where the second waits for the first, which is right where it takes a moment, the first goes on, too.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

import striata
from striata.ensemble import write_ensemble
from striata.evidence import compare_study
from striata.report import write_report
from striata.runs import StudyFolder, leaderboard

from .operations import Ended, start
from .world import COMMANDS, Command, World, differences, run, state_after, work_in

_PATIENCE = 10.0  # seconds until the first goes on because the second waits for it
_AT_IT = re.compile(r"another (process|prediction)|no longer planned|replaced while|again and again")
TWO = ("train", "search", "ensemble", "soup", "cascade", "distil", "predict", "report", "card", "fit")
_TEXTS = ["w1 w2 w1", "w26 w27 w25", "w51 w52 w50"]


def _wrong(ended: Ended) -> str:
    """What is wrong with how the second of two ends; nothing where it is done or says who is at it."""
    if ended.code == 0 or (ended.code == 2 and ended.message.count("\n") == 0 and _AT_IT.search(ended.message)):
        return ""
    return f"ends with {ended.code}: {' / '.join(ended.message.strip().splitlines()[-8:])}"


def _beside(
    world: World, first: Command, at: int, second: Callable[[], object], *, reads: bool = False
) -> tuple[Path, Ended, Ended]:
    """A command that halts at an operation while another process works in its folder; how both end."""
    place = world.fresh(first)
    halted = start(work_in(place, first.call), place, at=at, halt=True, reads=reads)
    halted.halts()
    other = start(work_in(place, second), place)
    other.ends(_PATIENCE)
    one = halted.goes_on()
    return place, one, other.goes_on()


def two_of(world: World, name: str, at: int) -> str:
    """Two of a command, the first of which halts at an operation: what is wrong, or nothing."""
    command = COMMANDS[name]
    place, one, other = _beside(world, command, at, command.call)
    wrong = (
        _wrong(one) or _wrong(other) or ("" if 0 in (one.code, other.code) else f"both refuse: {one.message} | {other.message}")
    )
    wrong = wrong or differences(world.expected[name], state_after(command, place))
    shutil.rmtree(place)
    return f"two of {name}, the first halts at {at} ({one.last}): {wrong}" if wrong else ""


def _predict() -> object:
    return striata.load("out/ensemble", device="cpu").predict_proba(_TEXTS).tolist()


READERS: dict[str, Callable[[], object]] = {
    "predict": _predict,
    "leaderboard": lambda: [row.run for row in leaderboard(StudyFolder.open("out"))],
    "comparison": lambda: [row.accuracy for row in compare_study(StudyFolder.open("out")).layouts],
    "report": lambda: write_report("out", out="page.html"),
}


def _remake(weights: str) -> None:
    write_ensemble("out", size=2, method=weights)


_ENSEMBLES = ("top", "weighted")
WRITERS: dict[str, Command] = {
    "train": COMMANDS["train"],
    "train again": Command(COMMANDS["train"].call),
    "ensemble": Command(lambda: _remake("weighted")),
    "distil": COMMANDS["distil"],
}


def reader_beside(world: World, writer: str, reader: str, at: int) -> str:
    """A reader while a writer halts at an operation: what is wrong, or nothing."""
    answers = world.folder / "answers"

    def read() -> None:
        answers.write_text(repr(READERS[reader]()))

    answers.write_text("")
    place, one, other = _beside(world, WRITERS[writer], at, read)
    shutil.rmtree(place)
    wrong = "" if one.code == 0 else f"the writer {_wrong(one)}"
    unfinished = writer == "train" and other.code == 2 and other.message.count("\n") == 0 and "damage" not in other.message
    wrong = wrong or ("" if unfinished else _wrong(other)) or _mixed(world, reader, answers.read_text())
    return f"{reader} beside {writer}, which halts at {at} ({one.last}): {wrong}" if wrong else ""


def writer_beside(world: World, reader: str, at: int, times: int) -> str:
    """A reader that halts at an operation while the ensemble is replaced: what is wrong, or nothing."""
    answers = world.folder / "answers"
    halting = Command(lambda: answers.write_text(repr(READERS[reader]())))

    def write() -> None:
        for turn in range(times):
            _remake(_ENSEMBLES[(turn + 1) % 2])

    answers.write_text("")
    place, one, other = _beside(world, halting, at, write, reads=True)
    shutil.rmtree(place)
    wrong = (
        _wrong(one) or _mixed(world, reader, answers.read_text()) or ("" if other.code == 0 else f"the writer {_wrong(other)}")
    )
    return f"{reader}, which halts at {at} ({one.last}), beside an ensemble replaced {times} times: {wrong}" if wrong else ""


def _mixed(world: World, reader: str, answer: str) -> str:
    """Whether a prediction is neither the old ensemble's nor the new one's."""
    if reader != "predict" or not answer:
        return ""
    return "" if answer in _known(world) else f"answers of no ensemble: {answer}"


def _known(world: World) -> list[str]:
    """What the ensembles of both methods answer."""
    file = world.folder / "known"
    if not file.exists():
        place = world.fresh(COMMANDS["ensemble"])
        for method in _ENSEMBLES:
            call = partial(_answer, method, file)
            assert run(Command(call), place).code == 0
        shutil.rmtree(place)
    return file.read_text().splitlines()


def _answer(method: str, file: Path) -> None:
    _remake(method)
    with file.open("a") as lines:
        lines.write(f"{_predict()!r}\n")


def together(
    world: World,
    *,
    count: int = 3,
    seed: int = 0,
    commands: Sequence[str] = TWO,
    writers: Sequence[str] = tuple(WRITERS),
    readers: Sequence[str] = tuple(READERS),
    tell: Callable[[str], object] = print,
) -> Iterator[str]:
    """Two processes at once: a sentence for each try, empty where nothing is wrong.

    Args:
        world: in which they are tried.
        count: at how many operations of each the first halts, drawn at random.
        seed: of the draw.
        commands: of which two are tried.
        writers: of :data:`WRITERS`, beside which all readers are tried.
        readers: of :data:`READERS`.
        tell: told what is tried.
    """
    rng = np.random.default_rng(seed)

    def places(operations: int) -> list[int]:
        return sorted(int(at) for at in rng.choice(np.arange(1, operations + 1), min(count, operations), replace=False))

    for name in commands:
        tell(f"two of {name}")
        for at in places(world.operations(name)):
            yield two_of(world, name, at)
    for name in writers:
        tell(f"readers beside {name}")
        operations = _operations(world, WRITERS[name])
        for reader in readers:
            for at in places(operations):
                yield reader_beside(world, name, reader, at)
    for reader in readers:
        tell(f"{reader} beside an ensemble that is replaced")
        operations = _operations(world, Command(READERS[reader]), reads=True)
        for times, at in enumerate(places(operations), 1):
            yield writer_beside(world, reader, at, times)


def _operations(world: World, command: Command, *, reads: bool = False) -> int:
    place = world.fresh(command)
    ended = run(command, place, reads=reads)
    assert ended.code == 0, ended.message
    shutil.rmtree(place)
    return ended.operations
