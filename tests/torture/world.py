"""A small study and the commands that write something of it, each done in a forked process."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

import striata
from striata.automl import fitting, speed
from striata.ensemble import write_ensemble
from striata.ensemble.soup import write_soup
from striata.model import whole_file
from striata.report import write_card, write_report

from ..study.small import study_of, write_texts
from .operations import Ended, forked

_TIMES = {"seconds", "shared_seconds", "texts_per_second", "checksum", "identity", "spent"}
_DIGEST = re.compile(r"[0-9a-f]{64}")
_RUN = re.compile(r"runs/layout-[^/]+")
_SHOWN = {".html", ".svg", ".md"}  # have times of training in them


@dataclass(frozen=True)
class Command:
    """A command that writes.

    Args:
        call: does it, in the current folder.
        before: name of the command that has been done there before; empty for none.
        timed: whether what it makes depends on the time it takes, so that only the names of files are the same again, without
            those of runs.
    """

    call: Callable[[], object]
    before: str = "train"
    timed: bool = False


def study(**changes: Any) -> dict[str, Any]:
    recipe = {"max_steps": 4, "evaluate_every": 2}
    here = {"base": "roberta", "output": "out", "data": {"train": "train.csv", "test": "test.csv"}, "recipe": recipe}
    return study_of(Path.cwd(), **({"layouts": ["0-2 r2 query", "1-2 r3 query value"]} | here | changes))


def _predict() -> None:
    whole_file.PORTION = 8
    whole_file.predict_file(striata.load("out/ensemble", device="cpu"), "new.csv", "predicted.csv", probabilities=True)


def _train_alike() -> None:
    """Runs that have learned next to nothing, so that their soup is as good as they are."""
    striata.train(study(head="linear", layouts=["0-2 r2 query"], seeds=2, recipe={"learning_rate": 1e-6}), device="cpu")


def fit(*, second: float, base: str = "roberta") -> None:
    """A fit on a clock that goes on by so many seconds whenever it is looked at, and an encoder of a known speed."""
    clock = count(0, second)
    speed.measure_speed = lambda *_: 2e-4
    speed.observed_speed = lambda *_: None
    speed.measure_step = lambda *_: 6e-3
    request = fitting.Request(source="train.csv", test="test.csv", base=base, minutes=0.5, output="out")
    fitting.fit_file(request, device="cpu", now=lambda: next(clock))


COMMANDS: Mapping[str, Command] = {
    "train": Command(lambda: striata.train(study(), device="cpu"), before=""),
    "train with baselines": Command(
        lambda: striata.train(study(baselines=["majority", "lexical", "frozen", "neighbours"]), device="cpu"), before=""
    ),
    "search": Command(
        lambda: striata.train(
            study(layouts=[], budget=2_000, search={"trials": 3, "generation": 2, "ranks": [1, 2], "sections": [1, 2]}),
            device="cpu",
        ),
        before="",
    ),
    "train alike": Command(_train_alike, before=""),
    "ensemble": Command(lambda: write_ensemble("out", size=2, method="weighted")),
    "soup": Command(lambda: write_soup("out", size=2, device="cpu"), before="train alike"),
    "cascade": Command(
        lambda: write_ensemble("out", out="out/cascade", method="cascade", size=2, loss=0.05), before="train with baselines"
    ),
    "fit": Command(lambda: fit(second=0.0), before=""),
    "fit of words": Command(lambda: fit(second=0.0, base="none"), before=""),
    "fit against the clock": Command(lambda: fit(second=0.05), before="", timed=True),
    "distil": Command(lambda: striata.distil("out", loss=1.0, device="cpu")),
    "predict": Command(_predict),
    "report": Command(lambda: write_report("out")),
    "card": Command(lambda: write_card("out/ensemble")),
}


class World:
    """Folders in which a command is tried.

    Args:
        folder: for all of them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._made: dict[str, Path] = {}
        self.expected: dict[str, dict[str, str]] = {}
        self._tries = 0
        self._operations: dict[tuple[str, bool], int] = {}

    def fresh(self, command: Command) -> Path:
        """A new folder in which the command can begin."""
        self._tries += 1
        place = self.folder / f"try-{self._tries}"
        shutil.copytree(self.after(command.before), place)
        return place

    def after(self, name: str) -> Path:
        if name not in self._made:
            place = self.folder / f"after-{name or 'nothing'}"
            if name:
                shutil.copytree(self.after(COMMANDS[name].before), place)
                ended = run(COMMANDS[name], place)
            else:
                place.mkdir(parents=True)
                make = lambda: (study_of(place), write_texts(place / "new.csv", 30, seed=5, labels=False))  # noqa: E731
                ended = forked(make, place)
            assert ended.code == 0, ended.message
            self._made[name] = place
        return self._made[name]

    def operations(self, name: str, *, reads: bool = False) -> int:
        """How many a command has; what it makes is remembered."""
        if (name, reads) not in self._operations:
            command = COMMANDS[name]
            place = self.fresh(command)
            _load_what_it_loads(command, place)
            shutil.rmtree(place)
            place = self.fresh(command)
            ended = run(command, place, reads=reads)
            assert ended.code == 0, ended.message
            self.expected[name] = state_after(command, place)
            self._operations[name, reads] = ended.operations
            shutil.rmtree(place)
        return self._operations[name, reads]

    def trial(self, name: str, at: int, error: int | None, *, reads: bool = False) -> str:
        """A command that dies or fails at an operation, and then once more: what is wrong with that, or nothing."""
        command = COMMANDS[name]
        place = self.fresh(command)
        first = run(command, place, at=at, error=error, reads=reads)
        lines = first.message.strip().splitlines()
        wrong = ""
        if error is not None and (first.code not in (0, 2) or len(lines) > 1):
            wrong = f"ends with {first.code}: {' / '.join(lines[-6:])}"
        second = run(command, place)
        if second.code:
            wrong = wrong or f"the same command then ends with {second.code}: {' / '.join(second.message.splitlines()[-6:])}"
        else:
            wrong = wrong or differences(self.expected[name], state_after(command, place))
        shutil.rmtree(place)
        return f"{name}, {'killed' if error is None else os.strerror(error)} at {at} ({first.last}): {wrong}" if wrong else ""


def run(command: Command, place: Path, **options: Any) -> Ended:
    """Does a command in a folder, in a forked process."""
    return forked(work_in(place, command.call), place, **options)


def _load_what_it_loads(command: Command, place: Path) -> None:
    """Loads every module here that a command loads in a child, so that the next children need not: that is most of their time."""
    loaded = place / "modules.json"
    work = work_in(place, command.call)

    def listed() -> None:
        work()
        loaded.write_text(json.dumps(list(sys.modules)))

    ended = forked(listed, place)
    assert ended.code == 0, ended.message
    for name in json.loads(loaded.read_text()):
        with contextlib.suppress(Exception):  # made while it ran, or of no use alone
            importlib.import_module(name)


def work_in(place: Path, call: Callable[[], object]) -> Callable[[], None]:
    """The same call in a folder, on one thread."""

    def work() -> None:
        import torch

        os.chdir(place)
        torch.set_num_threads(1)
        call()

    return work


def state(place: Path) -> dict[str, str]:
    """Every file and folder with a digest of its content, without the times that training took and what follows from them."""
    return {str(path.relative_to(place)): content(path) for path in sorted(place.rglob("*"))}


def state_after(command: Command, place: Path) -> dict[str, str]:
    """What is the same whenever a command has come to its end."""
    if not command.timed:
        return state(place)
    return {_RUN.sub("runs/*", name): "" for name in state(place) if "/cache/" not in name}


def content(path: Path) -> str:
    """A digest of a file, or its values where times are among them."""
    if path.is_dir():
        return "folder"
    if path.suffix in _SHOWN or path.name == "search.db":
        return "file"
    data = path.read_bytes()
    if path.suffix == ".json":
        with contextlib.suppress(ValueError):  # it is damaged
            return json.dumps(_timeless(json.loads(data)), sort_keys=True)
    return sha256(data).hexdigest()


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(inner) for key, inner in value.items() if key not in _TIMES}
    if isinstance(value, list):
        return [_timeless(inner) for inner in value]
    return "digest" if isinstance(value, str) and _DIGEST.fullmatch(value) else value


def differences(expected: Mapping[str, str], actual: Mapping[str, str]) -> str:
    """In which files a folder is another; nothing for none."""
    lost, more = sorted(expected.keys() - actual.keys()), sorted(actual.keys() - expected.keys())
    other = sorted(name for name in expected.keys() & actual.keys() if expected[name] != actual[name])
    parts = {"lost": lost, "left behind": more, "other": other}
    return "; ".join(f"{what}: {', '.join(names[:5])}" for what, names in parts.items() if names)
