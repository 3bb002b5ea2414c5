"""Folders with every kind of file that striata writes, and the commands that read them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import yaml

import striata as package
from striata.ensemble import write_ensemble
from striata.ensemble.soup import write_soup
from striata.model import whole_file

from .console import printed, striata
from .world import COMMANDS, World, run, study

LAYOUTS = {"low": "0-2 r2 query", "high": "1-2 r3 query value"}
_BESIDE = ("out/report.html", "out/cascade", "out/distilled", "out/soup", "out/checks", "out/ensemble/README.md", "out/cache")


@dataclass(frozen=True, slots=True)
class Reading:
    """A command that reads what others have written.

    Args:
        name: of it.
        call: does it in the current folder, and prints.
        results: files and folders that it makes, whose content counts as what it prints does.
        ignored: of these, what it neither reads nor writes.
    """

    name: str
    call: Callable[[], object]
    results: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Scene:
    """A folder, and what reads it.

    Args:
        name: of it.
        make: makes the folder, in a world.
        readings: commands that read it.
    """

    name: str
    make: Callable[[World, Path], None]
    readings: Sequence[Reading]


def _predicts(model: str) -> Reading:
    return Reading(
        f"predict {model}", striata("predict", model, "new.csv", "--out", "new.jsonl", "--probabilities"), ("new.jsonl",)
    )


def _train_everything() -> None:
    settings = study(
        layouts=[{"name": name, "layout": layout} for name, layout in LAYOUTS.items()],
        baselines=["majority", "lexical", "frozen", "neighbours"],
        ensemble={"size": 6},
    )  # fmt: skip
    Path("study.yaml").write_text(yaml.safe_dump(settings))
    package.train(settings, device="cpu")
    write_ensemble("out", out="out/cascade", method="cascade", size=2, loss=0.05)
    package.distil("out", loss=1.0, device="cpu")


_STEPS: dict[str, Callable[[], object]] = {
    "train": _train_everything,
    "stress": striata("stress", "out/ensemble", "test.csv", "--rows", "20"),
    "shift": striata(
        "shift", "out/distilled", "--known", "test.csv", "--unlabelled", "new.csv", "--permutations", "19"
    ),
    "audit": striata("audit", "out"),
    "report": striata("report", "out"),
    "card": striata("card", "out/ensemble"),
}  # fmt: skip


def _finished(world: World, place: Path) -> None:
    shutil.copytree(world.after(""), place)
    for name, call in _STEPS.items():
        done = printed(call, place)
        assert done.code == 0, f"{name} {done}"


def _after(command: str, world: World, place: Path) -> None:
    shutil.copytree(world.after(command), place)


def _stopped(name: str, needed: str, world: World, place: Path) -> None:
    """What a command has left that was killed about half way, when something had been written."""
    command, operations = COMMANDS[name], world.operations(name)
    for at in range(operations // 2, operations, max(1, operations // 20)):
        shutil.copytree(world.after(command.before), place)
        ended = run(command, place, at=at)
        assert ended.code == 137, ended
        if any(place.glob(needed)):
            return
        shutil.rmtree(place)
    raise AssertionError(f"{name} writes no {needed}")


def _interrupted(scene: str, name: str, needed: str) -> Scene:
    again = Reading(f"{name} again", COMMANDS[name].call, ("out",), ("out/report.html", "out/cache"))
    return Scene(scene, partial(_stopped, name, needed), [again])


def _predict_on() -> None:
    COMMANDS["predict"].call()
    assert whole_file.PORTION == 8


_TOLD = [
    Reading("leaderboard", striata("leaderboard", "out", "--json")),
    Reading("leaderboard --runs", striata("leaderboard", "out", "--runs", "--json")),
    Reading("report", striata("report", "out", "--out", "page.html"), ("page.html",)),
]

FINISHED = Scene(
    "finished",
    _finished,
    [
        *_TOLD,
        Reading("compare", striata("compare", "out", *LAYOUTS, "--json")),
        *map(_predicts, ["out/ensemble", "out/cascade", "out/distilled", "out/runs/lexical", "out/runs/neighbours"]),
        Reading("evaluate", striata("evaluate", "out/ensemble", "test.csv", "--json")),
        Reading("stress", striata("stress", "out/distilled", "test.csv", "--rows", "20", "--json")),
        Reading("audit", striata("audit", "out", "--json")),
        Reading("card", striata("card", "out/ensemble", "--out", "card.md"), ("card.md",)),
        Reading("train again", striata("train", "study.yaml"), ("out",), _BESIDE),
        Reading("ensemble again", striata("ensemble", "out", "--size", "6"), ("out/ensemble",), _BESIDE),
        Reading("cascade again", striata("cascade", "out", "--out", "out/cascade", "--loss", "0.05"), ("out/cascade",)),
    ],
)

SCENES: Sequence[Scene] = (
    FINISHED,
    Scene(
        "soup", partial(_after, "soup"),
        [*_TOLD, _predicts("out/soup"), Reading("soup again", lambda: write_soup("out", size=2), ("out/soup",))],
    ),
    Scene(
        "fitted", partial(_after, "fit of words"),
        [
            *_TOLD,
            *map(_predicts, ["out/runs/lexical", "out/runs/majority"]),
            Reading("fit again", COMMANDS["fit of words"].call, ("out",), ("out/report.html",)),
            Reading("train again", striata("train", "out/study.yaml"), ("out",), ("out/report.html", "out/fit.json")),
        ],
    ),
    _interrupted("interrupted", "train with baselines", "out/stacks/*/checkpoint*"),
    _interrupted("search", "search", "out/**/search.db"),
    _interrupted("fit", "fit", "out/fit.json"),
    Scene(
        "prediction", partial(_stopped, "predict", ".*/*.logits"), [Reading("predict", _predict_on, ("predicted.csv",))],
    ),
)  # fmt: skip
